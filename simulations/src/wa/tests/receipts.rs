//! Receipts: where they go, what they name, and those that there are not; what comes together, and what is sent again to a
//! sibling.

use super::*;

impl World {
    fn refused(&self, probe: usize) -> u64 {
        self.machine.ledger().devices().get(&self.device(probe)).map_or(0, |record| record.refused_stanzas)
    }

    /// The receipts of a kind that came from another device of the own account, or from another one.
    fn receipts(&self, probe: usize, kind: &str) -> Vec<Stanza> {
        let is = |stanza: &&Stanza| stanza.tag == "receipt" && stanza.text("type").as_deref() == Some(kind);
        self.probes[probe].seen.iter().filter(is).cloned().collect()
    }
}

fn receipt(id: &str, kind: &'static str, to: Jid) -> Builder {
    Builder::new("receipt").attr("id", id.to_owned()).attr("type", kind).attr("to", to)
}

#[test]
fn an_own_copy_is_settled_at_the_device_that_sent_it_and_the_chat_is_passed_on() {
    let mut world = World::new();
    let (ada, bob, other) = (world.linked("ada"), world.linked("bob"), world.linked("ada"));
    world.probes[other].settles = false;
    let chat = world.lid(bob);
    let id = world.text(ada, &chat, "hello").text("id").expect("an id").into_owned();
    let sender = world.lid(ada).with_device(1);
    let (before, waits) = (world.refused(other), |world: &World| {
        let at = world.device(other);
        let backlog = &world.machine.accounts()[&at.pn].companions[&at.device].backlog;
        backlog.waiting().filter(|stanza| stanza.tag == "message").count()
    });
    assert_eq!(waits(&world), 1);
    world.say(other, receipt(&id, "sender", chat.clone()).attr("recipient", sender.clone()).build());
    assert_eq!(world.refused(other), before + 1, "at the chat");
    world.say(other, receipt(&id, "sender", world.lid(ada).with_device(7)).build());
    assert_eq!(world.refused(other), before + 2, "at no device");
    assert_eq!((waits(&world), world.receipts(ada, "sender").len()), (1, 1), "the phone has said it well");
    world.say(other, receipt(&id, "sender", sender).attr("recipient", chat.clone()).build());
    assert_eq!((world.refused(other), waits(&world)), (before + 2, 0));
    let told = world.receipts(ada, "sender");
    let told = told.last().expect("passed on");
    assert_eq!(told.jid("from"), Some(world.lid(ada).with_device(2)));
    assert_eq!(told.jid("recipient"), Some(chat));
}

#[test]
fn a_receipt_of_an_unknown_kind_or_to_a_device_that_there_is_not_is_refused() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let before = (world.refused(bob), world.probes[ada].seen.len());
    world.say(bob, receipt("X", "glanced", world.lid(ada)).build());
    world.say(bob, receipt("X", "retry", world.lid(ada).with_device(9)).build());
    assert_eq!((world.refused(bob), world.probes[ada].seen.len()), (before.0 + 2, before.1));
}

#[test]
fn a_sibling_that_cannot_read_its_copy_is_answered_in_the_chat_of_the_copy() {
    let mut world = World::new();
    let (ada, bob, other) = (world.linked("ada"), world.linked("bob"), world.linked("ada"));
    let (chat, sender) = (world.lid(bob), world.lid(ada).with_device(1));
    let id = world.text(ada, &chat, "hello").text("id").expect("an id").into_owned();
    world.say(other, receipt(&id, "retry", sender.clone()).attr("recipient", chat.clone()).build());
    let asked = world.receipts(ada, "retry");
    assert_eq!(asked[0].jid("recipient"), Some(chat.clone()));
    let sibling = world.lid(ada).with_device(2);
    let query = world.probes[ada].ask_bundles(std::slice::from_ref(&sibling));
    let bundles = world.ask(ada, query);
    world.probes[ada].take_bundles(&bundles);
    let again = world.probes[ada].text(&chat, std::slice::from_ref(&sibling), "again");
    let enc = again.child("participants").and_then(|all| all.child("to")?.child("enc")).expect("encrypted");
    let identity = again.child("device-identity").expect("own identity");
    let again = Builder::new("message").attr("id", id).attr("to", sibling).attr("recipient", chat.clone());
    // So that it stays with the server, where it can be looked at.
    world.probes[other].settles = false;
    world.say(ada, again.attr("type", "text").children([enc.clone(), identity.clone()]).build());
    assert_eq!(world.texts(other).last(), Some(&"again"));
    let at = world.device(other);
    let backlog = &world.machine.accounts()[&at.pn].companions[&at.device].backlog;
    let copy = backlog.waiting().last().expect("the copy");
    assert_eq!(copy.jid("from"), Some(sender));
    assert_eq!(
        (copy.jid("recipient"), copy.jid("peer_recipient_pn")),
        (Some(chat), Some(world.account(bob)))
    );
}

#[test]
fn what_members_say_of_a_message_comes_together_while_it_shall_and_nothing_of_it_is_lost() {
    for by_message in [false, true] {
        let mut world = World::new();
        let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
        let group = world.group(&[ada, bob, eve]);
        let gather = |world: &mut World, count| {
            let fault = Fault::GatherReceipts { count, by_message };
            let effects = world.machine.commit(world.now, &fault).expect("it is about no device");
            world.carry(effects);
        };
        let says = |world: &mut World, who: usize, id: &str, kind| {
            let author = world.lid(ada).with_device(1);
            world.say(who, receipt(id, kind, group.clone()).attr("participant", author).build());
        };
        // Which message, and who says what of it.
        let told = |world: &World| -> Vec<(String, Vec<(Jid, String)>)> {
            let receipts = world.probes[ada].seen.iter().filter(|stanza| stanza.tag == "receipt");
            let together = receipts.filter_map(|receipt| {
                let participants = receipt.child("participants")?;
                let id = participants.text(if by_message { "message_id" } else { "key" })?.into_owned();
                let users = participants.all().iter().map(|user| {
                    let kind = if by_message { user.text("type") } else { receipt.text("type") };
                    (user.jid("jid").expect("who"), kind.unwrap_or_default().into_owned())
                });
                Some((id, users.collect()))
            });
            together.collect()
        };
        let who = |world: &World, probe: usize| world.lid(probe).with_device(1);

        gather(&mut world, 2);
        says(&mut world, bob, "G1", "read");
        assert_eq!(told(&world), []);
        says(&mut world, eve, "G1", "read");
        let read = |jid| (jid, "read".to_owned());
        let both = ("G1".to_owned(), vec![read(who(&world, bob)), read(who(&world, eve))]);
        assert_eq!(told(&world), [both]);
        says(&mut world, bob, "G2", "read");
        says(&mut world, bob, "G2", "played");
        assert_eq!(told(&world).len(), if by_message { 2 } else { 1 });
        gather(&mut world, 0);
        let of_second = told(&world).into_iter().filter(|(id, _)| id == "G2").flat_map(|(_, users)| users);
        let mut kinds: Vec<String> = of_second.map(|(_, kind)| kind).collect();
        kinds.sort();
        assert_eq!(kinds, ["played", "read"]);
        says(&mut world, bob, "G3", "read");
        assert_eq!(
            world.receipts(ada, "read").last().and_then(|alone| alone.jid("participant")),
            Some(who(&world, bob))
        );
    }
}
