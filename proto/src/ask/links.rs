//! Links that lead to people, namespace `w:qr`: `https://wa.me/qr/…` to somebody, `https://wa.me/message/…` to a
//! business, with what is to be said to it.
//!
//! Rules: whatsmeow alone has them. Its questions about a code have no address, and neither do ours.

use super::{Question, set};
use crate::api;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// The most characters of a text that an answer is believed to have.
const LONGEST: usize = 4096;

/// Asks whom a link leads to. There is none when it is refused with 404.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveLink {
    /// What stands behind the last slash of the link.
    pub code: String,
}

impl Question for ResolveLink {
    /// Whom, by phone number or hidden identity, and what the answer says beside that; its `person` is empty.
    type Answer = (Jid, api::LinkTarget);

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let code = Builder::new("qr").attr("code", self.code.clone()).build();
        Builder::new("iq").attr("type", "get").attr("xmlns", "w:qr").children([code]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let link = answer.need_child("qr")?;
        let text = |text: &str| text.chars().take(LONGEST).collect::<String>();
        let business = link.child("business");
        let target = api::LinkTarget {
            person: None,
            push_name: text(&link.text("notify").unwrap_or_default()),
            text: text(link.child("message").and_then(Read::leaf_text).unwrap_or_default()),
            verified_name: text(&business.and_then(|it| it.text("verified_name")).unwrap_or_default()),
        };
        Ok((link.need_jid("jid")?.to_non_ad(), target))
    }
}

/// Asks for the link that leads to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnLink {
    /// Makes a new one; the one before leads nowhere any more.
    pub renew: bool,
}

impl Question for OwnLink {
    /// The code of the link.
    type Answer = String;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let action = if self.renew { "revoke" } else { "get" };
        let link = Builder::new("qr").attr("type", "contact").attr("action", action).build();
        set("w:qr").children([link]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<String, Missing> {
        Ok(answer.need_child("qr")?.need_text("code")?.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_with_what_is_to_be_said() {
        let ask = ResolveLink { code: "ABC".to_owned() };
        assert_eq!(ask.request().text("to"), None);
        let message = Builder::new("message").bytes(*b"Hello!").build();
        let business = Builder::new("business").attr("verified_name", "Hens").build();
        let link = |jid: Option<Jid>| {
            let link = Builder::new("qr").attr("notify", "Ada").children([message.clone(), business.clone()]);
            let link = jid.into_iter().fold(link, |link, jid| link.attr("jid", jid));
            Builder::new("iq").children([link.build()]).build()
        };
        let (jid, target) = ask.read(&link(Some(Jid::pn("4915")))).expect("complete");
        assert_eq!((jid, target.push_name.as_str()), (Jid::pn("4915"), "Ada"));
        assert_eq!((target.text.as_str(), target.verified_name.as_str()), ("Hello!", "Hens"));
        assert!(ask.read(&link(None)).is_err(), "it leads to somebody");
    }

    #[test]
    fn the_own_link_is_asked_for_or_made_anew() {
        let action = |renew| {
            let request = OwnLink { renew }.request();
            request.child("qr").and_then(|qr| qr.text("action")).map(|action| action.into_owned())
        };
        assert_eq!((action(false).as_deref(), action(true).as_deref()), (Some("get"), Some("revoke")));
        let answer = Builder::new("iq").children([Builder::new("qr").attr("code", "X").build()]).build();
        assert_eq!(OwnLink { renew: false }.read(&answer).as_deref(), Ok("X"));
        assert!(OwnLink { renew: false }.read(&Builder::new("iq").build()).is_err());
    }
}
