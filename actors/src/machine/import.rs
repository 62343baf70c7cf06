//! Imports: a device that another library has paired becomes this one.
//!
//! What must hold: ratchets are taken only while the device is not paired, or old copies of them would be used
//! again; nothing shows and nothing dials before the device's own keys are durable, and these come last. A part
//! that comes twice changes nothing.

use roost_proto::api;
use roost_proto::api::event::Payload;

use super::commit::{After, Pending};
use super::crypto::{Purpose, with_state};
use super::pairing::account_key;
use super::{Account, CryptoRequest, Effect, Machine, Reply};
use crate::device::{Import, ImportedDevice, PairError, Part};
use crate::port::StateChange;

impl Machine {
    pub(super) fn import(&mut self, token: u64, import: Import) {
        let device = match &import.part {
            Part::Peers(_) => None,
            Part::Device(device) => Some(device.clone()),
        };
        let paired = self.account.as_ref().filter(|account| !account.logged_out);
        // What others see of the account may have changed since; it is the same as long as its device and its keys are.
        if let (Some(ours), Some(device)) = (paired, &device)
            && (&ours.pn, &ours.identity) == (&device.account.pn, &device.account.identity)
        {
            // The answer to the first may have been lost; this one comes when that is durable.
            let slot = self.lane.open();
            let mut outcome = with_state(Vec::new());
            outcome.after.push(After::Imported(token, None));
            return self.lane.fill(slot, outcome);
        }
        let refusal = if paired.is_some() {
            Some(PairError::AlreadyPaired)
        } else if !self.loaded || !self.may_act() || self.commits.failing() || self.outbox.is_accepting() {
            Some(PairError::Unavailable)
        } else if self.attempt.is_some() {
            Some(PairError::Underway)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.effects.push(Effect::Reply { token, reply: Reply::Imported(Err(refusal)) });
        }
        let mut parted = Pending::default();
        if let Some(device) = &device {
            self.begin_tenure(&mut parted, &device.account, Some(import.generation));
            // From here on nobody pairs it.
            self.account = Some(device.account.clone());
            self.keys = true;
        }
        let slot = self.lane.open();
        let purpose = Purpose::Import { slot, token, device, parted: Box::new(parted) };
        self.ask_crypto(CryptoRequest::Import(Box::new(import)), purpose);
    }

    pub(super) fn on_import_sealed(
        &mut self,
        slot: u64,
        token: u64,
        device: Option<ImportedDevice>,
        parted: Pending,
        changes: Vec<StateChange>,
    ) {
        self.note_leftovers(&changes);
        let mut outcome = parted;
        outcome.batch.state.splice(0..0, changes);
        let salt = device.as_ref().map(|device| device.salt.0.clone()).unwrap_or_default();
        let account = device.map(|ImportedDevice { account, source, .. }| {
            let shown = api::Identity {
                lid: account.lid.as_ref().map(ToString::to_string).unwrap_or_default(),
                phone_number: account.pn.to_string(),
                push_name: account.push_name.clone(),
            };
            let event = self.synthetic(
                format!("imported/{}/{source}", account.pn),
                Payload::Paired(api::Paired { account: Some(shown), imported_from: source }),
            );
            outcome.batch.state.push((account_key(), Some(account.to_bytes())));
            outcome.batch.events.push(event);
            Box::new(account)
        });
        if account.is_some() {
            // Of the account that was linked before, if one was, nothing is told as this one's.
            self.app_state_reset(&mut outcome);
            self.history_reset(&mut outcome);
            self.take_salt(&mut outcome, salt);
        }
        outcome.after.push(After::Imported(token, account));
        self.lane.fill(slot, outcome);
    }

    pub(super) fn import_durable(&mut self, token: u64, account: Option<Account>) {
        self.effects.push(Effect::Reply { token, reply: Reply::Imported(Ok(())) });
        if account.is_some() {
            self.begin();
        }
    }
}
