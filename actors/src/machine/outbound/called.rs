//! A bot that a text calls into a chat: it gets a copy of its own, beside those of the people there. It has one
//! device, and no list of devices is asked for. A bot without usable keys hears nothing; the people do.

use bytes::Bytes;
use rand::rngs::StdRng;
use roost_proto::content;
use roost_proto::e2e;
use roost_proto::signal::Ciphertext;
use roost_proto::stanza::{Builder, Jid, Stanza};

use crate::machine::crypto::{PeerName, Target};

/// The bot, and what it gets.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) bot: Jid,
    /// Padded.
    pub(super) plaintext: Bytes,
}

impl Called {
    /// Of an encoded message; `None` when it calls none, or one of those that cannot be reached.
    pub(super) fn of(message: &[u8], skip: &[Jid], rng: &mut StdRng) -> Option<Called> {
        let (bot, copy) = content::for_bot(message).filter(|(bot, _)| !skip.contains(bot))?;
        Some(Called { bot, plaintext: e2e::pad(&copy, rng).into() })
    }

    /// One more device, if there is a bot, with a plaintext of its own.
    pub(super) fn join(
        called: Option<Called>,
        devices: &mut Vec<Jid>,
        targets: &mut Vec<Target>,
        plaintexts: &mut Vec<Bytes>,
    ) {
        let Some(called) = called else { return };
        targets.push(Target { peer: called.peer(), plaintext: plaintexts.len() });
        devices.push(called.bot);
        plaintexts.push(called.plaintext);
    }

    pub(super) fn peer(&self) -> PeerName {
        PeerName { pn: None, lid: Some(self.bot.to_string()), device: 0 }
    }
}

/// The child of the stanza that only the bot gets.
pub(super) fn element(bot: Jid, made: Ciphertext) -> Stanza {
    let enc = Builder::new("enc").attr("v", "2").attr("type", made.kind.as_str());
    let to = Builder::new("to").attr("jid", bot).children([enc.bytes(made.bytes.to_vec()).build()]);
    Builder::new("bot").children([to.build()]).build()
}
