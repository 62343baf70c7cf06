//! What a handle can ask of app state and history.

use roost_proto::appstate::{Action, Collection};
use roost_proto::id::UnixMillis;
use roost_proto::phone::WantHistory;

use super::{Answer, Command, CommandError, DeviceHandle, Finished};

impl DeviceHandle {
    /// Changes what the devices of the account know in common; all actions are of one collection, and take
    /// effect together. `Ok` means that WhatsApp has taken it and that our copy says so, durably. The same
    /// change may be asked for again.
    pub async fn change(&self, actions: Vec<Action>) -> Result<(), CommandError> {
        self.command(Command::Change(actions)).await
    }

    /// What our copies of these collections say, in order of what it is about.
    pub async fn contents(&self, collections: Vec<Collection>) -> Result<Vec<Action>, CommandError> {
        match self.ask_for(Command::Contents(collections)).await? {
            Answer::Contents(actions) => Ok(actions),
            _ => unreachable!("contents are answered as contents"),
        }
    }

    /// Asks the phone for older messages. `Ok` means that it is about to be asked; pieces of history name the
    /// id. With `since` it is asked again and again, `count` at a time, until that moment is reached or the
    /// phone has nothing older; at most 16 such wishes are kept, beyond that it is [`CommandError::Busy`].
    pub async fn want_history(
        &self,
        wanted: WantHistory,
        since: Option<UnixMillis>,
    ) -> Result<String, CommandError> {
        match self.ask_for(Command::WantHistory { wanted, since }).await? {
            Answer::AskedPhone(result) => result,
            _ => unreachable!("a question to the phone is answered as one"),
        }
    }

    async fn ask_for(&self, command: Command) -> Result<Answer, CommandError> {
        let _permit = self.permit().ok_or(CommandError::Busy)?;
        self.urgent(command).await.map_err(|ended| match ended {
            Finished::Fenced | Finished::Stale => CommandError::OwnershipLost,
            Finished::Stopped | Finished::Broken(_) => CommandError::Unavailable,
        })
    }
}
