//! `roost chat …` and `roost history …`: what the devices of an account know in common.

mod kept;

use std::time::Duration;

use clap::Subcommand;
use roost_proto::api;

use super::{Globals, Output, device_name, parse_duration, render};
use crate::client::Problem;

/// What can be done with chats.
#[derive(Debug, Clone, Subcommand)]
pub enum ChatCommand {
    /// Lists the chats of which something is known.
    List {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Silences a chat.
    Mute {
        /// `acme/shop` or its whole name.
        device: String,
        /// Phone number, or a JID.
        chat: String,
        /// For how long; for ever when it is missing.
        #[arg(long = "for", value_parser = parse_duration)]
        span: Option<Duration>,
    },
    /// Ends that.
    Unmute(OfChat),
    /// Puts a chat at the top.
    Pin(OfChat),
    /// Takes it from there.
    Unpin(OfChat),
    /// Puts a chat away.
    Archive(OfChat),
    /// Gets it back.
    Unarchive(OfChat),
    /// Shows a chat as read.
    Read(OfChat),
    /// Shows a chat as unread.
    Unread(OfChat),
    /// Tells who sent them that messages, or status posts, were read; in a newsletter it counts as a view.
    Seen {
        /// `acme/shop` or its whole name.
        device: String,
        /// Where they were said: phone number, `{digits}@lid`, `{id}@g.us`, `status@broadcast` or `{digits}@newsletter`.
        chat: String,
        /// WhatsApp ids of messages from one sender; in a newsletter the ids of its server.
        #[arg(required = true)]
        whatsapp_ids: Vec<String>,
        /// Who sent them, in a group and for status posts: phone number or `{digits}@lid`.
        #[arg(long, default_value = "")]
        sender: String,
        /// They are voice messages that were listened to.
        #[arg(long)]
        played: bool,
        /// Only the own devices shall know.
        #[arg(long)]
        privately: bool,
    },
    #[command(flatten)]
    Kept(kept::KeptCommand),
}

/// What is shown of a chat.
const COLUMNS: [&str; 4] = ["CHAT", "MUTED", "MARKS", "LABELS"];

/// One chat of one device.
#[derive(Debug, Clone, clap::Args)]
pub struct OfChat {
    /// `acme/shop` or its whole name.
    device: String,
    /// Phone number, or a JID.
    chat: String,
}

/// What can be done with history.
#[derive(Debug, Clone, Subcommand)]
pub enum HistoryCommand {
    /// Asks the phone for messages of a chat that are older than a known one.
    Sync {
        /// `acme/shop` or its whole name.
        device: String,
        /// Phone number, or a JID.
        chat: String,
        /// WhatsApp id of the oldest known message.
        #[arg(long)]
        before: String,
        /// When that was sent: seconds since 1970.
        #[arg(long)]
        before_time: i64,
        /// It was sent by this account.
        #[arg(long)]
        from_me: bool,
        /// How many messages.
        #[arg(long, default_value_t = 50)]
        count: i32,
        /// Goes on, so many messages at a time, until this moment: seconds since 1970.
        #[arg(long)]
        since: Option<i64>,
    },
}

/// `4915…` or `+4915…` as a JID; JIDs stay as they are.
pub(super) fn jid(text: &str) -> String {
    match text.contains('@') {
        true => text.to_owned(),
        false => format!("{}@s.whatsapp.net", text.trim_start_matches('+')),
    }
}

pub(super) async fn run(command: ChatCommand, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    // Every change may be made again.
    let mute = |device: &str, chat: &str, mute| api::MuteChatRequest {
        parent: device_name(device),
        chat: jid(chat),
        mute,
    };
    let pin = |of: OfChat, pinned| api::PinChatRequest {
        parent: device_name(&of.device),
        chat: jid(&of.chat),
        pinned,
    };
    let archive = |of: OfChat, archived| api::ArchiveChatRequest {
        parent: device_name(&of.device),
        chat: jid(&of.chat),
        archived,
        ..Default::default()
    };
    let mark = |of: OfChat, read| api::MarkChatRequest {
        parent: device_name(&of.device),
        chat: jid(&of.chat),
        read,
        ..Default::default()
    };
    match command {
        ChatCommand::List { device } => return list(&device, globals).await,
        ChatCommand::Mute { device, chat, span } => {
            let until = match span {
                None => api::mute::Until::Forever(true),
                Some(span) => api::mute::Until::Time((std::time::SystemTime::now() + span).into()),
            };
            repeat!(
                client.chats.mute_chat,
                mute(&device, &chat, Some(api::Mute { until: Some(until) })),
                deadline
            );
        }
        ChatCommand::Unmute(of) => {
            repeat!(client.chats.mute_chat, mute(&of.device, &of.chat, None), deadline)
        }
        ChatCommand::Pin(of) => repeat!(client.chats.pin_chat, pin(of, true), deadline),
        ChatCommand::Unpin(of) => repeat!(client.chats.pin_chat, pin(of, false), deadline),
        ChatCommand::Archive(of) => repeat!(client.chats.archive_chat, archive(of, true), deadline),
        ChatCommand::Unarchive(of) => repeat!(client.chats.archive_chat, archive(of, false), deadline),
        ChatCommand::Read(of) => repeat!(client.chats.mark_chat, mark(of, true), deadline),
        ChatCommand::Seen { device, chat, whatsapp_ids, sender, played, privately } => {
            let device = device_name(&device);
            let wanted = api::MarkReadRequest { device, chat, sender, whatsapp_ids, played, privately };
            repeat!(client.messages.mark_read, wanted, deadline);
        }
        ChatCommand::Unread(of) => repeat!(client.chats.mark_chat, mark(of, false), deadline),
        ChatCommand::Kept(command) => kept::run(command, &client, globals).await?,
    }
    Ok(())
}

async fn list(device: &str, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    let (mut page_token, mut rows) = (String::new(), Vec::new());
    loop {
        let wanted = api::ListChatsRequest { parent: device_name(device), page_size: 1000, page_token };
        let page = repeat!(client.chats.list_chats, wanted, deadline);
        for chat in &page.chats {
            match globals.output {
                Output::Json => println!("{}", render::chats::chat(chat)),
                Output::Table => rows.push(row(chat)),
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if globals.output == Output::Table {
        print!("{}", render::columns(&COLUMNS, &rows));
    }
    Ok(())
}

fn row(chat: &api::Chat) -> Vec<String> {
    use api::mute::Until;
    let muted = match chat.mute.as_ref().and_then(|mute| mute.until.as_ref()) {
        None => "-".to_owned(),
        Some(Until::Time(at)) => format!("until {at}"),
        Some(Until::Forever(_)) => "for ever".to_owned(),
    };
    let marks = [(chat.pinned, "pinned"), (chat.archived, "archived"), (chat.marked_unread, "unread")];
    let marks: Vec<&str> = marks.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    vec![render::clean(&chat.jid), muted, marks.join(" "), render::clean(&chat.labels.join(" "))]
}

pub(super) async fn history(command: HistoryCommand, globals: &Globals) -> Result<(), Problem> {
    let HistoryCommand::Sync { device, chat, before, before_time, from_me, count, since } = command;
    let at = |seconds| api::Timestamp { seconds, nanos: 0 };
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    let wanted = api::SyncHistoryRequest {
        parent: device_name(&device),
        chat: jid(&chat),
        before_whatsapp_id: before,
        before_from_me: from_me,
        before_time: Some(at(before_time)),
        count,
        since: since.map(at),
    };
    let asked = repeat!(client.history.sync_history, wanted, deadline);
    match globals.output {
        Output::Json => println!("{}", serde_json::json!({ "request": asked.request })),
        Output::Table => println!("asked the phone with {}; follow the events of the device", asked.request),
    }
    Ok(())
}
