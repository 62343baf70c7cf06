//! What each ending of a connection asks for, read from WhatsApp's last word on it.

use std::time::Duration;

use roost_proto::api::device::State;
use roost_proto::id::UnixMillis;
use roost_proto::login::{Failure, FailureReason, StreamError};

use super::super::timer::Timer;
use super::super::{Effect, Machine};
use crate::device::{AskError, CommandError};
use crate::port::Attempt;

/// What to do after an ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Dial again at once.
    Restart,
    /// Wait the usual, growing pause.
    Backoff { reason: String, code: u32 },
    /// Wait this long, in this state.
    Wait { state: State, reason: String, code: u32, pause: Duration },
    /// Ask the database first.
    Replaced,
    /// Stay away.
    LoggedOut { reason: String, code: u32 },
    /// Stay away without logging anything more: another part of the machine has said why.
    Stay,
}

/// How an attempt ends that has paired nothing yet, when its link is down: a word in capitals and a sentence. `None`
/// when it goes on, or was ended already.
pub(super) fn of_a_registration(verdict: Option<&Verdict>, why: &str) -> Option<(&'static str, String)> {
    Some(match verdict {
        Some(Verdict::Restart | Verdict::Stay) => return None,
        Some(Verdict::Wait { state: State::Outdated, reason, .. }) => ("CLIENT_OUTDATED", reason.clone()),
        Some(Verdict::Wait { state: State::Restricted, reason, .. }) => ("REFUSED", reason.clone()),
        Some(Verdict::Wait { code, .. } | Verdict::LoggedOut { code, .. }) => {
            ("REFUSED", format!("WhatsApp refuses the registration (code {code})"))
        }
        Some(Verdict::Backoff { reason, code }) => ("CONNECTION_LOST", format!("{reason} (code {code})")),
        None | Some(Verdict::Replaced) => ("CONNECTION_LOST", why.to_owned()),
    })
}

impl Machine {
    /// The account is banned for a time, which keeps the device away: until then, when that is known.
    pub(in super::super) fn banned(&self) -> Option<Option<UnixMillis>> {
        (self.status.now.state == State::Restricted).then(|| {
            let left = self.timers.get(&Timer::Reconnect)?.since(self.now.boot);
            let left = i64::try_from(left.as_millis()).ok()?;
            Some(UnixMillis(self.now.wall.0.saturating_add(left)))
        })
    }

    /// Why a command cannot be carried out that needs a connection, if so.
    pub(in super::super) fn unconnected(&self) -> Option<CommandError> {
        let away = self.banned().map_or(CommandError::NotConnected, CommandError::Restricted);
        self.connection.online().is_none().then_some(away)
    }

    /// The same of a question.
    pub(in super::super) fn unheard(&self) -> Option<AskError> {
        let away = self.banned().map_or(AskError::NotConnected, AskError::Restricted);
        self.connection.online().is_none().then_some(away)
    }

    /// The server's last word on a connection.
    pub(in super::super) fn on_stream_error(&mut self, error: StreamError) {
        if error == StreamError::ServiceUnavailable {
            self.effects.push(Effect::Report(Attempt::PushedBack));
        }
        let backoff = |reason: &str, code| Verdict::Backoff { reason: reason.to_owned(), code };
        self.connection.verdict = Some(match error {
            StreamError::RestartRequired => Verdict::Restart,
            StreamError::Replaced => Verdict::Replaced,
            StreamError::DeviceRemoved => {
                Verdict::LoggedOut { reason: "it was unlinked on the phone".to_owned(), code: 401 }
            }
            StreamError::ServiceUnavailable => backoff("WhatsApp is unavailable", 503),
            StreamError::Ended => backoff("WhatsApp ended the stream", 0),
            StreamError::Other(code) => backoff("WhatsApp ended the stream with an error", u32::from(code)),
        });
        self.drop_link("stream error");
    }

    /// The server refuses a login.
    pub(in super::super) fn on_failure(&mut self, failure: &Failure) {
        let code = u32::from(u16::from(failure.reason));
        let wait =
            |state, reason: &str, pause| Verdict::Wait { state, reason: reason.to_owned(), code, pause };
        let (_, longest) = self.limits.backoff;
        self.connection.verdict = Some(match failure.reason {
            reason if reason.is_logout() => {
                Verdict::LoggedOut { reason: "WhatsApp does not know the device any more".to_owned(), code }
            }
            FailureReason::TemporarilyBanned => {
                let seconds = failure.expire_s.unwrap_or(3600).clamp(60, 30 * 24 * 3600);
                let reason = format!(
                    "the account is banned for {seconds} s (code {})",
                    failure.code.unwrap_or_default()
                );
                wait(State::Restricted, &reason, Duration::from_secs(seconds))
            }
            FailureReason::ClientOutdated => {
                self.effects.push(Effect::Report(Attempt::Outdated));
                let refused = self.connection.dialled;
                if self.connection.version == refused {
                    let reason = format!("WhatsApp refuses version {refused} of the client");
                    wait(State::Outdated, &reason, longest * 12)
                } else {
                    // Another one was chosen since the login began.
                    Verdict::Restart
                }
            }
            reason if reason.is_temporary() => {
                self.effects.push(Effect::Report(Attempt::PushedBack));
                Verdict::Backoff { reason: "WhatsApp is unavailable".to_owned(), code }
            }
            _ => wait(State::Failed, "WhatsApp refuses the login", longest),
        });
        self.drop_link("refused");
    }
}
