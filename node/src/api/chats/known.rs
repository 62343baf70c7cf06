//! What is known of chats, contacts and labels, put together from the records of app state.

use std::collections::BTreeMap;

use roost_proto::api;
use roost_proto::appstate::{Action, Contact, Mute};

use crate::api::convert::timestamp;

/// A chat of which nothing is known.
pub(super) fn unknown(jid: &str) -> api::Chat {
    api::Chat { jid: jid.to_owned(), ..Default::default() }
}

/// Chats by JID.
pub(super) fn chats(actions: Vec<Action>) -> BTreeMap<String, api::Chat> {
    let mut chats: BTreeMap<String, api::Chat> = BTreeMap::new();
    for action in actions {
        let jid = match &action {
            Action::Mute { chat, .. }
            | Action::Pin { chat, .. }
            | Action::Archive { chat, .. }
            | Action::MarkRead { chat, .. }
            | Action::LabelChat { chat, .. } => chat.to_string(),
            _ => continue,
        };
        let chat = chats.entry(jid.clone()).or_insert_with(|| unknown(&jid));
        match action {
            Action::Mute { mute, .. } => chat.mute = shown(mute),
            Action::Pin { pinned, .. } => chat.pinned = pinned,
            Action::Archive { archived, .. } => chat.archived = archived,
            Action::MarkRead { read, .. } => chat.marked_unread = !read,
            Action::LabelChat { label, labeled: true, .. } => chat.labels.push(label),
            _ => {}
        }
    }
    chats
}

fn shown(mute: Mute) -> Option<api::Mute> {
    use api::mute::Until;
    let until = match mute {
        Mute::Off => return None,
        Mute::Until(end) => Until::Time(timestamp(end)),
        Mute::Forever => Until::Forever(true),
    };
    Some(api::Mute { until: Some(until) })
}

/// The address book by JID.
pub(super) fn contacts(actions: Vec<Action>) -> BTreeMap<String, api::ContactEntry> {
    let entries = actions.into_iter().filter_map(|action| match action {
        Action::Contact { jid, contact: Some(contact) } => {
            let jid = jid.to_string();
            let Contact { full_name, first_name, lid, on_phone } = contact;
            Some((jid.clone(), api::ContactEntry { jid, full_name, first_name, lid, on_phone }))
        }
        _ => None,
    });
    entries.collect()
}

/// Labels that exist, in order of their ids, with the chats that have them.
pub(super) fn labels(actions: Vec<Action>) -> Vec<api::Label> {
    let mut labels: BTreeMap<String, api::Label> = BTreeMap::new();
    for action in &actions {
        if let Action::Label { id, label } = action
            && !label.deleted
        {
            let (name, color) = (label.name.clone(), label.color);
            let predefined_id = label.predefined;
            let label = api::Label { id: id.clone(), name, color, predefined_id, ..Default::default() };
            labels.insert(id.clone(), label);
        }
    }
    for action in actions {
        if let Action::LabelChat { label, chat, labeled: true } = action
            && let Some(label) = labels.get_mut(&label)
        {
            label.chats.push(chat.to_string());
        }
    }
    labels.into_values().collect()
}

#[cfg(test)]
mod tests {
    use roost_proto::appstate::Label;

    use super::*;

    #[test]
    fn records_about_one_chat_are_one_chat() {
        let chat: roost_proto::stanza::Jid = "1@lid".parse().expect("a JID");
        let label = Label { name: "new".to_owned(), color: 2, ..Label::default() };
        let actions = vec![
            Action::Mute { chat: chat.clone(), mute: Mute::Forever },
            Action::Pin { chat: chat.clone(), pinned: true },
            Action::LabelChat { label: "4".to_owned(), chat: chat.clone(), labeled: true },
            Action::LabelChat { label: "5".to_owned(), chat: chat.clone(), labeled: false },
            Action::Label { id: "4".to_owned(), label },
            Action::Contact { jid: chat.clone(), contact: Some(Contact::default()) },
        ];
        let known = &chats(actions.clone())["1@lid"];
        assert!(known.pinned && !known.archived && known.mute.is_some());
        assert_eq!(known.labels, ["4"]);
        assert_eq!(labels(actions.clone())[0].chats, ["1@lid"]);
        assert_eq!(contacts(actions).len(), 1);
    }
}
