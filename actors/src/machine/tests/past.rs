//! Messages of the past that the phone tells: under the keys that they had live.

use roost_proto::e2e;
use roost_proto::history::{Beside, Conversation, Kind, Past, People, pack};
use roost_proto::id::UnixMillis;
use roost_proto::phone::{Notice, PeerMessage, Place};
use roost_proto::stanza::Jid;

use super::placeholders::phone_says;
use super::world::{Step, World};

const PN: &str = "4915188888888";

fn past(id: &str, participant: Option<Jid>) -> Past {
    Past {
        id: id.to_owned(),
        from_me: false,
        participant,
        at: UnixMillis(1_600_000_000_000),
        push_name: String::new(),
        content: e2e::text("long ago").into(),
        beside: Beside::default(),
    }
}

#[test]
fn whoever_is_named_by_his_number_in_the_past_has_the_hidden_identity_that_the_store_knows() {
    let mut world = World::online(1);
    world.knows(PN, "800000");
    let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
    let chats = [
        Conversation::new(Jid::pn(PN), "", &[past("H1", None)]),
        Conversation::new(Jid::pn("4915177777777"), "", &[past("H2", None)]),
        Conversation::new(group, "", &[past("H3", Some(Jid::pn(PN)))]),
    ];
    let place = Place::Inline(pack(Kind::Bootstrap, 100, &chats, &People::default()));
    let (request, original) = (None, None);
    let notice = Notice { kind: Kind::Bootstrap, order: 1, progress: 100, place, request, original };
    phone_says(&mut world, "P1", &PeerMessage::History(notice));
    world.take(Step::Time(1));
    world.commit_everything();
    let told: Vec<&String> = world.events().iter().filter(|event| event.starts_with("msg/")).collect();
    let other = "4915177777777@s.whatsapp.net";
    assert_eq!(
        told,
        [
            "msg/120363000000000001@g.us/800000@lid/H3",
            &format!("msg/{other}/{other}/H2"),
            "msg/800000@lid/800000@lid/H1",
        ]
    );
}
