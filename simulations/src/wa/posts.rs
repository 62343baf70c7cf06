//! Status posts: to every device of everybody whom the sender names, one ciphertext for all.
//!
//! What must hold: who is not named gets nothing; the server knows nobody's contacts, so it is the sender who
//! keeps to its privacy settings, and who has never chosen any hears 404 (by which whatsmeow knows it). That a post with
//! nobody in it is refused is a guess.

use std::collections::BTreeSet;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read as _, Stanza};

use super::account::{DeviceRef, Pn};
use super::machine::{Machine, Refusal};

/// Whom an account shows its posts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Audience {
    /// All contacts.
    #[default]
    Contacts,
    /// All contacts but these.
    Except(Vec<Jid>),
    /// These alone.
    Only(Vec<Jid>),
}

impl Audience {
    /// `<privacy><list type default><user jid/>…</list></privacy>`
    pub(super) fn element(&self) -> Stanza {
        let (kind, people) = match self {
            Audience::Contacts => ("contacts", &[][..]),
            Audience::Except(people) => ("blacklist", &people[..]),
            Audience::Only(people) => ("whitelist", &people[..]),
        };
        let users = people.iter().map(|jid| Builder::new("user").attr("jid", jid.clone()).build());
        let list = Builder::new("list").attr("type", kind).attr("default", "true").children(users).build();
        Builder::new("privacy").children([list]).build()
    }
}

impl Machine {
    /// A person chooses on the phone who shall see the posts.
    pub fn set_audience(&mut self, pn: Pn, audience: Audience) {
        if let Some(account) = self.accounts.get_mut(&pn) {
            account.profile.audience = Some(audience);
        }
    }

    /// A device posts, or takes a post back.
    pub(super) fn post(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        id: &str,
        to: &Jid,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        if let Some(participant) = stanza.jid("participant") {
            return self.group_resend(now, from, to, stanza, &participant);
        }
        let shared = stanza.all_named("enc").find(|enc| enc.text("type").as_deref() == Some("skmsg"));
        let entries: Vec<(&Stanza, DeviceRef)> = stanza
            .child("participants")
            .map_or(&[][..], |all| all.all())
            .iter()
            .filter_map(|entry| Some((entry, self.device_at(&entry.jid("jid")?)?)))
            .collect();
        if stanza.text("type").as_deref() == Some("reaction") && shared.is_none() {
            return self.react(now, from, to, stanza, entries);
        }
        let (Some(shared), false) = (shared, entries.is_empty()) else {
            let why = "a post without a ciphertext, or for nobody";
            return self.refuse_message(now, from, stanza, to, "400", why);
        };
        if let Some(bytes) = shared.leaf() {
            // A post is for those whom it names, whoever was given the chain before.
            self.ledger.group_ciphertext(from, "status", id, bytes, now);
        }
        let named: BTreeSet<Pn> = entries.iter().map(|(_, device)| device.pn).chain([from.pn]).collect();
        for pn in named {
            let numbers: Vec<u16> = self.account(pn).members().collect();
            for device in numbers.into_iter().map(|device| DeviceRef { pn, device }) {
                if device == from {
                    continue;
                }
                let keys = entries.iter().filter(|(_, named)| *named == device);
                let mut ciphertexts: Vec<Stanza> =
                    keys.flat_map(|(entry, _)| entry.all_named("enc")).cloned().collect();
                ciphertexts.push(shared.clone());
                self.hand_out(now, (from, device), stanza, to, ciphertexts);
            }
        }
        self.ack_message(now, from, stanza, to, &[]);
        Ok(())
    }

    /// What is said of a post goes to who has posted it, each device for itself, as whatsapp-rust sends it. That the
    /// server refuses one for several people is a guess: it knows of no post whose it is.
    fn react(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        to: &Jid,
        stanza: &Stanza,
        entries: Vec<(&Stanza, DeviceRef)>,
    ) -> Result<(), Refusal> {
        let others: BTreeSet<Pn> =
            entries.iter().map(|(_, device)| device.pn).filter(|pn| *pn != from.pn).collect();
        if others.len() != 1 {
            let why = "a reaction to a post for nobody, or for several";
            return self.refuse_message(now, from, stanza, to, "400", why);
        }
        for (entry, device) in entries.into_iter().filter(|(_, device)| *device != from) {
            let ciphertexts = entry.all_named("enc").cloned().collect();
            self.hand_out(now, (from, device), stanza, to, ciphertexts);
        }
        self.ack_message(now, from, stanza, to, &[]);
        Ok(())
    }
}
