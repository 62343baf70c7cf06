//! What changes of app state are to consumers of the event log.
//!
//! What must hold: an event is named by the pairing, the version and the record that changed, so that a
//! collection which is read anew says nothing twice.

use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::appstate::{self, Action, Call, Collection, MessageRef, Mutation, Mute};
use roost_proto::id::UnixMillis;
use roost_proto::phash::digest;
use roost_proto::stanza::Jid;

use crate::machine::commit::Pending;
use crate::machine::inbound::{bounded, person};
use crate::machine::{Effect, Machine, pairing};
use crate::port::NewEvent;

impl Machine {
    /// Adds the events of what changed, and does what a change means for the device itself. `anew`: the
    /// collection was read from its beginning, so that much of it may be old.
    pub(super) fn note_changes(
        &mut self,
        outcome: &mut Pending,
        collection: Collection,
        anew: bool,
        mutations: Vec<(u64, Mutation)>,
    ) {
        let Some(pairing) = self.pairing() else { return };
        for (version, mutation) in mutations {
            match &mutation.action {
                Action::PushName(name) => self.take_push_name(outcome, name),
                Action::Salt(salt) => self.take_salt(outcome, salt.clone().unwrap_or_default().into()),
                _ => {}
            }
            let index = digest(&mutation.index_mac);
            let removed = if mutation.record.is_none() { "/-" } else { "" };
            let dedupe = bounded(format!("app/{pairing}/{collection}/{version}/{}{removed}", &index[..24]));
            let at = mutation.at;
            let occurred = if at.0 > 0 && at <= self.now.wall { at } else { self.now.wall };
            let origin = if anew { Origin::History } else { Origin::Live };
            let own = |jid: &Jid| self.account.as_ref().is_some_and(|account| account.is_own(jid));
            let Some(payload) = payload(collection, mutation.action, own) else { continue };
            outcome.batch.events.push(NewEvent { dedupe, occurred, origin, payload });
        }
    }

    /// The copy of a collection is dropped.
    pub(super) fn note_resync(&self, outcome: &mut Pending, collection: Collection, reason: &str) {
        let payload = Payload::AppStateResynced(api::AppStateResynced {
            collection: collection.as_str().to_owned(),
            reason: reason.to_owned(),
        });
        // Each time is a fact of its own; two within one second of one owner are one.
        let (epoch, seconds) = (self.opening.grant.epoch, self.now.wall.0 / 1000);
        let dedupe = bounded(format!("app-resync/{collection}/{epoch}/{seconds}"));
        outcome.batch.events.push(self.synthetic(dedupe, payload));
    }

    /// The name that others see has changed.
    fn take_push_name(&mut self, outcome: &mut Pending, name: &str) {
        let Some(account) = self.account.as_mut().filter(|account| account.push_name != name) else { return };
        account.push_name = name.to_owned();
        outcome.batch.state.push((pairing::account_key(), Some(account.to_bytes())));
        outcome.batch.status = Some(self.status.note_name(name));
        self.effects.push(Effect::Publish(self.status.now.clone()));
        self.announce_presence();
    }
}

fn logged(caller: &Jid, from_me: bool, call_id: String, call: Call) -> api::CallLogged {
    let somebody = |jid: &Jid| Some(person(&[Some(jid.clone())]));
    let participant = |(who, result): &(Jid, api::call_logged::Result)| api::call_logged::Participant {
        person: somebody(who),
        result: (*result).into(),
    };
    api::CallLogged {
        call_id,
        caller: somebody(caller),
        from_me,
        start_time: Some(timestamp(call.start)),
        duration: call.duration,
        video: call.video,
        group: call.group.map(|group| group.to_string()).unwrap_or_default(),
        result: call.result.into(),
        participants: call.participants.iter().map(participant).collect(),
    }
}

/// The event of a change; none of a secret that is only for the device.
fn payload(collection: Collection, action: Action, own: impl Fn(&Jid) -> bool) -> Option<Payload> {
    use api::chat_changed::Change;
    use api::setting_changed::Setting;
    let gone = |chat: String, change, (keep_starred, delete_media)| {
        Payload::ChatChanged(api::ChatChanged { chat, change: Some(change), keep_starred, delete_media })
    };
    let chat = |chat, change| gone(chat, change, (false, false));
    let setting = |setting| Payload::SettingChanged(api::SettingChanged { setting: Some(setting) });
    Some(match action {
        Action::Salt(_) => return None,
        Action::Call { caller, id, call, .. } => {
            Payload::CallLogged(logged(&caller, own(&caller), id, *call))
        }
        Action::Mute { chat: jid, mute } => chat(jid.to_string(), Change::Mute(mute_of(mute))),
        Action::Pin { chat: jid, pinned } => chat(jid.to_string(), Change::Pinned(pinned)),
        Action::Archive { chat: jid, archived, .. } => chat(jid.to_string(), Change::Archived(archived)),
        Action::MarkRead { chat: jid, read, .. } => chat(jid.to_string(), Change::Read(read)),
        Action::ClearChat { chat: jid, keep_starred, delete_media, .. } => {
            gone(jid.to_string(), Change::Cleared(true), (keep_starred, delete_media))
        }
        Action::DeleteChat { chat: jid, delete_media, .. } => {
            gone(jid.to_string(), Change::Deleted(true), (false, delete_media))
        }
        Action::Star { message, starred } => {
            Payload::MessageStarred(api::MessageStarred { message: Some(key_of(message)), starred })
        }
        Action::DeleteForMe { message, delete_media, .. } => {
            let message = Some(key_of(message));
            Payload::MessageDeletedForMe(api::MessageDeletedForMe { message, delete_media })
        }
        Action::Contact { jid, contact } => {
            let removed = contact.is_none();
            let contact = contact.unwrap_or_default();
            let entry = api::ContactEntry {
                jid: jid.to_string(),
                full_name: contact.full_name,
                first_name: contact.first_name,
                lid: contact.lid,
                on_phone: contact.on_phone,
            };
            Payload::ContactChanged(api::ContactChanged { contact: Some(entry), removed })
        }
        Action::Label { id, label } => {
            let chats = Vec::new();
            let appstate::Label { name, color, deleted, predefined } = label;
            let label = api::Label { id, name, color, deleted, chats, predefined_id: predefined };
            Payload::LabelChanged(api::LabelChanged { label: Some(label) })
        }
        Action::LabelChat { label, chat, labeled } => {
            let to = Some(api::label_assigned::To::Chat(chat.to_string()));
            Payload::LabelAssigned(api::LabelAssigned { label, to, assigned: labeled })
        }
        Action::LabelMessage { label, message, labeled } => {
            let to = Some(api::label_assigned::To::Message(key_of(message)));
            Payload::LabelAssigned(api::LabelAssigned { label, to, assigned: labeled })
        }
        Action::PushName(name) => setting(Setting::PushName(name)),
        Action::MuteStatus { user, muted } => {
            Payload::StatusMuted(api::StatusMuted { user: user.to_string(), muted })
        }
        Action::UnarchiveChats(on) => setting(Setting::UnarchiveChats(on)),
        Action::QuickReply { id, reply } => {
            let quick_reply = api::QuickReply {
                id,
                shortcut: reply.shortcut,
                message: reply.message,
                keywords: reply.keywords,
                deleted: reply.deleted,
            };
            Payload::QuickReplyChanged(api::QuickReplyChanged { quick_reply: Some(quick_reply) })
        }
        Action::NoLinkPreviews(disabled) => setting(Setting::LinkPreviewsDisabled(disabled)),
        Action::Record { index, value, .. } | Action::Other { index, value } => {
            let removed = value.is_none();
            let (collection, value) = (collection.as_str().to_owned(), value.unwrap_or_default());
            setting(Setting::Record(api::AppStateRecord { collection, index, value, removed }))
        }
    })
}

fn mute_of(mute: Mute) -> api::Mute {
    use api::mute::Until;
    api::Mute {
        until: match mute {
            Mute::Off => None,
            Mute::Until(end) => Some(Until::Time(timestamp(end))),
            Mute::Forever => Some(Until::Forever(true)),
        },
    }
}

pub(in crate::machine) fn timestamp(at: UnixMillis) -> api::Timestamp {
    let nanos = i32::try_from(at.0.rem_euclid(1000)).expect("below 1000") * 1_000_000;
    api::Timestamp { seconds: at.0.div_euclid(1000), nanos }
}

/// The other way round. `None` when there is none, or it is beyond our reach.
pub(in crate::machine) fn millis(at: Option<&api::Timestamp>) -> Option<UnixMillis> {
    let at = at?;
    at.seconds.checked_mul(1000)?.checked_add(i64::from(at.nanos) / 1_000_000).map(UnixMillis)
}

fn key_of(message: MessageRef) -> api::MessageKey {
    api::MessageKey {
        chat: message.chat.to_string(),
        whatsapp_id: message.id,
        from_me: message.from_me,
        sender: message.participant.map(|jid| jid.to_string()).unwrap_or_default(),
    }
}
