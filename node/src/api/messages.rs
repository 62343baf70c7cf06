//! `MessageService`: accepting, reading and watching messages.
//!
//! What must hold (the contract of sending): OK means that the message is durable under a reserved
//! WhatsApp id; the same request id with the same content on the same device is the same message from any
//! node, whatever state the device is in by then; once accepted, the answer is OK with the present state,
//! also when the deadline ends the waiting.

mod kind;

use std::time::Duration;

use futures_util::FutureExt as _;
use roost_actors::device::{CommandError, DeviceHandle, SendError, SendRequest};
use roost_placement::ledger::Unavailable;
use roost_proto::api;
use roost_proto::api::message::State;
use roost_proto::api::message_service_client::MessageServiceClient;
use roost_proto::api::message_service_server::MessageService;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::id::{DeviceKey, UnixMillis};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming, async_trait};

use self::kind::{kind_name, poll_of};
use super::asks::not_connected;
use super::call::Call;
use super::streams::{Answers, Until};
use super::{Api, convert, method, parse};
use crate::commits::Subscription;
use crate::errors::{ApiError, Barred, Resource, Unfit, Upstream};

const SERVICE: &str = "MessageService";
/// Between looks at a message whose owner tells us of changes.
const TOLD: Duration = Duration::from_secs(1);
/// How long the owner may take to begin telling us of changes.
const OPENING: Duration = Duration::from_millis(500);
/// Between looks at a message of which nobody tells: from the first to the longest pause.
const UNTOLD: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

#[async_trait]
impl MessageService for Api {
    async fn send_message(
        &self,
        request: Request<api::SendMessageRequest>,
    ) -> Result<Response<api::Message>, Status> {
        self.unary(method(SERVICE, "SendMessage"), request, |call, request| async move {
            let send = parse::send(&request)?;
            call.may_name_device(&send.key)?;
            let begin = Instant::now();
            let accepted = self.accept(&call, &request, &send).await;
            let result = accepted.as_ref().map_or_else(ApiError::reason, |_| "accepted".to_owned());
            self.parts()
                .metrics
                .count("roost_sends_total", &[("type", kind_name(&send.content.kind)), ("result", &result)]);
            let mut message = accepted?;
            self.parts().metrics.time("roost_send_duration_seconds", &[("stage", "accept")], begin.elapsed());
            let mut changes = Changes::new(self, &call, &send.key, &message.name).await;
            while !is_reached(send.wait_for, message.state()) {
                let next = tokio::time::timeout_at(call.deadline, changes.next(self)).await;
                match next {
                    Ok(Ok(changed)) => message = changed,
                    // Accepted is accepted: what is known is the answer.
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            Ok(message)
        })
        .await
    }

    async fn get_message(
        &self,
        request: Request<api::GetMessageRequest>,
    ) -> Result<Response<api::Message>, Status> {
        self.unary(method(SERVICE, "GetMessage"), request, |call, request| async move {
            let (key, id) = parse::message("name", &request.name)?;
            call.may_name_device(&key)?;
            self.message(&key, &id).await
        })
        .await
    }

    async fn cancel_message(
        &self,
        request: Request<api::CancelMessageRequest>,
    ) -> Result<Response<api::Message>, Status> {
        self.unary(method(SERVICE, "CancelMessage"), request, |call, request| async move {
            let (key, id) = parse::message("name", &request.name)?;
            call.may_name_device(&key)?;
            let mut message = self.message(&key, &id).await?;
            while message.state() == State::Accepted {
                message = self.cancel(&call, &key, &id).await?;
                if message.state() == State::Accepted {
                    tokio::time::sleep(UNTOLD.0).await;
                }
            }
            match message.state() {
                State::Cancelled => Ok(message),
                state => Err(ApiError::TooLateToCancel { name: message.name, state }),
            }
        })
        .await
    }

    async fn mark_read(
        &self,
        request: Request<api::MarkReadRequest>,
    ) -> Result<Response<api::MarkReadResponse>, Status> {
        self.unary(method(SERVICE, "MarkRead"), request, |call, request| async move {
            self.mark_as_read(&call, &request).await?;
            Ok(api::MarkReadResponse {})
        })
        .await
    }

    type WatchMessageStream = Answers<api::Message>;

    async fn watch_message(
        &self,
        request: Request<api::WatchMessageRequest>,
    ) -> Result<Response<Self::WatchMessageStream>, Status> {
        let named = method(SERVICE, "WatchMessage");
        self.streaming(named, request, Until::Drain, |call, request| async move {
            let (key, id) = parse::message("name", &request.name)?;
            call.may_name_device(&key)?;
            let mut message = self.message(&key, &id).await?;
            let api = self.clone();
            Ok(move |sink: super::streams::Sink<api::Message>| async move {
                let mut changes = Changes::new(&api, &call, &key, &message.name).await;
                loop {
                    sink.send(message.clone()).await?;
                    if is_last(message.state()) {
                        return Ok(());
                    }
                    message = changes.after(&api, &message).await?;
                }
            })
        })
        .await
    }
}

impl Api {
    /// Has the owner accept a message.
    async fn accept(
        &self,
        call: &Call,
        request: &api::SendMessageRequest,
        send: &parse::Send,
    ) -> Result<api::Message, ApiError> {
        let accepted = self.router().at_owner(
            call,
            &send.key,
            |device| {
                let mut wanted = SendRequest {
                    to: send.to.clone(),
                    content: send.content.clone(),
                    request_id: send.request_id.clone(),
                    request_hash: send.request_hash,
                    whatsapp_id: send.whatsapp_id.clone(),
                    terms: send.terms,
                };
                async move {
                    self.ready_file(call, &send.key, &wanted.to, &mut wanted.content.kind).await?;
                    self.ready_quote(call, &send.key, &mut wanted.content.context).await?;
                    let revokes = matches!(wanted.content.kind, api::send_message_request::Content::Revoke(_));
                    self.ready_audience(call, &send.key, &device, &mut wanted.to, revokes).await?;
                    let done = device.send(wanted).await;
                    let now = (self.parts().outside.wall)();
                    let accepted = done.map_err(|error| send_error(send, &device, error, now))?;
                    if accepted.repeated {
                        self.parts().metrics.count("roost_idempotent_replays_total", &[]);
                    }
                    Ok(convert::message(&send.key, &accepted.message))
                }
            },
            |channel| {
                // Waiting is done here, where it outlives the owner.
                let wait_for = WaitFor::Accepted as i32;
                let request = call.forward(api::SendMessageRequest { wait_for, ..request.clone() });
                async move { Ok(MessageServiceClient::new(channel).send_message(request).await?.into_inner()) }
            },
        );
        match accepted.await {
            Err(ApiError::NotFound { .. }) => Err(self.missing(&send.key).await),
            // The node that the caller asked looks once, for whichever node has refused.
            Err(refused) if !call.forwarded => {
                let before = tokio::time::timeout_at(call.deadline, self.accepted_before(send)).await;
                before.ok().flatten().unwrap_or(Err(refused))
            }
            accepted => accepted,
        }
    }

    /// The answer to a send that the device does not take now but has accepted before. `None` when the
    /// request is new, or nobody can say.
    async fn accepted_before(&self, send: &parse::Send) -> Option<Result<api::Message, ApiError>> {
        let stored = self.directory().requested(&send.key, &send.request_id).await.ok()??;
        if stored.message.request_hash != send.request_hash {
            return Some(Err(ApiError::KeyReused { request_id: send.request_id.clone() }));
        }
        self.parts().metrics.count("roost_idempotent_replays_total", &[]);
        Some(Ok(convert::message(&send.key, &stored)))
    }

    /// Has the owner take a message back, and says how it stands then.
    async fn cancel(&self, call: &Call, key: &DeviceKey, id: &str) -> Result<api::Message, ApiError> {
        let cancelled =
            self.router().at_owner(
                call,
                key,
                |device| async move {
                    device.cancel(id.to_owned()).await.map_err(|error| command_error(key, &device, error))?;
                    self.message(key, id).await
                },
                |channel| {
                    let name = convert::message_name(key, id);
                    let request = call.forward(api::CancelMessageRequest { name });
                    async move {
                        Ok(MessageServiceClient::new(channel).cancel_message(request).await?.into_inner())
                    }
                },
            );
        cancelled.await
    }

    async fn message(&self, key: &DeviceKey, id: &str) -> Result<api::Message, ApiError> {
        let stored = self.directory().message(key, id).await?;
        let name = || convert::message_name(key, id);
        let stored = stored.ok_or_else(|| ApiError::not_found(Resource::Message, name()))?;
        Ok(convert::message(key, &stored))
    }
}

/// The changes of one message: told by a commit of this node, told by the owner, or looked for.
struct Changes {
    key: DeviceKey,
    id: String,
    committed: Subscription,
    told: Option<Streaming<api::Message>>,
    here: bool,
    pause: Duration,
}

impl Changes {
    async fn new(api: &Api, call: &Call, key: &DeviceKey, name: &str) -> Changes {
        let committed = api.parts().commits.device(key);
        let here = api.parts().hosts.find(key).is_some();
        let mut told = None;
        if !here
            && !call.forwarded
            && let Some(peer) = api.router().known(key)
        {
            let request = call.forward_stream(api::WatchMessageRequest { name: name.to_owned() });
            let mut there = MessageServiceClient::new(peer.channel);
            let opened = tokio::time::timeout(OPENING, there.watch_message(request)).await;
            told = opened.ok().and_then(Result::ok).map(Response::into_inner);
        }
        let id = name.rsplit('/').next().unwrap_or_default().to_owned();
        Changes { key: key.clone(), id, committed, told, here, pause: UNTOLD.0 }
    }

    /// The message at the next occasion on which it may have changed.
    async fn next(&mut self, api: &Api) -> Result<api::Message, ApiError> {
        if let Some(stream) = &mut self.told {
            let told = tokio::time::timeout(TOLD, stream.message()).await;
            match told {
                Ok(Ok(Some(message))) => return Ok(message),
                // The owner is gone or has nothing more to say: look for ourselves from now on.
                Ok(_) => self.told = None,
                // Silence may be the owner's death.
                Err(_) => {}
            }
        } else if self.here {
            let _ = tokio::time::timeout(TOLD, self.committed.changed()).await;
        } else {
            let pause = self.pause.mul_f64(api.parts().outside.dice.between(0.75, 1.25));
            self.pause = (self.pause * 2).min(UNTOLD.1);
            let _ = tokio::time::timeout(pause, self.committed.changed()).await;
        }
        api.message(&self.key, &self.id).await
    }

    /// The message as soon as it is another one than `last`.
    async fn after(&mut self, api: &Api, last: &api::Message) -> Result<api::Message, ApiError> {
        loop {
            let message = self.next(api).await?;
            if message != *last {
                self.pause = UNTOLD.0;
                return Ok(message);
            }
        }
    }
}

/// Whether waiting has reached its goal, or never will.
fn is_reached(wait_for: WaitFor, state: State) -> bool {
    let goal = match wait_for {
        WaitFor::Accepted => State::Accepted,
        WaitFor::Unspecified | WaitFor::ServerAck => State::Sent,
        WaitFor::Delivered => State::Delivered,
    };
    state as i32 >= goal as i32
}

/// Whether a message changes no more.
fn is_last(state: State) -> bool {
    matches!(state, State::Read | State::Played | State::Failed | State::Expired | State::Cancelled)
}

fn send_error(send: &parse::Send, device: &DeviceHandle, error: SendError, now: UnixMillis) -> ApiError {
    let key = send.key.clone();
    let unfit = |unfit| ApiError::Unfit { key: key.clone(), unfit };
    match error {
        SendError::NotPaired => unfit(Unfit::NotPaired),
        SendError::LoggedOut => unfit(Unfit::LoggedOut),
        SendError::Conflict => unfit(Unfit::Conflict),
        SendError::Restricted(until) => unfit(Unfit::Banned(until)),
        SendError::Outdated => unfit(Unfit::Outdated),
        SendError::Barred(bar) => ApiError::Barred(Barred { key, bar, now }),
        SendError::Busy => ApiError::DeviceBusy { key },
        SendError::Unavailable => unavailable(&key, device),
        SendError::OwnershipLost => ApiError::OwnershipLost { epoch: Some(device.grant().epoch), key },
        SendError::KeyReused => ApiError::KeyReused { request_id: send.request_id.clone() },
        SendError::IdTaken => {
            let name = send.whatsapp_id.clone().unwrap_or_default();
            ApiError::Exists { what: Resource::WhatsappId, name }
        }
        SendError::PollEnded => ApiError::PollEnded { poll: poll_of(&send.content.kind) },
        SendError::OptionRefused => {
            let why = "is one that the poll has already, or it is closed to others, or full";
            ApiError::field("poll_option.option", why)
        }
        SendError::UnknownMessage => ApiError::field(
            kind_name(&send.content.kind),
            "is about a message that this device does not know",
        ),
    }
}

/// What a command's refusal says to the caller.
pub(super) fn command_error(key: &DeviceKey, device: &DeviceHandle, error: CommandError) -> ApiError {
    let key = key.clone();
    match error {
        CommandError::NotPaired => ApiError::Unfit { key, unfit: Unfit::NotPaired },
        CommandError::NotInStep => ApiError::Unfit { key, unfit: Unfit::NotInStep },
        CommandError::NotConnected => not_connected(&key, device),
        CommandError::Restricted(until) => ApiError::Unfit { key, unfit: Unfit::Banned(until) },
        CommandError::Refused(code) => ApiError::UpstreamNack { key, code },
        CommandError::Silent => ApiError::Upstream { key, what: Upstream::Silent },
        CommandError::Unreadable(missing) => ApiError::Upstream { key, what: Upstream::Unreadable(missing) },
        CommandError::Busy => ApiError::DeviceBusy { key },
        CommandError::Unavailable => unavailable(&key, device),
        CommandError::OwnershipLost => ApiError::OwnershipLost { epoch: Some(device.grant().epoch), key },
    }
}

/// A device that has ended is somewhere else by now, or will be; one that has just been opened is about to
/// be ready: both are worth another look. One that runs waits for its store.
pub(super) fn unavailable(key: &DeviceKey, device: &DeviceHandle) -> ApiError {
    if device.finished().now_or_never().is_some() {
        return ApiError::NotOwner { key: key.clone() };
    }
    if device.status().borrow().state == api::device::State::Starting {
        return ApiError::NoOwner { key: key.clone(), retry: Duration::from_millis(250) };
    }
    ApiError::StoreUnavailable(Unavailable("the device cannot reach its store just now".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_its_goal_or_with_a_state_that_never_gets_there() {
        assert!(is_reached(WaitFor::Accepted, State::Accepted));
        assert!(!is_reached(WaitFor::ServerAck, State::Sending));
        assert!(is_reached(WaitFor::ServerAck, State::Sent));
        assert!(!is_reached(WaitFor::Delivered, State::Sent));
        for end in [State::Read, State::Failed, State::Expired, State::Cancelled, State::Indeterminate] {
            assert!(is_reached(WaitFor::Delivered, end), "{end:?}");
        }
        assert!(is_last(State::Failed) && !is_last(State::Delivered));
    }
}
