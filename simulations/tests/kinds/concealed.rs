//! What is encrypted under the secret of the message that it is about.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::Failure;

use super::{Pair, about, cannot_hear, cannot_say, edit, opened};

impl Pair<'_> {
    /// What is encrypted under the secret of the message that it is about.
    pub(crate) async fn concealed(&mut self) -> Result<(), Failure> {
        let library = self.speaker.library;
        for row in ["concealed reaction", "concealed comment", "encrypted edit"] {
            if let Some(reason) = cannot_hear(library, row) {
                self.matrix.row(row).not_applicable(self.from, reason).not_applicable(self.to, reason);
            }
        }
        if cannot_hear(library, "concealed comment").is_some() {
            return Ok(());
        }
        let theirs = self.hear("secret", "with a secret", "").await?;
        self.received(&theirs).await?;
        let message = about(&theirs, false);
        let reaction = api::Reaction { message: message.clone(), emoji: "🐔".into(), concealed: true };
        self.say(Content::Reaction(reaction)).await?;
        assert_eq!(self.speaker.client.said(opened(library), "🐔").await?.about, theirs);
        self.matrix.row("concealed reaction").seen(self.to);
        if let Some(reason) = cannot_say(library, "concealed reaction") {
            self.matrix.row("concealed reaction").not_applicable(self.from, reason);
        } else {
            self.hear("concealed_reaction", "🥚", &theirs).await?;
            let reacted = |payload: &Payload| match payload {
                Payload::ReactionReceived(reaction) if reaction.emoji == "🥚" => {
                    reaction.message.as_ref().filter(|message| message.whatsapp_id == theirs).map(|_| ())
                }
                _ => None,
            };
            self.reader.wait("a concealed reaction", reacted).await?;
            self.matrix.row("concealed reaction").seen(self.from);
        }
        let text = format!("well said, {}", self.name());
        self.say(Content::Comment(api::Comment { message, text: text.clone() })).await?;
        assert_eq!(self.speaker.client.said("concealed_comment", &text).await?.about, theirs);
        let text = format!("said by {}", self.name());
        self.hear("concealed_comment", &text, &theirs).await?;
        let commented = |payload: &Payload| match payload {
            Payload::CommentReceived(received) if !received.unreadable => received
                .comment
                .as_ref()
                .is_some_and(|comment| comment.content == Some(Received::Text(text.clone())))
                .then_some(()),
            _ => None,
        };
        self.reader.wait("a concealed comment", commented).await?;
        self.matrix.row("concealed comment").seen(self.from).seen(self.to);
        self.encrypted_edits(&theirs).await
    }

    /// New content for a message of ours, and for this one of the client.
    async fn encrypted_edits(&mut self, theirs: &str) -> Result<(), Failure> {
        let (row, name) = ("encrypted edit", self.name());
        let ours = self.say(Content::Text(format!("before, to {name}"))).await?;
        self.speaker.client.message(&format!("before, to {name}")).await?;
        let after = format!("after, to {name}");
        self.say(edit(&ours, &after, true)).await?;
        assert_eq!(self.speaker.client.said("edit", &after).await?.about, ours);
        self.matrix.row(row).seen(self.to);
        if let Some(reason) = cannot_say(self.speaker.library, row) {
            self.matrix.row(row).not_applicable(self.from, reason);
            return Ok(());
        }
        let after = format!("after, from {name}");
        self.hear("encrypted_edit", &after, theirs).await?;
        self.edited(theirs, &after).await?;
        self.matrix.row(row).seen(self.from);
        Ok(())
    }
}
