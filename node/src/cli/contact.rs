//! `roost contact …`, `roost presence …`: people, as a device sees them and is seen by them.

use clap::{Subcommand, ValueEnum};
use roost_proto::api;
use serde_json::json;

use super::{Globals, Output, device_name, render};
use crate::client::{Problem, request, retrying};

/// What can be asked and done about people.
#[derive(Debug, Clone, Subcommand)]
pub enum ContactCommand {
    /// Says which phone numbers are on WhatsApp.
    Check {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
        /// International, with or without '+'.
        #[arg(required = true)]
        numbers: Vec<String>,
    },
    /// Shows what WhatsApp tells about people.
    Info {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
        /// Phone numbers, or `{digits}@lid`.
        #[arg(required = true)]
        users: Vec<String>,
    },
    /// Blocks somebody.
    Block {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, or `{digits}@lid`.
        user: String,
    },
    /// Ends that.
    Unblock {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, or `{digits}@lid`.
        user: String,
    },
    /// Lists whom the account of a device has blocked.
    Blocked {
        /// `acme/shop` or its whole name.
        device: String,
    },
}

pub(super) async fn run(command: ContactCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    // Every call may be repeated: it asks, or says what shall be.
    macro_rules! one {
        ($method:ident, $request:expr) => {{
            let wanted = $request;
            let answer = retrying(deadline, || {
                let (mut contacts, wanted) = (client.contacts(), wanted.clone());
                async move { contacts.$method(request(wanted, deadline)).await }
            });
            answer.await?
        }};
    }
    match command {
        ContactCommand::Check { device, numbers } => {
            let device = device_name(&device);
            let answer =
                one!(check_numbers, api::CheckNumbersRequest { device, phone_numbers: numbers.clone() });
            for found in &answer.numbers {
                show_check(found, globals.output);
            }
        }
        ContactCommand::Info { device, users } => {
            let device = device_name(&device);
            let answer = one!(get_user_info, api::GetUserInfoRequest { device, users: users.clone() });
            for user in &answer.users {
                show_user(user, globals.output);
            }
        }
        ContactCommand::Block { device, user } => {
            let device = device_name(&device);
            one!(block_contact, api::BlockContactRequest { device, user: user.clone() });
        }
        ContactCommand::Unblock { device, user } => {
            let device = device_name(&device);
            one!(unblock_contact, api::UnblockContactRequest { device, user: user.clone() });
        }
        ContactCommand::Blocked { device } => {
            let device = device_name(&device);
            for person in one!(list_blocked, api::ListBlockedRequest { device }).people {
                match globals.output {
                    Output::Json => println!("{}", render::json_person(Some(&person))),
                    Output::Table => println!("{}", render::clean(&render::person(Some(&person)))),
                }
            }
        }
    }
    Ok(())
}

fn show_check(found: &api::NumberCheck, output: Output) {
    match output {
        Output::Json => println!(
            "{}",
            json!({
                "phoneNumber": found.phone_number,
                "onWhatsapp": found.on_whatsapp,
                "person": render::json_person(found.person.as_ref()),
                "business": found.business,
            })
        ),
        Output::Table => {
            let lid = found.person.clone().unwrap_or_default().lid;
            let answer = if found.on_whatsapp { "yes" } else { "no" };
            println!("{} {answer} {}", render::clean(&found.phone_number), render::clean(&lid));
        }
    }
}

fn show_user(user: &api::UserInfo, output: Output) {
    let person = user.person.clone().unwrap_or_default();
    match output {
        Output::Json => println!(
            "{}",
            json!({
                "person": render::json_person(user.person.as_ref()),
                "about": user.about,
                "pictureId": user.picture_id,
                "devices": user.devices,
                "business": user.business,
                "verifiedName": user.verified_name,
            })
        ),
        Output::Table => {
            let devices = user.devices.len();
            let [number, lid, about] =
                [&person.phone_number, &person.lid, &user.about].map(|text| render::clean(text));
            println!("{number} {lid}, {devices} devices, about: {about}");
        }
    }
}

/// What a device shows.
#[derive(Debug, Clone, Subcommand)]
pub enum PresenceCommand {
    /// Shows the device as available, or hides it.
    Set {
        /// `acme/shop` or its whole name.
        device: String,
        /// Which of the two.
        #[arg(value_enum)]
        shown: Shown,
    },
    /// Tells a chat that we type.
    Typing {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, `{digits}@lid`, or `{id}@g.us`.
        chat: String,
        /// What we do.
        #[arg(value_enum, default_value_t = Activity::Typing)]
        state: Activity,
    },
    /// Has events written when somebody comes and goes.
    Watch {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, or `{digits}@lid`.
        user: String,
        /// Ends it instead.
        #[arg(long)]
        end: bool,
    },
}

/// Whether a device shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// It is there.
    Available,
    /// It hides.
    Unavailable,
}

/// What a chat is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Activity {
    /// We write.
    Typing,
    /// We speak.
    Recording,
    /// Neither any more.
    Paused,
}

pub(super) async fn presence(command: PresenceCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    match command {
        PresenceCommand::Set { device, shown } => {
            let device = device_name(&device);
            let wanted = api::SetPresenceRequest { device, available: shown == Shown::Available };
            client.presence().set_presence(request(wanted, deadline)).await?;
        }
        PresenceCommand::Typing { device, chat, state } => {
            let state = match state {
                Activity::Typing => api::send_chat_state_request::State::Typing,
                Activity::Recording => api::send_chat_state_request::State::Recording,
                Activity::Paused => api::send_chat_state_request::State::Paused,
            };
            let device = device_name(&device);
            let wanted = api::SendChatStateRequest { device, chat, state: state.into() };
            client.presence().send_chat_state(request(wanted, deadline)).await?;
        }
        PresenceCommand::Watch { device, user, end } => {
            let device = device_name(&device);
            let wanted = api::SubscribePresenceRequest { device, user, end };
            client.presence().subscribe_presence(request(wanted, deadline)).await?;
        }
    }
    Ok(())
}
