//! Hosted devices: the one of an account that WhatsApp's owner runs for it, beside its phone (coexistence with the Cloud API).
//!
//! On the wire such a device is `{user}:99@hosted`, or `{user}:99@hosted.lid`; everywhere else it is here device 99 of
//! its account, whose other addresses it shares. What must hold: one address form never passes for the other; so both are
//! made where stanzas are read and written, and nowhere else.
//! Rules: what whatsmeow, Baileys and whatsapp-rust agree on, who all know it by its number, too.

use bytes::Bytes;
use wacore_binary::{Jid, Node as Stanza, NodeContent, NodeValue, Server};

use super::{StanzaError, decode, encode};

/// The number of a hosted device.
pub const HOSTED: u16 = 99;

/// As [`decode`], with hosted devices as devices of their accounts.
///
/// # Errors
/// [`StanzaError`].
pub fn hear(plaintext: &[u8]) -> Result<Stanza, StanzaError> {
    Ok(plainly(decode(plaintext)?))
}

/// With hosted devices as devices of their accounts.
pub fn plainly(mut stanza: Stanza) -> Stanza {
    rename(&mut stanza, &plain);
    stanza
}

/// As [`encode`], with hosted devices as the wire names them.
///
/// # Errors
/// [`StanzaError::Codec`].
pub fn say(stanza: &Stanza) -> Result<Bytes, StanzaError> {
    if !names(stanza, &|jid| jid.device == HOSTED) {
        return encode(stanza).map(Bytes::from);
    }
    let mut stanza = stanza.clone();
    rename(&mut stanza, &on_the_wire);
    encode(&stanza).map(Bytes::from)
}

/// Whether a stanza names a hosted device as if it were a usual one, which no client does.
pub fn misnames(stanza: &Stanza) -> bool {
    names(stanza, &|jid| jid.device == HOSTED && matches!(jid.server, Server::Pn | Server::Lid))
}

/// The JID of a device as the wire has it.
pub fn on_the_wire(jid: &Jid) -> Option<Server> {
    match jid.server {
        Server::Pn if jid.device == HOSTED => Some(Server::Hosted),
        Server::Lid if jid.device == HOSTED => Some(Server::HostedLid),
        _ => None,
    }
}

/// The server of its account. No other device of an account is hosted: one that says so is nobody's here.
fn plain(jid: &Jid) -> Option<Server> {
    match jid.server {
        _ if !matches!(jid.device, 0 | HOSTED) => None,
        Server::Hosted => Some(Server::Pn),
        Server::HostedLid => Some(Server::Lid),
        _ => None,
    }
}

fn rename(stanza: &mut Stanza, to: &impl Fn(&Jid) -> Option<Server>) {
    for (_, value) in stanza.attrs.0.iter_mut() {
        if let NodeValue::Jid(jid) = value
            && let Some(server) = to(jid)
        {
            jid.server = server;
        }
    }
    if let Some(NodeContent::Nodes(children)) = &mut stanza.content {
        children.iter_mut().for_each(|child| rename(child, to));
    }
}

fn names(stanza: &Stanza, is_it: &impl Fn(&Jid) -> bool) -> bool {
    let here = stanza.attrs.iter().any(|(_, value)| matches!(value, NodeValue::Jid(jid) if is_it(jid)));
    let children = match &stanza.content {
        Some(NodeContent::Nodes(children)) => &children[..],
        _ => &[],
    };
    here || children.iter().any(|child| names(child, is_it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{Builder, Read as _};

    #[test]
    fn a_hosted_device_is_one_of_its_account_here_and_has_addresses_of_its_own_on_the_wire() {
        let inner = Builder::new("to").attr("jid", Jid::pn_device("4915", 99)).build();
        let said = Builder::new("message").attr("to", Jid::lid_device("77", 99)).children([inner]).build();
        let bytes = say(&said).expect("it can be written");
        let wire = decode(&bytes).expect("it was written");
        assert_eq!(wire.text("to").as_deref(), Some("77:99@hosted.lid"));
        assert_eq!(wire.child("to").and_then(|to| to.text("jid")).as_deref(), Some("4915:99@hosted"));
        assert!(misnames(&said) && !misnames(&wire));
        assert_eq!(hear(&bytes).expect("it was written").jid("to"), Some(Jid::lid_device("77", 99)));
        assert_eq!(say(&hear(&bytes).expect("written")).expect("again"), bytes);
    }

    #[test]
    fn what_names_no_hosted_device_is_written_as_it_is() {
        let said = Builder::new("message").attr("to", Jid::lid_device("77", 98)).build();
        assert_eq!(say(&said).expect("written"), encode(&said).expect("written"));
        let account = Builder::new("user").attr("jid", Jid::new("4915", Server::Hosted)).build();
        let heard = hear(&encode(&account).expect("written")).expect("read");
        assert_eq!(heard.jid("jid"), Some(Jid::pn("4915")), "an account is never hosted as a whole");
    }

    #[test]
    fn a_usual_device_does_not_pass_for_one_that_calls_itself_hosted() {
        let stranger = Jid { device: 5, ..Jid::new("4915", Server::Hosted) };
        let said = Builder::new("message").attr("from", stranger.clone()).build();
        let heard = hear(&encode(&said).expect("written")).expect("read");
        assert_eq!(heard.jid("from"), Some(stranger));
    }
}
