//! Imports: what is taken when, and what follows.

use bytes::Bytes;
use roost_proto::login::Success;
use roost_proto::stanza::Jid;

use super::world::{Step, World};
use crate::device::{Command, Import, ImportedDevice, ImportedPeers, PairError, PairMethod, Part, Secret};
use crate::machine::{Account, Effect, Event, Reply};
use crate::port::{StateKey, StateKind};

fn import(world: &mut World, part: Part) -> Vec<Effect> {
    let command = Command::Import(Box::new(Import { generation: 1 << 31, part }));
    world.tokens += 1;
    world.feed(Event::Command { token: world.tokens, command })
}

fn device() -> Part {
    Part::Device(Box::new(ImportedDevice {
        keys: Secret(Bytes::new()),
        pages: Vec::new(),
        account: Account {
            pn: Jid::pn_device("4915112345678", 3),
            lid: None,
            identity: Bytes::from_static(b"signed"),
            push_name: String::new(),
            logged_out: false,
            without_history: false,
        },
        salt: Secret(Bytes::from_static(b"salt")),
        source: "whatsmeow".to_owned(),
    }))
}

fn replied(effects: &[Effect]) -> Option<Result<(), PairError>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply { reply: Reply::Imported(result), .. } => Some(result.clone()),
        _ => None,
    })
}

fn dials(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Dial { .. }))
}

/// Lets crypto answer, and commits until the import is answered.
fn finish(world: &mut World) -> Vec<Effect> {
    let mut effects = world.take(Step::Crypto);
    for _ in 0..4 {
        assert!(!dials(&effects) || replied(&effects).is_some(), "it dials before its keys are durable");
        if replied(&effects).is_some() {
            break;
        }
        effects = world.take(Step::CommitDone);
    }
    effects
}

#[test]
fn ratchets_are_taken_only_before_the_device_is_paired() {
    let mut world = World::loaded(1);
    for part in [Part::Peers(ImportedPeers::default()), device()] {
        let effects = import(&mut world, part);
        assert_eq!(replied(&effects), Some(Err(PairError::AlreadyPaired)));
    }
}

#[test]
fn an_imported_device_dials_when_its_keys_are_durable() {
    let mut world = World::unpaired(1);
    assert_eq!(replied(&import(&mut world, Part::Peers(ImportedPeers::default()))), None);
    let effects = finish(&mut world);
    assert_eq!((replied(&effects), dials(&effects)), (Some(Ok(())), false), "peers alone are no device");

    assert!(!dials(&import(&mut world, device())));
    let effects = finish(&mut world);
    assert_eq!((replied(&effects), dials(&effects)), (Some(Ok(())), true));

    let salt = StateKey { kind: StateKind::Salt, name: String::new() };
    assert_eq!(world.rows[&salt], "salt");

    let effects = import(&mut world, device());
    assert_eq!((replied(&effects), dials(&effects)), (Some(Ok(())), false), "the same again changes nothing");
    let Part::Device(mut renamed) = device() else { panic!("it is the device") };
    renamed.account.push_name = "Shop".to_owned();
    let effects = import(&mut world, Part::Device(renamed));
    assert_eq!(replied(&effects), Some(Ok(())), "its name may have changed since");
    let Part::Device(mut other) = device() else { panic!("it is the device") };
    other.account.identity = Bytes::from_static(b"another");
    let effects = import(&mut world, Part::Device(other));
    assert_eq!(
        replied(&effects),
        Some(Err(PairError::AlreadyPaired)),
        "with other keys it is another device"
    );
    let effects = import(&mut world, Part::Peers(ImportedPeers::default()));
    assert_eq!(replied(&effects), Some(Err(PairError::AlreadyPaired)));
}

#[test]
fn nothing_of_the_account_that_was_linked_before_is_told_as_that_of_an_import() {
    let mut world = World::unlinked(1);
    let page = StateKey { kind: StateKind::AppStatePage, name: "regular/0".to_owned() };
    world.rows.insert(page.clone(), Bytes::from_static(b"theirs"));
    import(&mut world, device());
    assert_eq!(replied(&finish(&mut world)), Some(Ok(())));
    assert!(!world.rows.contains_key(&page));
}

#[test]
fn an_account_that_was_imported_without_its_lid_learns_it_at_the_login_and_keeps_it() {
    let mut world = World::unpaired(1);
    import(&mut world, device());
    finish(&mut world);
    world.take(Step::LinkUp);
    let success = |lid| Success { lid: Some(lid), time: None }.to_stanza();
    let ours = Jid::lid_device("900000", 3);
    world.stanza(success(ours.clone()));
    world.commit_everything();
    assert_eq!(world.account().and_then(|account| account.lid.clone()), Some(ours.clone()));
    let effects = import(&mut world, device());
    let again = [effects, finish(&mut world)].concat();
    assert_eq!(replied(&again), Some(Ok(())), "the answer to the import may have been lost");
    // Another one changes nothing.
    world.take(Step::LinkDown);
    world.take(Step::Time(400_000));
    world.take(Step::LinkUp);
    world.stanza(success(Jid::lid_device("900001", 3)));
    world.commit_everything();
    assert_eq!(world.account().and_then(|account| account.lid.clone()), Some(ours));
}

#[test]
fn what_is_no_lid_of_this_device_is_not_taken_for_one() {
    for stranger in [Jid::lid_device("900000", 4), Jid::pn_device("4915112345678", 3)] {
        let mut world = World::unpaired(1);
        import(&mut world, device());
        finish(&mut world);
        world.take(Step::LinkUp);
        world.stanza(Success { lid: Some(stranger), time: None }.to_stanza());
        world.commit_everything();
        assert_eq!(world.account().map(|account| account.lid.clone()), Some(None));
    }
}

#[test]
fn nothing_is_imported_into_a_device_that_is_being_paired() {
    let mut world = World::unpaired(1);
    world.tokens += 1;
    let command = Command::Pair(Box::new(PairMethod::Qr.into()));
    world.feed(Event::Command { token: world.tokens, command });
    for part in [Part::Peers(ImportedPeers::default()), device()] {
        let effects = import(&mut world, part);
        assert_eq!(replied(&effects), Some(Err(PairError::Underway)));
    }
}
