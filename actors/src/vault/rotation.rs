//! The signed prekeys of a device: when the next one is due, and what becomes of the offered one.

use std::time::Duration;

use roost_proto::id::UnixMillis;

use super::{Vault, aged, credentials};
use crate::machine::Rotation;
use crate::port::StateChange;

impl Vault {
    /// The next signed prekey once the present one has been in use for `period`; one that was offered before
    /// comes again. A moment that was never noted, or that lies ahead because a clock was wrong, is noted now.
    pub(super) fn rotate(&mut self, now: UnixMillis, period: Duration) -> (Vec<StateChange>, Rotation) {
        let keys = self.keys.as_mut().expect("a device that is logged in has keys");
        let (signed, identity) = keys.signed_prekeys();
        if let Some(offered) = signed.offered() {
            return (Vec::new(), Rotation::Offer(offered));
        }
        let age = signed.since().and_then(|since| u64::try_from(now.0.checked_sub(since.0)?).ok());
        let rotation = match age.map(Duration::from_millis) {
            None => {
                signed.set_since(now);
                Rotation::Due(period)
            }
            Some(age) if age < period => return (Vec::new(), Rotation::Due(period - age)),
            Some(_) => {
                Rotation::Offer(signed.offer(identity, aged::signed_prekeys_above(self.age), &mut self.rng))
            }
        };
        (vec![credentials(self.generation, keys)], rotation)
    }

    /// WhatsApp has taken the offered one, or will never take it.
    pub(super) fn rotated(&mut self, id: u32, taken: bool, now: UnixMillis) -> Vec<StateChange> {
        let Some(keys) = self.keys.as_mut() else { return Vec::new() };
        let (signed, _) = keys.signed_prekeys();
        if taken {
            signed.confirm(id, now)
        } else {
            signed.withdraw(id, now)
        }
        vec![credentials(self.generation, keys)]
    }
}
