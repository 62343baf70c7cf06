//! Rotation of the signed prekey: WhatsApp is given another one from time to time, so that an old private key
//! opens nothing new.
//!
//! What must hold: a key is durable before it is offered, and the same one is offered until WhatsApp has taken
//! or refused it for good, whoever owns the device meanwhile. One that was replaced is kept for messages that
//! are on their way (how many: `roost_proto::signal::SignedPrekeys`).

use std::time::Duration;

use roost_placement::lease::BootTime;
use roost_proto::signal::PublicSignedPrekey;
use roost_proto::stanza::{Builder, iq};

use super::commit::After;
use super::crypto::{Purpose, with_state};
use super::prekeys::signed_prekey;
use super::requests::Asked;
use super::timer::Timer;
use super::{CryptoRequest, Machine};
use crate::port::StateChange;

/// Pause after WhatsApp could not take a key just now, as WhatsApp Web has it.
const AGAIN: Duration = Duration::from_secs(24 * 3600);
/// Codes with which WhatsApp refuses a key for good.
const BAD_KEY: [u16; 2] = [406, 409];

/// What is to be done about the signed prekey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// Offer this one.
    Offer(PublicSignedPrekey),
    /// Look again after this long.
    Due(Duration),
}

/// Whether a rotation is under way.
#[derive(Debug, Default)]
pub(super) struct State {
    busy: bool,
    /// WhatsApp could not take a key: not before this moment again.
    not_before: Option<BootTime>,
}

impl Machine {
    /// Begins a rotation when one is due; after every login, and when its time has come.
    pub(super) fn rotate_signed_prekey(&mut self) {
        let early = self.rotation.not_before.is_some_and(|moment| self.now.boot < moment);
        if self.rotation.busy || early || !self.connection.greeted() {
            return;
        }
        self.rotation.busy = true;
        let slot = self.lane.open();
        let request = CryptoRequest::Rotate { now: self.now.wall, period: self.limits.signed_prekey };
        self.ask_crypto(request, Purpose::Rotation { slot });
    }

    pub(super) fn on_rotation(&mut self, slot: u64, changes: Vec<StateChange>, rotation: Rotation) {
        let mut outcome = with_state(changes);
        match rotation {
            Rotation::Offer(key) => outcome.after.push(After::Offer(key)),
            Rotation::Due(after) => self.rotation_over(Some(after)),
        }
        self.lane.fill(slot, outcome);
    }

    pub(super) fn offer_signed_prekey(&mut self, key: &PublicSignedPrekey) {
        let skey = signed_prekey(key.id, &key.public, &key.signature);
        let rotate = Builder::new("rotate").children([skey]).build();
        self.request(Asked::SignedPrekey { id: key.id }, |id| iq::set(id, "encrypt").children([rotate]));
    }

    pub(super) fn on_signed_prekey_answer(&mut self, id: u32, refused: Option<u16>) {
        match refused {
            None => self.rotated(id, true),
            Some(code) if BAD_KEY.contains(&code) => self.rotated(id, false),
            // The link is lost: after the next login.
            Some(0) => self.rotation_over(None),
            Some(_) => {
                self.rotation.not_before = Some(self.now.boot.plus(AGAIN));
                self.rotation_over(Some(AGAIN));
            }
        }
    }

    fn rotated(&mut self, id: u32, taken: bool) {
        self.change_state(CryptoRequest::Rotated { id, taken, now: self.now.wall });
        self.rotation_over(Some(self.limits.signed_prekey));
    }

    fn rotation_over(&mut self, next: Option<Duration>) {
        self.rotation.busy = false;
        if let Some(after) = next {
            self.set_timer(Timer::SignedPrekey, after);
        }
    }
}
