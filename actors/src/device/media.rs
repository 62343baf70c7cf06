//! What a device does for media: it asks its phone for files that the servers have dropped. The bytes
//! themselves never pass through a device.

use roost_proto::media::{MediaKey, RetryAnswer};

use super::{Answer, Command, CommandError, DeviceHandle, Finished};

/// A message whose file the servers have dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostMedia {
    /// WhatsApp's id of the message.
    pub whatsapp_id: String,
    /// JID of its chat.
    pub chat: String,
    /// Whether this account sent it.
    pub from_me: bool,
    /// JID of who sent it, in groups.
    pub participant: Option<String>,
    /// The key that the message carries.
    pub key: MediaKey,
}

impl DeviceHandle {
    /// Asks the phone to upload a file again. Takes as long as the phone does, at most the limit of a request.
    pub async fn ask_for_media(&self, lost: LostMedia) -> Result<RetryAnswer, CommandError> {
        let permit = self.permit().ok_or(CommandError::Busy)?;
        match self.ask_actor(Command::AskForMedia(Box::new(lost)), permit).await {
            Ok(Answer::Media(result)) => result,
            Ok(_) => unreachable!("a question about lost media is answered as one"),
            Err(ended) => Err(match ended {
                Finished::Fenced | Finished::Stale => CommandError::OwnershipLost,
                Finished::Stopped | Finished::Broken(_) => CommandError::Unavailable,
            }),
        }
    }
}
