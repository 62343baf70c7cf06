//! A person sets up a phone anew: other keys, and nothing of what the old one knew.
//!
//! What must hold: its companions are unlinked before it has its keys; whoever has seen the account's devices is told, also
//! who is not connected; what comes under a ratchet of the old phone cannot be read. That it is told from the number with
//! the hidden identity beside it is what whatsapp-rust reads; that companions end, and in this order, is a guess. So is that
//! the app state of the account begins anew: the phone has lost the keys of what there was, and nobody else has them.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::Builder;

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::{Effect, Machine};
use super::memory::Memory;
use super::phone::Phone;
use super::phones::PhoneError;

impl Machine {
    /// The phone of an account is set up anew.
    ///
    /// # Errors
    /// [`PhoneError::UnknownPhone`].
    pub fn reinstall(&mut self, now: UnixMillis, pn: Pn) -> Result<((), Vec<Effect>), PhoneError> {
        let account = self.accounts.get(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        let companions: Vec<u16> = account.companions.keys().copied().collect();
        for device in companions {
            self.unlink(now, DeviceRef { pn, device });
        }
        let account = self.accounts.get_mut(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        let shares = account.phone.memory.is_some();
        account.phone = Phone::new(&mut self.rng);
        account.phone.memory = shares.then(|| Memory::new(now, Vec::new(), &mut self.rng));
        account.sign_list(now, &mut self.rng);
        account.collections.clear();
        self.patch_files.retain(|(of, ..), _| *of != pn);
        tracing::info!(%pn, "its phone is set up anew");
        self.tell_other_identity(now, pn);
        Ok(((), self.settle_phones(now)))
    }

    fn tell_other_identity(&mut self, now: UnixMillis, pn: Pn) {
        let account = self.account(pn);
        let (from, lid) = (account.jid(Form::Pn), account.jid(Form::Lid));
        for watcher in account.watchers.clone() {
            let Some(account) = self.accounts.get_mut(&watcher) else { continue };
            account.phone.forget(DeviceRef { pn, device: 0 });
            let numbers: Vec<u16> = account.companions.keys().copied().collect();
            for device in numbers {
                let notification = Builder::new("notification")
                    .attr("from", from.clone())
                    .attr("lid", lid.clone())
                    .attr("type", "encrypt")
                    .attr("id", self.server_id())
                    .attr("t", seconds(now))
                    .children([Builder::new("identity").build()]);
                self.deliver(now, DeviceRef { pn: watcher, device }, notification.build());
            }
        }
    }
}
