//! Chats, contacts, labels and history through any node, and their refusals.

use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::*;
use roost_proto::appstate::{Action, Contact, Mute as Silence, Range};
use roost_proto::e2e;
use roost_proto::history::{Beside, Past};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;
use roost_simulations::wa::{DeviceRef, Fault, PastChat};
use tonic::Code;

use crate::live::Live;
use crate::world::{bad_field, refusal, until};

fn pin(device: &str, pinned: bool) -> PinChatRequest {
    PinChatRequest { parent: device.to_owned(), chat: "15559990000@s.whatsapp.net".to_owned(), pinned }
}

/// A device that is in step with a phone which remembers one chat of five messages.
pub(crate) async fn with_memory(live: &Live, id: &str) -> (String, usize, usize, DeviceRef) {
    let pn = live.sim.account(None, Some(&format!("phone of {id}")));
    let message = |number: i64| Past {
        id: format!("OLD{number}"),
        from_me: number % 2 == 0,
        participant: None,
        at: UnixMillis(1_700_000_000_000 - number * 60_000),
        push_name: String::new(),
        content: e2e::text(&format!("old {number}")).into(),
        beside: Beside::default(),
    };
    let chat = PastChat {
        chat: Jid::pn("15559990000"),
        name: "a friend".to_owned(),
        messages: (0..5).map(message).collect(),
    };
    live.sim.phone_remembers(pn, vec![chat]).expect("it has a phone");
    let online = live.online(id).await;
    until("the phone has shared its keys", || async {
        let shared = |event: &Event| matches!(event.payload, Some(Payload::HistoryChunk(_)));
        events(live, &online.0).await.iter().any(shared).then_some(())
    })
    .await;
    online
}

/// Everything in the log of a device.
async fn events(live: &Live, device: &str) -> Vec<Event> {
    let wanted = ReadEventsRequest { parent: device.to_owned(), ..Default::default() };
    let mut stream = live.at(0).events().read_events(wanted).await.expect("read").into_inner();
    let mut events = Vec::new();
    while let Some(batch) = stream.message().await.expect("read") {
        events.extend(batch.events);
    }
    events
}

#[tokio::test]
async fn a_device_whose_phone_shares_nothing_is_not_in_step() {
    let live = Live::new(1).await;
    let (name, ..) = live.online("shop").await;
    let refused = live.at(0).chats().pin_chat(pin(&name, true)).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "DEVICE_NOT_IN_STEP".into()));
    let listed = live.at(0).chats().list_chats(ListChatsRequest { parent: name, ..Default::default() }).await;
    assert!(listed.expect("listed").into_inner().chats.is_empty());
}

#[tokio::test]
async fn refusals_name_the_field_and_what_does_not_exist() {
    let live = Live::new(1).await;
    let missing = live.at(0).chats().pin_chat(pin("tenants/acme/devices/none", true)).await;
    assert_eq!(refusal(missing), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
    let (unpaired, ..) = live.device("bare").await;
    let refused = live.at(0).chats().pin_chat(pin(&unpaired, true)).await;
    assert_eq!(refusal(refused).1, "DEVICE_NOT_PAIRED");
    let bad = PinChatRequest { chat: "nobody".to_owned(), ..pin(&unpaired, true) };
    assert_eq!(bad_field(live.at(0).chats().pin_chat(bad).await), "chat");
    let wish = SyncHistoryRequest { parent: unpaired, ..Default::default() };
    assert_eq!(bad_field(live.at(0).history().sync_history(wish).await), "chat");
}

#[tokio::test]
async fn a_change_is_made_once_and_read_back_from_any_node() {
    let live = Live::new(2).await;
    let (name, owner, other, device) = with_memory(&live, "shop").await;
    for place in [other, owner, other] {
        live.at(place).chats().pin_chat(pin(&name, true)).await.expect("pinned");
    }
    let contact = ContactEntry {
        jid: "15559990000@s.whatsapp.net".to_owned(),
        full_name: "Käthe K".to_owned(),
        lid: "77@lid".to_owned(),
        ..Default::default()
    };
    let save = SaveContactRequest { parent: name.clone(), contact: Some(contact.clone()) };
    live.at(other).address_book().save_contact(save).await.expect("saved");
    let label = Label { id: "7".to_owned(), name: "new".to_owned(), color: 3, ..Default::default() };
    let edit = EditLabelRequest { parent: name.clone(), label: Some(label) };
    live.at(other).labels().edit_label(edit).await.expect("edited");
    let assign = AssignLabelRequest {
        parent: name.clone(),
        label: "7".to_owned(),
        to: Some(assign_label_request::To::Chat(contact.jid.clone())),
        assigned: true,
    };
    live.at(other).labels().assign_label(assign).await.expect("assigned");
    // The owner of the phone silences the same chat.
    let silence = Action::Mute { chat: contact.jid.parse().expect("a JID"), mute: Silence::Forever };
    live.sim.phone_changes(device.pn, &[silence]).expect("changed");
    let known = until("the mute is known", || async {
        let wanted = GetChatRequest { parent: name.clone(), chat: contact.jid.clone() };
        let chat = live.at(other).chats().get_chat(wanted).await.ok()?.into_inner();
        chat.mute.is_some().then_some(chat)
    });
    let chat = known.await;
    assert!(chat.pinned && !chat.archived);
    assert_eq!(chat.labels, ["7"]);
    let wanted = ListContactsRequest { parent: name.clone(), ..Default::default() };
    let listed = live.at(owner).address_book().list_contacts(wanted).await.expect("listed").into_inner();
    assert_eq!(listed.contacts, [contact]);
    let labels = live.at(owner).labels().list_labels(ListLabelsRequest { parent: name.clone() }).await;
    assert_eq!(labels.expect("listed").into_inner().labels[0].chats, [chat.jid]);
    let pins = events(&live, &name).await.into_iter().filter(|event| {
        matches!(&event.payload, Some(Payload::ChatChanged(changed))
            if changed.change == Some(chat_changed::Change::Pinned(true)))
    });
    assert_eq!(pins.count(), 1, "asked three times, changed once");
}

#[tokio::test]
async fn what_is_cleared_says_what_stays_and_whether_files_go() {
    let live = Live::new(1).await;
    let (name, _, _, device) = with_memory(&live, "shop").await;
    let chat: Jid = "15559990000@s.whatsapp.net".parse().expect("a JID");
    let range = || Range { last: UnixMillis(1_700_000_000_000), message: None };
    let clear =
        Action::ClearChat { chat: chat.clone(), keep_starred: true, delete_media: false, range: range() };
    let delete = Action::DeleteChat { chat: chat.clone(), delete_media: true, range: range() };
    for gone in [clear, delete] {
        live.sim.phone_changes(device.pn, &[gone]).expect("changed");
    }
    let told = until("both are told", || async {
        let changed = events(&live, &name).await.into_iter().filter_map(|event| match event.payload {
            Some(Payload::ChatChanged(changed)) => Some((changed.keep_starred, changed.delete_media)),
            _ => None,
        });
        Some(changed.collect::<Vec<_>>()).filter(|told| told.len() == 2)
    });
    assert_eq!(told.await, [(true, false), (false, true)]);
}

#[tokio::test]
async fn who_gets_another_name_keeps_what_the_phone_has_said_of_him() {
    let live = Live::new(1).await;
    let (name, _, _, device) = with_memory(&live, "shop").await;
    let jid: Jid = "15559990000@s.whatsapp.net".parse().expect("a JID");
    let said = Contact {
        full_name: "Ada".to_owned(),
        first_name: "A".to_owned(),
        lid: "77@lid".to_owned(),
        on_phone: Some(true),
    };
    let saved = Action::Contact { jid: jid.clone(), contact: Some(said.clone()) };
    live.sim.phone_changes(device.pn, &[saved]).expect("changed");
    let listed = async |wanted: &str| {
        until("the entry is known", || async {
            let list = ListContactsRequest { parent: name.clone(), ..Default::default() };
            let listed = live.at(0).address_book().list_contacts(list).await.ok()?.into_inner();
            listed.contacts.into_iter().find(|entry| entry.full_name == wanted)
        })
        .await
    };
    let entry = listed("Ada").await;
    assert_eq!((&*entry.lid, entry.on_phone), ("77@lid", Some(true)));
    let contact = ContactEntry { jid: jid.to_string(), full_name: "Ada K".to_owned(), ..Default::default() };
    let save = SaveContactRequest { parent: name.clone(), contact: Some(contact) };
    live.at(0).address_book().save_contact(save).await.expect("saved");
    assert_eq!(listed("Ada K").await, ContactEntry { full_name: "Ada K".to_owned(), ..entry });
    let mut told = events(&live, &name).await.into_iter().filter_map(|event| match event.payload {
        Some(Payload::ContactChanged(changed)) => changed.contact,
        _ => None,
    });
    assert_eq!(told.next_back().map(|entry| (entry.lid, entry.on_phone)), Some((said.lid, said.on_phone)));
}

#[tokio::test]
async fn a_copy_that_does_not_verify_is_read_anew_and_nothing_is_said_twice() {
    let live = Live::new(1).await;
    let (name, _, _, device) = with_memory(&live, "shop").await;
    let chat = |number: u32| format!("1555999{number:04}@s.whatsapp.net").parse().expect("a JID");
    let mute = |number| Action::Mute { chat: chat(number), mute: Silence::Forever };
    let seen = async |numbers: std::ops::Range<u32>| {
        let wanted = || ListChatsRequest { parent: name.clone(), ..Default::default() };
        until("all mutes are known", || async {
            let chats = live.at(0).chats().list_chats(wanted()).await.ok()?.into_inner().chats;
            (chats.len() == numbers.len()).then_some(())
        })
        .await;
    };
    for number in 0..3 {
        live.sim.phone_changes(device.pn, &[mute(number)]).expect("changed");
    }
    seen(0..3).await;
    live.sim.commit(&Fault::TamperPatches { device: device.to_string(), count: 1 }).expect("a device");
    live.sim.phone_changes(device.pn, &[mute(3)]).expect("changed");
    seen(0..4).await;
    let events = events(&live, &name).await;
    let resynced = events.iter().filter(|event| matches!(event.payload, Some(Payload::AppStateResynced(_))));
    assert_eq!(resynced.count(), 1);
    let changed = events.iter().filter(|event| matches!(event.payload, Some(Payload::ChatChanged(_))));
    assert_eq!(changed.count(), 4);
}

#[tokio::test]
async fn what_the_phone_remembers_comes_as_history() {
    let live = Live::new(1).await;
    let (name, ..) = with_memory(&live, "shop").await;
    let told = until("the history is told", || async {
        let events = events(&live, &name).await;
        let told = |event: &Event| {
            matches!(&event.payload, Some(Payload::HistoryChunk(chunk))
                if chunk.kind() == history_chunk::Kind::Recent && chunk.failure.is_empty())
        };
        events.iter().any(told).then_some(events)
    });
    let messages: Vec<Event> = told
        .await
        .into_iter()
        .filter(|event| matches!(event.payload, Some(Payload::MessageReceived(_))))
        .collect();
    assert_eq!(messages.len(), 5);
    assert!(messages.iter().all(|event| event.origin() == Origin::History));
}
