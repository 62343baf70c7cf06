//! Trusted-contact tokens: who has given whom one, and messages that are refused without.
//!
//! What must hold: while tokens are demanded, a message to another account is refused unless it shows the very
//! token that its recipient has given its sender, and that is not too old; or, when there is none such, the one for
//! strangers, made with the salt of its sender's phone. That the real server asks nothing else (how long the two
//! know each other, who has whom as a contact), that it knows the salt, and that such a token always opens a chat
//! are guesses; clients only see the refusal.

use std::collections::BTreeMap;

use rand::Rng as _;
use roost_proto::cstoken::cstoken;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Read as _, Stanza};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::bots;
use super::machine::Machine;
use super::phones::PhoneError;
use super::query::Answer;
use super::refusals::refuse;

/// How a message without a good token is refused.
const STRANGER: &str = "463";
/// Tokens are told apart by spans of so many seconds; one is good for four of them. (Where clients stop using
/// theirs; that the server refuses from there on is a guess.)
const SPAN: u64 = 7 * 24 * 3600;
/// Pairs that are remembered; beyond, nobody is given a token, which is a limit of this server alone.
const PAIRS: usize = 100_000;

/// Who trusts whom.
#[derive(Debug, Default)]
pub struct Trust {
    demanded: bool,
    /// By who gave it and who has it: the token, and its time in Unix seconds.
    given: BTreeMap<(Pn, Pn), (Vec<u8>, u64)>,
    /// What phones make tokens for strangers with.
    salts: BTreeMap<Pn, Vec<u8>>,
}

impl Trust {
    pub(super) fn demand(&mut self, demand: bool) {
        self.demanded = demand;
    }

    /// The token that `by` has given `to`.
    pub fn token(&self, by: Pn, to: Pn) -> Option<&[u8]> {
        self.given.get(&(by, to)).map(|(token, _)| token.as_slice())
    }

    fn is_good(&self, by: Pn, to: Pn, shown: &[u8], now: UnixMillis) -> bool {
        let known = self.given.get(&(by, to));
        known.is_some_and(|(token, at)| token == shown && at / SPAN + 3 >= seconds(now) / SPAN)
    }
}

impl Machine {
    /// Who has given whom a token.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Why a message is refused, if its sender is a stranger to its recipient.
    pub(super) fn refuse_stranger(
        &self,
        now: UnixMillis,
        from: DeviceRef,
        recipient: Pn,
        stanza: &Stanza,
    ) -> Option<&'static str> {
        // A single ciphertext is an answer to a device that asked for it. Phones keep no tokens here, and bots give none.
        let exempt = from.pn == recipient
            || from.device == 0
            || recipient == bots::PN
            || stanza.child("participants").is_none();
        if !self.trust.demanded || exempt {
            return None;
        }
        let shown = |tag: &str| stanza.child(tag).and_then(|token| token.leaf());
        let known = shown("tctoken").is_some_and(|shown| self.trust.is_good(recipient, from.pn, shown, now));
        let of_salt = |shown: &[u8]| {
            let salt = self.trust.salts.get(&from.pn)?;
            Some(cstoken(salt, &self.account(recipient).jid(Form::Lid))? == shown)
        };
        let good = known || shown("cstoken").and_then(of_salt).unwrap_or(false);
        (!good).then_some(STRANGER)
    }

    /// Whether an account is shown the picture and the about text of another. (That they are hidden from whoever shows no
    /// token of the one who is looked at, while tokens are demanded, is a guess: clients call it a guard against those who
    /// gather profiles. Baileys shows the token beside the question, the others in it; both are taken.)
    pub(super) fn may_look(&self, now: UnixMillis, by: Pn, whom: Pn, shown: Option<&[u8]>) -> bool {
        let known = shown.is_some_and(|shown| self.trust.is_good(whom, by, shown, now));
        by == whom || known || !self.trust.demanded
    }

    /// Whether an account may bring another into a group, with the token that it shows. (That tokens are demanded for that
    /// too, as for messages, is a guess. whatsmeow shows the bytes and whatsapp-rust their hexadecimal digits; which of them
    /// is wanted no client shows, so both are good.)
    pub(super) fn may_bring(&self, now: UnixMillis, by: Pn, whom: Pn, participant: &Stanza) -> bool {
        let shown = participant.child("privacy").and_then(|token| token.leaf());
        let is_good = |shown: &[u8]| self.trust.is_good(whom, by, shown, now);
        let known =
            shown.is_some_and(|shown| is_good(shown) || hex::decode(shown).is_ok_and(|it| is_good(&it)));
        self.account(whom).can_be_added(self.account(by)) && (known || !self.trust.demanded)
    }

    /// A phone makes a salt: companions that are linked from now on hear of it with history.
    ///
    /// # Errors
    /// [`PhoneError::UnknownPhone`].
    pub fn phone_makes_salt(&mut self, pn: Pn) -> Result<(), PhoneError> {
        self.accounts.get(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        let mut salt = vec![0; 32];
        self.rng.fill_bytes(&mut salt);
        self.trust.salts.insert(pn, salt);
        Ok(())
    }

    /// The salt of a phone, if it has made one.
    pub fn salt(&self, pn: Pn) -> Option<&[u8]> {
        self.trust.salts.get(&pn).map(Vec::as_slice)
    }

    /// `<tokens><token jid t type=trusted_contact/></tokens>`: told to all devices of the contact.
    pub(super) fn give_token(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        let tokens = stanza.child("tokens").map_or(&[][..], |tokens| tokens.all());
        for token in tokens {
            let Some(contact) = token.jid("jid") else { return Err(refuse(400, "a token for nobody")) };
            let Some(pn) = self.account_of(&contact).map(|account| account.pn) else {
                // That the others are given all the same, and nobody told, is a guess.
                self.note_part(now, device, "token", 404, "a token for who has no account");
                continue;
            };
            let at = token.number("t").unwrap_or(seconds(now));
            let own = self.account(device.pn);
            let bytes = format!("token of {} for {pn} at {at}", own.lid).into_bytes();
            if self.trust.given.len() >= PAIRS {
                return Err(refuse(419, "too many tokens"));
            }
            let (form, lid) = (Form::of(&contact), own.jid(Form::Lid));
            let told = Builder::new("token")
                .attr("type", "trusted_contact")
                .attr("t", at)
                .attr("jid", own.jid(form))
                .bytes(bytes.clone())
                .build();
            let (from, tokens) = (own.jid(form), Builder::new("tokens").children([told]).build());
            self.trust.given.insert((device.pn, pn), (bytes, at));
            let numbers: Vec<u16> = self.account(pn).companions.keys().copied().collect();
            for number in numbers {
                let notification = Builder::new("notification")
                    .attr("type", "privacy_token")
                    .attr("from", from.clone())
                    .attr("sender_lid", lid.clone())
                    .attr("id", self.server_id())
                    .attr("t", seconds(now))
                    .children([tokens.clone()]);
                self.deliver(now, DeviceRef { pn, device: number }, notification.build());
            }
        }
        Ok(vec![])
    }
}
