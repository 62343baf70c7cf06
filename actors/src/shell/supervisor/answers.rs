//! What the supervisor tells callers and followers, and asks of the gate.

use tokio::sync::watch;

use super::{Child, Input, State, Task};
use crate::device::{Answer, PairingUpdate};
use crate::machine::Reply;
use crate::port::{Attempt, PermitRefused};

impl State {
    pub(super) fn ask_permit(&mut self) {
        let (gate, grant) = (self.ports.gate.clone(), self.opening.grant.clone());
        let (me, life) = (self.me.clone(), self.children.life());
        self.asking = Some(Task(tokio::spawn(async move {
            let child = match gate.permit(&grant).await {
                Ok(permit) => {
                    gate.report(Attempt::Replaced { ours: false });
                    Child::Permit(permit.grant == grant)
                }
                Err(PermitRefused::Stale) => {
                    gate.report(Attempt::Replaced { ours: true });
                    Child::Stale
                }
                Err(PermitRefused::Unavailable(_)) => Child::Permit(false),
            };
            let _ = me.send_message(Input::Child(life, child));
        })));
    }

    pub(super) fn reply(&mut self, token: u64, reply: Reply) {
        let Some(sender) = self.replies.remove(&token) else { return };
        let answer = match reply {
            Reply::Sent(result) => Answer::Sent(result),
            Reply::Asked(result) => Answer::Asked(result),
            Reply::Passkey(result) => Answer::Passkey(result),
            Reply::Made(result) => Answer::Made(result),
            Reply::Imported(result) => Answer::Imported(result),
            Reply::Media(result) => Answer::Media(result),
            Reply::Identities(result) => Answer::Identities(result),
            Reply::Pace(result) => Answer::Pace(result),
            Reply::Done(result) => Answer::Done(result),
            Reply::Contents(actions) => Answer::Contents(actions),
            Reply::AskedPhone(result) => Answer::AskedPhone(result),
            Reply::Pairing(result) => Answer::Pairing(result.map(|()| self.follow_pairing())),
        };
        let _ = sender.send(answer);
    }

    /// A follower sees where the attempt is now.
    fn follow_pairing(&mut self) -> watch::Receiver<PairingUpdate> {
        let over = |update: &PairingUpdate| {
            matches!(update, PairingUpdate::Paired { .. } | PairingUpdate::Failed { .. })
        };
        if self.pairing.as_ref().is_none_or(|sender| over(&sender.borrow())) {
            self.pairing = Some(watch::channel(PairingUpdate::Connecting).0);
        }
        let sender = self.pairing.as_ref().expect("made above when there was none");
        sender.subscribe()
    }

    pub(super) fn show_pairing(&mut self, update: PairingUpdate) {
        if let Some(sender) = &self.pairing {
            sender.send_replace(update);
        }
    }
}
