//! `roost contact …`, `roost presence …`: people, as a device sees them and is seen by them.

mod others;

use clap::{Subcommand, ValueEnum};
use roost_proto::api;
use serde_json::json;

use super::chat::jid;
use super::{Globals, Output, device_name, render};
use crate::client::{Problem, request};

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
    /// Prints where the picture of somebody, or of a group, can be fetched.
    Picture {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
        /// A phone number, `{digits}@lid`, or `{id}@g.us`.
        user: String,
        /// The small one.
        #[arg(long)]
        preview: bool,
    },
    /// Lists the address book of the account.
    List {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Saves somebody in the address book, or changes the entry.
    Save {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, or a JID.
        user: String,
        /// 1 to 200 characters.
        full_name: String,
        /// What he is called for short.
        #[arg(long, default_value = "")]
        first_name: String,
    },
    /// Takes somebody out of the address book.
    Forget {
        /// `acme/shop` or its whole name.
        device: String,
        /// A phone number, or a JID.
        user: String,
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
    /// Prints the link that leads to the account of a device.
    Link {
        /// `acme/shop` or its whole name.
        device: String,
        /// Makes a new one; the one before leads nowhere any more.
        #[arg(long)]
        renew: bool,
    },
    /// Says whom a link leads to.
    Resolve {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
        /// `https://wa.me/qr/…`, `https://wa.me/message/…`, or what stands behind the last slash.
        link: String,
    },
    #[command(flatten)]
    Other(others::OtherCommand),
}

pub(super) async fn run(command: ContactCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    match command {
        ContactCommand::Check { device, numbers } => {
            let device = device_name(&device);
            let answer = repeat!(
                client.contacts.check_numbers,
                api::CheckNumbersRequest { device, phone_numbers: numbers.clone() },
                deadline
            );
            for found in &answer.numbers {
                show_check(found, globals.output);
            }
        }
        ContactCommand::Info { device, users } => {
            let device = device_name(&device);
            let answer = repeat!(
                client.contacts.get_user_info,
                api::GetUserInfoRequest { device, users: users.clone() },
                deadline
            );
            for user in &answer.users {
                show_user(user, globals.output);
            }
        }
        ContactCommand::Picture { device, user, preview } => {
            let (device, known_id) = (device_name(&device), String::new());
            let wanted = api::GetProfilePictureRequest { device, user, preview, known_id };
            let picture = repeat!(client.contacts.get_profile_picture, wanted, deadline);
            match globals.output {
                Output::Json => println!("{}", json!({ "id": picture.id, "url": picture.url })),
                Output::Table => println!("{}", render::clean(&picture.url)),
            }
        }
        ContactCommand::List { device } => list(&device, globals).await?,
        ContactCommand::Save { device, user, full_name, first_name } => {
            let contact = api::ContactEntry { jid: jid(&user), full_name, first_name, ..Default::default() };
            let wanted = api::SaveContactRequest { parent: device_name(&device), contact: Some(contact) };
            repeat!(client.address_book.save_contact, wanted, deadline);
        }
        ContactCommand::Forget { device, user } => {
            let wanted = api::RemoveContactRequest { parent: device_name(&device), jid: jid(&user) };
            repeat!(client.address_book.remove_contact, wanted, deadline);
        }
        ContactCommand::Block { device, user } => {
            let device = device_name(&device);
            repeat!(
                client.contacts.block_contact,
                api::BlockContactRequest { device, user: user.clone() },
                deadline
            );
        }
        ContactCommand::Unblock { device, user } => {
            let device = device_name(&device);
            repeat!(
                client.contacts.unblock_contact,
                api::UnblockContactRequest { device, user: user.clone() },
                deadline
            );
        }
        ContactCommand::Blocked { device } => {
            let device = device_name(&device);
            for person in
                repeat!(client.contacts.list_blocked, api::ListBlockedRequest { device }, deadline).people
            {
                match globals.output {
                    Output::Json => println!("{}", render::json_person(Some(&person))),
                    Output::Table => println!("{}", render::clean(&render::person(Some(&person)))),
                }
            }
        }
        ContactCommand::Link { device, renew } => {
            let wanted = api::GetContactLinkRequest { device: device_name(&device), renew };
            // Renewed again, it would be yet another.
            let link = match renew {
                true => client.contacts().get_contact_link(request(wanted, deadline)).await?.into_inner(),
                false => repeat!(client.contacts.get_contact_link, wanted, deadline),
            };
            match globals.output {
                Output::Json => println!("{}", json!({ "url": link.url })),
                Output::Table => println!("{}", render::clean(&link.url)),
            }
        }
        ContactCommand::Resolve { device, link } => {
            let wanted = api::ResolveLinkRequest { device: device_name(&device), link };
            show_target(&repeat!(client.contacts.resolve_link, wanted, deadline), globals.output);
        }
        ContactCommand::Other(command) => others::run(command, &client, globals).await?,
    }
    Ok(())
}

async fn list(device: &str, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    let (mut page_token, mut rows) = (String::new(), Vec::new());
    loop {
        let wanted = api::ListContactsRequest { parent: device_name(device), page_size: 1000, page_token };
        let page = repeat!(client.address_book.list_contacts, wanted, deadline);
        for entry in &page.contacts {
            let api::ContactEntry { jid, full_name, first_name, lid, on_phone } = entry;
            match globals.output {
                Output::Json => {
                    let names = json!({ "jid": jid, "fullName": full_name, "firstName": first_name,
                        "lid": lid, "onPhone": on_phone });
                    println!("{names}");
                }
                Output::Table => {
                    rows.push([jid, lid, full_name, first_name].map(|text| render::clean(text)).to_vec())
                }
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if globals.output == Output::Table {
        print!("{}", render::columns(&["CONTACT", "LID", "NAME", "FIRST NAME"], &rows));
    }
    Ok(())
}

fn show_target(target: &api::LinkTarget, output: Output) {
    match output {
        Output::Json => println!("{}", roost_proto::json::of("LinkTarget", target).unwrap_or_default()),
        Output::Table => {
            let person = target.person.clone().unwrap_or_default();
            let name =
                if target.verified_name.is_empty() { &target.push_name } else { &target.verified_name };
            let said = if target.text.is_empty() { "" } else { ", to be told: " };
            let [number, lid, name, text] =
                [&person.phone_number, &person.lid, name, &target.text].map(|text| render::clean(text));
            println!("{number} {lid} {name}{said}{text}");
        }
    }
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
