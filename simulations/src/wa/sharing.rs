//! What a phone with a memory does for its companions: it shares keys and history after their first login,
//! answers what they ask it for, and changes app state as its owner would.
//!
//! What must hold: all of it goes out as end-to-end encrypted messages of the phone to one companion, through
//! the same route as any message. Which pieces of history a real phone makes, and of which size, is not known
//! exactly; three kinds in this order are what clients were seen to get. A small first piece stands in its
//! message and all others are files, as clients are prepared for; at which size is a guess.

use bytes::Bytes;
use roost_proto::appstate::{Action, Collection, Patch};
use roost_proto::history::{self, Blob, Conversation, Kind, Past, People};
use roost_proto::id::UnixMillis;
use roost_proto::media::{Encryptor, File, MediaKey, MediaKind, open_retry_request};
use roost_proto::phone::{Notice, PeerMessage, Place, WantHistory};
use roost_proto::stanza::{Builder, Jid, message_id, server_jid};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::journal::Seen;
use super::machine::{Effect, Machine, Refusal};
use super::memory::{Memory, Part, PastChat, Told};
use super::phone::Sent;
use super::phones::PhoneError;

/// Bytes of a first piece that stands in its message.
const INLINE: usize = 16 << 10;
/// Chats in one later piece.
const CHATS: usize = 40;

impl Machine {
    /// The phone remembers these chats, and shares what it knows with companions that log in for the first
    /// time from now on.
    ///
    /// # Errors
    /// [`PhoneError::UnknownPhone`].
    pub fn phone_remembers(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        chats: Vec<PastChat>,
    ) -> Result<(), PhoneError> {
        let account = self.accounts.get_mut(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        account.phone.memory = Some(Memory::new(now, chats, &mut self.rng));
        Ok(())
    }

    /// Whether the phone shares keys and history with its companions.
    pub fn phone_shares(&self, pn: Pn) -> bool {
        self.accounts.get(&pn).is_some_and(|account| account.phone.memory.is_some())
    }

    /// The phone makes a new key of app state and tells nobody.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn phone_makes_key(&mut self, now: UnixMillis, pn: Pn) -> Result<(), PhoneError> {
        let account = self.accounts.get_mut(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        let memory = account.phone.memory.as_mut().ok_or(PhoneError::NoMemory)?;
        memory.make_key(now, &mut self.rng);
        Ok(())
    }

    /// The owner of the phone changes something; all actions are of one collection.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing has changed.
    pub fn phone_changes(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        actions: &[Action],
    ) -> Result<Vec<Effect>, PhoneError> {
        let collection = actions.first().map_or(Collection::Regular, Action::collection);
        let account = self.accounts.get_mut(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        let memory = account.phone.memory.as_mut().ok_or(PhoneError::NoMemory)?;
        let accepted = account.collections.entry(collection).or_default();
        let patch = memory.change(now, collection, actions, accepted, &mut self.rng);
        let patch = patch.map_err(|error| PhoneError::AppState(error.to_string()))?;
        self.take_patch(now, DeviceRef { pn, device: 0 }, collection, patch);
        Ok(self.settle_phones(now))
    }

    /// The phone is faster than a companion: it changes the same collection.
    pub(super) fn overtake(&mut self, now: UnixMillis, device: DeviceRef, collection: Collection) {
        let Some(account) = self.accounts.get_mut(&device.pn) else { return };
        let Some(memory) = account.phone.memory.as_mut() else { return };
        let accepted = account.collections.entry(collection).or_default();
        let index = vec!["overtaken".to_owned(), accepted.len().to_string()];
        let action = Action::Other { index, value: Some(Vec::new()) };
        match memory.change(now, collection, &[action], accepted, &mut self.rng) {
            Ok(patch) => _ = self.take_patch(now, DeviceRef { device: 0, ..device }, collection, patch),
            Err(error) => tracing::warn!(%device, %error, "the phone cannot follow app state"),
        }
    }

    /// A patch is accepted: it gets its number, and the other companions hear of it.
    pub(super) fn take_patch(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        collection: Collection,
        patch: Patch,
    ) -> u64 {
        let account = self.account_mut(from.pn);
        let accepted = account.collections.entry(collection).or_default();
        let version = accepted.len() as u64 + 1;
        accepted.push(patch.numbered(version));
        let others: Vec<u16> =
            account.companions.keys().copied().filter(|number| *number != from.device).collect();
        for device in others {
            let changed =
                Builder::new("collection").attr("name", collection.as_str()).attr("version", version).build();
            let notification = Builder::new("notification")
                .attr("type", "server_sync")
                .attr("from", server_jid())
                .attr("id", self.server_id())
                .attr("t", seconds(now))
                .children([changed]);
            self.deliver(now, DeviceRef { pn: from.pn, device }, notification.build());
        }
        version
    }

    /// A companion is there for the first time.
    pub(super) fn greet(&mut self, now: UnixMillis, device: DeviceRef) {
        let Some(account) = self.accounts.get_mut(&device.pn) else { return };
        let Some(memory) = account.phone.memory.as_mut() else { return };
        if !memory.greeted.insert(device.device) {
            return;
        }
        let keys = memory.keys(None);
        let newest = memory.conversations(Part::Newest);
        let recent = memory.conversations(Part::Recent);
        let statuses = memory.statuses();
        let full = account.companions.get(&device.device).and_then(|companion| companion.full_history);
        let full = full.map(|limits| memory.conversations(Part::Full(limits))).unwrap_or_default();
        let people = self.people();
        let salt = self.salt(device.pn).map(Bytes::copy_from_slice);
        let named = People { push_names: people.push_names, ..People::default() };
        let nonce = Some(self.media.nonce(&mut self.rng, device.pn));
        let mapped = People { lids: people.lids, salt, nonce, ..People::default() };
        self.phone_tells(now, device, &PeerMessage::Keys(keys));
        self.tell_history(now, device, (Kind::Bootstrap, 1, 0), &newest, &mapped, None);
        self.tell_history(now, device, (Kind::PushNames, 1, 0), &[], &named, None);
        // Whether a phone tells them before what is recent is a guess.
        if !statuses.is_empty() {
            self.tell_history(now, device, (Kind::Status, 1, 100), &statuses, &People::default(), None);
        }
        for (kind, chats) in [(Kind::Recent, recent), (Kind::Full, full)] {
            let pieces: Vec<&[Conversation]> = chats.chunks(CHATS).collect();
            for (number, piece) in pieces.iter().enumerate() {
                let order = u32::try_from(number + 1).expect("few pieces");
                let progress = order * 100 / u32::try_from(pieces.len()).expect("few pieces");
                self.tell_history(now, device, (kind, order, progress), piece, &People::default(), None);
            }
        }
    }

    /// A companion asks its phone for something.
    pub(super) fn phone_is_asked(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        id: &str,
        asked: PeerMessage,
    ) {
        if let PeerMessage::WantMessages(wanted) = asked {
            // What a phone says when it has none of them is not known; this one says nothing.
            let phone = &self.account(device.pn).phone;
            let found = wanted.iter().filter_map(|one| {
                let past = Past { participant: one.participant.clone(), ..phone.has(&one.id)? };
                Some((one.id.clone(), past.to_bytes(&one.chat)))
            });
            let (carries, messages): (Vec<String>, Vec<Bytes>) = found.unzip();
            if !messages.is_empty() {
                let message = PeerMessage::Messages { request: id.to_owned(), messages };
                self.phone_carries(now, device, &message, carries);
            }
            return;
        }
        let account = self.account(device.pn);
        let Some(memory) = account.phone.memory.as_ref() else { return };
        match asked {
            PeerMessage::WantKeys(ids) => {
                let keys = memory.keys(Some(&ids));
                self.phone_tells(now, device, &PeerMessage::Keys(keys));
            }
            PeerMessage::WantHistory(WantHistory { chat, before, count, .. }) => {
                let found: Vec<Conversation> = memory.older(&chat, before, count).into_iter().collect();
                let what = (Kind::OnDemand, 1, 100);
                self.tell_history(now, device, what, &found, &People::default(), Some(id.to_owned()));
            }
            PeerMessage::WantCollection { collection, .. } => {
                let patches = account.collections.get(&collection).map_or(&[][..], Vec::as_slice);
                let recovery = memory.recovery(collection, patches);
                self.phone_tells(now, device, &PeerMessage::Collection { request: id.to_owned(), recovery });
            }
            PeerMessage::WantMessages(_) => unreachable!("answered above"),
            PeerMessage::Keys(_)
            | PeerMessage::History(_)
            | PeerMessage::Messages { .. }
            | PeerMessage::Collection { .. } => {
                tracing::warn!(%device, "a companion speaks as if it were a phone");
            }
        }
    }

    fn tell_history(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        (kind, order, progress): (Kind, u32, u32),
        conversations: &[Conversation],
        people: &People,
        request: Option<String>,
    ) {
        let packed = history::pack(kind, progress, conversations, people);
        if kind == Kind::Bootstrap && packed.len() <= INLINE {
            let place = Place::Inline(packed);
            let notice = Notice { kind, order, progress, place, request, original: None };
            self.phone_tells(now, device, &PeerMessage::History(notice));
            return;
        }
        let place = Place::File(self.history_file(device.pn, &packed));
        self.tell_file(now, device, Notice { kind, order, progress, place, request, original: None }, packed);
    }

    fn tell_file(&mut self, now: UnixMillis, device: DeviceRef, notice: Notice, packed: Vec<u8>) {
        let id = self.phone_tells(now, device, &PeerMessage::History(notice.clone()));
        if let (Some(id), Some(memory)) = (id, self.account_mut(device.pn).phone.memory.as_mut()) {
            memory.tell(Told { id, device: device.device, notice, packed });
        }
    }

    /// A companion cannot fetch a piece: the phone uploads it again and tells of it again. A phone that has forgotten
    /// says nothing.
    pub(super) fn history_asked(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        id: &str,
        (sealed, iv): (&[u8], &[u8]),
    ) -> Result<(), Refusal> {
        let memory = self.account(device.pn).phone.memory.as_ref();
        let told = memory.and_then(|memory| memory.told(id, device.device)).cloned();
        let told = told.ok_or("a piece of history that was not told to this device is asked for again")?;
        let file = match &told.notice.place {
            Place::File(blob) => blob.file(MediaKind::History),
            Place::Inline(_) => None,
        };
        let file = file.ok_or("a piece of history without a file is asked for again")?;
        open_retry_request(&file.key, id, iv, sealed)
            .map_err(|error| Refusal::from(format!("a question about history: {error}")))?;
        if !self.media.is_forgotten_by_phones() {
            let place = Place::File(self.history_file(device.pn, &told.packed));
            let notice = Notice { place, original: Some(id.to_owned()), ..told.notice };
            self.tell_file(now, device, notice, told.packed);
        }
        Ok(())
    }

    /// A phone puts a piece of history on the media servers, for one of its companions to read and to delete.
    fn history_file(&mut self, pn: Pn, packed: &[u8]) -> Blob {
        let blob = self.phone_uploads(MediaKind::History, packed);
        let handle = self.media.made_for(&mut self.rng, pn, &blob.direct_path);
        Blob { handle, ..blob }
    }

    /// A phone puts a file on the media servers.
    pub(super) fn phone_uploads(&mut self, kind: MediaKind, plain: &[u8]) -> Blob {
        let key = MediaKey::generate(&mut self.rng);
        let (mut encryptor, mut blob) = (Encryptor::new(&key, kind), Vec::new());
        encryptor.update(plain, &mut blob);
        let sealed = encryptor.finish(&mut blob);
        let direct_path = self.media.keep(&mut self.rng, sealed.hashes.sealed, blob.into());
        Blob::of_file(&File { kind, key, hashes: sealed.hashes, direct_path }, sealed.length)
    }

    /// Everybody that there is, in both forms and by name.
    fn people(&self) -> People {
        let accounts = || self.accounts.values();
        let jid = |jid: Jid| jid.to_string();
        People {
            push_names: accounts().map(|one| (jid(one.jid(Form::Pn)), one.name.clone())).collect(),
            lids: accounts().map(|one| (jid(one.jid(Form::Pn)), jid(one.jid(Form::Lid)))).collect(),
            ..People::default()
        }
    }

    /// One message of a phone to one of its companions; its id.
    pub(super) fn phone_tells(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        message: &PeerMessage,
    ) -> Option<String> {
        self.phone_carries(now, device, message, Vec::new())
    }

    /// The same, with the messages of these ids in it.
    fn phone_carries(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        message: &PeerMessage,
        carries: Vec<String>,
    ) -> Option<String> {
        let phone = DeviceRef { pn: device.pn, device: 0 };
        let message = message.to_bytes();
        let enc = self.phone_encrypts(now, phone, device, &message, None)?;
        let id = message_id(&mut self.rng);
        self.ledger.tell(|| Seen::Told { to: device, id: id.clone(), carries });
        let to = self.account(device.pn).device_jid(device.device, Form::Pn);
        let sent = Sent { id: id.clone(), to: to.to_string(), message, peer: true };
        self.account_mut(device.pn).phone.remember(sent);
        let stanza = Builder::new("message")
            .attr("id", id.clone())
            .attr("to", to)
            .attr("type", "text")
            .attr("category", "peer")
            .children([enc])
            .build();
        self.from_phones.push_back((phone, stanza));
        Some(id)
    }
}
