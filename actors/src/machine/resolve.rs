//! Who is behind a recipient: LIDs, device lists, prekey bundles.
//!
//! What must hold: a device list is kept until WhatsApp says that it changed (a notification, or another
//! hash of it in an acknowledgement); an error about one user or one device concerns only that one.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::adv;
use roost_proto::signal::{Bundle, PublicSignedPrekey};
use roost_proto::stanza::{Builder, Jid, Read, Stanza, iq};

use super::Machine;
use super::requests::Asked;

/// Users whose devices are remembered; above this all are asked for anew.
const REMEMBERED: usize = 1024;
/// The most devices that a user is believed to have.
const DEVICES: usize = 128;

/// What is known of others (and of our own account).
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Device numbers by bare JID, in each form that is known. Empty: WhatsApp knows nobody there.
    lists: BTreeMap<String, Vec<u16>>,
    /// LID digits by phone number digits; `None` when nobody knows one.
    lids: BTreeMap<String, Option<String>>,
    /// Bare JIDs that are being asked for.
    asking: BTreeSet<String>,
}

impl Directory {
    /// The devices of a user changed.
    pub(super) fn forget(&mut self, jid: &Jid) {
        let pairs =
            self.lids.iter().filter_map(|(pn, lid)| Some((Jid::pn(pn.as_str()), Jid::lid(lid.as_deref()?))));
        let bare = jid.to_non_ad();
        let mut forms = vec![bare.to_string()];
        for (pn, lid) in pairs.filter(|(pn, lid)| *pn == bare || *lid == bare) {
            forms.extend([pn.to_string(), lid.to_string()]);
        }
        for form in forms {
            self.lists.remove(&form);
        }
    }

    /// LID of a phone number: outer `None` when it was never looked for.
    pub(super) fn lid(&self, pn: &str) -> Option<Option<&str>> {
        self.lids.get(pn).map(Option::as_deref)
    }

    pub(super) fn set_lid(&mut self, pn: String, lid: Option<String>) {
        if self.lids.len() >= REMEMBERED {
            self.lids.clear();
        }
        self.lids.insert(pn, lid);
    }

    /// Device numbers of a user.
    pub(super) fn devices(&self, user: &Jid) -> Option<&[u16]> {
        self.lists.get(&user.to_string()).map(Vec::as_slice)
    }
}

impl Machine {
    /// Asks for the device lists of those users that are not being asked for already.
    pub(super) fn ask_devices(&mut self, users: Vec<Jid>) {
        let users: Vec<Jid> =
            users.into_iter().filter(|user| self.directory.asking.insert(user.to_string())).collect();
        if users.is_empty() {
            return;
        }
        let names = users.iter().map(ToString::to_string).collect();
        self.request(Asked::Devices { users: names }, |id| {
            let list = users.into_iter().map(|user| Builder::new("user").attr("jid", user).build());
            let query = [Builder::new("devices").attr("version", "2").build(), Builder::new("lid").build()];
            let usync = Builder::new("usync")
                .attr("sid", id.to_owned())
                .attr("mode", "query")
                .attr("last", "true")
                .attr("index", "0")
                .attr("context", "message")
                .children([
                    Builder::new("query").children(query).build(),
                    Builder::new("list").children(list).build(),
                ]);
            iq::get(id, "usync").children([usync.build()])
        });
    }

    pub(super) fn on_devices(&mut self, asked: &[String], outcome: Result<Stanza, u16>) {
        for user in asked {
            self.directory.asking.remove(user);
        }
        let Ok(answer) = outcome else {
            return self.resolving_failed(outcome.err().unwrap_or_default());
        };
        if self.directory.lists.len() >= REMEMBERED {
            self.directory.lists.clear();
        }
        let list = answer.child("usync").and_then(|usync| usync.child("list"));
        let mut answered = BTreeSet::new();
        for user in list.map(Read::all).unwrap_or_default() {
            let Some(jid) = user.jid("jid").map(|jid| jid.to_non_ad()) else { continue };
            let name = jid.to_string();
            if !asked.contains(&name) {
                continue;
            }
            let lid = user.child("lid").and_then(|lid| lid.jid("val")).filter(Jid::is_lid);
            let devices = read_devices(user);
            if let Some(lid) = &lid {
                self.directory.lists.insert(lid.to_non_ad().to_string(), devices.clone());
            }
            if jid.is_pn() {
                self.directory.set_lid(jid.user.to_string(), lid.map(|lid| lid.user.to_string()));
            }
            self.directory.lists.insert(name.clone(), devices);
            answered.insert(name);
        }
        for user in asked.iter().filter(|user| !answered.contains(*user)) {
            self.directory.lists.insert(user.clone(), Vec::new());
        }
        self.resolved();
    }

    /// WhatsApp knew nobody there; the next message may find somebody.
    pub(super) fn forget_absent(&mut self, user: &Jid) {
        self.directory.lists.remove(&user.to_string());
        if user.is_pn() {
            self.directory.lids.remove(&*user.user);
        }
    }
}

fn read_devices(user: &Stanza) -> Vec<u16> {
    let list = user.child("devices").and_then(|devices| devices.child("device-list"));
    let ids = list.map(Read::all).unwrap_or_default().iter().filter(|child| child.tag == "device");
    let ids: BTreeSet<u16> = ids.filter_map(|device| u16::try_from(device.number("id")?).ok()).collect();
    ids.into_iter().take(DEVICES).collect()
}

/// A request for prekey bundles.
pub(super) fn ask_bundles(id: &str, devices: &[Jid]) -> Builder {
    let users = devices
        .iter()
        .map(|jid| Builder::new("user").attr("jid", jid.clone()).attr("reason", "identity").build());
    iq::get(id, "encrypt").children([Builder::new("key").children(users).build()])
}

/// Reads the bundles of an answer: `None` for a device that has none, or one that proves to be forged.
pub(super) fn read_bundles(answer: &Stanza) -> Vec<(Jid, Option<Bundle>)> {
    let users = answer.child("list").map(Read::all).unwrap_or_default();
    users.iter().filter_map(|user| Some((user.jid("jid")?, read_bundle(user)))).collect()
}

fn read_bundle(user: &Stanza) -> Option<Bundle> {
    if user.child("error").is_some() {
        return None;
    }
    let keys = user.child("keys").unwrap_or(user);
    let signed = keys.child("skey")?;
    let bundle = Bundle {
        registration_id: u32::try_from(keys.need_be("registration", 4).ok()?).ok()?,
        identity: keys.need_bytes("identity").ok()?,
        signed_prekey: PublicSignedPrekey {
            id: u32::try_from(signed.need_be("id", 3).ok()?).ok()?,
            public: signed.need_bytes("value").ok()?,
            signature: signed.need_bytes("signature").ok()?,
        },
        one_time: keys.child("key").and_then(|key| {
            Some((u32::try_from(key.need_be("id", 3).ok()?).ok()?, key.need_bytes("value").ok()?))
        }),
    };
    match keys.child("device-identity").and_then(Read::leaf) {
        Some(identity) if adv::check_device(identity, &bundle.identity).is_err() => None,
        _ => Some(bundle),
    }
}
