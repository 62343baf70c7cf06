//! Keys in pairing: the text of a QR code, the agreement with a phone on which a code was typed, and the
//! signature under the identity that the phone gives.

use rand::Rng as _;
use roost_proto::adv;
use roost_proto::pair_code::{self, PairCode};
use roost_proto::pairing::QrCode;
use roost_proto::signal::KeyPair;

use super::{Vault, credentials};
use crate::machine::{PairFinish, PairHello};
use crate::port::StateChange;

impl Vault {
    pub(super) fn qr(&self, reference: &str) -> String {
        let Some(keys) = &self.keys else { return String::new() };
        QrCode {
            reference: reference.to_owned(),
            noise: *keys.noise().public(),
            identity: *keys.identity().public(),
            adv_secret: *keys.adv_secret(),
            client_type: Some(self.platform.client_type()),
        }
        .to_string()
    }

    pub(super) fn accept_device(
        &mut self,
        bytes: &[u8],
    ) -> Result<(adv::DeviceIdentity, Vec<u8>, Vec<u8>), adv::AdvError> {
        let keys = self.keys.as_ref().ok_or(adv::AdvError::Malformed)?;
        let accepted = adv::accept_device(bytes, keys.identity(), keys.adv_secret(), &mut self.rng)?;
        Ok((accepted.identity, accepted.full, accepted.reply))
    }

    /// A new code, or the wanted one; the one before is of no use any more.
    pub(super) fn pair_hello(&mut self, wanted: Option<&PairCode>) -> Option<PairHello> {
        let keys = self.keys.as_ref()?;
        let code = wanted.cloned().unwrap_or_else(|| PairCode::generate(&mut self.rng));
        let ephemeral = KeyPair::generate(&mut self.rng);
        let wrapped = code.wrap(ephemeral.public(), &mut self.rng);
        let hello = PairHello {
            code: code.to_string(),
            wrapped,
            noise: *keys.noise().public(),
            platform: self.platform,
        };
        self.pairing = Some((code, ephemeral));
        Some(hello)
    }

    /// The secret that codes show is of no use any more.
    pub(super) fn renew_secret(&mut self) -> Vec<StateChange> {
        let Some(keys) = &mut self.keys else { return Vec::new() };
        let mut secret = [0; 32];
        self.rng.fill_bytes(&mut secret);
        keys.set_adv_secret(secret);
        vec![credentials(self.generation, keys)]
    }

    /// What is agreed with the phone replaces the secret that a QR code would show.
    pub(super) fn pair_finish(&mut self, wrapped: &[u8], identity: &[u8; 32]) -> Option<PairFinish> {
        let (Some(keys), Some((code, ephemeral))) = (&mut self.keys, &self.pairing) else { return None };
        let theirs = code.unwrap(wrapped).ok()?;
        let finish = pair_code::finish(ephemeral, &theirs, keys.identity(), identity, &mut self.rng)?;
        keys.set_adv_secret(finish.adv_secret);
        let changes = vec![credentials(self.generation, keys)];
        Some(PairFinish { changes, bundle: finish.bundle, identity: *keys.identity().public() })
    }
}
