//! Reports of spam: namespace `spam`.
//!
//! Rules: whatsapp-rust alone has them. The message itself, which it may add, is left out: WhatsApp has it by its id.

use super::business::text;
use super::{Question, set};
use crate::stanza::{Builder, Jid, Missing, Stanza};

/// The most characters of an id that an answer is believed to have.
const LONGEST: usize = 256;

/// Says that a message is spam.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSpam {
    /// Where it was said: a user or a group.
    pub chat: Jid,
    /// Its id.
    pub id: String,
    /// When it was said, Unix seconds.
    pub seconds: i64,
    /// Who said it, in a group.
    pub sender: Option<Jid>,
}

impl Question for ReportSpam {
    /// How the report is called; empty when the answer does not say.
    type Answer = String;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let message = Builder::new("message")
            .attr("id", self.id.clone())
            .attr("t", self.seconds.to_string())
            .attr("from", self.chat.clone());
        let message =
            self.sender.iter().fold(message, |message, sender| message.attr("participant", sender.clone()));
        let list = Builder::new("spam_list").attr("spam_flow", "MessageMenu");
        let list = self.sender.iter().fold(list, |list, _| list.attr("jid", self.chat.clone()));
        set("spam").children([list.children([message.build()]).build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<String, Missing> {
        Ok(text(answer, "report_id").chars().take(LONGEST).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{Read as _, Server};

    #[test]
    fn a_report_names_the_group_and_who_spoke_in_it() {
        let chat = Jid::new("1203631", Server::Group);
        let ask = ReportSpam { chat, id: "3EB0".to_owned(), seconds: 5, sender: Some(Jid::lid("7")) };
        let list = ask.request().child("spam_list").expect("a list").clone();
        let message = list.child("message").expect("a message").clone();
        assert_eq!((list.jid("jid"), message.jid("from")), (Some(ask.chat.clone()), Some(ask.chat.clone())));
        assert_eq!((message.jid("participant"), message.number("t")), (Some(Jid::lid("7")), Some(5)));
        let alone = ReportSpam { chat: Jid::pn("4915"), sender: None, ..ask.clone() };
        assert_eq!(alone.request().child("spam_list").and_then(|list| list.jid("jid")), None);
        let id = Builder::new("report_id").bytes(*b"R1").build();
        assert_eq!(ask.read(&Builder::new("iq").children([id]).build()).as_deref(), Ok("R1"));
        assert_eq!(ask.read(&Builder::new("iq").build()).as_deref(), Ok(""));
    }
}
