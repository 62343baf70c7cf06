//! Who a paired device is: what pairing gave it, kept as one row.

use bytes::Bytes;
use roost_proto::stanza::Jid;

use super::DialLogin;
use super::codec::{Reader, Writer};

/// The account of a paired device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Phone-number JID with our device number.
    pub pn: Jid,
    /// LID with our device number.
    pub lid: Option<Jid>,
    /// The signed device identity that goes with messages which open a ratchet.
    pub identity: Bytes,
    /// The name that others see, as far as it is known.
    pub push_name: String,
    /// WhatsApp has unlinked the device.
    pub logged_out: bool,
    /// Who paired it wants nothing of the past.
    pub without_history: bool,
}

impl Account {
    /// For the store.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(1);
        out.text(&self.pn.to_string());
        out.text(&self.lid.as_ref().map(ToString::to_string).unwrap_or_default());
        out.bytes(&self.identity);
        out.text(&self.push_name);
        out.bytes(&[u8::from(self.logged_out)]);
        out.bytes(&[u8::from(self.without_history)]);
        out.finish()
    }

    /// Reads what [`Account::to_bytes`] wrote; `None` when it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Account> {
        let mut rest = Reader::new(1, bytes)?;
        let pn = rest.text()?.parse().ok()?;
        let lid = match rest.text()? {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let identity = Bytes::copy_from_slice(rest.bytes()?);
        let push_name = rest.text()?.to_owned();
        let logged_out = rest.bytes()? == [1];
        // Earlier rows end here.
        let without_history = rest.bytes() == Some(&[1]);
        Some(Account { pn, lid, identity, push_name, logged_out, without_history })
    }

    /// How it names itself to WhatsApp; `None` when the phone number is not a number.
    pub(super) fn login(&self) -> Option<DialLogin> {
        Some(DialLogin { username: self.pn.user.parse().ok()?, device: self.pn.device })
    }

    /// Whether a JID is of this account, any device.
    pub(super) fn is_own(&self, jid: &Jid) -> bool {
        let same = |own: &Jid| own.user == jid.user && own.server == jid.server;
        same(&self.pn) || self.lid.as_ref().is_some_and(same)
    }

    /// Our device number.
    pub(super) fn device(&self) -> u16 {
        self.pn.device
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_back_as_it_was_written() {
        let account = Account {
            pn: Jid::pn_device("4915112345678", 7),
            lid: Some(Jid::lid_device("1234567", 7)),
            identity: Bytes::from_static(b"signed"),
            push_name: "Käthe".to_owned(),
            logged_out: true,
            without_history: true,
        };
        let bytes = account.to_bytes();
        assert_eq!(Account::from_bytes(&bytes), Some(account.clone()));
        let earlier = Account { without_history: false, ..account.clone() };
        assert_eq!(
            Account::from_bytes(&bytes[..bytes.len() - 5]),
            Some(earlier),
            "a row of the release before"
        );
        assert_eq!(Account::from_bytes(&bytes[..bytes.len() - 6]), None);
        assert!(account.is_own(&Jid::lid("1234567")) && !account.is_own(&Jid::pn("1234567")));
    }
}
