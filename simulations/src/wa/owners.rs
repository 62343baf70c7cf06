//! What the owners of phones do beside talking: remember chats, change app state, make new keys.

use roost_proto::appstate::Action;

use super::account::Pn;
use super::memory::PastChat;
use super::phones::PhoneError;
use super::server::SimServer;

impl SimServer {
    /// The phone remembers these chats, and shares what it knows with companions that log in for the first
    /// time from now on. Without this call a phone shares nothing.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn phone_remembers(&self, pn: Pn, chats: Vec<PastChat>) -> Result<(), PhoneError> {
        self.shared.act(|machine, now| Ok((machine.phone_remembers(now, pn, chats)?, Vec::new())))
    }

    /// The owner of the phone changes something; all actions are of one collection of app state.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing has changed.
    pub fn phone_changes(&self, pn: Pn, actions: &[Action]) -> Result<(), PhoneError> {
        self.shared.act(|machine, now| Ok(((), machine.phone_changes(now, pn, actions)?)))
    }

    /// The phone makes a salt for tokens for strangers; who is linked from now on hears of it with history.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn phone_makes_salt(&self, pn: Pn) -> Result<(), PhoneError> {
        self.shared.act(|machine, _| Ok((machine.phone_makes_salt(pn)?, Vec::new())))
    }

    /// The phone makes a new key of app state and tells nobody.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn phone_makes_key(&self, pn: Pn) -> Result<(), PhoneError> {
        self.shared.act(|machine, now| Ok((machine.phone_makes_key(now, pn)?, Vec::new())))
    }
}
