//! What all devices of an account know and no chat shows: quick replies, and records of any kind.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use roost_proto::api;

use crate::cli::{Globals, device_name, media};
use crate::client::{Client, Problem};

/// What can be written.
#[derive(Debug, Clone, Subcommand)]
pub enum RecordCommand {
    /// Makes or changes a text that is sent by a short word, as business accounts have them.
    QuickReply {
        /// `acme/shop` or its whole name.
        device: String,
        /// 1 to 40 characters.
        id: String,
        /// What is typed to get it.
        shortcut: String,
        /// What is sent.
        message: String,
        /// By what it is found, too; may be given more than once.
        #[arg(long = "keyword", value_name = "WORD")]
        keywords: Vec<String>,
    },
    /// Deletes one.
    DeleteQuickReply {
        /// `acme/shop` or its whole name.
        device: String,
        /// Which.
        id: String,
    },
    /// Writes or removes a record of any kind. Nothing but its form is checked: what WhatsApp's own clients do not know
    /// may harm them.
    Record {
        /// `acme/shop` or its whole name.
        device: String,
        /// Where it is kept: `critical_block`, `critical_unblock_low`, `regular_high`, `regular` or `regular_low`.
        collection: String,
        /// WhatsApp's version of this kind of record: 1 to 1000.
        version: i32,
        /// What it is about: its kind, and what names it.
        #[arg(required = true)]
        index: Vec<String>,
        /// An encoded WhatsApp `SyncActionValue`.
        #[arg(long, value_name = "FILE", required_unless_present = "remove")]
        value: Option<PathBuf>,
        /// Removes it.
        #[arg(long, conflicts_with = "value")]
        remove: bool,
    },
}

/// What is asked for: each says how it shall be, so it may be asked again.
#[derive(Debug, PartialEq)]
enum Wanted {
    Reply(api::EditQuickReplyRequest),
    Record(api::PutAppStateRecordRequest),
}

fn wanted(command: RecordCommand) -> Result<Wanted, Problem> {
    let edit = |device: &str, reply| {
        Wanted::Reply(api::EditQuickReplyRequest { parent: device_name(device), quick_reply: Some(reply) })
    };
    Ok(match command {
        RecordCommand::QuickReply { device, id, shortcut, message, keywords } => {
            edit(&device, api::QuickReply { id, shortcut, message, keywords, deleted: false })
        }
        RecordCommand::DeleteQuickReply { device, id } => {
            // It has both until it is gone; which does not matter.
            let (shortcut, message) = (id.clone(), id.clone());
            edit(&device, api::QuickReply { id, shortcut, message, deleted: true, ..Default::default() })
        }
        RecordCommand::Record { device, collection, version, index, value, remove: _ } => {
            let value = value.map(|path| written(&path)).transpose()?.unwrap_or_default();
            let parent = device_name(&device);
            Wanted::Record(api::PutAppStateRecordRequest { parent, collection, index, version, value })
        }
    })
}

/// What a file says of a record; nothing would remove it.
fn written(path: &Path) -> Result<Vec<u8>, Problem> {
    let read = std::fs::read(path).and_then(|value| match value.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "is empty: --remove removes a record")),
        false => Ok(value),
    });
    read.map_err(|error| media::on_disk(path, &error))
}

pub(super) async fn run(command: RecordCommand, client: &Client, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    match wanted(command)? {
        Wanted::Reply(wanted) => repeat!(client.settings.edit_quick_reply, wanted, deadline),
        Wanted::Record(wanted) => repeat!(client.settings.put_app_state_record, wanted, deadline),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: RecordCommand,
    }

    fn read(line: &[&str]) -> Result<Wanted, String> {
        let line = Line::try_parse_from([&["account"], line].concat()).map_err(|error| error.to_string())?;
        wanted(line.command).map_err(|problem| problem.message)
    }

    #[test]
    fn a_quick_reply_is_written_whole_and_deleted_by_its_id() {
        let reply = |line: &[&str]| match read(line) {
            Ok(Wanted::Reply(wanted)) => wanted.quick_reply.unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        let made = reply(&["quick-reply", "acme/shop", "7", "/hi", "Hello!", "--keyword", "greeting"]);
        let (id, shortcut, message) = ("7".to_owned(), "/hi".to_owned(), "Hello!".to_owned());
        let keywords = vec!["greeting".to_owned()];
        assert_eq!(made, api::QuickReply { id, shortcut, message, keywords, deleted: false });
        let gone = reply(&["delete-quick-reply", "acme/shop", "7"]);
        assert_eq!((&*gone.id, gone.deleted), ("7", true));
    }

    #[test]
    fn a_record_is_written_from_a_file_or_removed() {
        let line = ["record", "acme/shop", "regular", "2", "setting_locale", "x"];
        let with = |more: &[&str]| read(&[&line[..], more].concat());
        let Ok(Wanted::Record(removed)) = with(&["--remove"]) else { panic!("it is a record") };
        assert_eq!((&*removed.parent, &*removed.collection), ("tenants/acme/devices/shop", "regular"));
        assert_eq!((removed.version, removed.index.len(), removed.value.len()), (2, 2, 0));
        assert!(with(&[]).is_err(), "neither written nor removed");
        assert!(with(&["--remove", "--value", "file"]).is_err());
        assert!(with(&["--value", "/nowhere/at/all"]).expect_err("no such file").contains("/nowhere/at/all"));
        assert!(read(&line[..4]).is_err(), "it is about nothing");
        let empty = tempfile::NamedTempFile::new().expect("a file");
        let refused =
            with(&["--value", empty.path().to_str().expect("UTF-8")]).expect_err("nothing is written");
        assert!(refused.contains("--remove"), "{refused}");
    }
}
