//! What the phone tells beside the messages of the past: what others have added to them, edits, revocations and status
//! posts, in the shape of the live events, and once.

use bytes::Bytes;
use roost_node::directory::LoggedEvent;
use roost_node::polls::PollRows as _;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::event_response::Answer;
use roost_proto::api::send_message_request::Content;
use roost_proto::api::{self, message_edited, message_received};
use roost_proto::content::{self, MessageContent, Surroundings};
use roost_proto::e2e;
use roost_proto::history::{AddOn, Beside, Past, STATUSES};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;
use roost_simulations::wa::PastChat;
use sha2::{Digest as _, Sha256};

use super::{pieces, with_past};
use crate::scene::{Device, Scene, until};

const NOW: i64 = 1_700_000_000_000;
const GROUP: &str = "120363000000000001@g.us";
const FRIEND: &str = "15559990000@s.whatsapp.net";
const OTHER: &str = "15559990001@s.whatsapp.net";

/// A message of the friend.
fn said(id: &str, content: impl Into<Bytes>) -> Past {
    Past {
        id: id.to_owned(),
        from_me: false,
        participant: None,
        at: UnixMillis(NOW),
        push_name: String::new(),
        content: content.into(),
        beside: Beside::default(),
    }
}

/// What a sender in the chat with the friend makes of it; the friend, if not we.
fn encoded(kind: Content, secret: u8) -> Vec<u8> {
    let (chat, own) = (Jid::pn("15550000000"), FRIEND.parse().expect("a JID"));
    let around = Surroundings { chat, own, now: UnixMillis(NOW), edited: None, secret: [secret; 32] };
    content::encode(&MessageContent { kind, context: api::Context::default() }, &around)
}

fn poll() -> api::Poll {
    let options = ["red", "blue"].map(str::to_owned).to_vec();
    api::Poll { question: "Which?".to_owned(), options, selectable: 1, ..Default::default() }
}

fn added<T>(id: &str, from_me: bool, says: T) -> AddOn<T> {
    let at = Some(UnixMillis(NOW + 5));
    AddOn { id: id.to_owned(), from_me, participant: None, at, says }
}

/// A chat with the friend.
fn chat() -> PastChat {
    let edit = |id: &str| {
        let edit =
            api::EditMessage { whatsapp_id: id.to_owned(), text: "better".to_owned(), ..Default::default() };
        encoded(Content::Edit(edit), 0)
    };
    let target =
        Some(api::MessageRef { whatsapp_id: "GONE".to_owned(), from_me: true, ..Default::default() });
    let revoke = encoded(Content::Revoke(api::RevokeMessage { message: target }), 0);
    let mut liked = said("LIKED", e2e::text("liked"));
    liked.beside.starred = true;
    liked.beside.reactions = vec![added("R1", false, "👍".to_owned()), added("R2", true, "🎉".to_owned())];
    // Some phones name the message itself; one that was taken back says nothing.
    liked.beside.reactions.push(added("LIKED", false, "👀".to_owned()));
    liked.beside.reactions.push(added("R3", false, String::new()));
    let mut asked = said("POLL", encoded(Content::Poll(poll()), 1));
    let hash = |option: &str| Bytes::copy_from_slice(&Sha256::digest(option));
    asked.beside.votes = vec![added("V1", true, vec![hash("blue")]), added("V2", false, vec![hash("green")])];
    let event = api::CalendarEvent { name: "Party".to_owned(), ..Default::default() };
    let mut invited = said("PARTY", encoded(Content::CalendarEvent(event), 2));
    invited.beside.answers = vec![added("A1", true, (Answer::Going, 2))];
    PastChat {
        chat: FRIEND.parse().expect("a JID"),
        name: "friend".to_owned(),
        messages: vec![
            said("E1", edit("FIRST")),
            said("E2", edit("E2")),
            liked,
            asked,
            invited,
            said("DEL", revoke),
        ],
    }
}

/// A group in which one reacts to what another has said.
fn group() -> PastChat {
    let participant = |jid: &str| Some(jid.parse().expect("a JID"));
    let mut message = Past { participant: participant(OTHER), ..said("G1", e2e::text("in the group")) };
    message.beside.reactions =
        vec![AddOn { participant: participant(FRIEND), ..added("R4", false, "❤".to_owned()) }];
    PastChat { chat: GROUP.parse().expect("a JID"), name: "group".to_owned(), messages: vec![message] }
}

fn statuses() -> PastChat {
    let post = |id: &str, from: &str| {
        let participant = Some(from.parse().expect("a JID"));
        Past { participant, ..said(id, e2e::text(&format!("post {id}"))) }
    };
    let own = Past { from_me: true, ..said("S3", e2e::text("post S3")) };
    PastChat {
        chat: STATUSES.parse().expect("a JID"),
        name: String::new(),
        messages: vec![post("S1", FRIEND), post("S2", OTHER), own],
    }
}

/// What was told of the past beside the events about its pieces.
async fn told(device: &Device<'_>) -> Vec<LoggedEvent> {
    let events = device.events().await.into_iter().filter(|event| event.origin == Origin::History);
    events.filter(|event| !matches!(event.payload, Payload::HistoryChunk(_))).collect()
}

/// The event of this id, among those that have one.
fn by_id<'a>(events: &'a [LoggedEvent], id: &str) -> &'a LoggedEvent {
    let is_it = |event: &&LoggedEvent| match &event.payload {
        Payload::MessageReceived(message) => message.whatsapp_id == id,
        Payload::StatusReceived(post) => post.message.as_ref().is_some_and(|post| post.whatsapp_id == id),
        Payload::PollVoteReceived(it) => it.said.as_ref().is_some_and(|said| said.whatsapp_id == id),
        Payload::EventResponseReceived(it) => it.said.as_ref().is_some_and(|said| said.whatsapp_id == id),
        Payload::MessageEdited(it) => it.said.as_ref().is_some_and(|said| said.whatsapp_id == id),
        Payload::MessageRevoked(it) => it.said.as_ref().is_some_and(|said| said.whatsapp_id == id),
        _ => false,
    };
    let mut found = events.iter().filter(is_it);
    found.next().unwrap_or_else(|| panic!("{id} is not told: {events:?}"))
}

fn number(person: &Option<api::Person>) -> &str {
    person.as_ref().map_or("", |person| &person.phone_number)
}

fn reaction<'a>(events: &'a [LoggedEvent], id: &str) -> (&'a api::ReactionReceived, &'a api::Said) {
    let found = events.iter().find_map(|event| match &event.payload {
        Payload::ReactionReceived(reaction) => {
            Some((reaction, reaction.said.as_ref()?)).filter(|(_, said)| said.whatsapp_id == id)
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{id} is no reaction: {events:?}"))
}

#[tokio::test]
async fn what_others_have_added_to_the_past_edits_and_status_posts_are_told_once_as_if_they_were_live() {
    let scene = Scene::new().await;
    let past = || vec![chat(), group(), statuses()];
    let mut device = with_past(&scene, "ada", past()).await;
    device.pair().await;
    until("all pieces are told", || async { pieces(&device).await.len() == 4 }).await;
    let events = told(&device).await;
    let message = |id: &str, from_me, sender: &str| {
        Some(api::MessageRef { whatsapp_id: id.to_owned(), from_me, sender: sender.to_owned() })
    };

    let (liked, by) = reaction(&events, "R1");
    assert_eq!((liked.emoji.as_str(), number(&by.chat), number(&by.sender)), ("👍", FRIEND, FRIEND));
    assert_eq!((&liked.message, by.from_me), (&message("LIKED", false, FRIEND), false));
    let (ours, by) = reaction(&events, "R2");
    assert_eq!((ours.emoji.as_str(), number(&by.chat), by.from_me), ("🎉", FRIEND, true));
    let (named_so, _) = reaction(&events, "LIKED");
    assert_eq!(named_so.emoji, "👀");
    let (in_group, by) = reaction(&events, "R4");
    assert_eq!((by.group.as_str(), number(&by.sender)), (GROUP, FRIEND));
    assert_eq!(in_group.message, message("G1", false, OTHER));

    let star = events.iter().find_map(|event| match &event.payload {
        Payload::MessageStarred(star) => Some(star),
        _ => None,
    });
    let key = star.and_then(|star| star.message.as_ref()).expect("a star");
    assert_eq!((key.chat.as_str(), key.whatsapp_id.as_str(), key.from_me), (FRIEND, "LIKED", false));

    let Payload::PollVoteReceived(vote) = &by_id(&events, "V1").payload else { panic!("no vote") };
    assert_eq!((&vote.options, &vote.poll), (&vec!["blue".to_owned()], &message("POLL", false, FRIEND)));
    let Payload::PollVoteReceived(vote) = &by_id(&events, "V2").payload else { panic!("no vote") };
    assert_eq!((vote.options.len(), vote.unknown_options.len(), vote.unreadable), (0, 1, false));
    // They count, as if they had come live.
    let secret = content::Secret::of(&encoded(Content::Poll(poll()), 1)).expect("a poll has one");
    let key = "tenants/acme/devices/ada".parse().expect("an id");
    let ballot = secret.ballot("POLL").expect("of a poll");
    let mut votes = scene.model.votes(&key, ballot, 10).await.expect("the model answers");
    votes.sort_by_key(|vote| vote.said.from_me);
    let said: Vec<_> = votes.iter().map(|vote| (&vote.said.options[..], vote.said.unknown_options)).collect();
    assert_eq!(said, [(&[][..], 1), (&[1][..], 0)]);
    assert_eq!(votes[0].cast, UnixMillis(NOW + 5));

    let Payload::EventResponseReceived(answer) = &by_id(&events, "A1").payload else { panic!("no answer") };
    assert_eq!((answer.answer(), answer.extra_guests), (Answer::Going, 2));
    assert_eq!(by_id(&events, "A1").occurred, UnixMillis(NOW + 5));

    // An edit of its own, and one that stands in the place of what it has changed.
    let Payload::MessageEdited(edit) = &by_id(&events, "E1").payload else { panic!("no edit") };
    let better = message_edited::Content::Text("better".to_owned());
    assert_eq!((&edit.message, &edit.content), (&message("FIRST", false, FRIEND), &Some(better)));
    let Payload::MessageReceived(present) = &by_id(&events, "E2").payload else { panic!("no message") };
    assert_eq!(present.content, Some(message_received::Content::Text("better".to_owned())));
    let edits = events.iter().filter(|event| matches!(event.payload, Payload::MessageEdited(_)));
    assert_eq!(edits.count(), 2);
    let Payload::MessageRevoked(gone) = &by_id(&events, "DEL").payload else { panic!("not revoked") };
    assert_eq!(gone.message, message("GONE", false, FRIEND));

    let Payload::StatusReceived(post) = &by_id(&events, "S2").payload else { panic!("no post") };
    let post = post.message.as_ref().expect("a message");
    assert_eq!((number(&post.sender), post.group.as_str(), &post.chat), (OTHER, "", &None));
    let Payload::StatusReceived(ours) = &by_id(&events, "S3").payload else { panic!("no post") };
    assert!(ours.message.as_ref().is_some_and(|post| post.from_me));

    // The next owner is told all of it again by a phone that begins anew.
    let pn = scene.server.account(None, Some("ada"));
    scene.server.phone_remembers(pn, past()).expect("it has a phone");
    let first = pieces(&device).await;
    assert!(first.iter().all(|piece| piece.left_out == 0), "{first:?}");
    assert_eq!(first.iter().map(|piece| piece.messages).sum::<i64>(), 10);
    device.taken_over().await;
    until("it is told again", || async { pieces(&device).await.len() == 2 * first.len() }).await;
    assert_eq!(told(&device).await.len(), events.len(), "nothing is in the log twice");
    device.check_log().await;
}
