//! Votes: kept with their events, or no later than that WhatsApp has ours.

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, MessageContent, Secret, Surroundings};
use roost_proto::history::{AddOn, Beside, Conversation, Kind, Past, People, pack};
use roost_proto::id::UnixMillis;
use roost_proto::phash::digest;
use roost_proto::phone::{Notice, PeerMessage, Place};
use roost_proto::stanza::{Builder, Jid};

use super::placeholders::phone_says;
use super::secrets::{PEER, about, hears, next_owner, request, theirs};
use super::world::{Step, World};
use crate::device::{Command, SendError};
use crate::port::{CastVote, MessageState, StateKey, StateKind};

fn plain(kind: Content) -> MessageContent {
    MessageContent { kind, context: api::Context::default() }
}

fn a_poll() -> Content {
    let options = vec!["yes".to_owned(), "no".to_owned()];
    Content::Poll(api::Poll {
        question: "?".into(),
        options,
        selectable: 1,
        open: true,
        ..Default::default()
    })
}

/// The peer asks.
fn hears_a_poll(world: &mut World) -> Secret {
    hears_this_poll(world, a_poll())
}

fn hears_this_poll(world: &mut World, poll: Content) -> Secret {
    let bytes = content::encode(&plain(poll), &theirs());
    let secret = Secret::of(&bytes).expect("a secret");
    hears(world, "POLL", bytes);
    secret
}

fn vote(poll: &str, from_me: bool, options: &[&str]) -> Content {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    Content::PollVote(api::PollVote { poll: about(poll, from_me), options })
}

/// What was accepted is on the wire, and WhatsApp has not said anything of it.
fn goes_out(world: &mut World) {
    for _ in 0..12 {
        world.take(Step::AnswerRequest);
        world.commit_everything();
    }
    assert_eq!(world.wired(), 1);
}

fn last(world: &World) -> &CastVote {
    world.votes.last().expect("a vote was kept")
}

fn option(id: &str, from_me: bool, option: &str) -> Content {
    Content::PollOption(api::AddPollOption { poll: about(id, from_me), option: option.to_owned() })
}

#[test]
fn a_vote_that_comes_is_kept_with_its_event_under_the_name_of_its_poll() {
    let mut world = World::online(1);
    let secret = hears_a_poll(&mut world);
    let mut next = next_owner(world);
    for (id, options, places) in
        [("A", &["no"][..], &[1][..]), ("B", &["never", "yes"], &[0]), ("C", &[], &[])]
    {
        let sealed = content::seal(&plain(vote("POLL", true, options)), &theirs(), &secret, PEER, [3; 12]);
        hears(&mut next, id, sealed.expect("sealed"));
        let CastVote { ballot, vote } = last(&next);
        assert_eq!((Some(*ballot), &*vote.voter), (secret.ballot("POLL"), PEER));
        assert_eq!((vote.cast, &*vote.said.options), (theirs().now, places));
        assert_eq!(vote.said.unknown_options, u32::from(id == "B"));
    }
    assert_eq!(next.votes.len(), 3);
}

#[test]
fn a_vote_in_a_poll_that_is_not_known_is_told_and_not_counted() {
    let mut world = World::online(2);
    let secret = Secret { key: vec![9; 32], ..hears_a_poll(&mut world) };
    let sealed = content::seal(&plain(vote("OTHER", true, &["no"])), &theirs(), &secret, PEER, [3; 12]);
    hears(&mut world, "A", sealed.expect("sealed"));
    let told = world.payloads.last();
    assert!(matches!(told, Some(Payload::PollVoteReceived(vote)) if vote.unreadable), "{told:?}");
    assert!(world.votes.is_empty());
}

#[test]
fn our_vote_counts_as_soon_as_whatsapp_has_it_whoever_owns_the_device_by_then() {
    let mut world = World::online(3);
    let secret = hears_a_poll(&mut world);
    world.command(Command::Send(Box::new(request(vote("POLL", false, &["no"]), 1))));
    goes_out(&mut world);
    assert!(world.votes.is_empty(), "WhatsApp does not have it");
    let mut next = next_owner(world);
    next.calm_down();
    assert!(next.state_of("s1") >= MessageState::Sent);
    let CastVote { ballot, vote } = last(&next);
    assert_eq!((Some(*ballot), &*vote.voter), (secret.ballot("POLL"), "900000@lid"));
    assert!(vote.said.from_me && vote.said.options == [1]);
}

#[test]
fn our_vote_of_which_nobody_knew_whether_it_arrived_counts_when_that_turns_out() {
    for late in [Step::AckOurs, Step::ReceiptForOurs] {
        let mut world = World::online(6);
        hears_a_poll(&mut world);
        let mut vote = request(vote("POLL", false, &["no"]), 1);
        vote.terms.once = true;
        world.command(Command::Send(Box::new(vote)));
        goes_out(&mut world);
        world.take(Step::Time(60_000));
        world.commit_everything();
        assert_eq!((world.state_of("s1"), world.votes.len()), (MessageState::Indeterminate, 0));
        world.take(late);
        world.commit_everything();
        assert!(world.state_of("s1") >= MessageState::Sent);
        assert_eq!(last(&world).vote.said.options, [1]);
    }
}

#[test]
fn our_vote_that_whatsapp_refuses_does_not_count() {
    let mut world = World::online(4);
    hears_a_poll(&mut world);
    world.command(Command::Send(Box::new(request(vote("POLL", false, &["yes"]), 1))));
    goes_out(&mut world);
    world.refuse_ours(479);
    world.calm_down();
    assert_eq!((world.state_of("s1"), world.votes.len()), (MessageState::Failed, 0));
}

#[test]
fn a_poll_of_ours_is_a_row_under_each_of_our_names_when_its_bytes_are_durable() {
    let mut world = World::online(5);
    world.command(Command::Send(Box::new(request(a_poll(), 1))));
    world.calm_down();
    let stored = world.messages.values().next().expect("it was accepted").message.clone();
    let names = world.rows.keys().filter(|key| key.kind == StateKind::MessageSecret);
    let names: Vec<&StateKey> = names.collect();
    assert!(names.iter().all(|key| key.name.ends_with(&stored.whatsapp_id)), "{names:?}");
    assert_eq!(names.len(), 2, "by number and by hidden identity");
}

#[test]
fn an_option_that_is_added_is_told_and_can_be_chosen_whoever_owns_the_device_by_then() {
    let mut world = World::online(7);
    let secret = hears_a_poll(&mut world);
    let option = |name: &str| {
        content::seal(&plain(option("POLL", true, name)), &theirs(), &secret, PEER, [4; 12]).expect("sealed")
    };
    for (id, name, ignored) in [("O", "later", false), ("P", "later", true), ("Q", "no", true)] {
        hears(&mut world, id, option(name));
        match world.payloads.last() {
            Some(Payload::PollOptionAdded(added)) => {
                assert_eq!((&*added.option, added.ignored, added.unreadable), (name, ignored, false));
            }
            other => panic!("no option: {other:?}"),
        }
    }
    // The poll comes once more, and keeps what was added.
    hears(&mut world, "POLL", content::encode(&plain(a_poll()), &theirs()));
    let mut next = next_owner(world);
    let sealed = content::seal(&plain(vote("POLL", true, &["later"])), &theirs(), &secret, PEER, [3; 12]);
    hears(&mut next, "A", sealed.expect("sealed"));
    let CastVote { ballot, vote } = last(&next);
    assert_eq!((Some(*ballot), &*vote.said.options), (secret.ballot("POLL"), &[2][..]));
    assert_eq!(vote.said.unknown_options, 0);
    let told = next.payloads.last();
    assert!(matches!(told, Some(Payload::PollVoteReceived(vote)) if vote.options == ["later"]), "{told:?}");
}

#[test]
fn an_option_for_a_poll_that_is_not_known_is_told_as_unreadable() {
    let mut world = World::online(8);
    let secret = hears_a_poll(&mut world);
    let added = plain(option("OTHER", true, "later"));
    hears(&mut world, "O", content::seal(&added, &theirs(), &secret, PEER, [4; 12]).expect("sealed"));
    let told = world.payloads.last();
    assert!(matches!(told, Some(Payload::PollOptionAdded(added)) if added.unreadable), "{told:?}");
}

#[test]
fn who_votes_after_the_end_is_told_as_late_and_changes_no_vote_that_counts() {
    let mut world = World::online(10);
    let Content::Poll(poll) = a_poll() else { panic!("no poll") };
    let now = theirs().now.0;
    let end_time = Some(api::Timestamp { seconds: now / 1000 + 60, nanos: 0 });
    let secret = hears_this_poll(&mut world, Content::Poll(api::Poll { end_time, ..poll }));
    for (id, after, late) in [("A", 0, false), ("B", 61_000, true)] {
        let around = Surroundings { now: UnixMillis(now + after), ..theirs() };
        let sealed = content::seal(&plain(vote("POLL", true, &["no"])), &around, &secret, PEER, [3; 12]);
        hears(&mut world, id, sealed.expect("sealed"));
        match world.payloads.last() {
            Some(Payload::PollVoteReceived(vote)) => {
                assert_eq!((&*vote.options, vote.late), (&["no".to_owned()][..], late))
            }
            other => panic!("no vote: {other:?}"),
        }
        assert_eq!((world.votes.len(), last(&world).vote.cast), (1, theirs().now));
    }
}

#[test]
fn a_poll_that_has_ended_takes_no_votes_of_ours_and_options_of_nobody() {
    let mut world = World::online(11);
    let Content::Poll(poll) = a_poll() else { panic!("no poll") };
    let end_time = Some(api::Timestamp { seconds: 1_500_000_000, nanos: 0 });
    let secret = hears_this_poll(&mut world, Content::Poll(api::Poll { end_time, ..poll }));
    let added = plain(option("POLL", true, "later"));
    hears(&mut world, "O", content::seal(&added, &theirs(), &secret, PEER, [4; 12]).expect("sealed"));
    let told = world.payloads.last();
    assert!(matches!(told, Some(Payload::PollOptionAdded(added)) if added.ignored), "{told:?}");
    for (number, late) in (1..).zip([vote("POLL", false, &["yes"]), option("POLL", false, "later")]) {
        let (token, _) = world.command(Command::Send(Box::new(request(late, number))));
        world.commit_everything();
        assert_eq!(world.told(token), Some(Err(SendError::PollEnded)));
    }
    assert_eq!(world.wired(), 0);
}

#[test]
fn an_option_of_ours_can_be_chosen_when_whatsapp_has_it_whoever_owns_the_device_by_then() {
    let mut world = World::online(9);
    let secret = hears_a_poll(&mut world);
    world.command(Command::Send(Box::new(request(option("POLL", false, "later"), 1))));
    goes_out(&mut world);
    let refused = |world: &mut World, number, content| {
        let (token, _) = world.command(Command::Send(Box::new(request(content, number))));
        world.commit_everything();
        world.told(token)
    };
    world.take(Step::AckOurs);
    world.calm_down();
    for (number, known) in (2..).zip(["later", "no"]) {
        let told = refused(&mut world, number, option("POLL", false, known));
        assert_eq!(told, Some(Err(SendError::OptionRefused)), "{known}");
    }
    let told = refused(&mut world, 4, option("OTHER", false, "later"));
    assert_eq!(told, Some(Err(SendError::UnknownMessage)));
    let mut next = next_owner(world);
    let sealed = content::seal(&plain(vote("POLL", true, &["later"])), &theirs(), &secret, PEER, [3; 12]);
    hears(&mut next, "A", sealed.expect("sealed"));
    assert_eq!(last(&next).vote.said.options, [2]);
}

/// What names an option where its text is not said.
fn hash_of(option: &str) -> Bytes {
    let hex = digest(option.as_bytes());
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn a_poll_of_the_past_keeps_the_options_that_were_added_to_it_and_votes_count_for_them() {
    let mut world = World::online(10);
    let secret = hears_a_poll(&mut world);
    let added = plain(option("POLL", true, "later"));
    hears(&mut world, "O", content::seal(&added, &theirs(), &secret, PEER, [4; 12]).expect("sealed"));
    let mut next = next_owner(world);
    let (peer, at): (Jid, _) = (PEER.parse().expect("a JID"), UnixMillis(1_700_000_000_000));
    let vote_for = |option: &str| AddOn {
        id: String::new(),
        from_me: false,
        participant: Some(peer.clone()),
        at: Some(at),
        says: vec![hash_of(option)],
    };
    let past = Past {
        id: "POLL".to_owned(),
        from_me: false,
        participant: None,
        at,
        push_name: String::new(),
        content: content::encode(&plain(a_poll()), &theirs()).into(),
        beside: Beside { votes: vec![vote_for("later")], ..Beside::default() },
    };
    let chats = [Conversation::new(peer.clone(), "", &[past])];
    let place = Place::Inline(pack(Kind::Bootstrap, 100, &chats, &People::default()));
    let (request, original) = (None, None);
    let notice = Notice { kind: Kind::Bootstrap, order: 1, progress: 100, place, request, original };
    phone_says(&mut next, "P1", &PeerMessage::History(notice));
    next.take(Step::Time(1));
    next.calm_down();
    let CastVote { ballot, vote } = last(&next);
    assert_eq!((Some(*ballot), &*vote.said.options), (secret.ballot("POLL"), &[2][..]));
    assert_eq!(vote.said.unknown_options, 0);
    // Whoever owns it then, too.
    let mut third = next_owner(next);
    let sealed =
        content::seal(&plain(self::vote("POLL", true, &["later"])), &theirs(), &secret, PEER, [3; 12]);
    hears(&mut third, "A", sealed.expect("sealed"));
    assert_eq!(last(&third).vote.said.options, [2]);
}

#[test]
fn an_option_counts_under_every_name_of_who_made_the_poll() {
    const NUMBER: &str = "4915188888888@s.whatsapp.net";
    let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
    let says = |world: &mut World, id: &str, lid: &str, bytes: Vec<u8>| {
        world.said.insert(id.to_owned(), bytes);
        let enc = Builder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(id.as_bytes().to_vec());
        let message = Builder::new("message")
            .attr("from", group.clone())
            .attr("participant", Jid::lid_device(lid, 2))
            .attr("addressing_mode", "lid")
            .attr("id", id.to_owned())
            .attr("t", 1_700_000_000u64)
            .attr("type", "text")
            .children([enc.build()]);
        let known = (lid == "800000").then(|| NUMBER.parse::<Jid>().expect("a JID"));
        world.stanza(
            known.into_iter().fold(message, |message, pn| message.attr("participant_pn", pn)).build(),
        );
        world.calm_down();
    };
    let around = |own: &str| Surroundings { chat: group.clone(), own: Jid::lid(own), ..theirs() };
    let poll = |sender: &str| {
        let sender = sender.to_owned();
        Some(api::MessageRef { whatsapp_id: "POLL".to_owned(), from_me: false, sender })
    };
    let mut world = World::online(11);
    let bytes = content::encode(&plain(a_poll()), &around("800000"));
    let secret = Secret::of(&bytes).expect("a secret");
    says(&mut world, "POLL", "800000", bytes);
    let later = api::AddPollOption { poll: poll(NUMBER), option: "later".to_owned() };
    let later = plain(Content::PollOption(later));
    let sealed = content::seal(&later, &around("700000"), &secret, NUMBER, [4; 12]);
    says(&mut world, "O", "700000", sealed.expect("sealed"));
    let vote = api::PollVote { poll: poll(PEER), options: vec!["later".to_owned()] };
    let sealed = content::seal(&plain(Content::PollVote(vote)), &around("700000"), &secret, PEER, [3; 12]);
    says(&mut world, "A", "700000", sealed.expect("sealed"));
    assert_eq!(last(&world).vote.said.options, [2]);
}
