//! What is said of posts: reactions, which go to who has posted, and replies, which are messages to him.

use super::*;

impl Pair<'_> {
    /// Each side reacts to the post of the other, and replies to it.
    pub(super) async fn remarks(&mut self, ours: &str, theirs: &str) -> Result<(), Failure> {
        let name = self.client.name().to_owned();
        let author = self.person.lid_jid();
        let post =
            Some(api::MessageRef { whatsapp_id: theirs.to_owned(), from_me: false, sender: author.clone() });
        let emoji = "🐔".to_owned();
        let reaction = api::Reaction { message: post.clone(), emoji: emoji.clone(), concealed: false };
        self.say(To::Status(api::StatusAudience::default()), Content::Reaction(reaction)).await?;
        assert_eq!(self.client.said("reaction", &emoji).await?.about, theirs);
        self.client.reacts_to_post(ours, "🥚", &[self.roost.number_jid()]).await?;
        let told = |payload: &Payload| match payload {
            Payload::ReactionReceived(reaction) if reaction.emoji == "🥚" => {
                let said = reaction.said.clone().filter(|said| said.group == STATUS)?;
                let by = said.sender.unwrap_or_default().lid;
                Some((by, reaction.message.clone().unwrap_or_default())).filter(|(by, _)| *by == author)
            }
            _ => None,
        };
        let (_, about) = self.reader.wait("a reaction to a post", told).await?;
        assert_eq!((about.whatsapp_id.as_str(), about.from_me), (ours, true));
        self.matrix.row("reaction to a status post").seen(self.from).seen(self.to);

        let quote = api::Quote {
            message: post,
            text: format!("posted by {name}"),
            chat: STATUS.to_owned(),
            content: None,
        };
        let context = api::Context { quote: Some(quote), ..Default::default() };
        let (to, text) = (To::Lid(self.person.lid.clone()), format!("well posted, {name}"));
        let reply = Content::Text(text.clone());
        self.cluster.say(self.device, to, reply, context, WaitFor::ServerAck).await?;
        assert_eq!(self.client.said("reply", &text).await?.about, theirs);
        let text = format!("well posted, says {name}");
        let id = self.client.say(&self.roost.lid_jid(), "reply", &text, ours).await?;
        let told = |payload: &Payload| match payload {
            Payload::MessageReceived(message) if message.whatsapp_id == id => message.context.clone()?.quote,
            _ => None,
        };
        let quote = self.reader.wait("a reply to a post", told).await?;
        let about = quote.message.unwrap_or_default();
        assert_eq!((quote.chat.as_str(), about.whatsapp_id.as_str(), about.from_me), (STATUS, ours, true));
        self.matrix.row("reply to a status post").seen(self.from).seen(self.to);
        Ok(())
    }
}
