//! The services beside `ChatService` that change and read app state, and the one that asks for history.

use roost_proto::api;
use roost_proto::api::address_book_service_client::AddressBookServiceClient;
use roost_proto::api::address_book_service_server::AddressBookService;
use roost_proto::api::history_service_client::HistoryServiceClient;
use roost_proto::api::history_service_server::HistoryService;
use roost_proto::api::label_service_client::LabelServiceClient;
use roost_proto::api::label_service_server::LabelService;
use roost_proto::api::setting_service_client::SettingServiceClient;
use roost_proto::api::setting_service_server::SettingService;
use roost_proto::appstate::{Action, Collection};
use tonic::{Request, Response, Status, async_trait};

use super::{Done, Page, known};
use crate::api::channels::LARGEST;
use crate::api::messages::command_error;
use crate::api::parse::chats as parsed;
use crate::api::token::Kind;
use crate::api::{Api, method, parse};
use crate::errors::ApiError;

#[async_trait]
impl AddressBookService for Api {
    async fn save_contact(&self, request: Request<api::SaveContactRequest>) -> Done {
        let named = method("AddressBookService", "SaveContact");
        self.unary(named, request, |call, request| async move {
            let change = parsed::save_contact(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { AddressBookServiceClient::new(channel).save_contact(request).await }
            })
            .await
        })
        .await
    }

    async fn remove_contact(&self, request: Request<api::RemoveContactRequest>) -> Done {
        let named = method("AddressBookService", "RemoveContact");
        self.unary(named, request, |call, request| async move {
            let change = parsed::remove_contact(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { AddressBookServiceClient::new(channel).remove_contact(request).await }
            })
            .await
        })
        .await
    }

    async fn list_contacts(
        &self,
        request: Request<api::ListContactsRequest>,
    ) -> Result<Response<api::ListContactsResponse>, Status> {
        let named = method("AddressBookService", "ListContacts");
        self.unary(named, request, |call, request| async move {
            let key = parse::device("parent", &request.parent)?;
            let page =
                Page::read(Kind::ContactPage, &request.parent, request.page_size, &request.page_token)?;
            let there = |channel| {
                let request = call.forward(request.clone());
                async move {
                    AddressBookServiceClient::new(channel)
                        .max_decoding_message_size(LARGEST)
                        .list_contacts(request)
                        .await
                }
            };
            let here = |actions| {
                let (contacts, next_page_token) = page.cut(known::contacts(actions));
                api::ListContactsResponse { contacts, next_page_token }
            };
            self.contents(&call, &key, &[Collection::CriticalUnblockLow], here, there).await
        })
        .await
    }
}

#[async_trait]
impl LabelService for Api {
    async fn edit_label(&self, request: Request<api::EditLabelRequest>) -> Done {
        self.unary(method("LabelService", "EditLabel"), request, |call, request| async move {
            let change = parsed::edit_label(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { LabelServiceClient::new(channel).edit_label(request).await }
            })
            .await
        })
        .await
    }

    async fn assign_label(&self, request: Request<api::AssignLabelRequest>) -> Done {
        self.unary(method("LabelService", "AssignLabel"), request, |call, request| async move {
            let change = parsed::assign_label(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { LabelServiceClient::new(channel).assign_label(request).await }
            })
            .await
        })
        .await
    }

    async fn list_labels(
        &self,
        request: Request<api::ListLabelsRequest>,
    ) -> Result<Response<api::ListLabelsResponse>, Status> {
        self.unary(method("LabelService", "ListLabels"), request, |call, request| async move {
            let key = parse::device("parent", &request.parent)?;
            let there = |channel| {
                let request = call.forward(request.clone());
                async move {
                    LabelServiceClient::new(channel)
                        .max_decoding_message_size(LARGEST)
                        .list_labels(request)
                        .await
                }
            };
            let here = |actions| api::ListLabelsResponse { labels: known::labels(actions) };
            self.contents(&call, &key, &[Collection::Regular], here, there).await
        })
        .await
    }
}

#[async_trait]
impl SettingService for Api {
    async fn set_push_name(&self, request: Request<api::SetPushNameRequest>) -> Done {
        self.unary(method("SettingService", "SetPushName"), request, |call, request| async move {
            let change = parsed::push_name(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { SettingServiceClient::new(channel).set_push_name(request).await }
            })
            .await
        })
        .await
    }

    async fn edit_quick_reply(&self, request: Request<api::EditQuickReplyRequest>) -> Done {
        self.unary(method("SettingService", "EditQuickReply"), request, |call, request| async move {
            let change = parsed::quick_reply(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { SettingServiceClient::new(channel).edit_quick_reply(request).await }
            })
            .await
        })
        .await
    }

    async fn set_link_previews(&self, request: Request<api::SetLinkPreviewsRequest>) -> Done {
        self.unary(method("SettingService", "SetLinkPreviews"), request, |call, request| async move {
            let change =
                (parse::device("parent", &request.parent)?, vec![Action::NoLinkPreviews(request.disabled)]);
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { SettingServiceClient::new(channel).set_link_previews(request).await }
            })
            .await
        })
        .await
    }

    async fn put_app_state_record(&self, request: Request<api::PutAppStateRecordRequest>) -> Done {
        self.unary(method("SettingService", "PutAppStateRecord"), request, |call, request| async move {
            let change = parsed::record(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { SettingServiceClient::new(channel).put_app_state_record(request).await }
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl HistoryService for Api {
    async fn sync_history(
        &self,
        request: Request<api::SyncHistoryRequest>,
    ) -> Result<Response<api::SyncHistoryResponse>, Status> {
        self.unary(method("HistoryService", "SyncHistory"), request, |call, request| async move {
            let (key, wanted, since) = parsed::history(&request)?;
            call.may_name_device(&key)?;
            let done = self.router().at_owner(
                &call,
                &key,
                |device| {
                    let (key, wanted) = (&key, wanted.clone());
                    async move {
                        let asked = device.want_history(wanted, since).await;
                        asked
                            .map(|request| api::SyncHistoryResponse { request })
                            .map_err(|error| command_error(key, &device, error))
                    }
                },
                |channel| {
                    let request = call.forward(request.clone());
                    async move {
                        let mut there = HistoryServiceClient::new(channel);
                        there.sync_history(request).await.map(Response::into_inner)
                    }
                },
            );
            match done.await {
                Err(ApiError::NotFound { .. }) => Err(self.missing(&key).await),
                done => done,
            }
        })
        .await
    }
}
