//! Bots, status posts of others, and messages that are spam.

use clap::Subcommand;
use roost_proto::api;

use crate::cli::chat::jid;
use crate::cli::{Globals, Output, device_name, render};
use crate::client::{Client, Problem};

/// What can be asked and done about them.
#[derive(Debug, Clone, Subcommand)]
pub enum OtherCommand {
    /// Lists the bots that WhatsApp offers.
    Bots {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
    },
    /// Puts the status posts of somebody out of sight on all devices of the account.
    Mute {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, or `{digits}@lid`.
        user: String,
    },
    /// Ends that.
    Unmute {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, or `{digits}@lid`.
        user: String,
    },
    /// Tells WhatsApp that a message is spam. It neither blocks its sender nor deletes anything.
    ReportSpam {
        /// The device that tells it: `acme/shop` or its whole name.
        device: String,
        /// Where it was said: a phone number, `{digits}@lid`, or `{id}@g.us`.
        chat: String,
        /// WhatsApp's id of the message.
        whatsapp_id: String,
        /// When it was said: seconds since 1970.
        #[arg(long)]
        sent: i64,
        /// Who said it, in a group.
        #[arg(long, default_value = "")]
        sender: String,
    },
}

pub(super) async fn run(command: OtherCommand, client: &Client, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    let mute =
        |device: &str, user, muted| api::MuteStatusRequest { device: device_name(device), user, muted };
    match command {
        OtherCommand::Bots { device } => {
            let wanted = api::ListBotsRequest { device: device_name(&device) };
            show(&repeat!(client.contacts.list_bots, wanted, deadline).bots, globals.output);
        }
        OtherCommand::Mute { device, user } => {
            repeat!(client.statuses.mute_status, mute(&device, user, true), deadline);
        }
        OtherCommand::Unmute { device, user } => {
            repeat!(client.statuses.mute_status, mute(&device, user, false), deadline);
        }
        OtherCommand::ReportSpam { device, chat, whatsapp_id, sent, sender } => {
            let (device, chat) = (device_name(&device), jid(&chat));
            let send_time = Some(api::Timestamp { seconds: sent, nanos: 0 });
            let wanted = api::ReportSpamRequest { device, chat, whatsapp_id, send_time, sender };
            repeat!(client.contacts.report_spam, wanted, deadline);
        }
    }
    Ok(())
}

fn show(bots: &[api::Bot], output: Output) {
    match output {
        Output::Json => {
            let json = |bot: &api::Bot| roost_proto::json::of("Bot", bot).unwrap_or_default();
            bots.iter().for_each(|bot| println!("{}", json(bot)));
        }
        Output::Table => {
            let row = |bot: &api::Bot| {
                [&bot.jid, &bot.title, &bot.category, &bot.description]
                    .map(|text| render::clean(text))
                    .to_vec()
            };
            let rows: Vec<_> = bots.iter().map(row).collect();
            print!("{}", render::columns(&["BOT", "NAME", "KIND", "WHAT IT SAYS OF ITSELF"], &rows));
        }
    }
}
