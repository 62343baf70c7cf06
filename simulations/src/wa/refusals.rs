//! What is refused, and why: a client is told a code, and whoever looks for its mistake finds the reason in the log and
//! in the ledger.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Read as _, Stanza, iq};

use super::account::DeviceRef;
use super::machine::{Connection, ConnectionId, Effect, Machine, Refusal};

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// What its client is told.
    pub(super) code: u16,
    /// What is kept.
    pub(super) why: Refusal,
}

/// A refusal with its reason.
pub(super) fn refuse(code: u16, why: impl Into<Refusal>) -> Refused {
    Refused { code, why: why.into() }
}

impl Machine {
    /// Something that is named by a tag, and perhaps an id, was refused.
    pub(super) fn note_refusal(
        &mut self,
        now: UnixMillis,
        device: Option<DeviceRef>,
        (tag, id): (&str, Option<&str>),
        reason: &str,
    ) {
        tracing::warn!(device = device.map(|device| device.to_string()), tag, id, reason, "refused");
        if let Some(device) = device {
            self.ledger.device(device).refused_stanzas += 1;
        }
        self.ledger.refused(device, (tag, id), reason, now);
    }

    /// A stanza names a hosted device as if it were a usual one, which no client does that knows hosted devices. That the
    /// server minds, and how it answers, are guesses.
    pub(super) fn misnamed(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
    ) -> Vec<Effect> {
        if matches!(self.connections.get(&connection), None | Some(Connection::Ending)) {
            return Vec::new();
        }
        let device = self.device_of(connection);
        let kind = stanza.text("type");
        if stanza.tag == "iq" && kind.is_some_and(|kind| matches!(&*kind, "get" | "set")) {
            self.send(now, connection, iq::error(stanza, &iq::Refused::new(400)));
        }
        if stanza.tag == "message"
            && let (Some(device), Some(to)) = (device, stanza.jid("to"))
        {
            self.ack_message(now, device, stanza, &to, &[("error", "400".to_owned())]);
        }
        let id = stanza.text("id");
        let why = "a hosted device is named as a usual one";
        self.note_refusal(now, device, (&stanza.tag, id.as_deref()), why);
        self.settle_phones(now)
    }

    /// A connection is ended for what its client has written, which is no stanza.
    pub(super) fn note_broken(&mut self, now: UnixMillis, connection: Option<ConnectionId>, why: &str) {
        let device = connection.and_then(|connection| self.device_of(connection));
        self.note_refusal(now, device, ("connection", None), why);
    }

    /// What became of a part of a request: its client is told `code`. Unless that is 200 it is refused, and the rest stands.
    pub(super) fn note_part(&mut self, now: UnixMillis, device: DeviceRef, part: &str, code: u16, why: &str) {
        if code != 200 {
            tracing::info!(%device, part, code, why, "refused a part of a request");
            self.ledger.refused(Some(device), (part, None), &format!("{code}, {why}"), now);
        }
    }
}
