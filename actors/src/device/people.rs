//! What a device does about people: who they are, what they are shown, and what they show.

use roost_proto::stanza::Jid;

use super::{Answer, AskError, Command, CommandError, DeviceHandle};

/// What is known of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// Phone-number JID.
    pub pn: Option<Jid>,
    /// Hidden identity.
    pub lid: Option<Jid>,
}

/// What a chat is told that we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// We write.
    Text,
    /// We speak a voice message.
    Voice,
    /// Neither any more.
    Paused,
}

impl DeviceHandle {
    /// What the device has learned of a user; asks nobody else.
    pub async fn identities(&self, user: Jid) -> Result<Identities, AskError> {
        let permit = self.permit().ok_or(AskError::Busy)?;
        match self.ask_actor(Command::Identities { user }, permit).await {
            Ok(Answer::Identities(result)) => result,
            Ok(_) => unreachable!("it is answered with identities"),
            Err(_) => Err(AskError::Lost),
        }
    }

    /// Shows the device as available, or hides it. `Ok` means that it is durable; it outlives connections
    /// and owners.
    pub async fn set_presence(&self, available: bool) -> Result<(), CommandError> {
        self.command(Command::SetPresence { available }).await
    }

    /// Watches what somebody shows, or does not any more: at most 256 people, [`CommandError::Busy`] beyond.
    /// `Ok` means that it is durable; it outlives connections and owners.
    pub async fn watch_presence(&self, user: Jid, watch: bool) -> Result<(), CommandError> {
        self.command(Command::WatchPresence { user, watch }).await
    }

    /// Tells a chat that we type. `Ok` means that it is on its way; it may be lost with the connection.
    pub async fn send_typing(&self, to: Jid, typing: Typing) -> Result<(), CommandError> {
        self.command(Command::Typing { to, typing }).await
    }
}
