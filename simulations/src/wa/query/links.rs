//! Namespace `w:qr`: links that lead to accounts.
//!
//! What must hold: a link that was made anew leads nowhere under its old code. How a business makes a link with a text no
//! client shows, so tests make them.

use rand::RngExt as _;
use roost_proto::stanza::{Builder, Read as _, Stanza};

use super::super::account::{DeviceRef, Form, Pn};
use super::super::machine::Machine;
use super::{Answer, refuse};

/// Links of one account.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    /// The code behind which it is found.
    contact: Option<String>,
    /// The code behind which it is spoken to, and what is said.
    message: Option<(String, String)>,
}

impl Machine {
    /// A business makes a link behind which this is said to it. Returns its code.
    pub fn link_with(&mut self, pn: Pn, text: &str) -> Option<String> {
        let code = self.code();
        let links = &mut self.accounts.get_mut(&pn)?.profile.links;
        links.message = Some((code.clone(), text.to_owned()));
        Some(code)
    }

    pub(super) fn links(&mut self, device: DeviceRef, set: bool, stanza: &Stanza) -> Answer {
        let asked = stanza.child("qr").ok_or_else(|| refuse(400, "no link is named"))?;
        if !set {
            return self.lead(&asked.text("code").ok_or_else(|| refuse(400, "no code"))?);
        }
        let known = self.account(device.pn).profile.links.contact.clone();
        let code = match (asked.text("type").as_deref(), asked.text("action").as_deref(), known) {
            (Some("contact"), Some("get"), Some(code)) => code,
            (Some("contact"), Some("get" | "revoke"), _) => self.code(),
            _ => return Err(refuse(400, "an unknown kind of link or action")),
        };
        self.account_mut(device.pn).profile.links.contact = Some(code.clone());
        Ok(vec![Builder::new("qr").attr("type", "contact").attr("code", code).build()])
    }

    fn lead(&self, code: &str) -> Answer {
        let to = self.accounts.values().find_map(|account| {
            let links = &account.profile.links;
            if links.contact.as_deref() == Some(code) {
                return Some((account, None));
            }
            let (_, text) = links.message.as_ref().filter(|(known, _)| known == code)?;
            Some((account, Some(text)))
        });
        let (account, text) = to.ok_or_else(|| refuse(404, "the link leads nowhere"))?;
        let link = Builder::new("qr").attr("jid", account.jid(Form::Pn)).attr("notify", account.name.clone());
        let Some(text) = text else { return Ok(vec![link.attr("type", "contact").build()]) };
        let message = Builder::new("message").bytes(text.as_bytes()).build();
        let business = account.profile.business.as_ref().map(|business| {
            let named = Builder::new("business").attr("verified_name", business.verified_name.clone());
            named.attr("is_signed", "false").attr("verified_level", "unknown").build()
        });
        let parts = std::iter::once(message).chain(business);
        Ok(vec![link.attr("type", "message").children(parts).build()])
    }

    fn code(&mut self) -> String {
        format!("{:024X}", self.rng.random::<u64>())
    }
}
