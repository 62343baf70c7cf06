//! What the devices of an account keep of chats and messages: stars, and what is removed. Others keep what they have.

use clap::{Args, Subcommand};
use roost_proto::api;

use super::{OfChat, jid, row};
use crate::cli::{Globals, Output, device_name, render};
use crate::client::{Client, Problem};

/// What can be done with what is kept.
#[derive(Debug, Clone, Subcommand)]
pub enum KeptCommand {
    /// Shows what is known of a chat.
    Show(OfChat),
    /// Removes the messages of a chat from all devices of the account.
    Clear {
        #[command(flatten)]
        of: OfChat,
        /// Leaves those with a star.
        #[arg(long)]
        keep_starred: bool,
        /// Removes the files, too.
        #[arg(long)]
        files: bool,
    },
    /// Removes a chat from all devices of the account.
    Delete {
        #[command(flatten)]
        of: OfChat,
        /// Removes the files, too.
        #[arg(long)]
        files: bool,
    },
    /// Marks a message with a star.
    Star(OfMessage),
    /// Ends that.
    Unstar(OfMessage),
    /// Removes a message from all devices of the account.
    DeleteMessage {
        #[command(flatten)]
        of: OfMessage,
        /// When it was sent: seconds since 1970.
        #[arg(long)]
        sent: i64,
        /// Removes its file, too.
        #[arg(long)]
        files: bool,
    },
}

/// One message of one chat.
#[derive(Debug, Clone, Args)]
pub struct OfMessage {
    #[command(flatten)]
    chat: OfChat,
    /// The id that WhatsApp and the receivers know.
    whatsapp_id: String,
    /// It was sent by this account.
    #[arg(long)]
    from_me: bool,
    /// Who sent it, in a group: a JID.
    #[arg(long, default_value = "")]
    sender: String,
}

impl OfMessage {
    /// The device, and the message.
    fn key(self) -> (String, Option<api::MessageKey>) {
        let OfMessage { chat: OfChat { device, chat }, whatsapp_id, from_me, sender } = self;
        (device_name(&device), Some(api::MessageKey { chat: jid(&chat), whatsapp_id, from_me, sender }))
    }
}

pub(super) async fn run(command: KeptCommand, client: &Client, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    let star = |of: OfMessage, starred| {
        let (parent, message) = of.key();
        api::StarMessageRequest { parent, message, starred }
    };
    match command {
        KeptCommand::Show(OfChat { device, chat }) => {
            let wanted = api::GetChatRequest { parent: device_name(&device), chat: jid(&chat) };
            let chat = repeat!(client.chats.get_chat, wanted, deadline);
            match globals.output {
                Output::Json => println!("{}", render::chats::chat(&chat)),
                Output::Table => print!("{}", render::columns(&super::COLUMNS, &[row(&chat)])),
            }
        }
        KeptCommand::Clear { of: OfChat { device, chat }, keep_starred, files: delete_media } => {
            let (parent, chat) = (device_name(&device), jid(&chat));
            let wanted =
                api::ClearChatRequest { parent, chat, keep_starred, delete_media, ..Default::default() };
            repeat!(client.chats.clear_chat, wanted, deadline);
        }
        KeptCommand::Delete { of: OfChat { device, chat }, files: delete_media } => {
            let (parent, chat) = (device_name(&device), jid(&chat));
            let wanted = api::DeleteChatRequest { parent, chat, delete_media, ..Default::default() };
            repeat!(client.chats.delete_chat, wanted, deadline);
        }
        KeptCommand::Star(of) => repeat!(client.chats.star_message, star(of, true), deadline),
        KeptCommand::Unstar(of) => repeat!(client.chats.star_message, star(of, false), deadline),
        KeptCommand::DeleteMessage { of, sent, files: delete_media } => {
            let (parent, message) = of.key();
            let message_time = Some(api::Timestamp { seconds: sent, nanos: 0 });
            let wanted = api::DeleteMessageForMeRequest { parent, message, delete_media, message_time };
            repeat!(client.chats.delete_message_for_me, wanted, deadline);
        }
    }
    Ok(())
}
