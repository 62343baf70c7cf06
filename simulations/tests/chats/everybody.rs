//! Everybody on one account changes chats and settings in turn, and all others see it.

use roost_proto::api;
use roost_proto::api::call_logged::Result as Ended;
use roost_proto::api::event::Payload;
use roost_proto::appstate::{Action, Call, Contact, Label, Mute};
use roost_proto::id::UnixMillis;
use roost_simulations::interop::{CLIENTS, ClientEvent, Failure, Library, Matrix, RealClient, Trouble, Way};

use super::{CHAT, World};

/// A chat that the phone changes when a client shall hear of something.
pub(crate) const OTHER: &str = "15559980000@s.whatsapp.net";
/// A chat that nobody else changes.
const THIRD: &str = "15559970000@s.whatsapp.net";
/// `SyncActionValue { mute_action: { muted: true } }`.
const MUTED: [u8; 4] = [0x22, 2, 8, 1];
/// How often it does so.
const NUDGES: usize = 10;
/// Looks after which a client is late.
const LATE: usize = 40;

/// Somebody in the address book, and a chat that is cleared and deleted.
const FRIEND: &str = "15559960000@s.whatsapp.net";
/// The label that everybody edits, and the one that the phone does.
const LABEL: &str = "7";
const OTHER_LABEL: &str = "9";

/// One kind of change.
pub(crate) struct Kind {
    /// What the table calls it.
    row: &'static str,
    /// What the clients call it.
    what: &'static str,
    /// Where, or which label or quick reply.
    chat: &'static str,
    /// What it needs beside.
    text: &'static str,
    /// Each does it anew, with another text where there is one; otherwise each does the opposite of the one before.
    anew: bool,
}

const fn turned(row: &'static str, what: &'static str, chat: &'static str, text: &'static str) -> Kind {
    Kind { row, what, chat, text, anew: false }
}

const fn anew(row: &'static str, what: &'static str, chat: &'static str, text: &'static str) -> Kind {
    Kind { row, what, chat, text, anew: true }
}

/// All of them, but for what is taken out of the address book.
pub(crate) const CHANGES: [Kind; 16] = [
    turned("mute a chat", "mute", CHAT, ""),
    turned("pin a chat", "pin", CHAT, ""),
    turned("star a message", "star", CHAT, "OLD0X0"),
    turned("mark a chat as read", "read", CHAT, ""),
    turned("archive a chat", "archive", CHAT, ""),
    anew("push name", "push_name", "", "Corner shop"),
    turned("mute the posts of somebody", "status_mute", CHAT, ""),
    turned("no previews of links", "link_previews", "", ""),
    anew("delete a message for oneself", "delete_for_me", FRIEND, "OLD0X1"),
    anew("clear a chat", "clear", FRIEND, ""),
    anew("delete a chat", "delete", FRIEND, ""),
    anew("contact saved", "contact", FRIEND, "Ada"),
    anew("label edited", "label", LABEL, "eggs"),
    turned("label on a chat", "label_chat", CHAT, LABEL),
    turned("label on a message", "label_message", CHAT, "7 OLD0X0"),
    anew("quick reply", "quick_reply", "hours", "open from nine"),
];

/// Why a library does not make a change.
fn unable(library: Library, what: &str) -> Option<&'static str> {
    match (library, what) {
        (Library::Baileys, "status_mute") | (Library::WhatsappRust, "label_message") => silent(library, what),
        _ => None,
    }
}

/// Why a library does not tell of a change that others made.
fn silent(library: Library, what: &str) -> Option<&'static str> {
    match (library, what) {
        (Library::Baileys, "status_mute") => Some("Baileys knows nothing of muted posts"),
        (Library::Baileys, "clear") => Some("Baileys tells nothing of cleared chats"),
        (Library::Baileys, "quick_reply") => Some("Baileys makes quick replies and tells nothing of them"),
        (Library::WhatsappRust, "label_message") => Some("whatsapp-rust knows no labels on messages"),
        (Library::WhatsappRust, "quick_reply") => {
            Some("whatsapp-rust makes quick replies and tells nothing of them")
        }
        (Library::WhatsappRust, "link_previews") => Some("whatsapp-rust tells nothing of this setting"),
        _ => None,
    }
}

/// What was seen with Roost, and among the clients.
pub(crate) struct Seen {
    with_roost: Matrix,
    among_clients: Matrix,
}

impl Seen {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.with_roost.check()?;
        self.among_clients.check()
    }
}

/// Everybody changes everything in turn. Returns what was seen.
pub(crate) async fn changed(world: &World) -> Result<Seen, Failure> {
    let mut clients: Vec<RealClient> = Vec::new();
    for (library, name) in CLIENTS {
        clients.push(world.stage.paired(library, name, &world.person).await?);
    }
    // Baileys is told, and not wanted to show it.
    let told = |event: &ClientEvent| matches!(event, ClientEvent::History { .. });
    clients[0].wait("history", told).await?;
    let (mut matrix, mut among) = (Matrix::new("4-chats"), Matrix::among_clients("4-chats"));
    for Kind { row, what, chat, text, anew } in CHANGES {
        let text = |by: &str| match text {
            text if !anew || text.is_empty() => text.to_owned(),
            text => format!("{text} {by}"),
        };
        world.change(what, chat, true, &text("roost")).await?;
        all_see(world, &mut clients, None, (what, chat, true, &text("roost"))).await?;
        for (library, _) in CLIENTS {
            match silent(library, what) {
                None => matrix.row(row).seen(Way::To(library)),
                Some(reason) => matrix.row(row).not_applicable(Way::To(library), reason),
            };
        }
        let mut on = true;
        for (speaker, (library, name)) in CLIENTS.into_iter().enumerate() {
            let others =
                || CLIENTS.into_iter().map(|(other, _)| other).filter(move |other| *other != library);
            if let Some(reason) = unable(library, what) {
                matrix.row(row).not_applicable(Way::From(library), reason);
                for other in others() {
                    among.row(row).not_applicable(Way::Between(library, other), reason);
                }
                continue;
            }
            on = anew || !on;
            let text = text(name);
            let before = world.times(what, chat, on, &text);
            clients[speaker].change(what, chat, on, &text).await?;
            let again = || world.times(what, chat, on, &text) > before;
            world.cluster.until(&format!("{what} {chat} {on} {text} by {name}"), again).await?;
            matrix.row(row).seen(Way::From(library));
            all_see(world, &mut clients, Some(speaker), (what, chat, on, &text)).await?;
            for other in others() {
                let way = Way::Between(library, other);
                match silent(other, what) {
                    None => among.row(row).seen(way),
                    Some(reason) => among.row(row).not_applicable(way, reason),
                };
            }
        }
        if what == "push_name" {
            let show = api::GetDeviceRequest { name: world.device.clone() };
            let shown = world.cluster.ask(show, async |api, it| api.devices().get_device(it).await).await?;
            assert_eq!(shown.account.unwrap_or_default().push_name, text("r"), "the last has set it");
        }
    }
    taken_out(world, &mut clients[1], &mut matrix, &mut among).await?;
    // A record that has no call of its own is written as it is: this one is a mute.
    let record = api::PutAppStateRecordRequest {
        parent: world.device.clone(),
        collection: "regular_high".to_owned(),
        index: vec!["mute".to_owned(), THIRD.to_owned()],
        version: 2,
        value: MUTED.to_vec(),
    };
    world.cluster.ask(record, async |api, it| api.settings().put_app_state_record(it).await).await?;
    all_see(world, &mut clients, None, ("mute", THIRD, true, "")).await?;
    let call = Action::Call {
        caller: CHAT.parse()?,
        id: "CALL1".to_owned(),
        outgoing: false,
        call: Box::new(Call {
            start: UnixMillis(1_700_000_000_000),
            duration: 65,
            video: true,
            group: None,
            result: Ended::Connected,
            participants: Vec::new(),
        }),
    };
    world.stage.sim.phone_changes(world.person.pn, &[call])?;
    let logged = |payload: &Payload| {
        matches!(payload, Payload::CallLogged(call) if call.call_id == "CALL1" && call.video && !call.from_me
            && call.result() == Ended::Connected
            && call.caller.as_ref().is_some_and(|who| who.phone_number == CHAT))
    };
    world.reader.sees("a call in the list of the account", logged).await?;
    let wanted = api::GetChatRequest { parent: world.device.clone(), chat: CHAT.to_owned() };
    let chat = world.cluster.ask(wanted, async |api, it| api.chats().get_chat(it).await).await?;
    assert!(!chat.archived && chat.mute.is_none() && chat.marked_unread, "{chat:?}");
    assert_eq!(world.reader.repeated(), Vec::<String>::new());
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    let trouble = world.stage.trouble(&world.person, &world.reader, []);
    assert_eq!(trouble.but_refusals(), Trouble::default());
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    Ok(Seen { with_roost: matrix, among_clients: among })
}

/// Somebody is taken out of the address book, by the device and by Baileys, which alone tells of it.
async fn taken_out(
    world: &World,
    baileys: &mut RealClient,
    matrix: &mut Matrix,
    among: &mut Matrix,
) -> Result<(), Failure> {
    let row = "contact removed";
    world.change("contact", FRIEND, false, "").await?;
    baileys.sees("contact", FRIEND, false, "").await?;
    matrix.row(row).seen(Way::To(Library::Baileys));
    baileys.change("contact", FRIEND, true, "Ada again").await?;
    world.sees("contact", FRIEND, true, "Ada again").await?;
    let before = world.times("contact", FRIEND, false, "");
    baileys.change("contact", FRIEND, false, "").await?;
    let again = || world.times("contact", FRIEND, false, "") > before;
    world.cluster.until("somebody is taken out by Baileys", again).await?;
    matrix.row(row).seen(Way::From(Library::Baileys));
    let others = [
        (Library::Whatsmeow, "whatsmeow removes no records and tells of none that is removed"),
        (Library::WhatsappRust, "whatsapp-rust removes no records and tells of none that is removed"),
    ];
    for (library, reason) in others {
        matrix.row(row).not_applicable(Way::From(library), reason).not_applicable(Way::To(library), reason);
        for (other, _) in CLIENTS.into_iter().filter(|(other, _)| *other != library) {
            among
                .row(row)
                .not_applicable(Way::Between(library, other), reason)
                .not_applicable(Way::Between(other, library), reason);
        }
    }
    Ok(())
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
        if but != Some(at) && silent(CLIENTS[at].0, what).is_none() {
            client.sees(what, chat, on, text).await?;
        }
    }
    if but == Some(2) || silent(Library::WhatsappRust, what).is_some() {
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
        let (other, again, name) =
            (OTHER.parse()?, turn % 2 == 0, format!("the phone, {what} {text} {turn}"));
        let mute = if again { Mute::Forever } else { Mute::Off };
        let (nudge, (what, chat, on, text)) = match what {
            "mute" | "star" | "status_mute" | "clear" | "delete" | "delete_for_me" => {
                (Action::Mute { chat: other, mute }, ("mute", OTHER, again, ""))
            }
            "push_name" => (Action::PushName(text.to_owned()), (what, chat, on, text)),
            "label" | "label_chat" => {
                let label = Label { name: name.clone(), color: 1, ..Label::default() };
                let change = ("label", OTHER_LABEL, true, name.as_str());
                (Action::Label { id: OTHER_LABEL.to_owned(), label }, change)
            }
            "contact" => {
                let contact = Contact { full_name: name.clone(), ..Default::default() };
                let change = ("contact", OTHER, true, name.as_str());
                (Action::Contact { jid: other, contact: Some(contact) }, change)
            }
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
