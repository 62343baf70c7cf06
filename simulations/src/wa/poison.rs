//! Messages that no client can read, as a real server hands them through now and then.
//!
//! What must hold: each is a well-formed stanza that the receiver must settle in some way, or it comes again
//! on every login. They come from nobody: there is no device that could encrypt them again.

use rand::Rng as _;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Stanza, message_id};
use serde::{Deserialize, Serialize};

use super::account::{DeviceRef, seconds};
use super::machine::Machine;

/// The number of nobody: it has no account.
const NOBODY: &str = "15550000000";

/// What is wrong with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Poison {
    /// It carries no ciphertext at all.
    NoCiphertext,
    /// Its ciphertext is of a kind that does not exist.
    UnknownKind,
    /// Its ciphertext is 100 random bytes.
    Garbage,
    /// Its ciphertext is empty.
    Empty,
    /// Its content is withheld, and no phone has it.
    Withheld,
    /// It has neither type nor time, and its ciphertext is garbage.
    Bare,
}

impl Machine {
    /// Delivers one unreadable message.
    pub(super) fn poison(&mut self, now: UnixMillis, device: DeviceRef, what: Poison) {
        let mut garbage = vec![0; 100];
        self.rng.fill_bytes(&mut garbage);
        let enc = |kind: &'static str, bytes: Vec<u8>| -> Stanza {
            Builder::new("enc").attr("v", "2").attr("type", kind).bytes(bytes).build()
        };
        let id = message_id(&mut self.rng);
        let message = Builder::new("message").attr("from", Jid::pn_device(NOBODY, 1)).attr("id", id);
        let described = |message: Builder| message.attr("type", "text").attr("t", seconds(now));
        let message = match what {
            Poison::NoCiphertext => described(message),
            Poison::Withheld => described(message).children([Builder::new("unavailable").build()]),
            Poison::UnknownKind => described(message).children([enc("future", garbage)]),
            Poison::Garbage => described(message).children([enc("msg", garbage)]),
            Poison::Empty => described(message).children([enc("pkmsg", Vec::new())]),
            Poison::Bare => message.children([enc("msg", garbage)]),
        };
        self.deliver(now, device, message.build());
    }
}
