//! The past of a phone, told to a device as files: whole and once, though hosts fail, owners change and files go.

#[path = "added.rs"]
mod added;

use roost_actors::device::{DeviceHandle, HistoryWanted, PairMethod, Pairing, PairingUpdate};
use roost_node::directory::LoggedEvent;
use roost_proto::api::device::State;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::history_chunk::{Kind, Problem};
use roost_proto::api::{self, message_received};
use roost_proto::e2e;
use roost_proto::history::{Beside, Past};
use roost_proto::id::UnixMillis;
use roost_proto::login::FullHistory;
use roost_proto::phone::WantHistory;
use roost_proto::stanza::Jid;
use roost_simulations::wa::{Fault, PastChat, Scanner};

use crate::scene::{Device, Scene, until};

const NEWEST: i64 = 1_700_000_000_000;

fn past(chat: usize, at: usize, from: Option<Jid>) -> Past {
    Past {
        id: format!("OLD{chat}X{at}"),
        from_me: at.is_multiple_of(3),
        participant: from.filter(|_| !at.is_multiple_of(3)),
        at: UnixMillis(NEWEST - i64::try_from(at).expect("few") * 60_000),
        push_name: String::new(),
        content: e2e::text(&format!("old {chat} {at}")).into(),
        beside: Beside::default(),
    }
}

/// Chats with one person each, and behind them a group.
fn chats(people: usize, messages: usize) -> Vec<PastChat> {
    let named = |number: usize, chat: Jid, from: Option<Jid>| PastChat {
        chat,
        name: format!("chat {number}"),
        messages: (0..messages).map(|at| past(number, at, from.clone())).collect(),
    };
    let person = |number: usize| Jid::pn(format!("1555999{number:04}"));
    let mut chats: Vec<PastChat> = (0..people).map(|number| named(number, person(number), None)).collect();
    let group = "120363000000000001@g.us".parse().expect("a JID");
    chats.push(named(people, group, Some(person(0))));
    chats
}

/// A device that was opened, and whose phone has this past.
async fn with_past<'a>(scene: &'a Scene, name: &str, chats: Vec<PastChat>) -> Device<'a> {
    let pn = scene.server.account(None, Some(name));
    scene.server.phone_remembers(pn, chats).expect("it has a phone");
    let device = scene.opened(name).await;
    device.state(State::Unpaired).await;
    device
}

async fn pieces(device: &Device<'_>) -> Vec<api::HistoryChunk> {
    let chunk = |event: LoggedEvent| match event.payload {
        Payload::HistoryChunk(chunk) => Some(chunk),
        _ => None,
    };
    device.events().await.into_iter().filter_map(chunk).collect()
}

/// Files of history that were deleted at WhatsApp, and those that are still there.
fn files(scene: &Scene, name: &str) -> (u64, usize) {
    let pn = scene.server.account(None, Some(name));
    scene.server.look(|machine| machine.history_files(pn))
}

async fn is_told(device: &Device<'_>) -> bool {
    pieces(device).await.iter().any(|chunk| chunk.kind() == Kind::Recent && chunk.progress == 100)
}

fn refuse(scene: &Scene, count: u32) {
    scene.server.commit(&Fault::RefuseMedia { count, status: 503 }).expect("committed");
}

fn expire(scene: &Scene) {
    scene.server.commit(&Fault::ExpireMedia { direct_path: None, status: 410 }).expect("committed");
}

#[tokio::test]
async fn the_past_comes_in_files_groups_included_though_hosts_fail_at_first() {
    let scene = Scene::new().await;
    let mut device = with_past(&scene, "ada", chats(2, 150)).await;
    // More than one download tries.
    refuse(&scene, 8);
    device.pair().await;
    until("all pieces are told", || async { pieces(&device).await.len() == 3 }).await;
    let events = device.events().await;
    let messages: Vec<&api::MessageReceived> = events
        .iter()
        .filter(|event| event.origin == Origin::History)
        .filter_map(|event| match &event.payload {
            Payload::MessageReceived(message) => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(messages.len(), 450);
    let group: Vec<_> = messages.iter().filter(|message| !message.group.is_empty()).collect();
    assert_eq!((group.len(), group[0].group.as_str()), (150, "120363000000000001@g.us"));
    let said = group.iter().find(|message| message.whatsapp_id == "OLD2X1").expect("it is there");
    assert_eq!(said.sender.as_ref().expect("somebody").phone_number, "15559990000@s.whatsapp.net");
    assert_eq!(said.content, Some(message_received::Content::Text("old 2 1".to_owned())));
    assert!(said.chat.is_none());
    let pieces = pieces(&device).await;
    assert!(pieces.iter().all(|piece| piece.failure.is_empty() && piece.left_out == 0 && !piece.more));
    // The file that had to wait comes behind the other.
    let kinds: Vec<Kind> = pieces.iter().map(api::HistoryChunk::kind).collect();
    assert_eq!(kinds[0], Kind::Bootstrap, "what is newest comes first");
    assert!(kinds.contains(&Kind::PushNames) && kinds.contains(&Kind::Recent), "{kinds:?}");
    assert!(pieces.iter().any(|piece| !piece.push_names.is_empty()));
    device.check_log().await;
}

#[tokio::test]
async fn a_new_owner_goes_on_in_the_middle_of_a_file_and_says_nothing_twice() {
    let scene = Scene::new().await;
    let mut device = with_past(&scene, "ada", chats(4, 300)).await;
    device.pair().await;
    for told in [150, 700, 1200] {
        until("some of the past is told", || async { device.received().await.len() >= told }).await;
        device.taken_over().await;
    }
    until("the past is told", || is_told(&device)).await;
    let mut ids: Vec<String> =
        device.received().await.into_iter().map(|message| message.whatsapp_id).collect();
    assert_eq!(ids.len(), 1500);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1500);
    assert_eq!(pieces(&device).await.len(), 3);
    device.check_log().await;
}

#[tokio::test]
async fn a_file_of_the_past_is_deleted_when_all_of_it_is_told_and_not_before() {
    let scene = Scene::new().await;
    let mut device = with_past(&scene, "ada", chats(4, 300)).await;
    device.pair().await;
    until("the file of names is deleted", || async { files(&scene, "ada").0 == 1 }).await;
    until("some of the past is told", || async { device.received().await.len() >= 150 }).await;
    device.taken_over().await;
    let (_, left) = files(&scene, "ada");
    assert!(left == 1 || is_told(&device).await, "the next owner needs it");
    until("the past is told", || is_told(&device)).await;
    until("its file is deleted", || async { files(&scene, "ada") == (2, 0) }).await;
    assert_eq!(device.received().await.len(), 1500);
    let (pieces, handle) = (pieces(&device).await, device.handle().clone());
    assert!(pieces.iter().all(|piece| piece.problem() == Problem::Unspecified));
    // What goes with a deletion is known to the next owner too.
    asked(&device, &handle, Jid::pn("15559990000"), 20).await;
    until("that file is deleted", || async { files(&scene, "ada") == (3, 0) }).await;
    let pn = scene.server.account(None, Some("ada"));
    assert_eq!(scene.server.look(|machine| machine.nonces_shown(pn)), 3);
    device.check_log().await;
}

#[tokio::test]
async fn a_file_that_nobody_has_any_more_is_an_event_that_says_so() {
    let scene = Scene::new().await;
    let mut device = with_past(&scene, "ada", chats(1, 20)).await;
    refuse(&scene, u32::MAX);
    scene.server.commit(&Fault::PhonesForgetMedia { forget: true }).expect("committed");
    device.pair().await;
    until("the first piece is told", || async { !pieces(&device).await.is_empty() }).await;
    expire(&scene);
    // A new owner does not wait as long as the last one would have.
    device.taken_over().await;
    refuse(&scene, 0);
    until("all is said", || async { pieces(&device).await.len() == 3 }).await;
    let pieces = pieces(&device).await;
    assert_eq!((pieces[0].kind(), pieces[0].problem()), (Kind::Bootstrap, Problem::Unspecified));
    for piece in &pieces[1..] {
        assert_eq!((piece.problem(), piece.messages), (Problem::Expired, 0));
        assert!(!piece.failure.is_empty());
    }
    assert_eq!(device.received().await.len(), 4, "two of each chat came with the first piece");
    assert_eq!(files(&scene, "ada"), (0, 2), "what was not told is not deleted");
}

#[tokio::test]
async fn a_file_that_whatsapp_has_dropped_is_uploaded_again_by_the_phone() {
    let scene = Scene::new().await;
    let mut device = with_past(&scene, "ada", chats(2, 200)).await;
    refuse(&scene, u32::MAX);
    device.pair().await;
    until("the first piece is told", || async { !pieces(&device).await.is_empty() }).await;
    expire(&scene);
    // A new owner does not wait as long as the last one would have.
    device.taken_over().await;
    refuse(&scene, 0);
    until("the past is told", || is_told(&device)).await;
    let pieces = pieces(&device).await;
    assert_eq!(pieces.len(), 3, "each piece is one, though two were told of twice: {pieces:?}");
    assert!(pieces.iter().all(|piece| piece.problem() == Problem::Unspecified && piece.failure.is_empty()));
    assert_eq!(device.received().await.len(), 600);
    device.check_log().await;
}

/// Asks for messages of a chat before one, and waits for the answer.
async fn asked(device: &Device<'_>, handle: &DeviceHandle, chat: Jid, before: usize) -> api::HistoryChunk {
    let wanted = WantHistory {
        chat,
        before_id: format!("OLD0X{before}"),
        before_from_me: before.is_multiple_of(3),
        before: past(0, before, None).at,
        count: 5,
    };
    let request = handle.want_history(wanted, None).await.expect("asked");
    let found = || async {
        let pieces = pieces(device).await;
        pieces.into_iter().find(|chunk| chunk.request == request)
    };
    until("the phone answers", || async { found().await.is_some() }).await;
    found().await.expect("it was there")
}

#[tokio::test]
async fn older_messages_of_a_chat_come_on_request_in_a_file() {
    let scene = Scene::new().await;
    let mut device = with_past(&scene, "ada", chats(1, 30)).await;
    device.pair().await;
    until("the past is told", || is_told(&device)).await;
    let handle = device.handle().clone();
    let told = asked(&device, &handle, Jid::pn("15559990000"), 20).await;
    assert_eq!((told.kind(), told.messages, told.chats[0].complete), (Kind::OnDemand, 5, false));
    let told = asked(&device, &handle, Jid::pn("15559990000"), 25).await;
    assert_eq!((told.messages, told.chats[0].complete), (4, true), "there are no more");
    assert_eq!(device.received().await.len(), 60, "none of them was new");
    let nobody = asked(&device, &handle, Jid::pn("15550000000"), 20).await;
    assert_eq!((nobody.messages, nobody.chats.len()), (0, 0));
}

#[tokio::test]
async fn a_range_is_asked_for_piece_by_piece_whoever_owns_the_device_meanwhile() {
    let scene = Scene::new().await;
    let mut device = with_past(&scene, "ada", chats(1, 120)).await;
    device.pair().await;
    until("the past is told", || is_told(&device)).await;
    let wanted = WantHistory {
        chat: Jid::pn("15559990000"),
        before_id: "OLD0X10".to_owned(),
        before_from_me: false,
        before: past(0, 10, None).at,
        count: 7,
    };
    let since = past(0, 60, None).at;
    let request = device.handle().want_history(wanted, Some(since)).await.expect("asked");
    let told = || async {
        let pieces = pieces(&device).await;
        pieces.into_iter().filter(|chunk| chunk.request == request).collect::<Vec<_>>()
    };
    until("a part of it is told", || async { told().await.len() >= 2 }).await;
    device.taken_over().await;
    let told = || async {
        let pieces = pieces(&device).await;
        pieces.into_iter().filter(|chunk| chunk.request == request).collect::<Vec<_>>()
    };
    until("its end is told", || async { told().await.last().is_some_and(|chunk| !chunk.goes_on) }).await;
    let told = told().await;
    // Messages 11 to 60, seven at a time; one piece may be asked for twice across the take-over.
    assert!(told.len() >= 8, "{}", told.len());
    let messages: u32 = told.iter().flat_map(|chunk| &chunk.chats).map(|chat| chat.messages).sum();
    assert!(messages >= 50, "{messages}");
    assert!(told.iter().rev().skip(1).all(|chunk| chunk.goes_on), "{told:?}");
    assert!(told.iter().all(|chunk| chunk.kind() == Kind::OnDemand && chunk.failure.is_empty()));
    device.check_log().await;
}

/// A device that was paired with so much history, and whose phone has messages of these ages in days.
async fn with_ages<'a>(scene: &'a Scene, name: &str, ages: &[i64], history: HistoryWanted) -> Device<'a> {
    let message =
        |(at, days): (usize, &i64)| Past { at: UnixMillis(NEWEST - days * DAY), ..past(0, at, None) };
    let messages = ages.iter().enumerate().map(message).collect();
    let chat = PastChat { chat: Jid::pn("15559990000"), name: "friend".to_owned(), messages };
    let device = with_past(scene, name, vec![chat]).await;
    let wanted = Pairing { history, ..PairMethod::Qr.into() };
    let mut updates = device.handle().pair(wanted).await.expect("it begins");
    let is_code = |update: &PairingUpdate| matches!(update, PairingUpdate::Code { .. });
    let code = updates.wait_for(is_code).await.expect("open").clone();
    let PairingUpdate::Code { payload, .. } = code else { unreachable!() };
    let scanner = Scanner { pn: None, name: Some(name.to_owned()) };
    scene.server.scan(&payload, &scanner).expect("scanned");
    device.state(State::Online).await;
    device
}

const DAY: i64 = 24 * 3600 * 1000;

#[tokio::test]
async fn who_pairs_a_device_chooses_the_recent_past_or_all_of_it_up_to_limits() {
    let scene = Scene::new().await;
    let all = FullHistory::default();
    let year = FullHistory { days: Some(365), ..all };
    let no_room = FullHistory { megabytes: Some(0), ..all };
    let chosen = [
        ("recent", HistoryWanted::Recent, 4),
        ("all", HistoryWanted::Full(all), 7),
        ("year", HistoryWanted::Full(year), 6),
        ("small", HistoryWanted::Full(no_room), 4),
    ];
    for (name, history, messages) in chosen {
        let device = with_ages(&scene, name, &[0, 1, 10, 89, 91, 200, 400], history).await;
        let mut kinds = vec![Kind::Bootstrap, Kind::PushNames, Kind::Recent];
        kinds.extend((messages > 4).then_some(Kind::Full));
        until("all pieces are told", || async { pieces(&device).await.len() >= kinds.len() }).await;
        let told = pieces(&device).await;
        assert_eq!(told.iter().map(api::HistoryChunk::kind).collect::<Vec<_>>(), kinds, "{name}");
        assert!(told.iter().all(|piece| piece.problem() == Problem::Unspecified), "{told:?}");
        assert_eq!(device.received().await.len(), messages, "{name}");
    }
}

#[tokio::test]
async fn a_device_that_was_paired_without_history_fetches_none_and_tells_what_is_asked_for() {
    let scene = Scene::new().await;
    let mut device = with_ages(&scene, "ada", &[0, 1, 2, 3, 4, 5], HistoryWanted::None).await;
    let left_out = |pieces: &[api::HistoryChunk]| {
        let problems = pieces.iter().filter(|piece| piece.problem() == Problem::NotWanted);
        problems.filter(|piece| piece.messages == 0 && piece.push_names.is_empty()).count()
    };
    until("the pieces are left out", || async { left_out(&pieces(&device).await) == 3 }).await;
    // The choice goes to the next owner with the account, for a phone that begins anew.
    let pn = scene.server.account(None, Some("ada"));
    scene.server.phone_remembers(pn, chats(1, 5)).expect("it has a phone");
    device.taken_over().await;
    until("they are left out again", || async { left_out(&pieces(&device).await) == 6 }).await;
    let events = device.events().await;
    let told = events.iter().filter(|event| event.origin == Origin::History);
    assert_eq!(told.count(), 6, "nothing else is told");
    let hosts = scene.server.look(|machine| machine.media_hosts().to_vec());
    let served = |host: &String| scene.server.look(|machine| machine.media_served(host));
    assert_eq!(hosts.iter().map(served).sum::<u64>(), 0, "nothing was fetched or deleted");

    let handle = device.handle().clone();
    let told = asked(&device, &handle, Jid::pn("15559990000"), 1).await;
    assert_eq!((told.problem(), told.messages), (Problem::Unspecified, 3));
    device.check_log().await;
}
