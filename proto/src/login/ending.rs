//! How a login succeeds or fails, and how the server ends a connection later.
//!
//! Each variant is one reaction that a client can have. Codes that we do not know are kept as numbers.

use crate::stanza::{Builder, Jid, Read, Stanza};

/// `<success/>`: the login was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// The account's hidden identity with this device's number. The real server always sends it.
    pub lid: Option<Jid>,
    /// The server's time, Unix seconds.
    pub time: Option<u64>,
}

/// `<failure/>`: the login was refused; the server closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: FailureReason,
    /// Only of a temporary ban: which rule was broken.
    pub code: Option<u32>,
    /// Only of a temporary ban: for how many more seconds.
    pub expire_s: Option<u64>,
    /// What the server says about it, at most 200 characters.
    pub message: Option<String>,
}

/// Why a login was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureReason {
    /// 400: something in the payload.
    Generic,
    /// 401: the account or device is unknown, or was unlinked, or the Noise key is not the device's.
    LoggedOut,
    /// 402: banned for a time.
    TemporarilyBanned,
    /// 403: banned, or the phone's account is gone.
    Banned,
    /// 405: our client version is too old.
    ClientOutdated,
    /// 406: logged out for an unknown reason.
    UnknownLogout,
    /// 409: the user agent was not accepted.
    BadUserAgent,
    /// 500: the server's trouble.
    InternalServerError,
    /// 503: the server's trouble.
    ServiceUnavailable,
    /// Any other code.
    Other(u16),
}

/// `<stream:error/>` or `<xmlstreamend/>`: the server ends a connection that was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamError {
    /// 515: connect again at once (after pairing, and now and then).
    RestartRequired,
    /// Another connection logged in with this device's keys.
    Replaced,
    /// The device was unlinked: its credentials are void.
    DeviceRemoved,
    /// 503: the server's trouble; connect again later.
    ServiceUnavailable,
    /// A plain end without a reason.
    Ended,
    /// Any other code; 0 when it has none.
    Other(u16),
}

impl Success {
    /// Reads a `<success/>`.
    pub fn of(stanza: &Stanza) -> Self {
        Self { lid: stanza.jid("lid"), time: stanza.number("t") }
    }

    /// Writes it.
    pub fn to_stanza(&self) -> Stanza {
        let mut builder = Builder::new("success");
        if let Some(lid) = &self.lid {
            builder = builder.attr("lid", lid.clone());
        }
        if let Some(time) = self.time {
            builder = builder.attr("t", time);
        }
        builder.build()
    }
}

impl Failure {
    /// A failure with nothing but its reason.
    pub fn new(reason: FailureReason) -> Self {
        Self { reason, code: None, expire_s: None, message: None }
    }

    /// Reads a `<failure/>`; without a readable reason it counts as 500.
    pub fn of(stanza: &Stanza) -> Self {
        let reason = stanza.number("reason").and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
        Self {
            reason: reason.into(),
            code: stanza.number("code").and_then(|code| code.try_into().ok()),
            expire_s: stanza.number("expire"),
            message: stanza.text("message").map(|text| text.chars().take(200).collect()),
        }
    }

    /// Writes it.
    pub fn to_stanza(&self) -> Stanza {
        let mut builder = Builder::new("failure").attr("reason", u16::from(self.reason));
        if let Some(code) = self.code {
            builder = builder.attr("code", code);
        }
        if let Some(expire) = self.expire_s {
            builder = builder.attr("expire", expire);
        }
        if let Some(message) = &self.message {
            builder = builder.attr("message", message.as_str());
        }
        builder.build()
    }
}

impl FailureReason {
    /// Whether the device's credentials are void, so that it must be paired again.
    pub fn is_logout(self) -> bool {
        matches!(self, Self::LoggedOut | Self::Banned | Self::UnknownLogout)
    }

    /// Whether the same login may succeed later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::InternalServerError | Self::ServiceUnavailable | Self::Other(501 | 429))
    }
}

impl From<u16> for FailureReason {
    fn from(code: u16) -> Self {
        match code {
            400 => Self::Generic,
            401 => Self::LoggedOut,
            402 => Self::TemporarilyBanned,
            403 => Self::Banned,
            405 => Self::ClientOutdated,
            406 => Self::UnknownLogout,
            409 => Self::BadUserAgent,
            500 => Self::InternalServerError,
            503 => Self::ServiceUnavailable,
            other => Self::Other(other),
        }
    }
}

impl From<FailureReason> for u16 {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Generic => 400,
            FailureReason::LoggedOut => 401,
            FailureReason::TemporarilyBanned => 402,
            FailureReason::Banned => 403,
            FailureReason::ClientOutdated => 405,
            FailureReason::UnknownLogout => 406,
            FailureReason::BadUserAgent => 409,
            FailureReason::InternalServerError => 500,
            FailureReason::ServiceUnavailable => 503,
            FailureReason::Other(other) => other,
        }
    }
}

impl StreamError {
    /// Reads an end; `None` when the stanza is not one.
    pub fn of(stanza: &Stanza) -> Option<Self> {
        match &*stanza.tag {
            "xmlstreamend" => return Some(Self::Ended),
            "stream:error" => {}
            _ => return None,
        }
        let conflict = stanza.child("conflict").and_then(|conflict| conflict.text("type"));
        match conflict.as_deref() {
            Some("replaced") => return Some(Self::Replaced),
            Some("device_removed") => return Some(Self::DeviceRemoved),
            _ => {}
        }
        let code = stanza.number("code").and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        Some(match code {
            515 => Self::RestartRequired,
            401 | 516 => Self::DeviceRemoved,
            503 => Self::ServiceUnavailable,
            other => Self::Other(other),
        })
    }

    /// Writes it; the server closes the connection afterwards.
    pub fn to_stanza(self) -> Stanza {
        let builder = Builder::new("stream:error");
        let conflict = |kind: &'static str| [Builder::new("conflict").attr("type", kind).build()];
        match self {
            Self::RestartRequired => builder.attr("code", 515u16).build(),
            Self::Replaced => builder.children(conflict("replaced")).build(),
            Self::DeviceRemoved => builder.attr("code", 401u16).children(conflict("device_removed")).build(),
            Self::ServiceUnavailable => builder.attr("code", 503u16).build(),
            Self::Ended => Builder::new("xmlstreamend").build(),
            Self::Other(code) => builder.attr("code", code).build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_read_back_as_they_were_written() {
        use StreamError::*;
        for end in [RestartRequired, Replaced, DeviceRemoved, ServiceUnavailable, Ended, Other(429), Other(0)]
        {
            assert_eq!(StreamError::of(&end.to_stanza()), Some(end));
        }
        assert_eq!(StreamError::of(&Builder::new("iq").build()), None);
        let ban = Failure {
            reason: FailureReason::TemporarilyBanned,
            code: Some(101),
            expire_s: Some(3600),
            message: Some("wait".into()),
        };
        assert_eq!(Failure::of(&ban.to_stanza()), ban);
        let success = Success { lid: Some(Jid::lid_device("12", 3)), time: Some(5) };
        assert_eq!(Success::of(&success.to_stanza()), success);
    }

    #[test]
    fn every_code_reads_back() {
        for code in 0..=600 {
            assert_eq!(u16::from(FailureReason::from(code)), code);
        }
    }

    #[test]
    fn an_unreadable_failure_does_not_void_credentials() {
        let failure = Failure::of(&Builder::new("failure").attr("reason", "?").build());
        assert!(!failure.reason.is_logout() && failure.reason.is_temporary());
    }
}
