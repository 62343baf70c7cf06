//! Namespace `encrypt`: prekeys are uploaded, counted, digested, rotated and handed out.
//!
//! What must hold: a one-time prekey is handed out once; lengths are exact, as clients take no others (that the real
//! server minds those that it is given is a guess); a signed prekey is taken only with the signature of the identity it was
//! registered with.

use roost_proto::adv;
use roost_proto::id::UnixMillis;
use roost_proto::signal::{PublicSignedPrekey, verify};
use roost_proto::stanza::{Builder, Read as _, Stanza, iq};
use sha1::{Digest as _, Sha1};

use super::super::account::{Companion, DeviceRef};
use super::super::machine::Machine;
use super::{Answer, Refused, bad, refuse};

/// Below these many one-time prekeys the device is told. (When the real server does it is a guess.)
const LOW_WATER: [usize; 2] = [9, 4];

/// The most one-time prekeys of one device; uploads beyond are refused (a guess, and so is what is said beyond).
const MAX_PREKEYS: usize = 5_000;

/// The most devices in one request for bundles (a guess as well).
const MAX_BUNDLES: usize = 2_000;

const KEY_TYPE: u8 = 5;

impl Machine {
    pub(super) fn keys(&mut self, now: UnixMillis, device: DeviceRef, set: bool, stanza: &Stanza) -> Answer {
        let gives = ["list", "rotate"].iter().any(|tag| stanza.child(tag).is_some());
        // All clients tell the two apart so; that the real server insists, and the code, are guesses.
        if gives != set {
            return Err(refuse(400, "keys are asked for with get, and given with set"));
        }
        if let Some(key) = stanza.child("key") {
            return self.bundles(now, device, key);
        }
        let keyless = self.faults.keyless(device);
        let companion = self.companion(device)?;
        let answer = match stanza {
            _ if keyless && stanza.child("digest").is_some() => {
                return Err(refuse(404, "a fault says that there are no keys"));
            }
            _ if stanza.child("count").is_some() => {
                vec![Builder::new("count").attr("value", companion.one_time.len()).build()]
            }
            _ if stanza.child("digest").is_some() => vec![digest(companion)],
            _ if stanza.child("rotate").is_some() => {
                let signed = stanza.need_child("rotate").and_then(|r| r.need_child("skey")).map_err(bad)?;
                let signed = signed_prekey(signed, &companion.identity)?;
                companion.signed_prekey = signed.clone();
                self.ledger.note_signed_prekey(device, &signed);
                vec![]
            }
            _ if stanza.child("list").is_some() => {
                let keys = upload(companion, stanza)?;
                let signed = companion.signed_prekey.clone();
                if keyless {
                    self.faults.of(device).keyless = false;
                }
                self.ledger.note_signed_prekey(device, &signed);
                for (id, public) in keys {
                    self.ledger.note_prekey(device, id, &public);
                }
                vec![]
            }
            _ => return Err(refuse(501, "an unknown request about keys")),
        };
        Ok(answer)
    }

    fn companion(&mut self, device: DeviceRef) -> Result<&mut Companion, Refused> {
        let account = self.accounts.get_mut(&device.pn);
        account
            .and_then(|a| a.companions.get_mut(&device.device))
            .ok_or_else(|| refuse(404, "the device is gone"))
    }

    /// One bundle for each named device, by the same JID; what does not exist is an error in its place.
    fn bundles(&mut self, now: UnixMillis, asking: DeviceRef, key: &Stanza) -> Answer {
        if key.all().len() > MAX_BUNDLES {
            return Err(refuse(419, "bundles of too many devices"));
        }
        let mut users = Vec::new();
        for user in key.all_named("user") {
            let Some(jid) = user.jid("jid") else { return Err(refuse(400, "a user without a JID")) };
            let builder = Builder::new("user").attr("jid", jid.clone());
            let device = self.device_at(&jid);
            let bundle = device.and_then(|device| Some((device, self.bundle_of(now, device)?)));
            let Some((device, bundle)) = bundle else {
                self.note_part(now, asking, "key user", 404, &format!("there is no device {jid}"));
                users.push(builder.children([iq::Refused::new(404).to_element()]).build());
                continue;
            };
            let mut children = vec![
                Builder::new("registration").bytes(bundle.registration_id.to_be_bytes()).build(),
                Builder::new("type").bytes([KEY_TYPE]).build(),
                Builder::new("identity").bytes(bundle.identity).build(),
                signed_element(&bundle.signed_prekey),
            ];
            children.extend(bundle.one_time.map(|(id, public)| prekey_element("key", id, &public, None)));
            let account = self.account_mut(device.pn);
            account.watch(asking.pn);
            if let Some(companion) = account.companions.get(&device.device) {
                // Without the key of the account, as whatsapp-rust has seen it of the real server.
                let identity = adv::without_account_key(&companion.device_identity)
                    .map_err(|_| refuse(500, "the identity of a device cannot be read"))?;
                children.push(Builder::new("device-identity").bytes(identity).build());
            }
            users.push(builder.children(children).build());
        }
        Ok(vec![Builder::new("list").children(users).build()])
    }

    /// Tells a device that its one-time prekeys run out, when one was just taken.
    pub(in super::super) fn watch_prekeys(&mut self, now: UnixMillis, device: DeviceRef, left: usize) {
        if LOW_WATER.contains(&left) {
            self.tell_prekey_count(now, device, left as u32);
        }
    }
}

/// `<key>` or `<skey>`: id in 3 bytes, the key, and the signature if there is one.
pub(in super::super) fn prekey_element(
    tag: &'static str,
    id: u32,
    public: &[u8; 32],
    signature: Option<&[u8; 64]>,
) -> Stanza {
    let mut children = vec![
        Builder::new("id").bytes(&id.to_be_bytes()[1..]).build(),
        Builder::new("value").bytes(*public).build(),
    ];
    children.extend(signature.map(|signature| Builder::new("signature").bytes(*signature).build()));
    Builder::new(tag).children(children).build()
}

fn signed_element(signed: &PublicSignedPrekey) -> Stanza {
    prekey_element("skey", signed.id, &signed.public, Some(&signed.signature))
}

fn signed_prekey(skey: &Stanza, identity: &[u8; 32]) -> Result<PublicSignedPrekey, Refused> {
    let signed = PublicSignedPrekey {
        id: skey.need_be("id", 3).map_err(bad)? as u32,
        public: skey.need_bytes("value").map_err(bad)?,
        signature: skey.need_bytes("signature").map_err(bad)?,
    };
    let message = [&[KEY_TYPE], &signed.public[..]].concat();
    // That the real server checks this is a guess; a client whose signature is bad is unusable to all peers.
    if verify(identity, &message, &signed.signature) {
        Ok(signed)
    } else {
        Err(refuse(406, "the signed prekey has another's signature"))
    }
}

/// Takes an upload and returns its one-time prekeys.
fn upload(companion: &mut Companion, stanza: &Stanza) -> Result<Vec<(u32, [u8; 32])>, Refused> {
    if stanza.need_bytes::<1>("type").map_err(bad)? != [KEY_TYPE] {
        return Err(refuse(400, "an unknown type of key"));
    }
    let registration_id = stanza.need_be("registration", 4).map_err(bad)? as u32;
    let identity: [u8; 32] = stanza.need_bytes("identity").map_err(bad)?;
    if identity != companion.identity {
        // A device cannot change who it is without pairing again. (The answer's code is a guess.)
        return Err(refuse(406, "another identity than was registered"));
    }
    let signed = signed_prekey(stanza.need_child("skey").map_err(bad)?, &identity)?;
    let list = stanza.need_child("list").map_err(bad)?;
    if companion.one_time.len() + list.all().len() > MAX_PREKEYS {
        return Err(refuse(419, "too many one-time prekeys"));
    }
    let mut keys = Vec::with_capacity(list.all().len());
    for key in list.all_named("key") {
        let id = key.need_be("id", 3).map_err(bad)? as u32;
        keys.push((id, key.need_bytes::<32>("value").map_err(bad)?));
    }
    companion.registration_id = registration_id;
    companion.signed_prekey = signed;
    for key in &keys {
        match companion.one_time.iter_mut().find(|known| known.0 == key.0) {
            Some(known) => *known = *key,
            None => companion.one_time.push_back(*key),
        }
    }
    Ok(keys)
}

/// SHA-1 over identity, signed prekey, its signature, and the one-time prekeys in list order.
fn digest(companion: &Companion) -> Stanza {
    let signed = &companion.signed_prekey;
    let mut hash = Sha1::new();
    hash.update(companion.identity);
    hash.update(signed.public);
    hash.update(signed.signature);
    for (_, public) in &companion.one_time {
        hash.update(public);
    }
    let ids =
        companion.one_time.iter().map(|(id, _)| Builder::new("id").bytes(&id.to_be_bytes()[1..]).build());
    Builder::new("digest")
        .children([
            Builder::new("registration").bytes(companion.registration_id.to_be_bytes()).build(),
            Builder::new("type").bytes([KEY_TYPE]).build(),
            Builder::new("identity").bytes(companion.identity).build(),
            signed_element(signed),
            Builder::new("list").children(ids).build(),
            Builder::new("hash").bytes(hash.finalize().to_vec()).build(),
        ])
        .build()
}
