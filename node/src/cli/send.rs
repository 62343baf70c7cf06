//! `roost send`: one text, accepted once however often it is tried.

use clap::{Args, ValueEnum};
use roost_proto::api;
use tonic::Code;

use super::{Globals, Output, device_name, render};
use crate::client::{Problem, request, retrying};

/// Arguments of `roost send`.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// The sending device: `acme/shop` or its whole name.
    device: String,
    /// Phone number in international form, or `{digits}@lid`.
    to: String,
    /// What to say.
    text: String,
    /// A UUID that makes a repetition harmless; made up when it is missing.
    #[arg(long)]
    request_id: Option<String>,
    /// What to wait for.
    #[arg(long, value_enum, default_value_t = Wait::ServerAck)]
    wait: Wait,
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
    let to = match args.to.ends_with("@lid") {
        true => api::recipient::To::Lid(args.to),
        false => api::recipient::To::PhoneNumber(args.to),
    };
    let wait_for = match args.wait {
        Wait::Accepted => api::send_message_request::WaitFor::Accepted,
        Wait::ServerAck => api::send_message_request::WaitFor::ServerAck,
        Wait::Delivered => api::send_message_request::WaitFor::Delivered,
    };
    let wanted = api::SendMessageRequest {
        parent: device_name(&args.device),
        to: Some(api::Recipient { to: Some(to) }),
        content: Some(api::send_message_request::Content::Text(args.text)),
        request_id: args.request_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        wait_for: wait_for as i32,
    };
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    let message = retrying(deadline, || {
        let (mut messages, wanted) = (client.messages(), wanted.clone());
        async move { messages.send_message(request(wanted, deadline)).await }
    });
    let message = message.await?;
    match globals.output {
        Output::Json => println!("{}", render::message(&message)),
        Output::Table => {
            let state = message.state().as_str_name().to_owned();
            let row = vec![message.name.clone(), state, message.whatsapp_id.clone(), message.failure.clone()];
            print!("{}", render::columns(&["MESSAGE", "STATE", "WHATSAPP ID", "FAILURE"], &[row]));
        }
    }
    if message.state() != api::message::State::Failed {
        return Ok(());
    }
    Err(Problem {
        code: Code::FailedPrecondition,
        reason: Some(message.failure),
        message: "the message was accepted and could not be sent".to_owned(),
        fields: Vec::new(),
        retry: None,
    })
}
