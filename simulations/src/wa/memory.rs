//! What a phone knows beside its ratchets: the keys of app state, its copies of the collections, and chats
//! from before its companions were linked.
//!
//! What must hold: the copies are the real arithmetic, so that a patch which a companion made wrongly is
//! noticed here too. A phone without a memory says nothing of itself; tests that count messages use those.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{CryptoRng, Rng};
use roost_proto::appstate::{self, Action, ApplyError, Collection, Head, Key, Keyring, Patch, Recovery};
use roost_proto::history::{Conversation, Past, STATUSES};
use roost_proto::id::UnixMillis;
use roost_proto::login::FullHistory;
use roost_proto::phone::Notice;
use roost_proto::stanza::Jid;

/// A chat that the phone had before, or its status posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastChat {
    /// With whom; [`STATUSES`] for status posts.
    pub chat: Jid,
    /// Its name.
    pub name: String,
    /// Its messages, newest first.
    pub messages: Vec<Past>,
}

impl PastChat {
    fn is_statuses(&self) -> bool {
        self.chat.to_string() == STATUSES
    }
}

/// A part of the past, as it is told to a new companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The newest messages of each chat.
    Newest,
    /// Those behind them that are not old.
    Recent,
    /// What is older, for who asks for all of it.
    Full(FullHistory),
}

/// Messages of each chat that come first.
const NEWEST: usize = 2;
/// Days before the newest message of the phone for which the past is recent. Clients say "about three months" of it; from
/// where a phone counts is a guess, and so is that it holds to the limits of a full history to the message.
const RECENT: u64 = 90;
const DAY: i64 = 24 * 3600 * 1000;

/// The memory of one phone.
#[derive(Debug, Default)]
pub struct Memory {
    keys: Keyring,
    /// Ids of the keys in the order in which they were made.
    made: Vec<Vec<u8>>,
    copies: BTreeMap<Collection, Copy>,
    chats: Vec<PastChat>,
    /// Pieces of history that were told as files, the newest last.
    told: VecDeque<Told>,
    /// Companions that have been told.
    pub(super) greeted: BTreeSet<u16>,
}

/// A piece of history as it was told to a companion.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Id of the message.
    pub(super) id: String,
    pub(super) device: u16,
    pub(super) notice: Notice,
    /// What is in its file.
    pub(super) packed: Vec<u8>,
}

/// Pieces that are remembered, in case a companion cannot fetch one.
const TOLD: usize = 64;

/// The phone's copy of one collection.
#[derive(Debug)]
struct Copy {
    head: Head,
    records: BTreeMap<[u8; 32], [u8; 32]>,
}

impl Memory {
    /// A memory with one key, and these chats.
    pub fn new<R: CryptoRng>(now: UnixMillis, chats: Vec<PastChat>, rng: &mut R) -> Memory {
        let mut memory = Memory { chats, ..Memory::default() };
        memory.make_key(now, rng);
        memory
    }

    /// A memory that had these keys, in the order in which they were made, and has told these companions. Its
    /// chats are forgotten.
    pub(super) fn restored(keys: Vec<Key>, greeted: BTreeSet<u16>) -> Memory {
        let mut memory = Memory { greeted, ..Memory::default() };
        for key in keys {
            memory.made.push(key.id().to_vec());
            memory.keys.add(key);
        }
        memory
    }

    /// A piece was told.
    pub(super) fn tell(&mut self, told: Told) {
        self.told.push_back(told);
        while self.told.len() > TOLD {
            self.told.pop_front();
        }
    }

    /// What this message told the companion of this number.
    pub(super) fn told(&self, id: &str, device: u16) -> Option<&Told> {
        self.told.iter().find(|told| told.id == id && told.device == device)
    }

    /// A new key, which encrypts from now on; companions do not know it.
    pub fn make_key<R: CryptoRng>(&mut self, now: UnixMillis, rng: &mut R) {
        let number = u16::try_from(self.made.len() + 1).expect("few keys are made");
        let mut data = [0; 32];
        rng.fill_bytes(&mut data);
        // Six bytes: a number of the device and one of the key.
        let id = [&[0, 0, 0, 0][..], &number.to_be_bytes()].concat();
        let made = now.0 + i64::from(number);
        self.keys.add(Key::new(&id, &data, made).expect("an id of six bytes and 32 bytes of data"));
        self.made.push(id);
    }

    /// The keys with these ids; all without ids.
    pub fn keys(&self, ids: Option<&[Vec<u8>]>) -> Vec<Key> {
        let ids = ids.unwrap_or(&self.made);
        ids.iter().filter_map(|id| self.keys.get(id).cloned()).collect()
    }

    /// A whole collection for a companion that cannot read what the server has; nothing when the phone cannot either.
    pub(super) fn recovery(&self, collection: Collection, accepted: &[Patch]) -> Option<Recovery> {
        Recovery::of_snapshot(collection, &appstate::snapshot_of(accepted), &self.keys).ok()
    }

    /// Makes the patch with which the phone changes a collection, on top of what the server has.
    pub(super) fn change<R: Rng>(
        &mut self,
        now: UnixMillis,
        collection: Collection,
        actions: &[Action],
        accepted: &[Patch],
        rng: &mut R,
    ) -> Result<Patch, ApplyError> {
        self.follow(collection, accepted)?;
        let copy = self.copies.get(&collection).expect("follow makes one");
        let key = self.keys.newest().expect("a memory begins with a key");
        let previous = |index: &[u8; 32]| copy.records.get(index).copied();
        appstate::encode(collection, &copy.head, actions, (&self.keys, key), previous, now, rng)
    }

    /// Applies what companions have changed.
    fn follow(&mut self, collection: Collection, accepted: &[Patch]) -> Result<(), ApplyError> {
        let copy = self
            .copies
            .entry(collection)
            .or_insert_with(|| Copy { head: Head::EMPTY, records: BTreeMap::new() });
        for patch in accepted.iter().filter(|patch| patch.version() > copy.head.version).collect::<Vec<_>>() {
            let previous = |index: &[u8; 32]| copy.records.get(index).copied();
            let applied = appstate::apply(collection, &copy.head, patch, &self.keys, previous)?;
            copy.head = applied.head;
            for mutation in applied.mutations {
                match mutation.record {
                    Some(record) => copy.records.insert(mutation.index_mac, record.value_mac),
                    None => copy.records.remove(&mutation.index_mac),
                };
            }
        }
        Ok(())
    }

    /// All chats with those of their messages that are of a part of the past; in the first part those without messages, too.
    pub(super) fn conversations(&self, part: Part) -> Vec<Conversation> {
        let newest =
            self.chats.iter().flat_map(|chat| &chat.messages).map(|past| past.at.0).max().unwrap_or(0);
        let mut room = match part {
            Part::Full(FullHistory { megabytes: Some(megabytes), .. }) => u64::from(megabytes) << 20,
            _ => u64::MAX,
        };
        let mut belongs = |place: usize, past: &Past| {
            let age = u64::try_from((newest - past.at.0) / DAY).unwrap_or(0);
            match part {
                Part::Newest => place < NEWEST,
                Part::Recent => place >= NEWEST && age <= RECENT,
                Part::Full(FullHistory { days, .. }) => {
                    let old =
                        place >= NEWEST && age > RECENT && days.is_none_or(|days| age <= u64::from(days));
                    let left = room.checked_sub(past.content.len() as u64).filter(|_| old);
                    room = left.unwrap_or(room);
                    left.is_some()
                }
            }
        };
        let of_chat = |chat: &PastChat| {
            let told = chat.messages.iter().enumerate().filter(|(place, past)| belongs(*place, past));
            let (places, messages): (Vec<usize>, Vec<Past>) =
                told.map(|(place, past)| (place, past.clone())).unzip();
            let mut conversation = Conversation::new(chat.chat.clone(), &chat.name, &messages);
            conversation.about.complete = places.last().map_or(0, |last| last + 1) >= chat.messages.len();
            conversation
        };
        let chats = self.chats.iter().filter(|chat| !chat.is_statuses()).map(of_chat);
        chats.filter(|one| part == Part::Newest || !one.messages.is_empty()).collect()
    }

    /// The status posts that it shows.
    pub(super) fn statuses(&self) -> Vec<Conversation> {
        let posts = self.chats.iter().filter(|chat| chat.is_statuses());
        posts.map(|chat| Conversation::new(chat.chat.clone(), "", &chat.messages)).collect()
    }

    /// The messages of one chat that are older than a moment, newest first.
    pub(super) fn older(&self, chat: &Jid, before: UnixMillis, count: u32) -> Option<Conversation> {
        let known = self.chats.iter().find(|known| known.chat == *chat)?;
        let older: Vec<Past> = known.messages.iter().filter(|past| past.at < before).cloned().collect();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(older.len());
        let mut conversation = Conversation::new(chat.clone(), &known.name, &older[..count]);
        conversation.about.complete = count == older.len();
        Some(conversation)
    }
}
