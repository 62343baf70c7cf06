//! `ChatService`, and what the services of contacts, labels and settings share with it: a change is made by the
//! owner of the device, and answered when WhatsApp has taken it.

mod known;
mod others;

use std::future::Future;

use roost_proto::api;
use roost_proto::api::chat_service_client::ChatServiceClient;
use roost_proto::api::chat_service_server::ChatService;
use roost_proto::appstate::{Action, Collection};
use roost_proto::id::DeviceKey;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, async_trait};

use super::call::Call;
use super::channels::LARGEST;
use super::messages::command_error;
use super::parse::chats as parsed;
use super::token::{self, Kind};
use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "ChatService";
/// Where chats are.
const CHATS: [Collection; 3] = [Collection::RegularHigh, Collection::Regular, Collection::RegularLow];

type Done = Result<Response<()>, Status>;

#[async_trait]
impl ChatService for Api {
    async fn mute_chat(&self, request: Request<api::MuteChatRequest>) -> Done {
        self.unary(method(SERVICE, "MuteChat"), request, |call, request| async move {
            let change = parsed::mute(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).mute_chat(request).await }
            })
            .await
        })
        .await
    }

    async fn pin_chat(&self, request: Request<api::PinChatRequest>) -> Done {
        self.unary(method(SERVICE, "PinChat"), request, |call, request| async move {
            let change = parsed::pin(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).pin_chat(request).await }
            })
            .await
        })
        .await
    }

    async fn archive_chat(&self, request: Request<api::ArchiveChatRequest>) -> Done {
        self.unary(method(SERVICE, "ArchiveChat"), request, |call, request| async move {
            let change = parsed::archive(&request, self.wall())?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).archive_chat(request).await }
            })
            .await
        })
        .await
    }

    async fn mark_chat(&self, request: Request<api::MarkChatRequest>) -> Done {
        self.unary(method(SERVICE, "MarkChat"), request, |call, request| async move {
            let change = parsed::mark(&request, self.wall())?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).mark_chat(request).await }
            })
            .await
        })
        .await
    }

    async fn clear_chat(&self, request: Request<api::ClearChatRequest>) -> Done {
        self.unary(method(SERVICE, "ClearChat"), request, |call, request| async move {
            let change = parsed::clear(&request, self.wall())?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).clear_chat(request).await }
            })
            .await
        })
        .await
    }

    async fn delete_chat(&self, request: Request<api::DeleteChatRequest>) -> Done {
        self.unary(method(SERVICE, "DeleteChat"), request, |call, request| async move {
            let change = parsed::delete(&request, self.wall())?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).delete_chat(request).await }
            })
            .await
        })
        .await
    }

    async fn star_message(&self, request: Request<api::StarMessageRequest>) -> Done {
        self.unary(method(SERVICE, "StarMessage"), request, |call, request| async move {
            let change = parsed::star(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).star_message(request).await }
            })
            .await
        })
        .await
    }

    async fn delete_message_for_me(&self, request: Request<api::DeleteMessageForMeRequest>) -> Done {
        self.unary(method(SERVICE, "DeleteMessageForMe"), request, |call, request| async move {
            let change = parsed::delete_for_me(&request)?;
            self.change(&call, change, |channel| {
                let request = call.forward(request.clone());
                async move { ChatServiceClient::new(channel).delete_message_for_me(request).await }
            })
            .await
        })
        .await
    }

    async fn get_chat(&self, request: Request<api::GetChatRequest>) -> Result<Response<api::Chat>, Status> {
        self.unary(method(SERVICE, "GetChat"), request, |call, request| async move {
            let key = parse::device("parent", &request.parent)?;
            let jid = parsed::chat("chat", &request.chat)?.to_string();
            let there = |channel| {
                let request = call.forward(request.clone());
                async move {
                    ChatServiceClient::new(channel).max_decoding_message_size(LARGEST).get_chat(request).await
                }
            };
            let here = |actions| known::chats(actions).remove(&jid).unwrap_or_else(|| known::unknown(&jid));
            self.contents(&call, &key, &CHATS, here, there).await
        })
        .await
    }

    async fn list_chats(
        &self,
        request: Request<api::ListChatsRequest>,
    ) -> Result<Response<api::ListChatsResponse>, Status> {
        self.unary(method(SERVICE, "ListChats"), request, |call, request| async move {
            let key = parse::device("parent", &request.parent)?;
            let page = Page::read(Kind::ChatPage, &request.parent, request.page_size, &request.page_token)?;
            let there = |channel| {
                let request = call.forward(request.clone());
                async move {
                    ChatServiceClient::new(channel)
                        .max_decoding_message_size(LARGEST)
                        .list_chats(request)
                        .await
                }
            };
            let here = |actions| {
                let (chats, next_page_token) = page.cut(known::chats(actions));
                api::ListChatsResponse { chats, next_page_token }
            };
            self.contents(&call, &key, &CHATS, here, there).await
        })
        .await
    }
}

impl Api {
    /// Has the owner make a change.
    pub(super) async fn change<F>(
        &self,
        call: &Call,
        (key, actions): parsed::Change,
        mut there: impl FnMut(Channel) -> F,
    ) -> Result<(), ApiError>
    where
        F: Future<Output = Result<Response<()>, Status>>,
    {
        call.may_name_device(&key)?;
        let done = self.router().at_owner(
            call,
            &key,
            |device| {
                let (key, actions) = (&key, actions.clone());
                async move {
                    let done = device.change(actions).await;
                    done.map_err(|error| command_error(key, &device, error))
                }
            },
            |channel| {
                let answer = there(channel);
                async move { answer.await.map(Response::into_inner) }
            },
        );
        match done.await {
            Err(ApiError::NotFound { .. }) => Err(self.missing(&key).await),
            done => done,
        }
    }

    /// Makes an answer of what the owner's copies say.
    async fn contents<T, F>(
        &self,
        call: &Call,
        key: &DeviceKey,
        collections: &[Collection],
        here: impl Fn(Vec<Action>) -> T,
        mut there: impl FnMut(Channel) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        call.may_name_device(key)?;
        let here = &here;
        let done = self.router().at_owner(
            call,
            key,
            |device| async move {
                let contents = device.contents(collections.to_vec()).await;
                contents.map(here).map_err(|error| command_error(key, &device, error))
            },
            |channel| {
                let answer = there(channel);
                async move { answer.await.map(Response::into_inner) }
            },
        );
        match done.await {
            Err(ApiError::NotFound { .. }) => Err(self.missing(key).await),
            done => done,
        }
    }
}

/// A page of what is listed by JID.
struct Page {
    kind: Kind,
    query: String,
    size: usize,
    after: Option<String>,
}

impl Page {
    fn read(kind: Kind, query: &str, size: i32, page_token: &str) -> Result<Page, ApiError> {
        let size = parse::page_size("page_size", size)?;
        let after = parse::page_token("page_token", kind, query, page_token)?;
        Ok(Page { kind, query: query.to_owned(), size, after })
    }

    /// The page, and the token of the next one; empty at the end.
    fn cut<T>(&self, all: std::collections::BTreeMap<String, T>) -> (Vec<T>, String) {
        let mut left = all.into_iter().filter(|(jid, _)| self.after.as_ref().is_none_or(|after| jid > after));
        let (jids, page): (Vec<String>, Vec<T>) = left.by_ref().take(self.size).unzip();
        let next = match (left.next(), jids.last()) {
            (Some(_), Some(last)) => token::seal(self.kind, &self.query, last.as_bytes()),
            _ => String::new(),
        };
        (page, next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let all: BTreeMap<String, u32> = (0..5).map(|n| (format!("{n}@lid"), n)).collect();
        let (mut seen, mut token) = (Vec::new(), String::new());
        for _ in 0..3 {
            let page = Page::read(Kind::ChatPage, "tenants/a/devices/b", 2, &token).expect("well formed");
            let (items, next) = page.cut(all.clone());
            seen.extend(items);
            token = next;
        }
        assert_eq!((seen, token), (vec![0, 1, 2, 3, 4], String::new()));
        let foreign = token::seal(Kind::ContactPage, "tenants/a/devices/b", b"1@lid");
        assert!(Page::read(Kind::ChatPage, "tenants/a/devices/b", 2, &foreign).is_err());
    }
}
