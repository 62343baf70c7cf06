//! What is asked of calls, answered by an acknowledgement: `<call to=@call><link_create media/></call>` and `link_query`
//! about links that people join a call by, and `<call to><reject call-id/></call>`.
//!
//! Rules: what Baileys and whatsapp-rust agree on; Baileys alone plans calls, and alone waits until a rejection is
//! acknowledged; whatsapp-rust alone asks what a link leads to.

use super::Question;
use crate::stanza::{Builder, Jid, Missing, Read as _, Server, Stanza};

/// Makes a link to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateCallLink {
    /// With pictures.
    pub video: bool,
    /// When it is planned, in seconds.
    pub start_s: Option<u64>,
}

impl Question for CreateCallLink {
    /// What stands behind the last slash of the link.
    type Answer = String;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let event = |start_s| Builder::new("event").attr("start_time", start_s).build();
        let link = Builder::new("link_create").attr("media", media(self.video));
        of_links(match self.start_s {
            Some(start_s) => link.children([event(start_s)]),
            None => link,
        })
    }

    fn read(&self, answer: &Stanza) -> Result<String, Missing> {
        Ok(answer.need_child("link_create")?.need_text("token")?.into_owned())
    }
}

/// Asks what a link to a call is about. WhatsApp refuses it when there is no such link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewCallLink {
    /// What stands behind the last slash of the link.
    pub token: String,
    /// What stands before it: with pictures.
    pub video: bool,
}

/// What a link to a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLinkPreview {
    /// With pictures.
    pub video: bool,
    /// Who has made the link, in the forms that WhatsApp tells.
    pub creator: [Option<Jid>; 2],
    /// Who comes waits until he is let in.
    pub waiting_room: bool,
    /// The account that asks may let people in.
    pub admin: bool,
}

impl Question for PreviewCallLink {
    type Answer = CallLinkPreview;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let link = Builder::new("link_query").attr("token", self.token.clone());
        of_links(link.attr("media", media(self.video)))
    }

    fn read(&self, answer: &Stanza) -> Result<CallLinkPreview, Missing> {
        let link = answer.need_child("link_query")?;
        let creator = [Some(link.need_jid("link_creator")?.to_non_ad()), link.jid("link_creator_pn")];
        let room = link.child("waiting_room");
        let says = |word: &str| room.is_some_and(|room| room.text(word).as_deref() == Some("1"));
        Ok(CallLinkPreview {
            video: link.need_text("media")? == media(true),
            creator,
            waiting_room: says("enabled"),
            admin: says("is_admin"),
        })
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
    fn a_link_has_its_media_its_token_and_when_its_call_is_planned() {
        let asked = |start_s| {
            let request = CreateCallLink { video: true, start_s }.request();
            let link = request.child("link_create").cloned().expect("a link");
            let start_s = link.child("event").and_then(|event| event.number("start_time"));
            (link.text("media").map(|it| it.into_owned()), start_s)
        };
        assert_eq!(asked(None), (Some("video".to_owned()), None));
        assert_eq!(asked(Some(1_800_000_000)), (Some("video".to_owned()), Some(1_800_000_000)));
        let ask = CreateCallLink { video: true, start_s: None };
        let link = Builder::new("link_create").attr("token", "T").attr("media", "video");
        assert_eq!(ask.read(&ack(link)).as_deref(), Ok("T"));
        assert!(ask.read(&Builder::new("ack").build()).is_err());
    }

    #[test]
    fn a_preview_names_who_made_the_link_and_who_lets_people_in() {
        let ask = PreviewCallLink { token: "T".to_owned(), video: false };
        let request = ask.request();
        let query = request.child("link_query").expect("a query");
        assert_eq!(
            (query.text("token").as_deref(), query.text("media").as_deref()),
            (Some("T"), Some("audio"))
        );
        let link = || Builder::new("link_query").attr("token", "T").attr("media", "audio");
        let room = Builder::new("waiting_room").attr("enabled", "1").attr("is_admin", "0").build();
        let made = link().attr("link_creator", Jid::lid("8")).attr("link_creator_pn", Jid::pn("4915"));
        let about = CallLinkPreview {
            video: false,
            creator: [Some(Jid::lid("8")), Some(Jid::pn("4915"))],
            waiting_room: true,
            admin: false,
        };
        assert_eq!(ask.read(&ack(made.children([room]))), Ok(about));
        let bare = ask.read(&ack(link().attr("link_creator", Jid::lid("8")))).expect("enough");
        assert_eq!((bare.creator, bare.waiting_room), ([Some(Jid::lid("8")), None], false));
        assert!(ask.read(&ack(link())).is_err(), "somebody has made it");
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
