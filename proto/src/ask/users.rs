//! What WhatsApp tells about accounts: about text, picture, devices, hidden identity, business name.
//!
//! What must hold: what the account hides from us, or does not have, is absent and not an error; a user of
//! whom the answer says nothing at all is not on WhatsApp.

use std::collections::BTreeSet;

use super::numbers::usync;
use super::{Question, get};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};
use crate::verified::verified_name;

/// The most devices that an account is believed to have.
const DEVICES: usize = 128;

/// Asks about some accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskUsers {
    /// Bare JIDs, by phone number or LID.
    pub users: Vec<Jid>,
}

/// What is known of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As it was asked for.
    pub jid: Jid,
    /// Its phone number, when it was asked for by that or WhatsApp tells it.
    pub pn: Option<Jid>,
    /// Its hidden identity, when it was asked for by that or WhatsApp tells it.
    pub lid: Option<Jid>,
    /// Its about text.
    pub about: Option<String>,
    /// Since when it has that text, Unix seconds.
    pub about_since: Option<u64>,
    /// Id of its picture.
    pub picture: Option<String>,
    /// Device numbers in order; 0 is the phone.
    pub devices: Vec<u16>,
    /// It is a business; its verified name, empty when it has none.
    pub business: Option<String>,
    /// Its default timer of disappearing messages, seconds.
    pub disappearing: Option<u32>,
}

impl Question for AskUsers {
    /// Those that are on WhatsApp.
    type Answer = Vec<User>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let leaf = |tag: &'static str| Builder::new(tag).build();
        let query = [
            Builder::new("business").children([leaf("verified_name")]).build(),
            leaf("status"),
            leaf("picture"),
            Builder::new("devices").attr("version", "2").build(),
            leaf("disappearing_mode"),
            leaf("lid"),
        ];
        let users = self.users.iter().map(|jid| Builder::new("user").attr("jid", jid.clone()).build());
        get("usync").children([usync("interactive", query, users)]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<User>, Missing> {
        let users = answer.need_child("usync")?.need_child("list")?.all();
        let about =
            |jid: &Jid| users.iter().find(|user| user.jid("jid").is_some_and(|is| is.to_non_ad() == *jid));
        Ok(self.users.iter().filter_map(|jid| read_user(jid, about(jid)?)).collect())
    }
}

fn read_user(jid: &Jid, user: &Stanza) -> Option<User> {
    let list = user.child("devices").and_then(|devices| devices.child("device-list"))?;
    let ids = list.all().iter().filter(|child| child.tag == "device");
    let devices: BTreeSet<u16> = ids.filter_map(|device| u16::try_from(device.number("id")?).ok()).collect();
    let forms = [Some(jid.clone()), user.jid("pn_jid"), user.child("lid").and_then(|lid| lid.jid("val"))];
    let form = |is: fn(&Jid) -> bool| forms.iter().flatten().find(|jid| is(jid)).map(Jid::to_non_ad);
    // A hidden or empty text comes with a code instead of a content.
    let status = user.child("status").filter(|status| status.text("type").as_deref() != Some("fail"));
    let disappearing = user.child("disappearing_mode").and_then(|mode| mode.number("duration"));
    Some(User {
        jid: jid.clone(),
        pn: form(Jid::is_pn),
        lid: form(Jid::is_lid),
        about: status.and_then(|status| status.leaf_text()).map(str::to_owned),
        about_since: status.and_then(|status| status.number("t")),
        picture: user.child("picture").and_then(|picture| picture.text("id")).map(|id| id.into_owned()),
        devices: devices.into_iter().take(DEVICES).collect(),
        business: user.child("business").map(|business| verified_name(business).unwrap_or_default()),
        disappearing: disappearing.and_then(|seconds| seconds.try_into().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(ids: &[u64]) -> Stanza {
        let ids = ids.iter().map(|id| Builder::new("device").attr("id", *id).build());
        Builder::new("devices").children([Builder::new("device-list").children(ids).build()]).build()
    }

    fn answer(users: Vec<Stanza>) -> Stanza {
        Builder::new("iq").children([usync("interactive", [], users)]).build()
    }

    #[test]
    fn what_an_account_shows_is_read_and_what_it_hides_is_absent() {
        let ada = Jid::pn("4915100000001");
        let bob = Jid::lid("77");
        let name = crate::verified::certificate("Ada's Shop");
        let shown = Builder::new("user")
            .attr("jid", ada.clone())
            .children([
                devices(&[3, 0]),
                Builder::new("lid").attr("val", Jid::lid("88")).build(),
                Builder::new("status").attr("t", 5u64).bytes("busy".as_bytes()).build(),
                Builder::new("picture").attr("id", "12").build(),
                Builder::new("business")
                    .children([Builder::new("verified_name").bytes(name).build()])
                    .build(),
                Builder::new("disappearing_mode").attr("duration", 86_400u64).build(),
            ])
            .build();
        let hidden = Builder::new("user")
            .attr("jid", bob.clone())
            .children([
                devices(&[0]),
                Builder::new("status").attr("code", 401u64).attr("type", "fail").build(),
            ])
            .build();
        let nobody = Jid::pn("4915100000009");
        let asked = AskUsers { users: vec![bob.clone(), nobody.clone(), ada.clone()] };
        let unknown = Builder::new("user").attr("jid", nobody).build();
        let users = asked.read(&answer(vec![shown, unknown, hidden])).expect("complete");
        assert_eq!(users.len(), 2, "one is not on WhatsApp");
        let (bob_is, ada_is) = (&users[0], &users[1]);
        assert_eq!((&bob_is.lid, &bob_is.pn, &bob_is.about), (&Some(bob), &None, &None));
        assert_eq!((bob_is.devices.as_slice(), &bob_is.business), (&[0][..], &None));
        assert_eq!((&ada_is.pn, &ada_is.lid), (&Some(ada), &Some(Jid::lid("88"))));
        assert_eq!((ada_is.about.as_deref(), ada_is.about_since), (Some("busy"), Some(5)));
        assert_eq!((ada_is.picture.as_deref(), ada_is.devices.as_slice()), (Some("12"), &[0, 3][..]));
        assert_eq!(ada_is.business.as_deref(), Some("Ada's Shop"));
        assert_eq!(ada_is.disappearing, Some(86_400));
    }
}
