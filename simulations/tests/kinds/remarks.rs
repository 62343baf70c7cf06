//! What is said about an earlier message: quotes, reactions, edits, pins and revocations.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::Failure;

use super::{Pair, about, edit};

/// For which clients pin a message, and a device.
const DAY: i64 = 86_400;
const WEEK: i64 = 604_800;

impl Pair<'_> {
    /// Kinds that are about an earlier message.
    pub(crate) async fn remarks(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let ours = self.say(Content::Text(format!("first, to {name}"))).await?;
        self.speaker.client.message(&format!("first, to {name}")).await?;
        let theirs = self.speaker.client.send(&self.roost.lid_jid(), &format!("first, from {name}")).await?;
        self.received(&theirs).await?;

        let text = format!("first, from {name}");
        let quote = api::Quote { message: about(&theirs, false), text, ..Default::default() };
        let context = api::Context { quote: Some(quote), ..Default::default() };
        self.say_with(Content::Text(format!("quoting {name}")), context).await?;
        assert_eq!(self.speaker.client.said("quote", &format!("quoting {name}")).await?.about, theirs);
        let id = self.hear("quote", &format!("{name} quotes"), &ours).await?;
        let quote = self.received(&id).await?.context.and_then(|context| context.quote).expect("a quote");
        let quoted = quote.message.expect("of a message");
        assert_eq!((quoted.whatsapp_id.as_str(), quoted.from_me), (ours.as_str(), true));
        self.matrix.row("quote").seen(self.from).seen(self.to);

        let reaction = |emoji: &str| {
            let (message, concealed) = (about(&theirs, false), false);
            Content::Reaction(api::Reaction { message, emoji: emoji.into(), concealed })
        };
        self.say(reaction("👍")).await?;
        assert_eq!(self.speaker.client.said("reaction", "👍").await?.about, theirs);
        self.say(reaction("")).await?;
        assert_eq!(self.speaker.client.said("reaction", "").await?.about, theirs);
        self.hear("reaction", "🐓", &ours).await?;
        let reacted = self
            .reader
            .wait("reaction", |payload| match payload {
                Payload::ReactionReceived(reaction) if reaction.emoji == "🐓" => {
                    reaction.message.clone().filter(|message| message.whatsapp_id == ours)
                }
                _ => None,
            })
            .await?;
        assert!(reacted.from_me);
        self.matrix.row("reaction").seen(self.from).seen(self.to);

        let better = format!("better, to {name}");
        self.say(edit(&ours, &better, false)).await?;
        self.speaker.client.said("edit", &better).await?;
        let better = format!("better, from {name}");
        self.hear("edit", &better, &theirs).await?;
        self.edited(&theirs, &better).await?;
        self.matrix.row("edit").seen(self.from).seen(self.to);

        for (lasting, word) in [(Some(WEEK), ""), (None, "undo")] {
            let duration = lasting.map(|seconds| api::Duration { seconds, nanos: 0 });
            self.say(Content::Pin(api::PinMessage { message: about(&theirs, false), duration })).await?;
            let said = self.speaker.client.said("pin", word).await?;
            assert_eq!((said.about, said.detail), (theirs.clone(), lasting.unwrap_or_default().to_string()));
            self.hear("pin", word, &theirs).await?;
            let duration = lasting.map(|_| api::Duration { seconds: DAY, nanos: 0 });
            let pinned = |payload: &Payload| match payload {
                Payload::MessagePinned(pin) if pin.duration == duration => {
                    pin.message.clone().filter(|pin| pin.whatsapp_id == theirs)
                }
                _ => None,
            };
            assert!(!self.reader.wait(&format!("pin for {duration:?}"), pinned).await?.from_me);
        }
        self.matrix.row("pin").seen(self.from).seen(self.to);

        self.say(Content::Revoke(api::RevokeMessage { message: about(&ours, true) })).await?;
        assert_eq!(self.speaker.client.said("revoke", "").await?.about, ours);
        self.hear("revoke", "", &theirs).await?;
        let revoked = self
            .reader
            .wait("revoke", |payload| match payload {
                Payload::MessageRevoked(revoked) => {
                    revoked.message.clone().filter(|it| it.whatsapp_id == theirs)
                }
                _ => None,
            })
            .await?;
        assert!(!revoked.from_me);
        self.matrix.row("revoke").seen(self.from).seen(self.to);
        Ok(())
    }
}
