//! Links that people join a call by: `<call to=@call><link_create media/></call>`, answered by an acknowledgement.
//!
//! Rules: what Baileys and whatsapp-rust agree on.

use super::Question;
use crate::stanza::{Builder, Jid, Missing, Read as _, Server, Stanza};

/// Makes a link to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateCallLink {
    /// With pictures.
    pub video: bool,
}

impl Question for CreateCallLink {
    /// What stands behind the last slash of the link.
    type Answer = String;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let media = if self.video { "video" } else { "audio" };
        let link = Builder::new("link_create").attr("media", media).build();
        Builder::new("call").attr("to", Jid::new("", Server::Call)).children([link]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<String, Missing> {
        Ok(answer.need_child("link_create")?.need_text("token")?.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_its_media_and_its_token() {
        let ask = CreateCallLink { video: true };
        let media =
            ask.request().child("link_create").and_then(|link| link.text("media").map(|it| it.into_owned()));
        assert_eq!(media.as_deref(), Some("video"));
        let link = Builder::new("link_create").attr("token", "T").attr("media", "video").build();
        assert_eq!(ask.read(&Builder::new("ack").children([link]).build()).as_deref(), Ok("T"));
        assert!(ask.read(&Builder::new("ack").build()).is_err());
    }
}
