//! One call: who asks, until when, and whether another node has forwarded it.
//!
//! What must hold: every call has a deadline (the client's, or 30 s); an answer leaves before it, so that
//! the client still receives it; a forwarded call is never forwarded again; a caller that says which
//! tenant it is reaches nothing of another, and is not told whether it exists.

use std::time::Duration;

use roost_proto::id::{BusinessId, DeviceKey};
use tokio::time::Instant;
use tonic::metadata::{MetadataMap, MetadataValue};

use super::cursor::Scope;
use super::parse::Parent;
use crate::errors::ApiError;

/// Deadline of a unary call whose client named none.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// Longest deadline; what a client names beyond it is cut.
const MAX_DEADLINE: Duration = Duration::from_secs(600);
/// Kept back so that the answer arrives before the client gives up.
const RESERVE: Duration = Duration::from_millis(100);

/// Which tenant calls. Set by an authenticating proxy in front of Roost, which removes what a client
/// sends under this name; without the entry the caller is an operator. There is no authentication in
/// this process yet, which is why it listens on loopback only.
const CALLER: &str = "roost-business-id";
/// How often the call was forwarded.
const HOP: &str = "roost-hop";

/// What is known of a call beside its message.
#[derive(Debug, Clone)]
pub struct Call {
    /// When waiting ends, so that an answer can still be made and arrive.
    pub deadline: Instant,
    /// When the answer must be on its way.
    pub limit: Instant,
    /// The tenant that calls; `None` for an operator.
    pub caller: Option<BusinessId>,
    /// Whether another node has forwarded it.
    pub forwarded: bool,
}

impl Call {
    /// Reads the metadata of a call that has just come in.
    pub fn read(metadata: &MetadataMap, now: Instant) -> Result<Call, ApiError> {
        let caller = match metadata.get(CALLER).map(|value| value.to_str().unwrap_or_default()) {
            Some(text) => {
                Some(text.parse().map_err(|e| ApiError::field(CALLER, format!("is not valid: {e}")))?)
            }
            None => None,
        };
        let forwarded = metadata.get(HOP).is_some_and(|value| value.as_bytes() != b"0");
        let timeout = metadata.get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?));
        let timeout = timeout.unwrap_or(DEFAULT_DEADLINE).min(MAX_DEADLINE);
        let reserve = RESERVE.min(timeout / 4);
        let deadline = now + timeout.saturating_sub(reserve);
        Ok(Call { deadline, limit: deadline + reserve / 2, caller, forwarded })
    }

    /// Time left for the work.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Refuses what is not the caller's.
    pub fn may_name(&self, tenant: &BusinessId) -> Result<(), ApiError> {
        match &self.caller {
            Some(caller) if caller != tenant => Err(ApiError::TenantForbidden { caller: caller.clone() }),
            _ => Ok(()),
        }
    }

    /// [`Call::may_name`] for a device.
    pub fn may_name_device(&self, key: &DeviceKey) -> Result<(), ApiError> {
        self.may_name(&key.business_id)
    }

    /// [`Call::may_name`] for a tenant or all of them; all are an operator's.
    pub fn may_name_parent(&self, parent: &Parent) -> Result<(), ApiError> {
        match parent {
            Parent::One(tenant) => self.may_name(tenant),
            Parent::All => self.must_operate(),
        }
    }

    /// [`Call::may_name`] for whose log is read.
    pub fn may_name_scope(&self, scope: &Scope) -> Result<(), ApiError> {
        self.may_name(scope.tenant())
    }

    /// Refuses every caller that is a tenant.
    pub fn must_operate(&self) -> Result<(), ApiError> {
        match &self.caller {
            Some(caller) => Err(ApiError::TenantForbidden { caller: caller.clone() }),
            None => Ok(()),
        }
    }

    /// The same call for the owner: one hop on, with what is left of the deadline.
    pub fn forward<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = self.forward_stream(message);
        request.set_timeout(self.left());
        request
    }

    /// The same for a service that only nodes use: the caller was checked here.
    pub fn forward_to_peer<T>(&self, message: T) -> tonic::Request<T> {
        Call { caller: None, ..self.clone() }.forward(message)
    }

    /// The same, for an answer that is a stream and has no end of its own.
    pub fn forward_stream<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert(HOP, MetadataValue::from_static("1"));
        if let Some(caller) = &self.caller {
            let text = caller.as_str().parse().expect("an id is ASCII");
            request.metadata_mut().insert(CALLER, text);
        }
        request
    }
}

/// The `grpc-timeout` of the gRPC specification: at most 8 digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let split = text.len().checked_sub(1)?;
    let (digits, unit) = (text.get(..split)?, text.get(split..)?);
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&'static str, &str)]) -> MetadataMap {
        let mut map = MetadataMap::new();
        for (name, value) in pairs {
            map.insert(*name, value.parse().expect("ASCII"));
        }
        map
    }

    fn tenant(id: &str) -> BusinessId {
        id.parse().expect("well formed")
    }

    #[tokio::test]
    async fn the_clients_deadline_counts_and_leaves_time_for_the_answer() {
        let now = Instant::now();
        let left = |timeout: &str| {
            Call::read(&metadata(&[("grpc-timeout", timeout)]), now).expect("well formed").deadline - now
        };
        assert_eq!(left("5S"), Duration::from_millis(4900));
        assert_eq!(left("100m"), Duration::from_millis(75));
        assert_eq!(left("99999999H"), MAX_DEADLINE - RESERVE);
        for garbage in ["", "S", "5", "5x", "123456789S", "-1S"] {
            assert_eq!(left(garbage), DEFAULT_DEADLINE - RESERVE, "{garbage:?}");
        }
    }

    #[test]
    fn a_tenant_reaches_only_what_is_its_own() {
        let call =
            Call::read(&metadata(&[("roost-business-id", "acme")]), Instant::now()).expect("well formed");
        assert!(call.may_name(&tenant("acme")).is_ok());
        assert!(matches!(call.may_name(&tenant("globex")), Err(ApiError::TenantForbidden { .. })));
        assert!(call.may_name_parent(&Parent::All).is_err());
        assert!(call.must_operate().is_err());
        let operator = Call::read(&MetadataMap::new(), Instant::now()).expect("well formed");
        assert!(operator.may_name(&tenant("globex")).is_ok() && operator.must_operate().is_ok());
    }

    #[test]
    fn a_caller_that_is_no_tenant_is_refused_and_not_taken_for_an_operator() {
        assert!(Call::read(&metadata(&[("roost-business-id", "")]), Instant::now()).is_err());
        assert!(Call::read(&metadata(&[("roost-business-id", "a b")]), Instant::now()).is_err());
    }

    #[tokio::test]
    async fn a_forwarded_call_keeps_its_caller_and_says_so() {
        let call =
            Call::read(&metadata(&[("roost-business-id", "acme")]), Instant::now()).expect("well formed");
        assert!(!call.forwarded);
        let request = call.forward(());
        let there = Call::read(request.metadata(), Instant::now()).expect("well formed");
        assert!(there.forwarded);
        assert_eq!(there.caller, Some(tenant("acme")));
        assert!(there.deadline <= call.deadline);
    }
}
