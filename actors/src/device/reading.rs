//! What is said of messages that were received.

use roost_proto::stanza::Jid;

use super::{Command, CommandError, DeviceHandle};

/// Read receipts to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRead {
    /// Where they were said: a user, a group, or the place of status posts.
    pub chat: Jid,
    /// Who sent them, where that is not the chat itself.
    pub sender: Option<Jid>,
    /// WhatsApp ids of received messages, at least one.
    pub whatsapp_ids: Vec<String>,
    /// What is said of them.
    pub how: Seen,
}

/// What is said of messages that were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// They were read.
    Read,
    /// They were read, which only the own devices shall know.
    Privately,
    /// They were listened to.
    Played,
}

impl DeviceHandle {
    /// Tells the senders of received messages that they were read. `Ok` means that the receipt is on its
    /// way; a receipt may be lost with the connection.
    pub async fn mark_read(&self, request: MarkRead) -> Result<(), CommandError> {
        self.command(Command::MarkRead(request)).await
    }
}
