//! Whose what a device keeps is: its chats, its posts, what it makes at WhatsApp, whom it watches, how WhatsApp judges it.
//!
//! What must hold: with the unlinking everything ends, with its event, that has not reached WhatsApp or has not come from
//! there, whichever account is linked next: nothing goes out under other keys than those for which it was accepted, and
//! no phone is asked for what another device was sent. What is the account's and not the link's waits for it. It is known
//! again by its phone number or its LID; when another account is linked, the commit that says so takes all of that away.
//! Who finds a device that nobody is linked to, or something of a tenure that is over, goes on with it: the row of the
//! account is the mark. What the caller wishes of the device stays: its pace, and whether it shows itself.

use bytes::Bytes;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;

use super::codec::{Reader, Writer};
use super::commit::Pending;
use super::{Account, Machine, groups, known, receipts, resolve, retry, tokens};
use crate::port::{StateChange, StateKey, StateKind, StoredMessage};

/// First byte of the row.
const FORMAT: u8 = 1;

/// The account that the device was linked to last, also when it is not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tenure {
    /// Digits of the phone number, and of the LID when it is known.
    pn: String,
    lid: String,
    /// What the rows of its chats are numbered with.
    pub(super) number: u32,
    /// What was accepted before this was accepted for another account.
    since: UnixMillis,
}

impl Tenure {
    fn new(account: &Account, number: u32, since: UnixMillis) -> Tenure {
        let lid = account.lid.as_ref().map(|lid| lid.user.to_string()).unwrap_or_default();
        Tenure { pn: account.pn.user.to_string(), lid, number, since }
    }

    /// That of a device which was linked when no row said since when.
    pub(super) fn unwritten(account: &Account) -> Tenure {
        Tenure::new(account, 0, UnixMillis(0))
    }

    fn is_of(&self, account: &Account) -> bool {
        let same_lid = |lid: &Jid| lid.user == self.lid.as_str();
        account.pn.user == self.pn.as_str() || account.lid.as_ref().is_some_and(same_lid)
    }

    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        out.text(&self.pn);
        out.text(&self.lid);
        out.bytes(&self.number.to_be_bytes());
        out.bytes(&self.since.0.to_be_bytes());
        out.finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Tenure> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let (pn, lid) = (rest.text()?.to_owned(), rest.text()?.to_owned());
        let number = u32::from_be_bytes(rest.bytes()?.try_into().ok()?);
        let since = UnixMillis(i64::from_be_bytes(rest.bytes()?.try_into().ok()?));
        Some(Tenure { pn, lid, number, since })
    }
}

impl Machine {
    /// Whether WhatsApp takes the device for one of an account, as far as we know.
    fn is_linked(&self) -> bool {
        self.account.as_ref().is_some_and(|account| !account.logged_out)
    }

    /// While the device is linked to nobody, what waits for WhatsApp comes to its end.
    pub(super) fn part_pump(&mut self) {
        if !self.loaded || self.is_linked() || !self.may_act() || self.commits.failing() {
            return;
        }
        let mut outcome = Pending::default();
        self.part_with_messages(&mut outcome, false);
        self.part_with_awaited(&mut outcome);
        if !outcome.after.is_empty() || outcome.batch != Default::default() {
            let slot = self.lane.open();
            self.lane.fill(slot, outcome);
            self.lane_advance();
        }
    }

    fn part_with_awaited(&mut self, outcome: &mut Pending) {
        for name in self.awaited.names() {
            self.give_up_awaited(outcome, &name);
        }
    }

    /// The device is linked to this account from the commit of this on. With `chats`, what is known of its chats was written
    /// under that number.
    pub(super) fn begin_tenure(&mut self, outcome: &mut Pending, account: &Account, chats: Option<u32>) {
        // What the pump has not come to.
        self.part_with_messages(outcome, true);
        self.part_with_awaited(outcome);
        self.directory = resolve::Directory::default();
        self.groups = groups::Groups::default();
        self.resends = retry::Resends::default();
        self.issued = tokens::Issued::default();
        let before = self.tenure.take();
        let (number, since) = match before.as_ref().filter(|tenure| tenure.is_of(account)) {
            Some(tenure) => (tenure.number, tenure.since),
            None => {
                self.makings_reset(outcome);
                self.posts_reset(outcome);
                self.presence_reset(outcome);
                self.pacing_reset(outcome);
                self.health_reset();
                self.sent = receipts::SentMessages::default();
                let first = (0, UnixMillis(0));
                let (next, since) =
                    before.map_or(first, |tenure| (tenure.number.wrapping_add(1), self.now.wall));
                (chats.unwrap_or(next), since)
            }
        };
        self.known_chats = known::KnownChats::default();
        self.tenure = Some(Tenure::new(account, number, since));
        outcome.batch.state.extend(self.tenure_row());
    }

    /// The row that outlives the account's own.
    pub(super) fn tenure_row(&self) -> Option<StateChange> {
        let key = StateKey { kind: StateKind::Tenure, name: String::new() };
        self.tenure.as_ref().map(|tenure| (key, Some(tenure.to_bytes())))
    }

    /// The account has told its LID.
    pub(super) fn tenure_learns(&mut self, lid: &Jid) {
        if let Some(tenure) = &mut self.tenure {
            tenure.lid = lid.user.to_string();
            let row = self.tenure_row();
            self.commits.pending().batch.state.extend(row);
        }
    }

    /// Whether a message was accepted for the account that the device is linked to.
    pub(super) fn is_of_this_tenure(&self, stored: &StoredMessage) -> bool {
        self.tenure.as_ref().is_none_or(|tenure| stored.message.accepted >= tenure.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_reads_back_as_it_was_written() {
        let tenure = Tenure { pn: "4915".into(), lid: "77".into(), number: 3, since: UnixMillis(5) };
        let bytes = tenure.to_bytes();
        assert_eq!(Tenure::from_bytes(&bytes), Some(tenure));
        assert_eq!(Tenure::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
}
