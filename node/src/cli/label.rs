//! `roost label …`: labels of chats and messages, as business accounts have them.

use clap::{Args, Subcommand};
use roost_proto::api;
use roost_proto::json;

use super::chat::jid;
use super::{Globals, Output, device_name, render};
use crate::client::Problem;

/// What can be done with labels.
#[derive(Debug, Clone, Subcommand)]
pub enum LabelCommand {
    /// Lists them, and on which chats they are.
    List {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Makes or changes one.
    Edit {
        /// `acme/shop` or its whole name.
        device: String,
        /// 1 to 20 digits.
        id: String,
        /// 1 to 100 characters.
        name: String,
        /// 0 to 19.
        #[arg(long, default_value_t = 0)]
        color: i32,
    },
    /// Deletes one.
    Delete {
        /// `acme/shop` or its whole name.
        device: String,
        /// Its digits.
        id: String,
    },
    /// Puts one on a chat, or on a message of it.
    Assign(Labelled),
    /// Takes one off.
    Unassign(Labelled),
}

/// A label, and what it is put on.
#[derive(Debug, Clone, Args)]
pub struct Labelled {
    /// `acme/shop` or its whole name.
    device: String,
    /// The digits of the label.
    label: String,
    /// Phone number, or a JID.
    chat: String,
    /// The WhatsApp id of a message of the chat.
    #[arg(long)]
    message: Option<String>,
    /// That message was sent by this account.
    #[arg(long, requires = "message")]
    from_me: bool,
    /// Who sent that message, in a group and not by this account: a JID.
    #[arg(long, requires = "message", conflicts_with = "from_me", default_value = "")]
    sender: String,
}

impl Labelled {
    fn request(self, assigned: bool) -> api::AssignLabelRequest {
        use api::assign_label_request::To;
        let chat = jid(&self.chat);
        let to = match self.message {
            None => To::Chat(chat),
            Some(whatsapp_id) => {
                To::Message(api::MessageKey { chat, whatsapp_id, from_me: self.from_me, sender: self.sender })
            }
        };
        api::AssignLabelRequest {
            parent: device_name(&self.device),
            label: self.label,
            to: Some(to),
            assigned,
        }
    }
}

pub(super) async fn run(command: LabelCommand, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    // Every change may be made again.
    match command {
        LabelCommand::List { device } => {
            let wanted = api::ListLabelsRequest { parent: device_name(&device) };
            let found = repeat!(client.labels.list_labels, wanted, deadline).labels;
            show(&found, globals.output);
        }
        LabelCommand::Edit { device, id, name, color } => {
            let label = api::Label { id, name, color, ..Default::default() };
            let wanted = api::EditLabelRequest { parent: device_name(&device), label: Some(label) };
            repeat!(client.labels.edit_label, wanted, deadline);
        }
        LabelCommand::Delete { device, id } => {
            // It has a name until it is gone; which does not matter.
            let label = api::Label { name: id.clone(), id, deleted: true, ..Default::default() };
            let wanted = api::EditLabelRequest { parent: device_name(&device), label: Some(label) };
            repeat!(client.labels.edit_label, wanted, deadline);
        }
        LabelCommand::Assign(labelled) => {
            repeat!(client.labels.assign_label, labelled.request(true), deadline);
        }
        LabelCommand::Unassign(labelled) => {
            repeat!(client.labels.assign_label, labelled.request(false), deadline);
        }
    }
    Ok(())
}

fn show(labels: &[api::Label], output: Output) {
    match output {
        Output::Json => {
            labels.iter().for_each(|label| println!("{}", json::of("Label", label).unwrap_or_default()));
        }
        Output::Table => {
            let row = |label: &api::Label| {
                let (name, chats) = (render::clean(&label.name), render::clean(&label.chats.join(" ")));
                vec![label.id.clone(), name, label.color.to_string(), chats]
            };
            let rows: Vec<_> = labels.iter().filter(|label| !label.deleted).map(row).collect();
            print!("{}", render::columns(&["LABEL", "NAME", "COLOR", "CHATS"], &rows));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_put_on_a_chat_or_on_a_message_of_it() {
        use api::assign_label_request::To;
        let on = |message: Option<&str>| Labelled {
            device: "acme/shop".to_owned(),
            label: "7".to_owned(),
            chat: "+4915100000001".to_owned(),
            message: message.map(str::to_owned),
            from_me: true,
            sender: String::new(),
        };
        let chat = on(None).request(true);
        assert_eq!((chat.parent.as_str(), chat.assigned), ("tenants/acme/devices/shop", true));
        assert_eq!(chat.to, Some(To::Chat("4915100000001@s.whatsapp.net".to_owned())));
        let Some(To::Message(key)) = on(Some("3EB0")).request(false).to else { panic!("it names a message") };
        assert_eq!((key.whatsapp_id.as_str(), key.from_me), ("3EB0", true));
    }
}
