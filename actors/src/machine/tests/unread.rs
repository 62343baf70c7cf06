//! What callers hear of a device whose state has not been read yet, as at its new owner for a moment.

use std::time::Duration;

use roost_placement::ledger::Grant;
use roost_proto::appstate::{Action, Mute};
use roost_proto::id::{Age, Epoch, Incarnation, Life};
use roost_proto::stanza::{Builder, Jid};

use super::*;
use crate::device::{AskError, Command, Typing};

#[test]
fn nobody_is_told_that_a_device_is_unpaired_before_its_state_is_read() {
    let key = "tenants/acme/devices/shop".parse().expect("an id");
    let life = Life { node: "n1".parse().expect("an id"), incarnation: Incarnation(1) };
    let grant = Grant { key, life, epoch: Epoch(2) };
    let (boot, wall) = (BootTime(1), UnixMillis(1_700_000_000_000));
    let now = Now { boot, wall, may_act: true, age: Age(0), trusted: Age(0) };
    let mut machine = Machine::new(grant.into(), Limits::default(), [7; 32], now);
    let friend = Jid::pn("4915100000001");
    let commands = [
        Command::Logout,
        Command::Change(vec![Action::Mute { chat: friend.clone(), mute: Mute::Forever }]),
        Command::SetPresence { available: true },
        Command::WatchPresence { user: friend.clone(), watch: true },
        Command::Typing { to: friend.clone(), typing: Typing::Text },
        Command::Identities { user: friend },
        Command::Ask { request: Box::new(Builder::new("iq").build()), patience: Duration::from_secs(1) },
    ];
    for (token, command) in (0..).zip(commands) {
        let said = format!("{command:?}");
        let effects = machine.handle(now, Event::Command { token, command });
        let reply = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { token: to, reply } if to == token => Some(reply),
            _ => None,
        });
        let later = matches!(
            reply,
            Some(
                Reply::Done(Err(CommandError::Unavailable))
                    | Reply::Asked(Err(AskError::Unavailable))
                    | Reply::Identities(Err(AskError::Unavailable))
            )
        );
        assert!(later, "{said}: {reply:?}");
    }
}
