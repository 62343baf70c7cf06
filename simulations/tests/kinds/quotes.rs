//! Quotes of what is no text.

use roost_proto::api;
use roost_proto::api::quote::Content as Quoted;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::Failure;

use super::{Pair, about};

fn place(name: &str) -> api::Location {
    api::Location { latitude: 52.5, longitude: 13.5, name: name.to_owned(), ..Default::default() }
}

impl Pair<'_> {
    /// Each side quotes a place of the other.
    pub(crate) async fn quotes(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let here = place(&format!("a coop for {name}"));
        let ours = self.say(Content::Location(here.clone())).await?;
        self.speaker.client.said("location", &here.name).await?;
        let id = self.hear("quote", &format!("that coop, says {name}"), &ours).await?;
        let quote = self.received(&id).await?.context.and_then(|context| context.quote).unwrap_or_default();
        let said = quote.message.unwrap_or_default();
        assert_eq!((said.whatsapp_id.as_str(), said.from_me, quote.chat.as_str()), (ours.as_str(), true, ""));
        assert_eq!(quote.content, Some(Quoted::Location(here)), "{name}");
        self.matrix.row("quote of a place").seen(self.from);

        let there = format!("a coop of {name}");
        let theirs = self.hear("location", &there, "").await?;
        let quote = api::Quote {
            message: about(&theirs, false),
            content: Some(Quoted::Location(place(&there))),
            ..Default::default()
        };
        let text = format!("that coop of {name}");
        let context = api::Context { quote: Some(quote), ..Default::default() };
        self.say_with(Content::Text(text.clone()), context).await?;
        assert_eq!(self.speaker.client.said("quote_place", &text).await?.about, theirs);
        self.matrix.row("quote of a place").seen(self.to);
        Ok(())
    }
}
