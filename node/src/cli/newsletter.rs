//! `roost newsletter …`: channels, as people call them.

mod sounds;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use roost_proto::api;
use roost_proto::api::change_newsletter_admin_request::Action;
use roost_proto::api::follow_newsletter_request::How;
use roost_proto::api::get_newsletter_request::By;
use roost_proto::json;
use roost_proto::prost::Message;

use self::sounds::{Sound, follow};
use super::{Globals, Output, device_name, media, render};
use crate::client::{Problem, request};

/// What can be done with newsletters.
#[derive(Debug, Clone, Subcommand)]
pub enum NewsletterCommand {
    /// Lists those that the account follows or has made.
    List {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
    },
    /// Shows one.
    Show {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
        /// `{digits}@newsletter`, or an invite: its code or the whole link.
        newsletter: String,
    },
    /// Makes one.
    Create {
        /// The device whose account makes it: `acme/shop` or its whole name.
        device: String,
        /// What it is called.
        title: String,
        /// What it is about.
        #[arg(long, default_value = "")]
        description: String,
        /// A JPEG of at most 512 KiB.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
        /// A UUID that makes a repetition harmless; made up when it is missing.
        #[arg(long)]
        request_id: Option<String>,
    },
    /// Changes what the account's own is called, what it is about, or its picture.
    Set(Settings),
    /// Ends the account's own, for all who follow it.
    Delete(Newsletter),
    /// Follows one.
    Follow(Newsletter),
    /// Follows it no longer.
    Unfollow(Newsletter),
    /// Silences one, or a kind of what happens in it.
    Mute(Sound),
    /// Ends that.
    Unmute(Sound),
    /// Lists what was said in one, newest first.
    Posts {
        #[command(flatten)]
        newsletter: Newsletter,
        /// How many, at most 100.
        #[arg(long, default_value_t = 50)]
        count: i32,
        /// Only those before the one with this server id.
        #[arg(long, default_value_t = 0)]
        before: u64,
    },
    /// Lists how often messages were seen and what they were answered, as that has changed.
    Updates {
        #[command(flatten)]
        newsletter: Newsletter,
        /// How many, at most 100.
        #[arg(long, default_value_t = 50)]
        count: i32,
        /// Only those after the one with this server id.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Only what has changed since then, in seconds since 1970.
        #[arg(long)]
        since: Option<i64>,
    },
    /// Has events written of views and reactions, for as long as it prints.
    Watch(Newsletter),
    /// Shows how many speak in one, and who is asked to.
    Admins(Newsletter),
    /// Asks somebody to speak in the account's own.
    Invite(OfPerson),
    /// Takes that back.
    RevokeInvite(OfPerson),
    /// Lets an admin speak no longer.
    Demote(OfPerson),
    /// Gives the account's own to an admin of it.
    Give(OfPerson),
    /// Speaks from now on in one whose owner has asked the account to.
    Accept(Newsletter),
    /// Lists who follows one.
    Followers {
        #[command(flatten)]
        newsletter: Newsletter,
        /// How many, at most 1000.
        #[arg(long, default_value_t = 100)]
        count: i32,
    },
    /// Accepts the terms that WhatsApp shows before somebody makes his first.
    AcceptTerms {
        /// `acme/shop` or its whole name.
        device: String,
    },
}

/// A newsletter, as one device sees it.
#[derive(Debug, Clone, Args)]
pub struct Newsletter {
    /// The device that asks: `acme/shop` or its whole name.
    device: String,
    /// `{digits}@newsletter`.
    newsletter: String,
}

/// A newsletter and somebody.
#[derive(Debug, Clone, Args)]
pub struct OfPerson {
    #[command(flatten)]
    newsletter: Newsletter,
    /// A phone number, or `{digits}@lid`.
    user: String,
}

/// What can be changed of one's own.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true, id = "change")]
pub struct Settings {
    #[command(flatten)]
    newsletter: Newsletter,
    /// What it shall be called.
    #[arg(long, group = "change")]
    title: Option<String>,
    /// What it shall be about.
    #[arg(long, group = "change")]
    description: Option<String>,
    /// A JPEG of at most 512 KiB.
    #[arg(long, group = "change", value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Removes the picture.
    #[arg(long, group = "change", conflicts_with = "picture")]
    no_picture: bool,
}

impl Settings {
    fn request(self) -> Result<api::UpdateNewsletterRequest, Problem> {
        let picture = self.picture.map(jpeg).transpose()?;
        Ok(api::UpdateNewsletterRequest {
            device: device_name(&self.newsletter.device),
            newsletter: self.newsletter.newsletter,
            title: self.title,
            description: self.description,
            picture: picture.or(self.no_picture.then(Vec::new)),
        })
    }
}

fn jpeg(path: PathBuf) -> Result<Vec<u8>, Problem> {
    std::fs::read(&path).map_err(|error| media::on_disk(&path, &error))
}

/// What stands in front of the code of an invite.
const LINK: &str = "https://whatsapp.com/channel/";

/// How one is named: by its JID, or by an invite.
fn by(text: String) -> By {
    match text.ends_with("@newsletter") && !text.starts_with(LINK) {
        true => By::Newsletter(text),
        false => By::Invite(text),
    }
}

pub(super) async fn run(command: NewsletterCommand, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    match command {
        NewsletterCommand::List { device } => {
            let wanted = api::ListNewslettersRequest { device: device_name(&device) };
            show(&repeat!(client.newsletters.list_newsletters, wanted, deadline).newsletters, globals.output);
        }
        NewsletterCommand::Show { device, newsletter } => {
            let wanted = api::GetNewsletterRequest { device: device_name(&device), by: Some(by(newsletter)) };
            show(&[repeat!(client.newsletters.get_newsletter, wanted, deadline)], globals.output);
        }
        NewsletterCommand::Create { device, title, description, picture, request_id } => {
            let request_id = request_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            let device = device_name(&device);
            let picture = picture.map(jpeg).transpose()?.unwrap_or_default();
            let wanted = api::CreateNewsletterRequest { device, title, description, request_id, picture };
            show(&[repeat!(client.newsletters.create_newsletter, wanted, deadline)], globals.output);
        }
        NewsletterCommand::Set(settings) => {
            let wanted = settings.request()?;
            show(&[repeat!(client.newsletters.update_newsletter, wanted, deadline)], globals.output);
        }
        NewsletterCommand::Delete(of) => {
            let wanted =
                api::DeleteNewsletterRequest { device: device_name(&of.device), newsletter: of.newsletter };
            client.newsletters().delete_newsletter(request(wanted, deadline)).await?;
        }
        NewsletterCommand::Posts { newsletter: of, count, before } => {
            let wanted = api::ListNewsletterMessagesRequest {
                device: device_name(&of.device),
                newsletter: of.newsletter,
                count,
                before,
            };
            let posts = repeat!(client.newsletters.list_newsletter_messages, wanted, deadline).posts;
            posts.iter().for_each(|post| show_post(post, globals.output));
        }
        NewsletterCommand::Updates { newsletter: of, count, after, since } => {
            let wanted = api::ListNewsletterUpdatesRequest {
                device: device_name(&of.device),
                newsletter: of.newsletter,
                count,
                after,
                since: since.map(|seconds| api::Timestamp { seconds, nanos: 0 }),
            };
            for post in &repeat!(client.newsletters.list_newsletter_updates, wanted, deadline).posts {
                say("NewsletterPost", post, globals.output, |post| {
                    let reactions: Vec<_> =
                        post.reactions.iter().map(|(code, count)| format!("{code} {count}")).collect();
                    format!("{} {} views {}", post.server_id, post.views, reactions.join(" "))
                });
            }
        }
        NewsletterCommand::Watch(of) => {
            let wanted =
                api::WatchNewsletterRequest { device: device_name(&of.device), newsletter: of.newsletter };
            let told = repeat!(client.newsletters.watch_newsletter, wanted, deadline);
            say("WatchNewsletterResponse", &told, globals.output, |told| {
                told.duration.unwrap_or_default().to_string()
            });
        }
        NewsletterCommand::Admins(of) => {
            let wanted = api::GetNewsletterAdminsRequest {
                device: device_name(&of.device),
                newsletter: of.newsletter,
            };
            let admins = repeat!(client.newsletters.get_newsletter_admins, wanted, deadline);
            say("NewsletterAdmins", &admins, globals.output, |admins| {
                let invited: Vec<String> =
                    admins.invited.iter().map(|who| render::person(Some(who))).collect();
                format!("{} speak; invited: {}", admins.count, invited.join(" "))
            });
        }
        NewsletterCommand::Accept(of) => {
            let wanted = api::AcceptNewsletterInviteRequest {
                device: device_name(&of.device),
                newsletter: of.newsletter,
            };
            client.newsletters().accept_newsletter_invite(request(wanted, deadline)).await?;
        }
        NewsletterCommand::Followers { newsletter: of, count } => {
            let wanted = api::ListNewsletterFollowersRequest {
                device: device_name(&of.device),
                newsletter: of.newsletter,
                count,
            };
            for one in &repeat!(client.newsletters.list_newsletter_followers, wanted, deadline).followers {
                say("NewsletterFollower", one, globals.output, |one| {
                    let who = render::person(one.person.as_ref());
                    format!("{who} {} {}", one.role().as_str_name(), one.name)
                });
            }
        }
        NewsletterCommand::AcceptTerms { device } => {
            let wanted = api::AcceptNewsletterTermsRequest { device: device_name(&device) };
            repeat!(client.newsletters.accept_newsletter_terms, wanted, deadline);
        }
        NewsletterCommand::Follow(of) => follow(of.request(How::Follow), globals).await?,
        NewsletterCommand::Unfollow(of) => follow(of.request(How::Unfollow), globals).await?,
        NewsletterCommand::Mute(of) => follow(of.request(How::Mute), globals).await?,
        NewsletterCommand::Unmute(of) => follow(of.request(How::Unmute), globals).await?,
        NewsletterCommand::Invite(of) => admin(of, Action::Invite, globals).await?,
        NewsletterCommand::RevokeInvite(of) => admin(of, Action::RevokeInvite, globals).await?,
        NewsletterCommand::Demote(of) => admin(of, Action::Demote, globals).await?,
        NewsletterCommand::Give(of) => admin(of, Action::MakeOwner, globals).await?,
    }
    Ok(())
}

async fn admin(of: OfPerson, action: Action, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    let OfPerson { newsletter: Newsletter { device, newsletter }, user } = of;
    let device = device_name(&device);
    let wanted = api::ChangeNewsletterAdminRequest { device, newsletter, user, action: action.into() };
    let done = client.newsletters().change_newsletter_admin(request(wanted, deadline)).await?.into_inner();
    if done.expire_time.is_some() {
        say("ChangeNewsletterAdminResponse", &done, globals.output, |done| {
            format!("until {}", render::time(done.expire_time.as_ref()))
        });
    }
    Ok(())
}

/// One answer: in JSON, or as a line for people, whose text is foreign.
fn say<M: Message>(name: &str, answer: &M, output: Output, line: impl Fn(&M) -> String) {
    match output {
        Output::Json => println!("{}", json::of(name, answer).unwrap_or_default()),
        Output::Table => println!("{}", render::clean(&line(answer))),
    }
}

fn show(newsletters: &[api::Newsletter], output: Output) {
    if output == Output::Json {
        return newsletters.iter().for_each(|one| say("Newsletter", one, output, |_| String::new()));
    }
    let row = |one: &api::Newsletter| {
        let role = one.role().as_str_name().to_owned();
        let muted = if one.muted { "muted" } else { "" };
        let title = render::clean(&one.title);
        vec![render::clean(&one.newsletter), role, one.subscribers.to_string(), muted.to_owned(), title]
    };
    let rows: Vec<_> = newsletters.iter().map(row).collect();
    print!("{}", render::columns(&["NEWSLETTER", "ROLE", "FOLLOWERS", "MUTED", "TITLE"], &rows));
}

fn show_post(post: &api::NewsletterPost, output: Output) {
    say("NewsletterPost", post, output, |post| {
        let content = post.message.as_ref().and_then(|message| message.content.as_ref());
        let said = match content {
            Some(api::message_received::Content::Text(text)) => text.clone(),
            Some(_) => "(no text)".to_owned(),
            None => "(taken back)".to_owned(),
        };
        format!("{} {} {} views: {said}", post.server_id, render::time(post.time.as_ref()), post.views)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newsletter_is_named_by_its_jid_or_by_an_invite() {
        assert_eq!(by("12@newsletter".to_owned()), By::Newsletter("12@newsletter".to_owned()));
        for invite in ["0029VaAbC", "https://whatsapp.com/channel/0029VaAbC"] {
            assert_eq!(by(invite.to_owned()), By::Invite(invite.to_owned()));
        }
    }

    #[test]
    fn what_is_not_said_of_a_newsletter_stays_as_it_is() {
        let newsletter = Newsletter { device: "acme/shop".into(), newsletter: "12@newsletter".into() };
        let settings = |no_picture| Settings {
            newsletter: newsletter.clone(),
            title: Some("Hens".to_owned()),
            description: None,
            picture: None,
            no_picture,
        };
        let update = settings(false).request().expect("no file");
        assert_eq!(
            (update.device.as_str(), update.title.as_deref()),
            ("tenants/acme/devices/shop", Some("Hens"))
        );
        assert_eq!((update.description, update.picture), (None, None));
        assert_eq!(settings(true).request().expect("no file").picture, Some(Vec::new()));
        let nowhere = Settings { picture: Some("/nowhere/at/all".into()), ..settings(false) };
        assert!(nowhere.request().expect_err("no such file").message.contains("/nowhere/at/all"));
    }
}
