//! `PairingService`: follows the pairing attempt of a device, wherever the device is.
//!
//! What must hold: the attempt belongs to the device, not to the stream: a stream that breaks is opened
//! again and joins it; when the device changes its owner, the stream says so and shows the codes of a new
//! attempt; it ends with the attempt.

use std::time::Duration;

use roost_actors::device::{
    Appearance, DeviceHandle, HistoryWanted, PairError, PairMethod, Pairing, PairingUpdate, PasskeyAnswer,
    PasskeyError,
};
use roost_proto::api;
use roost_proto::api::answer_passkey_request::Answer;
use roost_proto::api::pairing_event::{self, Event};
use roost_proto::api::pairing_service_client::PairingServiceClient;
use roost_proto::api::pairing_service_server::PairingService;
use roost_proto::api::start_pairing_request::history::Amount;
use roost_proto::api::start_pairing_request::{self, Method};
use roost_proto::id::DeviceKey;
use roost_proto::login::{FullHistory, Platform};
use roost_proto::pair_code::PairCode;
use roost_proto::passkey::Assertion;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::call::Call;
use super::route::PATIENCE;
use super::streams::{Answers, Sink, Until};
use super::{Api, convert, method, parse};
use crate::errors::{ApiError, Unfit};

const SERVICE: &str = "PairingService";
/// Longest name on the list of linked devices, in characters.
const NAME: usize = 50;
/// How far a full history may reach back, and how large it may be.
const MOST_DAYS: u32 = 36_500;
const MOST_MEGABYTES: u32 = 102_400;
/// The field of an assertion.
const CREDENTIAL: &str = "assertion.credential_json";
/// Between looks at the row of a device that was paired a moment ago.
const LOOK: Duration = Duration::from_millis(100);
/// How often an attempt begins anew because its device has another owner.
const RESTARTS: usize = 20;

/// Where the steps come from.
enum Attempt {
    Here(watch::Receiver<PairingUpdate>),
    There(Box<Streaming<api::PairingEvent>>),
}

#[async_trait]
impl PairingService for Api {
    type StartPairingStream = Answers<api::PairingEvent>;

    async fn start_pairing(
        &self,
        request: Request<api::StartPairingRequest>,
    ) -> Result<Response<Self::StartPairingStream>, Status> {
        let named = method(SERVICE, "StartPairing");
        self.streaming(named, request, Until::Drain, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let wanted = wanted(&request)?;
            let first = self.begin_pairing(&call, &key, &request, &wanted).await?;
            let api = self.clone();
            Ok(move |sink: Sink<api::PairingEvent>| async move {
                let mut steps = Steps { key: &key, sink: &sink, sequence: 0 };
                let mut attempt = first;
                for _ in 0..RESTARTS {
                    match steps.follow(attempt).await {
                        Err(Broken::Lost) => {}
                        Err(Broken::Refused(error)) => return Err(error),
                        Ok(()) => return Ok(()),
                    }
                    // The node that the caller asked begins anew; it alone can tell the caller.
                    if call.forwarded {
                        break;
                    }
                    steps.say(Event::Restarted(pairing_event::Restarted {})).await?;
                    attempt = match api.begin_pairing_again(&call, &key, &request, &wanted).await {
                        // The node was lost behind the success of the attempt, before it could tell of it.
                        Err(error) if error.reason() == Unfit::AlreadyPaired.reason() => {
                            return steps.say_paired(&api, error).await;
                        }
                        begun => begun?,
                    };
                }
                Err(lost(&key))
            })
        })
        .await
    }

    async fn answer_passkey(
        &self,
        request: Request<api::AnswerPasskeyRequest>,
    ) -> Result<Response<api::AnswerPasskeyResponse>, Status> {
        self.unary(method(SERVICE, "AnswerPasskey"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let answer = passkey_answer(&request)?;
            let done = self.router().at_owner(
                &call,
                &key,
                |device| {
                    let (key, answer) = (&key, answer.clone());
                    async move {
                        let taken = device.answer_passkey(answer).await;
                        taken.map_err(|error| passkey_error(key, &device, error))
                    }
                },
                |channel| {
                    let request = call.forward(request.clone());
                    async move { PairingServiceClient::new(channel).answer_passkey(request).await.map(drop) }
                },
            );
            match done.await {
                Err(ApiError::NotFound { .. }) => Err(self.missing(&key).await),
                done => done.map(|()| api::AnswerPasskeyResponse {}),
            }
        })
        .await
    }
}

impl Api {
    /// Begins or joins an attempt at the owner.
    async fn begin_pairing(
        &self,
        call: &Call,
        key: &DeviceKey,
        request: &api::StartPairingRequest,
        wanted: &Pairing,
    ) -> Result<Attempt, ApiError> {
        let attempt = self.router().at_owner(
            call,
            key,
            |device| async move {
                let attempt = device.pair(wanted.clone()).await;
                let attempt = attempt.map_err(|error| pair_error(key, &device, error))?;
                Ok(Attempt::Here(attempt))
            },
            |channel| {
                let request = call.forward_stream(request.clone());
                async move {
                    let steps = PairingServiceClient::new(channel).start_pairing(request).await?;
                    Ok(Attempt::There(Box::new(steps.into_inner())))
                }
            },
        );
        match attempt.await {
            Err(ApiError::NotFound { .. }) => Err(self.missing(key).await),
            attempt => attempt,
        }
    }
}

impl Api {
    /// Begins at the next owner, who may have to be found and to load the device first.
    async fn begin_pairing_again(
        &self,
        call: &Call,
        key: &DeviceKey,
        request: &api::StartPairingRequest,
        wanted: &Pairing,
    ) -> Result<Attempt, ApiError> {
        let mut refused = lost(key);
        for _ in 0..RESTARTS {
            let call = Call { deadline: Instant::now() + PATIENCE, ..call.clone() };
            match self.begin_pairing(&call, key, request, wanted).await {
                Err(error) => match error.retry() {
                    Some(pause) => {
                        tokio::time::sleep(pause).await;
                        refused = error;
                    }
                    None => return Err(error),
                },
                begun => return begun,
            }
        }
        Err(refused)
    }
}

fn wanted(request: &api::StartPairingRequest) -> Result<Pairing, ApiError> {
    let method = match &request.method {
        None | Some(Method::Qr(_)) => PairMethod::Qr,
        Some(Method::PhoneCode(by)) => {
            let phone = parse::phone_number("phone_code.phone_number", &by.phone_number)?;
            let code = (!by.code.is_empty()).then(|| by.code.parse::<PairCode>()).transpose();
            let code = code.map_err(|error| ApiError::field("phone_code.code", error.to_string()))?;
            PairMethod::PhoneCode { phone, code }
        }
    };
    let appearance = request.appearance.as_ref().map(appearance).transpose()?;
    let expected = Some(request.expected_phone_number.as_str()).filter(|number| !number.is_empty());
    let expected = expected.map(|number| parse::phone_number("expected_phone_number", number)).transpose()?;
    let history = request.history.as_ref().map(history).transpose()?.unwrap_or_default();
    Ok(Pairing { method, appearance: appearance.unwrap_or_default(), expected, history })
}

fn history(wanted: &start_pairing_request::History) -> Result<HistoryWanted, ApiError> {
    let amount = Amount::try_from(wanted.amount)
        .map_err(|_| ApiError::field("history.amount", "is none of the amounts"))?;
    let limit = |field, value: u32, most: u32| match (value, amount) {
        (0, _) => Ok(None),
        (_, Amount::Full) if value <= most => Ok(Some(value)),
        (_, Amount::Full) => Err(ApiError::field(field, format!("must be at most {most}"))),
        _ => Err(ApiError::field(field, "is a limit of a full history alone")),
    };
    let days = limit("history.days", wanted.days, MOST_DAYS)?;
    let megabytes = limit("history.megabytes", wanted.megabytes, MOST_MEGABYTES)?;
    Ok(match amount {
        Amount::Unspecified | Amount::Recent => HistoryWanted::Recent,
        Amount::Full => HistoryWanted::Full(FullHistory { days, megabytes }),
        Amount::None => HistoryWanted::None,
    })
}

fn appearance(wanted: &start_pairing_request::Appearance) -> Result<Appearance, ApiError> {
    let name = &wanted.name;
    if name.chars().count() > NAME || name.chars().any(char::is_control) {
        let why = format!("must have at most {NAME} characters and no control characters");
        return Err(ApiError::field("appearance.name", why));
    }
    let platform = start_pairing_request::Platform::try_from(wanted.platform)
        .map_err(|_| ApiError::field("appearance.platform", "is none of the platforms"))?;
    let platform = match platform {
        start_pairing_request::Platform::Unspecified => None,
        start_pairing_request::Platform::Chrome => Some(Platform::Chrome),
        start_pairing_request::Platform::Firefox => Some(Platform::FIREFOX),
        start_pairing_request::Platform::Opera => Some(Platform::OPERA),
        start_pairing_request::Platform::Safari => Some(Platform::SAFARI),
        start_pairing_request::Platform::Edge => Some(Platform::EDGE),
        start_pairing_request::Platform::Desktop => Some(Platform::Desktop),
    };
    Ok(Appearance { name: Some(name.clone()).filter(|name| !name.is_empty()), platform })
}

fn passkey_answer(request: &api::AnswerPasskeyRequest) -> Result<PasskeyAnswer, ApiError> {
    match &request.answer {
        Some(Answer::Assertion(api::answer_passkey_request::Assertion { credential_json, compare_code })) => {
            let assertion = Assertion::read(credential_json.as_bytes())
                .map_err(|error| ApiError::field(CREDENTIAL, error.to_string()))?;
            Ok(PasskeyAnswer::Assertion { assertion, compare: *compare_code })
        }
        Some(Answer::SameCode(_)) => Ok(PasskeyAnswer::Same),
        None => Err(ApiError::field("answer", "must be an assertion or same_code")),
    }
}

/// Why an attempt did not begin, or an import was refused.
pub(super) fn pair_error(key: &DeviceKey, device: &DeviceHandle, error: PairError) -> ApiError {
    match error {
        PairError::AlreadyPaired => ApiError::Unfit { key: key.clone(), unfit: Unfit::AlreadyPaired },
        PairError::Underway => ApiError::Unfit { key: key.clone(), unfit: Unfit::BeingPaired },
        PairError::Busy => ApiError::DeviceBusy { key: key.clone() },
        PairError::Unavailable => super::messages::unavailable(key, device),
        PairError::OwnershipLost => {
            ApiError::OwnershipLost { key: key.clone(), epoch: Some(device.grant().epoch) }
        }
    }
}

fn passkey_error(key: &DeviceKey, device: &DeviceHandle, error: PasskeyError) -> ApiError {
    match error {
        PasskeyError::NotAsked => ApiError::Unfit { key: key.clone(), unfit: Unfit::NoPasskey },
        PasskeyError::OtherChallenge => {
            ApiError::field(CREDENTIAL, "must answer the options that the attempt told last")
        }
        PasskeyError::Pairing(error) => pair_error(key, device, error),
    }
}

/// Why an attempt is not followed to its end.
enum Broken {
    /// Its device has ended on that node.
    Lost,
    /// Nothing goes on.
    Refused(ApiError),
}

impl From<ApiError> for Broken {
    fn from(error: ApiError) -> Broken {
        Broken::Refused(error)
    }
}

/// The stream to the caller.
struct Steps<'a> {
    key: &'a DeviceKey,
    sink: &'a Sink<api::PairingEvent>,
    sequence: i32,
}

impl Steps<'_> {
    async fn say(&mut self, event: Event) -> Result<(), ApiError> {
        self.sequence += 1;
        let (device, sequence) = (self.key.to_string(), self.sequence);
        self.sink.send(api::PairingEvent { device, sequence, event: Some(event) }).await
    }

    /// The device is paired by now: says as whom, as soon as its row does; or why it cannot be paired again, if that takes
    /// too long.
    async fn say_paired(&mut self, api: &Api, refused: ApiError) -> Result<(), ApiError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let device = api.device(self.key).await?;
            if let account @ Some(_) = api.shown(&device).account {
                return self.say(Event::Paired(pairing_event::Paired { account })).await;
            }
            if Instant::now() >= until {
                return Err(refused);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn follow(&mut self, attempt: Attempt) -> Result<(), Broken> {
        match attempt {
            Attempt::Here(updates) => self.follow_here(updates).await,
            Attempt::There(mut steps) => loop {
                match steps.message().await {
                    Ok(Some(step)) => {
                        let Some(event) = step.event else { continue };
                        self.say(event).await?;
                    }
                    Ok(None) => return Ok(()),
                    Err(status) => match crate::errors::reason_of(&status).as_deref() {
                        // The device is not there any more, or its node leaves.
                        None | Some("NO_OWNER" | "NOT_OWNER" | "NODE_DRAINING") => return Err(Broken::Lost),
                        Some(_) => return Err(Broken::Refused(ApiError::Forwarded(Box::new(status)))),
                    },
                }
            },
        }
    }

    async fn follow_here(&mut self, mut updates: watch::Receiver<PairingUpdate>) -> Result<(), Broken> {
        loop {
            let update = updates.borrow_and_update().clone();
            let last = match &update {
                PairingUpdate::Failed { reason: "STOPPED", .. } => return Err(Broken::Lost),
                update => matches!(update, PairingUpdate::Paired { .. } | PairingUpdate::Failed { .. }),
            };
            if let Some(event) = as_event(update) {
                self.say(event).await?;
            }
            if last {
                return Ok(());
            }
            if updates.changed().await.is_err() {
                return Err(Broken::Lost);
            }
        }
    }
}

fn as_event(update: PairingUpdate) -> Option<Event> {
    Some(match update {
        PairingUpdate::Connecting => return None,
        PairingUpdate::Code { payload, expires, left } => Event::Qr(pairing_event::QrCode {
            payload,
            expire_time: Some(convert::timestamp(expires)),
            codes_left: i32::try_from(left).unwrap_or(i32::MAX),
        }),
        PairingUpdate::TypeCode { code, expires } => {
            let expire_time = Some(convert::timestamp(expires));
            Event::Code(pairing_event::PairCode { code, expire_time })
        }
        PairingUpdate::Passkey { options, expires } => {
            let expire_time = Some(convert::timestamp(expires));
            Event::Passkey(pairing_event::Passkey { options_json: options, expire_time })
        }
        PairingUpdate::PasskeyCode { code, compare, expires } => {
            let expire_time = Some(convert::timestamp(expires));
            Event::PasskeyCode(pairing_event::PasskeyCode { code, compare, expire_time })
        }
        PairingUpdate::Reconnecting => Event::Reconnecting(pairing_event::Reconnecting {}),
        PairingUpdate::Paired { pn, lid } => {
            let lid = lid.unwrap_or_default();
            let account = api::Identity { lid, phone_number: pn, push_name: String::new() };
            Event::Paired(pairing_event::Paired { account: Some(account) })
        }
        PairingUpdate::Failed { reason, message } => {
            Event::Failed(pairing_event::PairingFailed { reason: reason.to_owned(), message })
        }
    })
}

/// The device has ended on its node: its next owner begins anew.
fn lost(key: &DeviceKey) -> ApiError {
    ApiError::NoOwner { key: key.clone(), retry: Duration::from_millis(500) }
}
