//! Who sees what of an account, and what its new chats begin with.

use clap::Subcommand;
use roost_proto::api;
use roost_proto::api::set_privacy_request::Exceptions;

use crate::cli::timer::Timer;
use crate::cli::{Globals, Output, device_name, render};
use crate::client::{Client, Problem, request};

/// What can be chosen.
#[derive(Debug, Clone, Subcommand)]
pub enum PrivacyCommand {
    /// Shows who sees what, and who sees status posts.
    Privacy {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Chooses who sees something.
    SetPrivacy {
        /// `acme/shop` or its whole name.
        device: String,
        /// `last`, `online`, `profile`, `status`, `readreceipts`, `groupadd`, `calladd`, `messages` or `defense`.
        category: String,
        /// `all`, `contacts`, `contact_blacklist`, `none`, `match_last_seen`, `known`, `off` or `on_standard`, whichever the
        /// category knows.
        value: String,
        /// Who does not see it any more, with `contact_blacklist`: phone numbers, or `{digits}@lid`.
        #[arg(long)]
        except: Vec<String>,
        /// Who sees it again.
        #[arg(long)]
        no_longer_except: Vec<String>,
        /// The hash of the list that is changed, as it was shown last; nothing is changed when it has another.
        #[arg(long, default_value = "")]
        hash: String,
    },
    /// Sets after which time messages of new chats disappear.
    Timer {
        /// `acme/shop` or its whole name.
        device: String,
        /// How long they stay.
        #[arg(value_enum)]
        timer: Timer,
    },
    /// Says whether links in messages have previews.
    LinkPreviews {
        /// `acme/shop` or its whole name.
        device: String,
        /// `true` or `false`.
        #[arg(action = clap::ArgAction::Set)]
        on: bool,
    },
}

pub(super) async fn run(command: PrivacyCommand, client: &Client, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    match command {
        PrivacyCommand::Privacy { device } => {
            let device = device_name(&device);
            let wanted = api::GetPrivacyRequest { device: device.clone() };
            let privacy = repeat!(client.accounts.get_privacy, wanted, deadline);
            let posts = repeat!(
                client.statuses.get_status_privacy,
                api::GetStatusPrivacyRequest { device },
                deadline
            );
            show(&privacy, globals.output);
            match globals.output {
                Output::Json => {
                    println!("{}", roost_proto::json::of("StatusPrivacy", &posts).unwrap_or_default())
                }
                Output::Table => {
                    let people = posts.people.iter().map(|jid| render::clean(jid)).collect::<Vec<_>>();
                    println!("status posts: {} {}", posts.audience().as_str_name(), people.join(" "));
                }
            }
        }
        PrivacyCommand::SetPrivacy {
            device,
            category,
            value,
            except: add,
            no_longer_except: remove,
            hash,
        } => {
            let listed = !add.is_empty() || !remove.is_empty();
            let exceptions = listed.then_some(Exceptions { add, remove, hash });
            let wanted = api::SetPrivacyRequest { device: device_name(&device), category, value, exceptions };
            let privacy = client.accounts().set_privacy(request(wanted, deadline)).await?.into_inner();
            show(&privacy, globals.output);
        }
        PrivacyCommand::Timer { device, timer } => {
            let wanted =
                api::SetDefaultTimerRequest { device: device_name(&device), timer: Some(timer.into()) };
            repeat!(client.accounts.set_default_timer, wanted, deadline);
        }
        PrivacyCommand::LinkPreviews { device, on } => {
            let wanted = api::SetLinkPreviewsRequest { parent: device_name(&device), disabled: !on };
            repeat!(client.settings.set_link_previews, wanted, deadline);
        }
    }
    Ok(())
}

fn show(privacy: &api::Privacy, output: Output) {
    if output == Output::Json {
        return println!("{}", roost_proto::json::of("Privacy", privacy).unwrap_or_default());
    }
    let mut settings: Vec<_> = privacy.settings.iter().collect();
    settings.sort();
    let row = |(category, value): (&String, &String)| {
        let hash = privacy.exception_hashes.get(category).map_or("-", |hash| hash);
        [category, value, hash].map(render::clean).to_vec()
    };
    let rows: Vec<_> = settings.into_iter().map(row).collect();
    print!("{}", render::columns(&["WHAT", "WHO", "HASH OF EXCEPTIONS"], &rows));
}
