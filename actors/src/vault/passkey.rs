//! Keys in a pairing that asks for a passkey.

use roost_proto::passkey::{Companion, Met, PairingRequest, handoff_proof};

use super::{Vault, credentials};
use crate::machine::{PasskeyMade, PasskeyStep};

/// How far the agreement with the phone has come.
#[derive(Default)]
pub(super) struct Agreement {
    ours: Option<Companion>,
    met: Option<Met>,
}

impl Vault {
    /// One step; `None` when the phone's part is of no use, or there was none before.
    pub(super) fn passkey(&mut self, step: &PasskeyStep) -> Option<PasskeyMade> {
        let keys = self.keys.as_mut()?;
        match step {
            PasskeyStep::Prologue { reference, prove } => {
                let ours = Companion::new(self.platform.number(), reference.clone(), &mut self.rng);
                let prologue = ours.prologue();
                let proof = prove.then(|| handoff_proof(keys.adv_secret(), &prologue));
                self.passkey = Agreement { ours: Some(ours), met: None };
                Some(PasskeyMade::Prologue { prologue, proof })
            }
            PasskeyStep::Meet { primary } => {
                let ours = self.passkey.ours.as_ref()?;
                let met = ours.meet(primary).ok()?;
                let made = PasskeyMade::Met { nonce: *ours.nonce(), code: met.code.to_string() };
                self.passkey.met = Some(met);
                Some(made)
            }
            PasskeyStep::Seal => {
                let met = std::mem::take(&mut self.passkey).met?;
                let mut adv_secret = [0; 32];
                rand::Rng::fill_bytes(&mut self.rng, &mut adv_secret);
                let (noise, identity) = (*keys.noise().public(), *keys.identity().public());
                let sealed = met.seal(&PairingRequest { noise, identity, adv_secret }, &mut self.rng);
                keys.set_adv_secret(adv_secret);
                Some(PasskeyMade::Sealed { changes: vec![credentials(self.generation, keys)], sealed })
            }
        }
    }
}
