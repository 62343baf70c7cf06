//! What is asked of calls, answered by an acknowledgement: `<call to=@call><link_create media/></call>` for links that people
//! join a call by, and `<call to><reject call-id/></call>`.
//!
//! Rules: what Baileys and whatsapp-rust agree on; Baileys alone waits until a rejection is acknowledged.

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
        of_links(Builder::new("link_create").attr("media", media(self.video)))
    }

    fn read(&self, answer: &Stanza) -> Result<String, Missing> {
        Ok(answer.need_child("link_create")?.need_text("token")?.into_owned())
    }
}

/// Rejects a call on all devices of the account. Who asks again rejects nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectCall {
    /// Who calls.
    pub caller: Jid,
    /// Which call.
    pub call_id: String,
}

impl Question for RejectCall {
    type Answer = ();

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let caller = self.caller.to_non_ad();
        let reject = Builder::new("reject")
            .attr("call-id", self.call_id.clone())
            .attr("call-creator", caller.clone())
            .attr("count", "0")
            .build();
        Builder::new("call").attr("to", caller).children([reject]).build()
    }

    fn read(&self, _answer: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

fn media(video: bool) -> &'static str {
    if video { "video" } else { "audio" }
}

fn of_links(part: Builder) -> Stanza {
    Builder::new("call").attr("to", Jid::new("", Server::Call)).children([part.build()]).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(part: Builder) -> Stanza {
        Builder::new("ack").children([part.build()]).build()
    }

    #[test]
    fn a_link_has_its_media_and_its_token() {
        let ask = CreateCallLink { video: true };
        let media =
            ask.request().child("link_create").and_then(|link| link.text("media").map(|it| it.into_owned()));
        assert_eq!(media.as_deref(), Some("video"));
        let link = Builder::new("link_create").attr("token", "T").attr("media", "video");
        assert_eq!(ask.read(&ack(link)).as_deref(), Ok("T"));
        assert!(ask.read(&Builder::new("ack").build()).is_err());
    }

    #[test]
    fn a_rejection_names_the_call_and_who_calls_without_his_device() {
        let caller = Jid::lid("8").with_device(3);
        let request = RejectCall { caller, call_id: "c1".to_owned() }.request();
        let reject = request.child("reject").expect("a rejection");
        assert_eq!(
            (request.jid("to"), reject.jid("call-creator")),
            (Some(Jid::lid("8")), Some(Jid::lid("8")))
        );
        assert_eq!(reject.text("call-id").as_deref(), Some("c1"));
    }
}
