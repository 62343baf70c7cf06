//! A client of the API: connects, retries what may be retried, and makes refusals readable.
//!
//! What must hold: only UNAVAILABLE with `RetryInfo` is tried again, never past the deadline; callers
//! give every mutating call a request id or make it safe to repeat, so that a retry cannot double it.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use roost_proto::api;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use crate::api::channels::connect_lazy;
use crate::errors::DOMAIN;
use crate::outside::Network;

/// Messages and clients of gRPC's own health service.
pub use tonic_health::pb as health;
/// Messages and clients of gRPC's own reflection service.
pub use tonic_reflection::pb::v1 as reflection;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Generated clients on one connection.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// Connects to `http://host:port`.
    pub async fn connect(endpoint: &str) -> Result<Client, Problem> {
        let channel = parse(endpoint)?.connect().await.map_err(|error| Problem {
            code: Code::Unavailable,
            reason: None,
            message: format!("no connection to {endpoint}: {}", innermost(&error)),
            fields: Vec::new(),
            retry: None,
        })?;
        Ok(Client { channel })
    }

    /// Connects to `http://host:port` with the first call, and again whenever the connection is lost.
    pub fn lazy(endpoint: &str) -> Result<Client, Problem> {
        Ok(Client { channel: parse(endpoint)?.connect_lazy() })
    }

    /// The same over another network than this machine's.
    pub fn over(endpoint: &str, network: &Network) -> Result<Client, Problem> {
        Ok(Client { channel: connect_lazy(&parse(endpoint)?, network) })
    }

    /// The connection itself, for services that are not ours: health, reflection.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Tenants.
    pub fn tenants(&self) -> api::tenant_service_client::TenantServiceClient<Channel> {
        api::tenant_service_client::TenantServiceClient::new(self.channel.clone())
    }

    /// Devices.
    pub fn devices(&self) -> api::device_service_client::DeviceServiceClient<Channel> {
        api::device_service_client::DeviceServiceClient::new(self.channel.clone())
    }

    /// Pairing.
    pub fn pairing(&self) -> api::pairing_service_client::PairingServiceClient<Channel> {
        api::pairing_service_client::PairingServiceClient::new(self.channel.clone())
    }

    /// Messages.
    pub fn messages(&self) -> api::message_service_client::MessageServiceClient<Channel> {
        api::message_service_client::MessageServiceClient::new(self.channel.clone())
    }

    /// Polls.
    pub fn polls(&self) -> api::poll_service_client::PollServiceClient<Channel> {
        api::poll_service_client::PollServiceClient::new(self.channel.clone())
    }

    /// Events. A cursor of a large tenant makes answers larger than gRPC's usual 4 MiB.
    pub fn events(&self) -> api::event_service_client::EventServiceClient<Channel> {
        api::event_service_client::EventServiceClient::new(self.channel.clone())
            .max_decoding_message_size(16 * 1024 * 1024)
    }

    /// People on WhatsApp.
    pub fn contacts(&self) -> api::contact_service_client::ContactServiceClient<Channel> {
        api::contact_service_client::ContactServiceClient::new(self.channel.clone())
    }

    /// Chats.
    pub fn chats(&self) -> api::chat_service_client::ChatServiceClient<Channel> {
        api::chat_service_client::ChatServiceClient::new(self.channel.clone())
    }

    /// The address book.
    pub fn address_book(&self) -> api::address_book_service_client::AddressBookServiceClient<Channel> {
        api::address_book_service_client::AddressBookServiceClient::new(self.channel.clone())
    }

    /// Labels.
    pub fn labels(&self) -> api::label_service_client::LabelServiceClient<Channel> {
        api::label_service_client::LabelServiceClient::new(self.channel.clone())
    }

    /// Settings.
    pub fn settings(&self) -> api::setting_service_client::SettingServiceClient<Channel> {
        api::setting_service_client::SettingServiceClient::new(self.channel.clone())
    }

    /// History.
    pub fn history(&self) -> api::history_service_client::HistoryServiceClient<Channel> {
        api::history_service_client::HistoryServiceClient::new(self.channel.clone())
    }

    /// Groups.
    pub fn groups(&self) -> api::group_service_client::GroupServiceClient<Channel> {
        api::group_service_client::GroupServiceClient::new(self.channel.clone())
    }

    /// Files.
    pub fn media(&self) -> api::media_service_client::MediaServiceClient<Channel> {
        api::media_service_client::MediaServiceClient::new(self.channel.clone())
    }

    /// What accounts show.
    pub fn accounts(&self) -> api::account_service_client::AccountServiceClient<Channel> {
        api::account_service_client::AccountServiceClient::new(self.channel.clone())
    }

    /// Presence and typing.
    pub fn presence(&self) -> api::presence_service_client::PresenceServiceClient<Channel> {
        api::presence_service_client::PresenceServiceClient::new(self.channel.clone())
    }

    /// Status posts.
    pub fn statuses(&self) -> api::status_service_client::StatusServiceClient<Channel> {
        api::status_service_client::StatusServiceClient::new(self.channel.clone())
    }

    /// Newsletters.
    pub fn newsletters(&self) -> api::newsletter_service_client::NewsletterServiceClient<Channel> {
        api::newsletter_service_client::NewsletterServiceClient::new(self.channel.clone())
    }

    /// Businesses.
    pub fn businesses(&self) -> api::business_service_client::BusinessServiceClient<Channel> {
        api::business_service_client::BusinessServiceClient::new(self.channel.clone())
    }

    /// Calls.
    pub fn calls(&self) -> api::call_service_client::CallServiceClient<Channel> {
        api::call_service_client::CallServiceClient::new(self.channel.clone())
    }

    /// The cluster.
    pub fn cluster(&self) -> api::cluster_service_client::ClusterServiceClient<Channel> {
        api::cluster_service_client::ClusterServiceClient::new(self.channel.clone())
    }
}

/// A refusal as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The gRPC code.
    pub code: Code,
    /// The reason of the API's error model, when there is one.
    pub reason: Option<String>,
    /// For a developer.
    pub message: String,
    /// Fields of the request that are wrong, with the rule that each breaks.
    pub fields: Vec<(String, String)>,
    /// When to come back.
    pub retry: Option<Duration>,
}

impl Problem {
    /// Whether a stream that ended with this may be opened again: the node drains or is gone, or the
    /// connection broke, which gRPC libraries report under several codes.
    pub fn is_broken_stream(&self) -> bool {
        let of_the_transport = matches!(self.code, Code::Unknown | Code::Internal | Code::Cancelled);
        self.code == Code::Unavailable || (self.reason.is_none() && of_the_transport)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Problem {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        Problem {
            code: status.code(),
            reason: details.error_info().filter(|info| info.domain == DOMAIN).map(|info| info.reason.clone()),
            message: status.message().to_owned(),
            fields: violations.into_iter().map(|bad| (bad.field, bad.description)).collect(),
            retry: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{reason}: {}", self.message)?,
            None => write!(f, "{}: {}", self.code.description(), self.message)?,
        }
        for (field, why) in &self.fields {
            write!(f, "\n  field {field}: {why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

fn parse(endpoint: &str) -> Result<Endpoint, Problem> {
    let bad = |why: &dyn fmt::Display| Problem {
        code: Code::InvalidArgument,
        reason: None,
        message: format!("{endpoint:?} is not an endpoint: {why}"),
        fields: Vec::new(),
        retry: None,
    };
    let parsed = Endpoint::from_shared(endpoint.to_owned()).map_err(|e| bad(&e))?;
    if parsed.uri().scheme_str() != Some("http") {
        return Err(bad(&"it must begin with http://"));
    }
    Ok(parsed
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5)))
}

/// A request that carries this deadline to the server.
pub fn request<T>(message: T, deadline: Instant) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    request
}

/// Calls until it works, is refused for good, or the deadline leaves no room for the wait that the
/// server asks for.
pub async fn retrying<T, F>(deadline: Instant, mut call: impl FnMut() -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    loop {
        let problem = match tokio::time::timeout_at(deadline, call()).await {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) => Problem::from(status),
            Err(_) => Problem::from(Status::deadline_exceeded("no answer within the deadline")),
        };
        let Some(wait) = problem.retry.filter(|_| problem.code == Code::Unavailable) else {
            return Err(problem);
        };
        // Between half and one and a half of what the server asked for, so that callers spread.
        let wait = wait.mul_f64(rand::random_range(0.5..1.5));
        if Instant::now() + wait >= deadline {
            return Err(problem);
        }
        tokio::time::sleep(wait).await;
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::errors::ApiError;

    fn no_owner() -> Status {
        let key = "tenants/acme/devices/shop".parse().expect("well formed");
        ApiError::NoOwner { key, retry: Duration::from_millis(5) }.status(&"n1".parse().expect("well formed"))
    }

    #[tokio::test]
    async fn what_waiting_helps_is_tried_again_until_it_works() {
        let calls = Cell::new(0);
        let deadline = Instant::now() + Duration::from_secs(30);
        let answer = retrying(deadline, || {
            calls.set(calls.get() + 1);
            let answer = if calls.get() < 3 { Err(no_owner()) } else { Ok(Response::new(7)) };
            async { answer }
        });
        assert_eq!(answer.await, Ok(7));
        assert_eq!(calls.get(), 3);
    }

    #[tokio::test]
    async fn a_refusal_for_good_is_not_tried_again() {
        let calls = Cell::new(0);
        let deadline = Instant::now() + Duration::from_secs(30);
        let answer: Result<(), Problem> = retrying(deadline, || {
            calls.set(calls.get() + 1);
            async { Err(Status::unavailable("no details: another system said this")) }
        })
        .await;
        assert_eq!(answer.expect_err("refused").code, Code::Unavailable);
        assert_eq!(calls.get(), 1);
    }

    #[tokio::test]
    async fn nothing_is_tried_past_the_deadline() {
        let calls = Cell::new(0);
        let deadline = Instant::now() + Duration::from_millis(50);
        let answer: Result<(), Problem> = retrying(deadline, || {
            calls.set(calls.get() + 1);
            async { Err(no_owner()) }
        })
        .await;
        assert_eq!(answer.expect_err("refused").reason.as_deref(), Some("NO_OWNER"));
        assert!((2..=25).contains(&calls.get()), "{} calls", calls.get());
        let silent: Result<(), Problem> = retrying(deadline, std::future::pending).await;
        assert_eq!(silent.expect_err("no answer").code, Code::DeadlineExceeded);
    }

    #[test]
    fn a_problem_shows_its_reason_and_its_fields() {
        let node = "n1".parse().expect("well formed");
        let shown = Problem::from(ApiError::field("text", "is required").status(&node)).to_string();
        assert_eq!(shown, "INVALID_FIELD: text is required\n  field text: is required");
    }

    #[tokio::test]
    async fn an_endpoint_that_is_none_is_refused_with_its_text() {
        let problem = Client::connect("https://127.0.0.1:1").await.expect_err("no TLS yet");
        assert!(problem.message.contains("http://"), "{problem}");
        assert_eq!(
            Client::connect("not an endpoint").await.expect_err("garbage").code,
            Code::InvalidArgument
        );
    }
}
