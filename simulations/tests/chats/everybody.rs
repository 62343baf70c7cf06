//! Everybody on one account changes chats and settings in turn, and all others see it.

use roost_proto::api;
use roost_proto::appstate::{Action, Mute};
use roost_simulations::interop::{CLIENTS, ClientEvent, Failure, Matrix, RealClient, Way};

use super::{CHAT, World};

/// A chat that the phone changes when a client shall hear of something.
pub(crate) const OTHER: &str = "15559980000@s.whatsapp.net";
/// How often it does so.
const NUDGES: usize = 10;
/// Looks after which a client is late.
const LATE: usize = 40;

/// The kinds of change: what the table calls each, what the clients do, and what it needs beside the chat.
pub(crate) fn changes() -> [(&'static str, &'static str, &'static str, &'static str); 6] {
    [
        ("mute a chat", "mute", CHAT, ""),
        ("pin a chat", "pin", CHAT, ""),
        ("star a message", "star", CHAT, "OLD0X0"),
        ("mark a chat as read", "read", CHAT, ""),
        ("archive a chat", "archive", CHAT, ""),
        ("push name", "push_name", "", "Corner shop"),
    ]
}

/// Everybody changes everything in turn. Returns what was seen.
pub(crate) async fn changed(world: &World) -> Result<Matrix, Failure> {
    let mut clients: Vec<RealClient> = Vec::new();
    for (library, name) in CLIENTS {
        clients.push(world.stage.paired(library, name, &world.person).await?);
    }
    // Baileys is told, and not wanted to show it.
    let told = |event: &ClientEvent| matches!(event, ClientEvent::History { .. });
    clients[0].wait("history", told).await?;
    let mut matrix = Matrix::new("4-chats");
    for (row, what, chat, text) in changes() {
        // Roost does it, and each client the opposite of the one before. A name is only set, each time another.
        let is_name = what == "push_name";
        let text = |by: &str| if is_name { format!("{text} {by}") } else { text.to_owned() };
        world.change(what, chat, true, &text("roost")).await?;
        all_see(world, &mut clients, None, (what, chat, true, &text("roost"))).await?;
        for (library, _) in CLIENTS {
            matrix.row(row).seen(Way::To(library));
        }
        for (speaker, (library, name)) in CLIENTS.into_iter().enumerate() {
            let (on, text) = (is_name || speaker % 2 == 1, text(name));
            let before = world.times(what, chat, on, &text);
            clients[speaker].change(what, chat, on, &text).await?;
            let again = || world.times(what, chat, on, &text) > before;
            world.cluster.until(&format!("{what} {chat} {on} {text} by {name}"), again).await?;
            matrix.row(row).seen(Way::From(library));
            all_see(world, &mut clients, Some(speaker), (what, chat, on, &text)).await?;
        }
    }
    let wanted = api::GetChatRequest { parent: world.device.clone(), chat: CHAT.to_owned() };
    let chat = world.cluster.ask(wanted, async |api, it| api.chats().get_chat(it).await).await?;
    assert!(!chat.archived && chat.mute.is_none() && chat.marked_unread, "{chat:?}");
    assert_eq!(world.reader.repeated(), Vec::<String>::new());
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    Ok(matrix)
}

/// All clients see a change but the one that made it, if one of them did.
///
/// whatsapp-rust passes over what is announced while it fetches the same collection, as it does right after its
/// pairing, and learns of it with the next change: when it is late the phone makes one.
async fn all_see(
    world: &World,
    clients: &mut [RealClient],
    but: Option<usize>,
    (what, chat, on, text): (&str, &str, bool, &str),
) -> Result<(), Failure> {
    let [whatsmeow, baileys, rust] = clients else { unreachable!("there are three") };
    for (at, client) in [&mut *whatsmeow, &mut *baileys].into_iter().enumerate() {
        if but != Some(at) {
            client.sees(what, chat, on, text).await?;
        }
    }
    if but == Some(2) {
        return Ok(());
    }
    for turn in 0..NUDGES {
        let mut looks = 0;
        let seen_or_late = || {
            looks += 1;
            rust.has_seen(what, chat, on, text) || looks > LATE
        };
        world.cluster.until("whatsapp-rust", seen_or_late).await?;
        if rust.has_seen(what, chat, on, text) {
            break;
        }
        let (other, again) = (OTHER.parse()?, turn % 2 == 0);
        let mute = if again { Mute::Forever } else { Mute::Off };
        let (nudge, (what, chat, on, text)) = match what {
            "mute" | "star" => (Action::Mute { chat: other, mute }, ("mute", OTHER, again, "")),
            "push_name" => (Action::PushName(text.to_owned()), (what, chat, on, text)),
            _ => (Action::Pin { chat: other, pinned: again }, ("pin", OTHER, again, "")),
        };
        let before = world.times(what, chat, on, text);
        world.stage.sim.phone_changes(world.person.pn, &[nudge])?;
        whatsmeow.sees(what, chat, on, text).await?;
        baileys.sees(what, chat, on, text).await?;
        world.cluster.until("what the phone did", || world.times(what, chat, on, text) > before).await?;
    }
    Ok(rust.sees(what, chat, on, text).await?)
}
