//! `roost send`: one message, or an album of several, each accepted once however often it is tried.

mod album;
mod content;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use roost_proto::api;
use roost_proto::api::message::State;
use roost_proto::api::send_message_request::{Content, OnIndeterminate};
use roost_proto::media::media_to_send_mut;
use tonic::Code;

use super::{Globals, Output, device_name, render};
use crate::client::{Client, Problem, request, retrying};

/// Arguments of `roost send`: a kind with its own, or those of a text.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SendArgs {
    #[command(subcommand)]
    kind: Option<Kind>,
    /// The sending device: `acme/shop` or its whole name.
    #[arg(requires = "to")]
    device: Option<String>,
    /// Phone number in international form, `{digits}@lid`, `{digits}@g.us` for a group, `{digits}@newsletter`,
    /// `{digits}@bot`, or `status@broadcast`.
    #[arg(requires = "text")]
    to: Option<String>,
    /// What to say.
    text: Option<String>,
    /// A UUID that makes a repetition harmless; made up when it is missing.
    #[arg(long)]
    request_id: Option<String>,
    /// The id that WhatsApp and the receivers shall know it by, which no other message of the device has.
    #[arg(long, value_name = "ID")]
    whatsapp_id: Option<String>,
    /// What to wait for.
    #[arg(long, value_enum, default_value_t = Wait::ServerAck)]
    wait: Wait,
    #[command(flatten)]
    terms: Terms,
}

impl SendArgs {
    /// What to send; `None` when the line names nothing.
    fn kind(self) -> Option<Kind> {
        if self.kind.is_some() {
            return self.kind;
        }
        let (device, to, text) = (self.device?, self.to?, self.text?);
        let SendArgs { request_id, whatsapp_id, wait, terms, .. } = self;
        let whereto = Whereto { device, to, request_id, whatsapp_id, wait, terms };
        Some(Kind::Text(Text { whereto, text }))
    }
}

/// What to send.
#[derive(Debug, Clone, Subcommand)]
enum Kind {
    /// A text; `roost send DEVICE TO TEXT` is the same.
    Text(Text),
    /// A place.
    Location {
        #[command(flatten)]
        whereto: Whereto,
        /// Degrees, -90 to 90.
        #[arg(long, allow_hyphen_values = true)]
        latitude: f64,
        /// Degrees, -180 to 180.
        #[arg(long, allow_hyphen_values = true)]
        longitude: f64,
        /// What it is called.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// A question with 2 to 12 answers to choose from.
    Poll {
        #[command(flatten)]
        whereto: Whereto,
        /// The question.
        question: String,
        /// The answers.
        #[arg(required = true, num_args = 2..)]
        options: Vec<String>,
        /// How many one voter may choose; 0 means any number.
        #[arg(long, default_value_t = 1)]
        selectable: u32,
        /// The answer that is right: makes it a quiz.
        #[arg(long, default_value = "")]
        correct: String,
        /// Everybody may add answers.
        #[arg(long)]
        open: bool,
        /// When it ends: seconds since 1970. Later votes do not count.
        #[arg(long, value_name = "SECONDS")]
        ends: Option<i64>,
        /// WhatsApp's clients shall not show who chose what.
        #[arg(long)]
        hide_voters: bool,
    },
    /// One more answer for a poll that is open to it, or of this account.
    PollOption {
        #[command(flatten)]
        whereto: Whereto,
        /// WhatsApp's id of the poll.
        poll: String,
        /// The answer.
        option: String,
        /// JID of who made the poll: in groups, unless it was this account.
        #[arg(long, default_value = "")]
        sender: String,
        /// This account made the poll.
        #[arg(long)]
        own: bool,
    },
    /// A reaction to a message.
    Reaction {
        #[command(flatten)]
        whereto: Whereto,
        /// WhatsApp's id of the message.
        message: String,
        /// An emoji; empty takes the reaction back.
        emoji: String,
        /// JID of who sent the message: in groups, unless it was this account.
        #[arg(long, default_value = "")]
        sender: String,
        /// This account sent the message.
        #[arg(long)]
        own: bool,
    },
    /// A picture.
    Image(FileArgs),
    /// A film.
    Video(FileArgs),
    /// A round video note.
    Note(FileArgs),
    /// Sound.
    Audio(FileArgs),
    /// A voice message: Opus in Ogg.
    Voice(FileArgs),
    /// Any file.
    Document(FileArgs),
    /// A sticker: WebP.
    Sticker(FileArgs),
    /// Pictures and films that are shown as one.
    Album(album::AlbumArgs),
    /// Another text for a message of this account.
    Edit {
        #[command(flatten)]
        whereto: Whereto,
        /// WhatsApp's id of the message.
        message: String,
        /// The new text.
        text: String,
        /// Encrypt it under the secret of the message, as the announcement groups of communities want it.
        #[arg(long)]
        encrypted: bool,
    },
    /// Takes a message back.
    Revoke {
        #[command(flatten)]
        whereto: Whereto,
        /// WhatsApp's id of the message.
        message: String,
        /// JID of who sent the message: for admins of groups. Without it, it is one of this account.
        #[arg(long, default_value = "")]
        sender: String,
    },
    /// A message of any kind, with all that may go with it: `{"poll": {"question": …}, "context": {"mentions": […]}}`, as
    /// in the JSON of a SendMessageRequest. Files in it are named by handles.
    Json {
        #[command(flatten)]
        whereto: Whereto,
        /// A file, or `-` for standard input.
        file: PathBuf,
    },
    /// An encoded WhatsApp message of any kind, from a file.
    Raw {
        #[command(flatten)]
        whereto: Whereto,
        /// The file.
        file: PathBuf,
    },
}

/// A file and where it goes.
#[derive(Debug, Clone, Args)]
struct FileArgs {
    #[command(flatten)]
    whereto: Whereto,
    /// A file of this machine, or the handle of one that was uploaded or received.
    file: String,
    /// What is said with it: pictures, films and documents.
    #[arg(long, default_value = "")]
    caption: String,
}

/// A text and where it goes.
#[derive(Debug, Clone, Args)]
struct Text {
    #[command(flatten)]
    whereto: Whereto,
    /// What to say.
    text: String,
}

/// From whom, to whom, and how.
#[derive(Debug, Clone, Args)]
struct Whereto {
    /// The sending device: `acme/shop` or its whole name.
    device: String,
    /// Phone number in international form, `{digits}@lid`, `{digits}@g.us` for a group, `{digits}@newsletter`,
    /// `{digits}@bot`, or `status@broadcast`.
    to: String,
    /// A UUID that makes a repetition harmless; made up when it is missing.
    #[arg(long)]
    request_id: Option<String>,
    /// The id that WhatsApp and the receivers shall know it by, which no other message of the device has; of an album
    /// that of what announces it.
    #[arg(long, value_name = "ID")]
    whatsapp_id: Option<String>,
    /// What to wait for.
    #[arg(long, value_enum, default_value_t = Wait::ServerAck)]
    wait: Wait,
    #[command(flatten)]
    terms: Terms,
}

/// What is allowed with a message.
#[derive(Debug, Clone, Args)]
struct Terms {
    /// Never send it later than this from now, as 30s or 5m.
    #[arg(long, value_parser = super::parse_duration)]
    expire_in: Option<Duration>,
    /// When nobody knows whether it has arrived, say so and do not send it again.
    #[arg(long)]
    once: bool,
}

/// How far a message shall have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// Durable in the cluster.
    Accepted,
    /// Acknowledged by WhatsApp.
    ServerAck,
    /// On a device of the receiver.
    Delivered,
}

pub(super) async fn run(args: SendArgs, globals: &Globals) -> Result<(), Problem> {
    let kind = args.kind().ok_or_else(|| bad_input("nothing to send"))?;
    let sent = match kind {
        Kind::Album(album) => album::send(album, globals).await?,
        kind => {
            let (whereto, said) = content::of(kind)?;
            let client = globals.connect().await?;
            vec![send(&client, globals, &whereto, said).await?]
        }
    };
    match globals.output {
        Output::Json => sent.iter().for_each(|message| println!("{}", render::message(message))),
        Output::Table => print!("{}", render::messages(&sent)),
    }
    sent.into_iter().find_map(failure).map_or(Ok(()), Err)
}

/// What is said, and what goes with it.
type Said = (Content, Option<api::Context>);

/// Sends one message; a file that is named by a path is uploaded before.
async fn send(
    client: &Client,
    globals: &Globals,
    whereto: &Whereto,
    (mut content, context): Said,
) -> Result<api::Message, Problem> {
    let wait_for = match whereto.wait {
        Wait::Accepted => api::send_message_request::WaitFor::Accepted,
        Wait::ServerAck => api::send_message_request::WaitFor::ServerAck,
        Wait::Delivered => api::send_message_request::WaitFor::Delivered,
    };
    let once = whereto.terms.once;
    let on_indeterminate = if once { OnIndeterminate::Report } else { OnIndeterminate::Unspecified };
    if let Some(media) = media_to_send_mut(&mut content)
        && !media.name.starts_with("tenants/")
    {
        let device = device_name(&whereto.device);
        let tenant = device.split("/devices/").next().unwrap_or_default().to_owned();
        let file = PathBuf::from(&media.name);
        let header = super::media::header(tenant, &file, media.kind(), None);
        *media = super::media::upload(client, globals, header, &file).await?;
    }
    let wanted = api::SendMessageRequest {
        parent: device_name(&whereto.device),
        to: Some(api::Recipient { to: Some(recipient(&whereto.to)) }),
        content: Some(content),
        request_id: whereto.request_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        whatsapp_id: whereto.whatsapp_id.clone().unwrap_or_default(),
        wait_for: wait_for as i32,
        context,
        expire_time: whereto.terms.expire_in.map(|span| (SystemTime::now() + span).into()),
        on_indeterminate: on_indeterminate as i32,
    };
    let deadline = globals.deadline();
    let message = retrying(deadline, || {
        let (mut messages, wanted) = (client.messages(), wanted.clone());
        async move { messages.send_message(request(wanted, deadline)).await }
    });
    message.await
}

fn recipient(to: &str) -> api::recipient::To {
    match to {
        "status@broadcast" => api::recipient::To::Status(api::StatusAudience::default()),
        to if to.ends_with("@lid") => api::recipient::To::Lid(to.to_owned()),
        to if to.ends_with("@g.us") => api::recipient::To::Group(to.to_owned()),
        to if to.ends_with("@newsletter") => api::recipient::To::Newsletter(to.to_owned()),
        to if to.ends_with("@bot") => api::recipient::To::Bot(to.to_owned()),
        to => api::recipient::To::PhoneNumber(to.to_owned()),
    }
}

/// What is wrong with a message that has come to its end without WhatsApp.
fn failure(message: api::Message) -> Option<Problem> {
    let (reason, what) = match message.state() {
        State::Failed => {
            let why = meaning(&message.failure).map(|why| format!(": {why}")).unwrap_or_default();
            (message.failure, format!("could not be sent{why}"))
        }
        State::Expired => ("EXPIRED".to_owned(), "was not sent in time".to_owned()),
        State::Cancelled => ("CANCELLED".to_owned(), "was taken back".to_owned()),
        State::Indeterminate => ("INDETERMINATE".to_owned(), "may have been sent, or not".to_owned()),
        _ => return None,
    };
    Some(Problem {
        code: Code::FailedPrecondition,
        reason: Some(reason),
        message: format!("the message was accepted and {what}"),
        fields: Vec::new(),
        retry: None,
    })
}

/// What clients know of a code of WhatsApp.
fn meaning(failure: &str) -> Option<&'static str> {
    Some(match failure.strip_prefix("UPSTREAM_NACK_")? {
        "421" => "the group is addressed in another form now",
        "463" => "WhatsApp lets this account begin no new chats, or misses the token of the receiver",
        "475" => "WhatsApp lets this account begin no more new chats for some time",
        "479" => "WhatsApp calls the stanza invalid",
        _ => return None,
    })
}

fn bad_input(message: &str) -> Problem {
    Problem {
        code: Code::InvalidArgument,
        reason: None,
        message: message.to_owned(),
        fields: Vec::new(),
        retry: None,
    }
}

#[cfg(test)]
mod tests;
