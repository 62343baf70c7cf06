//! Changes of records that say more than a change names: what it leaves out stays as it is.
//!
//! The phone and other clients keep things in a record that nobody here sets (whether it is in the phone's own address
//! book, WhatsApp's number of a label, how often a reply was used), and a record is always written as a whole.

use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::{SyncActionData, SyncActionValue};

use super::{Action, Record};

impl Record {
    /// Whether it says already all that a change says.
    pub fn says(&self, change: &Action) -> bool {
        let kept = self.read().map(|(kept, _)| kept);
        change.is_settled(kept.as_ref()) || self.overlaid(change).is_some_and(|(before, now)| before == now)
    }

    /// The change, with what it leaves out as this record has it.
    pub fn amended(&self, change: &Action) -> Action {
        let Some((_, now)) = self.overlaid(change) else { return change.clone() };
        Action::Record {
            collection: change.collection(),
            form: change.form(),
            index: change.index(),
            value: Some(now.encode_to_vec()),
        }
    }

    /// What it says, and will say, without times; `None` when a change of this kind leaves nothing out.
    fn overlaid(&self, change: &Action) -> Option<(SyncActionValue, SyncActionValue)> {
        let data = SyncActionData::decode_from_slice(&self.content).ok()?;
        let mut before = data.value.as_option()?.clone();
        before.timestamp = None;
        let mut now = before.clone();
        match change {
            Action::Contact { contact: Some(contact), .. } => {
                let mut kept = before.contact_action.as_option()?.clone();
                let named = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
                kept.full_name = named(&contact.full_name).or(kept.full_name);
                kept.first_name = named(&contact.first_name).or(kept.first_name);
                kept.lid_jid = named(&contact.lid).or(kept.lid_jid);
                kept.save_on_primary_addressbook = contact.on_phone.or(kept.save_on_primary_addressbook);
                now.contact_action = MessageField::some(kept);
            }
            Action::Label { label, .. } => {
                let mut kept = before.label_edit_action.as_option()?.clone();
                kept.name = Some(label.name.clone());
                kept.color = Some(label.color);
                kept.deleted = Some(label.deleted);
                kept.predefined_id = label.predefined.or(kept.predefined_id);
                now.label_edit_action = MessageField::some(kept);
            }
            Action::QuickReply { reply, .. } => {
                let mut kept = before.quick_reply_action.as_option()?.clone();
                kept.shortcut = Some(reply.shortcut.clone());
                kept.message = Some(reply.message.clone());
                kept.keywords.clone_from(&reply.keywords);
                kept.deleted = Some(reply.deleted);
                now.quick_reply_action = MessageField::some(kept);
            }
            _ => return None,
        }
        Some((before, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appstate::{Contact, Label, QuickReply};
    use crate::stanza::Jid;

    /// A record as the phone writes it.
    fn record(index: &[&str], value: &SyncActionValue) -> Record {
        let data = SyncActionData {
            index: Some(serde_json::to_vec(index).expect("texts are JSON")),
            value: MessageField::some(value.clone()),
            ..Default::default()
        };
        Record { value_mac: [0; 32], content: data.encode_to_vec() }
    }

    fn value(change: Action) -> SyncActionValue {
        let Action::Record { value: Some(value), .. } = change else { panic!("not amended: {change:?}") };
        SyncActionValue::decode_from_slice(&value).expect("a value")
    }

    #[test]
    fn a_contact_keeps_what_a_change_of_its_name_does_not_say() {
        let jid: Jid = "1@s.whatsapp.net".parse().expect("a JID");
        let mut kept = SyncActionValue { timestamp: Some(5), ..Default::default() };
        let contact = kept.contact_action.get_or_insert_default();
        contact.full_name = Some("Ada".into());
        contact.first_name = Some("A".into());
        contact.lid_jid = Some("7@lid".into());
        contact.pn_jid = Some("1@s.whatsapp.net".into());
        contact.username = Some("ada".into());
        contact.save_on_primary_addressbook = Some(true);
        let record = record(&["contact", "1@s.whatsapp.net"], &kept);
        let change = |contact: Contact| Action::Contact { jid: jid.clone(), contact: Some(contact) };
        let renamed = change(Contact { full_name: "Ada K".into(), ..Contact::default() });
        assert!(!record.says(&renamed));
        let now = value(record.amended(&renamed));
        let mut wanted = kept.clone();
        wanted.timestamp = None;
        wanted.contact_action.get_or_insert_default().full_name = Some("Ada K".into());
        assert_eq!(now, wanted);
        assert!(record.says(&change(Contact { full_name: "Ada".into(), ..Contact::default() })));
        let off = change(Contact { full_name: "Ada".into(), on_phone: Some(false), ..Contact::default() });
        assert!(!record.says(&off));
        assert_eq!(value(record.amended(&off)).contact_action.save_on_primary_addressbook, Some(false));
        let gone = Action::Contact { jid: jid.clone(), contact: None };
        assert_eq!(record.amended(&gone), gone);
    }

    #[test]
    fn labels_and_quick_replies_keep_what_only_the_phone_sets() {
        let mut kept = SyncActionValue::default();
        let label = kept.label_edit_action.get_or_insert_default();
        label.name = Some("New order".into());
        label.color = Some(1);
        label.deleted = Some(false);
        label.predefined_id = Some(3);
        label.order_index = Some(9);
        let of_label = record(&["label_edit", "4"], &kept);
        let label = Label { name: "Orders".into(), color: 2, ..Label::default() };
        let now = value(of_label.amended(&Action::Label { id: "4".into(), label }));
        let label = now.label_edit_action.as_option().expect("a label");
        assert_eq!((label.name.as_deref(), label.color), (Some("Orders"), Some(2)));
        assert_eq!((label.predefined_id, label.order_index), (Some(3), Some(9)));
        let mut kept = SyncActionValue::default();
        let reply = kept.quick_reply_action.get_or_insert_default();
        reply.shortcut = Some("hi".into());
        reply.count = Some(7);
        reply.associated_label_ids = vec!["4".into()];
        let of_reply = record(&["quick_reply", "1"], &kept);
        let reply = QuickReply { shortcut: "hello".into(), ..QuickReply::default() };
        let now = value(of_reply.amended(&Action::QuickReply { id: "1".into(), reply }));
        let reply = now.quick_reply_action.as_option().expect("a reply");
        assert_eq!((reply.shortcut.as_deref(), reply.count), (Some("hello"), Some(7)));
        assert_eq!(reply.associated_label_ids, ["4"]);
    }
}
