//! A small client of the simulated WhatsApp, made from the client half of `proto`, without I/O; on a real
//! socket it is a [`SocketProbe`].
//!
//! It pairs, logs in, publishes prekeys, talks to one device at a time and answers what must be answered.
//! It exists to test the server and to load it; it is no judge of it, because it shares its code. It keeps
//! everything in memory and forgets on drop.

mod socket;

pub use socket::{ProbeError, SocketProbe, trust};

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::adv;
use roost_proto::e2e;
use roost_proto::login::{self, ClientInfo, ClientPayload, Login, Platform, Registration};
use roost_proto::pairing::QrCode;
use roost_proto::signal::{
    Address, Bundle, CiphertextKind, DecryptError, Keys, Peer, PrekeyPage, PublicSignedPrekey, decrypt,
    encrypt, establish,
};
use roost_proto::stanza::{Builder, ClientIds, Jid, Read as _, Stanza, iq, message_id};
use roost_proto::version::ProtocolVersion;

use super::query::prekey_element;

/// One device.
pub struct Probe {
    /// Its keys.
    pub keys: Keys,
    /// Its address by number, once it is paired.
    pub jid: Option<Jid>,
    /// Its hidden address, once it is paired.
    pub lid: Option<Jid>,
    /// The text of its QR code, while it shows one.
    pub qr: Option<String>,
    /// Texts that it received: sender, id, text.
    pub inbox: Vec<(Jid, String, String)>,
    /// Everything else that it received and did not answer by itself, oldest first.
    pub seen: Vec<Stanza>,
    /// Whether it sends receipts; without them its messages stay in the server's backlog.
    pub settles: bool,
    /// The trusted-contact token that it shows with texts.
    pub token: Option<Vec<u8>>,
    /// The token for strangers that it shows with them.
    pub stranger: Option<Vec<u8>>,
    name: String,
    prekeys: PrekeyPage,
    peers: BTreeMap<String, Peer>,
    identity: Vec<u8>,
    ids: ClientIds,
    rng: StdRng,
}

impl Probe {
    /// A device that was never paired; `name` is its push name.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            keys: Keys::generate(&mut rng),
            jid: None,
            lid: None,
            qr: None,
            inbox: Vec::new(),
            seen: Vec::new(),
            settles: true,
            token: None,
            stranger: None,
            name: name.to_owned(),
            prekeys: PrekeyPage::generate(0, &mut rng),
            peers: BTreeMap::new(),
            identity: Vec::new(),
            ids: ClientIds::new(&mut rng),
            rng,
        }
    }

    /// The payload of its next handshake: registration before pairing, login after.
    pub fn payload(&self) -> Vec<u8> {
        let version = ProtocolVersion::BUILT_IN;
        let info = ClientInfo { version, language: "en".into(), country: "US".into() };
        let payload = match &self.jid {
            None => ClientPayload::Registration(Registration {
                registration_id: self.keys.registration_id(),
                identity: *self.keys.identity().public(),
                signed_prekey: self.keys.signed_prekey(),
                push_name: Some(self.name.clone()),
                os: "probe".into(),
                platform: Platform::Chrome,
                full_history: None,
            }),
            Some(jid) => ClientPayload::Login(Login {
                username: jid.user.parse().expect("the server gives numbers"),
                device: Some(jid.device),
                passive: true,
                login_counter: 0,
            }),
        };
        login::build(&payload, &info)
    }

    /// Takes what the server sent and returns what must be answered.
    pub fn take(&mut self, stanza: &Stanza) -> Vec<Stanza> {
        match &*stanza.tag {
            "iq" if stanza.child("pair-device").is_some() => self.show_code(stanza),
            "iq" if stanza.child("pair-success").is_some() => self.sign(stanza),
            "message" if stanza.child("plaintext").is_none() => {
                if stanza.text("category").as_deref() == Some("peer") {
                    self.seen.push(stanza.clone());
                }
                self.read(stanza)
            }
            // What is said in a newsletter is plain.
            "message" | "receipt" | "notification" => {
                self.seen.push(stanza.clone());
                let ack = Builder::new("ack").attr("class", &*stanza.tag);
                let id = stanza.text("id").unwrap_or_default().into_owned();
                let ack =
                    ack.attr("id", id).attr("to", stanza.jid("from").expect("deliveries name a sender"));
                if self.settles { vec![ack.build()] } else { vec![] }
            }
            _ => {
                self.seen.push(stanza.clone());
                vec![]
            }
        }
    }

    fn show_code(&mut self, stanza: &Stanza) -> Vec<Stanza> {
        let reference = stanza.child("pair-device").and_then(|pair| pair.child("ref"));
        let reference = reference.and_then(|text| text.leaf_text()).expect("the server gives references");
        let code = QrCode {
            reference: reference.to_owned(),
            noise: *self.keys.noise().public(),
            identity: *self.keys.identity().public(),
            adv_secret: *self.keys.adv_secret(),
            client_type: Some('1'),
        };
        self.qr = Some(code.to_string());
        vec![iq::reply(stanza).build()]
    }

    fn sign(&mut self, stanza: &Stanza) -> Vec<Stanza> {
        let success = stanza.child("pair-success").expect("looked at before");
        let sealed = success.child("device-identity").and_then(|id| id.leaf()).expect("the server signs");
        let (identity, secret) = (self.keys.identity().clone(), *self.keys.adv_secret());
        let accepted =
            adv::accept_device(sealed, &identity, &secret, &mut self.rng).expect("a good phone signs well");
        let device = success.child("device").expect("the server names the device");
        (self.jid, self.lid) = (device.jid("jid"), device.jid("lid"));
        (self.identity, self.qr) = (accepted.full, None);
        let identity = Builder::new("device-identity")
            .attr("key-index", accepted.identity.key_index)
            .bytes(accepted.reply)
            .build();
        let sign = Builder::new("pair-device-sign").children([identity]).build();
        vec![iq::reply(stanza).children([sign]).build()]
    }

    fn read(&mut self, stanza: &Stanza) -> Vec<Stanza> {
        let from = stanza.jid("from").expect("messages name a sender");
        let id = stanza.text("id").unwrap_or_default().into_owned();
        let enc = stanza.child("enc").expect("messages carry a ciphertext");
        let receipt = Builder::new("receipt").attr("id", id.as_str()).attr("to", from.clone());
        let Some(kind) = CiphertextKind::parse(&enc.text("type").unwrap_or_default()) else {
            // A probe has no sender keys: what is said in a group is only seen.
            self.seen.push(stanza.clone());
            let participant = stanza.jid("participant").expect("messages of groups name who sent them");
            let receipt = receipt.attr("participant", participant).build();
            return if self.settles { vec![receipt] } else { vec![] };
        };
        let peer = self.peers.entry(from.to_string()).or_default();
        let prekeys = &self.prekeys;
        let read = decrypt(
            &self.keys,
            &Address::new("peer", 0),
            peer,
            |id| prekeys.get(id).cloned(),
            kind,
            enc.leaf().unwrap_or_default(),
            &mut self.rng,
        );
        if matches!(read, Err(DecryptError::Duplicate)) {
            return if self.settles { vec![receipt.build()] } else { vec![] };
        }
        let Ok(read) = read else {
            let retry = Builder::new("retry").attr("count", 1u8).attr("id", id).attr("v", 1u8).build();
            self.seen.push(stanza.clone());
            return vec![receipt.attr("type", "retry").children([retry]).build()];
        };
        if let Some(id) = read.consumed_prekey {
            self.prekeys.remove(id);
        }
        let message = e2e::unpad(&read.plaintext).expect("well padded");
        let inner = e2e::unwrap_device_sent(message).ok().flatten().map(|sent| sent.message);
        if let Ok(e2e::Content::Text(text)) = e2e::content(inner.as_deref().unwrap_or(message)) {
            self.inbox.push((from, id, text));
        }
        if self.settles { vec![receipt.build()] } else { vec![] }
    }

    /// Publishes its prekeys.
    pub fn upload(&mut self) -> Stanza {
        let signed = self.keys.signed_prekey();
        let keys = self.prekeys.publics().map(|(id, key)| prekey_element("key", id, &key, None));
        iq::set(&self.ids.next_id(), "encrypt")
            .children([
                Builder::new("registration").bytes(self.keys.registration_id().to_be_bytes()).build(),
                Builder::new("type").bytes([5]).build(),
                Builder::new("identity").bytes(*self.keys.identity().public()).build(),
                Builder::new("list").children(keys).build(),
                prekey_element("skey", signed.id, &signed.public, Some(&signed.signature)),
            ])
            .build()
    }

    /// Asks for its messages.
    pub fn active(&mut self) -> Stanza {
        let active = Builder::new("active").build();
        iq::set(&self.ids.next_id(), "passive").children([active]).build()
    }

    /// Asks for the devices of accounts.
    pub fn ask_devices(&mut self, accounts: &[Jid]) -> Stanza {
        let id = self.ids.next_id();
        let protocols = ["devices", "lid"].map(|protocol| Builder::new(protocol).build());
        let users = accounts.iter().map(|jid| Builder::new("user").attr("jid", jid.clone()).build());
        let usync = Builder::new("usync").attr("sid", id.as_str()).attr("mode", "query").children([
            Builder::new("query").children(protocols).build(),
            Builder::new("list").children(users).build(),
        ]);
        iq::get(&id, "usync").children([usync.build()]).build()
    }

    /// The devices in an answer to [`Probe::ask_devices`].
    pub fn devices_in(answer: &Stanza) -> Vec<Jid> {
        let users = answer.child("usync").and_then(|usync| usync.child("list"));
        let mut devices = Vec::new();
        for user in users.into_iter().flat_map(|list| list.all_named("user")) {
            let list = user.child("devices").and_then(|devices| devices.child("device-list"));
            for device in list.into_iter().flat_map(|list| list.all_named("device")) {
                let number = device.number("id").and_then(|id| u16::try_from(id).ok());
                devices.extend(user.jid("jid").zip(number).map(|(jid, number)| jid.with_device(number)));
            }
        }
        devices
    }

    /// Asks for the bundles of devices.
    pub fn ask_bundles(&mut self, devices: &[Jid]) -> Stanza {
        let users = devices.iter().map(|jid| Builder::new("user").attr("jid", jid.clone()).build());
        let key = Builder::new("key").children(users).build();
        iq::get(&self.ids.next_id(), "encrypt").children([key]).build()
    }

    /// Opens ratchets with the devices in an answer to [`Probe::ask_bundles`].
    pub fn take_bundles(&mut self, answer: &Stanza) {
        for user in answer.child("list").into_iter().flat_map(|list| list.all_named("user")) {
            let (Some(jid), Some(bundle)) = (user.jid("jid"), bundle_of(user)) else { continue };
            let peer = self.peers.entry(jid.to_string()).or_default();
            let to = Address::new("peer", 0);
            establish(&self.keys, &to, peer, &bundle, &mut self.rng).expect("the server checks prekeys");
        }
    }

    /// A text for a chat, encrypted for these devices, with which ratchets must have been opened. Copies
    /// for own devices are wrapped.
    pub fn text(&mut self, chat: &Jid, devices: &[Jid], text: &str) -> Stanza {
        let message = e2e::text(text);
        let sent = e2e::DeviceSent { destination: chat.to_string(), message: message.clone() };
        let copy = e2e::wrap_device_sent(&sent);
        let own = [&self.jid, &self.lid].map(|jid| jid.as_ref().map(|jid| jid.user.clone()));
        let mut entries = Vec::new();
        for device in devices {
            let is_own = own.iter().any(|user| user.as_ref() == Some(&device.user));
            let padded = e2e::pad(if is_own { &copy } else { &message }, &mut self.rng);
            let peer = self.peers.entry(device.to_string()).or_default();
            let sealed = encrypt(&self.keys, &Address::new("peer", 0), peer, &padded).expect("a ratchet");
            let enc = Builder::new("enc").attr("v", "2").attr("type", sealed.kind.as_str());
            let enc = enc.bytes(sealed.bytes.to_vec()).build();
            entries.push(Builder::new("to").attr("jid", device.clone()).children([enc]).build());
        }
        let mut children = vec![
            Builder::new("participants").children(entries).build(),
            Builder::new("device-identity").bytes(self.identity.clone()).build(),
        ];
        let shown = |tag: &'static str, token: &Vec<u8>| Builder::new(tag).bytes(token.clone()).build();
        children.extend(self.token.iter().map(|token| shown("tctoken", token)));
        children.extend(self.stranger.iter().map(|token| shown("cstoken", token)));
        Builder::new("message")
            .attr("id", message_id(&mut self.rng))
            .attr("to", chat.clone())
            .attr("type", "text")
            .children(children)
            .build()
    }
}

fn bundle_of(user: &Stanza) -> Option<Bundle> {
    let signed = user.child("skey")?;
    let one_time = user.child("key").and_then(|key| {
        Some((u32::try_from(key.need_be("id", 3).ok()?).ok()?, key.need_bytes("value").ok()?))
    });
    Some(Bundle {
        registration_id: u32::try_from(user.need_be("registration", 4).ok()?).ok()?,
        identity: user.need_bytes("identity").ok()?,
        signed_prekey: PublicSignedPrekey {
            id: u32::try_from(signed.need_be("id", 3).ok()?).ok()?,
            public: signed.need_bytes("value").ok()?,
            signature: signed.need_bytes("signature").ok()?,
        },
        one_time,
    })
}
