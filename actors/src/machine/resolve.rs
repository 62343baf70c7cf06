//! Who is behind a recipient: LIDs, device lists, prekey bundles.
//!
//! What must hold: a device list is kept until WhatsApp says that it changed (a notification, or another
//! hash of it in an acknowledgement); an error about one user or one device concerns only that one; a companion that
//! the list of its account does not have (any more), or whose keys are forged, gets nothing.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::signal::Bundle;
use roost_proto::stanza::{Builder, HOSTED, Jid, Read, Stanza, iq};
use roost_proto::{adv, bundle};

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
    /// The same the other way round: LID digits with phone number digits.
    numbers: BTreeSet<(String, String)>,
    /// Bare JIDs that are being asked for.
    asking: BTreeSet<String>,
}

impl Directory {
    /// A user under each address that is known, without a device number; the given one first.
    pub(super) fn forms(&self, jid: &Jid) -> Vec<String> {
        let bare = jid.to_non_ad();
        let user = &*bare.user;
        let mut forms = vec![bare.to_string()];
        if bare == Jid::pn(user) {
            forms.extend(self.lid(user).flatten().map(|lid| Jid::lid(lid).to_string()));
        } else if bare == Jid::lid(user) {
            let numbers = self.numbers.range((user.to_owned(), String::new())..);
            let numbers = numbers.take_while(|(lid, _)| lid == user);
            forms.extend(numbers.map(|(_, pn)| Jid::pn(pn.as_str()).to_string()));
        }
        forms
    }

    /// The devices of a user changed.
    pub(super) fn forget(&mut self, jid: &Jid) {
        for form in self.forms(jid) {
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
            self.numbers.clear();
        }
        self.forget_lid(&pn);
        self.numbers.extend(lid.clone().map(|lid| (lid, pn.clone())));
        self.lids.insert(pn, lid);
    }

    fn forget_lid(&mut self, pn: &str) {
        if let Some(lid) = self.lids.remove(pn).flatten() {
            self.numbers.remove(&(lid, pn.to_owned()));
        }
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
        let mut open: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
        for user in list.map(Read::all).unwrap_or_default() {
            let Some(jid) = user.jid("jid").map(|jid| jid.to_non_ad()) else { continue };
            let name = jid.to_string();
            if !open.remove(&*name) {
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
            self.directory.lists.insert(name, devices);
        }
        for user in open {
            self.directory.lists.insert(user.to_owned(), Vec::new());
        }
        self.resolved();
    }

    /// WhatsApp knew nobody there; the next message may find somebody.
    pub(super) fn forget_absent(&mut self, user: &Jid) {
        self.directory.lists.remove(&user.to_string());
        if user.is_pn() {
            self.directory.forget_lid(&user.user);
        }
    }
}

/// The phone, and the companions that the list of the account, where there is one, still has.
fn read_devices(user: &Stanza) -> Vec<u16> {
    let child = |tag| user.child("devices").and_then(|devices| devices.child(tag));
    let valid = child("key-index-list").and_then(Read::leaf).and_then(adv::read_list);
    let is_valid = |device: &Stanza| {
        let index = device.number("key-index").and_then(|index| u32::try_from(index).ok());
        valid.as_ref().is_none_or(|list| index.is_some_and(|index| list.has(index)))
    };
    let devices = child("device-list").map(Read::all).unwrap_or_default().iter();
    let ids = devices.filter(|child| child.tag == "device").filter_map(|device| {
        let id = u16::try_from(device.number("id")?).ok()?;
        // Nobody was seen to be hosted under another number, under which it would be written to as a usual device.
        let hosted = device.text("is_hosted").is_some_and(|is| is == "true" || is == "1");
        let named_so = id == HOSTED || !hosted;
        (id == 0 || is_valid(device)).then_some(id).filter(|_| named_so)
    });
    ids.collect::<BTreeSet<u16>>().into_iter().take(DEVICES).collect()
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
    let named = || users.iter().filter_map(|user| Some((user.jid("jid")?, user)));
    // The key of an account is the identity key of its phone.
    let phones = named().filter(|(jid, _)| jid.device == 0);
    let accounts: BTreeMap<String, [u8; 32]> = phones
        .filter_map(|(jid, user)| Some((jid.to_string(), keys_of(user).need_bytes("identity").ok()?)))
        .collect();
    let account = |jid: &Jid| accounts.get(&jid.to_non_ad().to_string());
    named().map(|(jid, user)| (jid.clone(), read_bundle(user, account(&jid)))).collect()
}

fn keys_of(user: &Stanza) -> &Stanza {
    user.child("keys").unwrap_or(user)
}

fn read_bundle(user: &Stanza, account: Option<&[u8; 32]>) -> Option<Bundle> {
    if user.child("error").is_some() {
        return None;
    }
    let keys = keys_of(user);
    bundle::read(keys, keys, account)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use roost_proto::adv::{DeviceIdentity, KeyIndexList};
    use roost_proto::signal::KeyPair;

    use super::*;

    fn leaf(tag: &'static str, bytes: Vec<u8>) -> Stanza {
        Builder::new(tag).bytes(bytes).build()
    }

    #[test]
    fn a_user_is_known_under_each_address_until_the_pair_is_another() {
        let mut directory = Directory::default();
        let both =
            |directory: &Directory| [Jid::pn("49151"), Jid::lid("71")].map(|jid| directory.forms(&jid));
        directory.set_lid("49151".to_owned(), Some("71".to_owned()));
        let (pn, lid) = ("49151@s.whatsapp.net", "71@lid");
        assert_eq!(both(&directory), [[pn, lid], [lid, pn]]);
        directory.set_lid("49152".to_owned(), Some("71".to_owned()));
        assert_eq!(directory.forms(&Jid::lid("71")), [lid, pn, "49152@s.whatsapp.net"]);
        directory.set_lid("49151".to_owned(), Some("72".to_owned()));
        assert_eq!(directory.forms(&Jid::lid("71")), [lid, "49152@s.whatsapp.net"]);
        directory.set_lid("49152".to_owned(), None);
        assert_eq!(both(&directory), [vec![pn, "72@lid"], vec![lid]]);
    }

    #[test]
    fn companions_that_the_list_of_their_account_does_not_have_are_left_out() {
        let mut rng = StdRng::seed_from_u64(1);
        let phone = KeyPair::generate(&mut rng);
        let list = KeyIndexList { raw_id: 9, timestamp: 1, current_index: 4, valid_indexes: vec![2] };
        let device = |id: u64, index: Option<u64>| {
            let device = Builder::new("device").attr("id", id);
            match index {
                Some(index) => device.attr("key-index", index).build(),
                None => device.build(),
            }
        };
        let devices =
            [device(0, None), device(1, Some(2)), device(2, Some(3)), device(3, None), device(4, Some(5))];
        let read = |signed: Option<Vec<u8>>| {
            let listed = Builder::new("device-list").children(devices.clone()).build();
            let signed = signed.map(|bytes| leaf("key-index-list", bytes));
            let devices = Builder::new("devices").children(std::iter::once(listed).chain(signed)).build();
            read_devices(&Builder::new("user").children([devices]).build())
        };
        assert_eq!(read(Some(adv::sign_list(&phone, &list, &mut rng))), [0, 1, 4]);
        assert_eq!(read(None), [0, 1, 2, 3, 4], "nothing says otherwise");
        assert_eq!(read(Some(vec![0xff])), [0, 1, 2, 3, 4], "nor does what cannot be read");
    }

    #[test]
    fn a_hosted_device_is_known_by_its_number_and_under_another_one_left_out() {
        let device = |id: u64, hosted: &'static str| {
            Builder::new("device").attr("id", id).attr("key-index", 1u64).attr("is_hosted", hosted).build()
        };
        let devices = [device(1, "false"), device(2, "true"), device(3, "1"), device(99, "true")];
        let listed = Builder::new("device-list").children(devices).build();
        let devices = Builder::new("devices").children([listed]).build();
        assert_eq!(read_devices(&Builder::new("user").children([devices]).build()), [1, HOSTED]);
    }

    #[test]
    fn a_companion_is_known_by_the_key_of_its_phone_and_a_forged_one_has_no_bundle() {
        let mut rng = StdRng::seed_from_u64(2);
        let [phone, companion, forger] = [(); 3].map(|()| KeyPair::generate(&mut rng));
        let identity = DeviceIdentity { raw_id: 9, timestamp: 1, key_index: 2 };
        let offer = adv::sign_device(&phone, companion.public(), &[4; 32], &identity, &mut rng);
        let accepted = adv::accept_device(&offer, &companion, &[4; 32], &mut rng).expect("signed");
        let user = |jid: Jid, identity: &KeyPair, proof: Option<&Vec<u8>>| {
            let skey =
                [leaf("id", vec![0, 0, 1]), leaf("value", vec![2; 32]), leaf("signature", vec![3; 64])];
            let keys = [
                leaf("registration", vec![0, 0, 0, 9]),
                leaf("identity", identity.public().to_vec()),
                Builder::new("skey").children(skey).build(),
            ];
            let proof = proof.map(|bytes| leaf("device-identity", bytes.clone()));
            Builder::new("user").attr("jid", jid).children(keys.into_iter().chain(proof)).build()
        };
        let usable = |companion: &KeyPair, proof: &Vec<u8>, with_phone: bool| {
            let of_phone = with_phone.then(|| user(Jid::lid("800000"), &phone, None));
            let of_companion = user(Jid::lid_device("800000", 1), companion, Some(proof));
            let list = Builder::new("list").children(of_phone.into_iter().chain([of_companion])).build();
            let read = read_bundles(&Builder::new("iq").children([list]).build());
            read.last().is_some_and(|(_, bundle)| bundle.is_some())
        };
        // With the key of the account in the proof, and without it.
        assert!(usable(&companion, &accepted.full, false) && !usable(&forger, &accepted.full, false));
        assert!(usable(&companion, &accepted.reply, true) && !usable(&forger, &accepted.reply, true));
        assert!(usable(&companion, &accepted.reply, false), "there is nothing to check by");
    }
}
