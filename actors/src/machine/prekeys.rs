//! Our keys at WhatsApp: counting one-time prekeys, uploading more when they run low, and looking whether what is
//! there is ours.
//!
//! What must hold: keys are durable before they are uploaded, so that whoever owns the device next can
//! upload the same page again or use its keys; no id is given to other keys. What WhatsApp has lost, or has
//! of other keys, is uploaded anew at most once a day by one owner: an upload need not put it right.

use std::time::Duration;

use roost_placement::lease::BootTime;

use roost_proto::signal::{KeyDigest, PublicSignedPrekey};
use roost_proto::stanza::{Builder, Read, Stanza, iq};

use super::crypto::{KeysCompared, Purpose};
use super::requests::Asked;
use super::{CryptoRequest, Machine};

/// Pause between two uploads because of what WhatsApp says that it has.
const REPAIR: Duration = Duration::from_secs(24 * 3600);
/// WhatsApp has no keys of this device.
const NO_RECORD: u16 = 404;

/// One-time prekeys and what goes with them, to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrekeyUpload {
    /// Pages that they are from.
    pub pages: Vec<u32>,
    /// Registration id.
    pub registration_id: u32,
    /// Identity key.
    pub identity: [u8; 32],
    /// Signed prekey.
    pub signed_prekey: PublicSignedPrekey,
    /// Ids and public keys.
    pub keys: Vec<(u32, [u8; 32])>,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Prekeys {
    /// An upload.
    busy: bool,
    /// The keys at WhatsApp are to be compared with ours once they are enough.
    unchecked: bool,
    /// They were not ours: nothing is uploaded because of that before this moment.
    not_before: Option<BootTime>,
}

impl Machine {
    /// After a login.
    pub(super) fn check_prekeys(&mut self) {
        self.prekeys.unchecked = false;
        self.request(Asked::PrekeyCount, |id| {
            iq::get(id, "encrypt").children([Builder::new("count").build()])
        });
    }

    pub(super) fn on_prekey_count(&mut self, answer: Option<Stanza>) {
        let count = answer.as_ref().and_then(|answer| answer.child("count")?.number("value"));
        if let Some(count) = count {
            self.refill_prekeys(count);
        }
    }

    /// The connection holds: what is not urgent, and need not be asked in the rush of a login.
    pub(super) fn compare_keys(&mut self) {
        self.prekeys.unchecked = true;
        self.compare_when_uploaded();
    }

    fn compare_when_uploaded(&mut self) {
        if self.prekeys.unchecked && !self.prekeys.busy {
            self.prekeys.unchecked = false;
            self.ask_key_digest();
        }
    }

    /// Asks WhatsApp what it has of our keys.
    pub(super) fn ask_key_digest(&mut self) {
        self.request(Asked::KeyDigest, |id| {
            iq::get(id, "encrypt").children([Builder::new("digest").build()])
        });
    }

    pub(super) fn on_key_digest(&mut self, answer: Result<Stanza, u16>) {
        match answer {
            Ok(answer) => {
                // One that cannot be read says nothing.
                if let Some(digest) = answer.child("digest").and_then(|digest| KeyDigest::read(digest).ok()) {
                    self.ask_crypto(CryptoRequest::CompareKeys(Box::new(digest)), Purpose::CompareKeys);
                }
            }
            Err(NO_RECORD) => self.repair_keys(),
            Err(_) => {}
        }
    }

    pub(super) fn on_keys_compared(&mut self, compared: KeysCompared) {
        match compared {
            KeysCompared::Ours { one_time } => self.refill_prekeys(one_time),
            KeysCompared::Differ => self.repair_keys(),
        }
    }

    fn repair_keys(&mut self) {
        let early = self.prekeys.not_before.is_some_and(|moment| self.now.boot < moment);
        if !early && !self.prekeys.busy {
            self.prekeys.not_before = Some(self.now.boot.plus(REPAIR));
            self.upload_pages();
        }
    }

    /// WhatsApp has this many left.
    pub(super) fn refill_prekeys(&mut self, left: u64) {
        if left < u64::from(self.limits.prekeys.0) && !self.prekeys.busy {
            self.upload_pages();
        }
    }

    fn upload_pages(&mut self) {
        let (_, first, more) = self.limits.prekeys;
        self.prekeys.busy = true;
        let slot = self.lane.open();
        self.ask_crypto(CryptoRequest::Prekeys(first, more), Purpose::Prekeys { slot });
    }

    pub(super) fn upload_prekeys(&mut self, upload: &PrekeyUpload) {
        let keys = upload.keys.iter().map(|(id, public)| {
            Builder::new("key").children([leaf("id", id24(*id)), leaf("value", public.to_vec())]).build()
        });
        let list = Builder::new("list").children(keys).build();
        let signed = &upload.signed_prekey;
        let children = [
            leaf("registration", upload.registration_id.to_be_bytes().to_vec()),
            leaf("type", vec![5]),
            leaf("identity", upload.identity.to_vec()),
            list,
            signed_prekey(signed.id, &signed.public, &signed.signature),
        ];
        let pages = upload.pages.clone();
        self.request(Asked::PrekeyUpload { pages }, |id| iq::set(id, "encrypt").children(children));
    }

    pub(super) fn on_prekeys_uploaded(&mut self, pages: Vec<u32>, refused: Option<u16>) {
        // After a refusal the next count finds these pages again.
        self.prekeys.busy = false;
        if refused.is_none() {
            self.change_state(CryptoRequest::Uploaded { pages });
            self.compare_when_uploaded();
        }
    }
}

pub(super) fn leaf(tag: &'static str, bytes: Vec<u8>) -> Stanza {
    Builder::new(tag).bytes(bytes).build()
}

/// Key ids have three bytes on the wire.
pub(super) fn id24(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

pub(super) fn signed_prekey(id: u32, public: &[u8; 32], signature: &[u8; 64]) -> Stanza {
    let parts = [leaf("id", id24(id)), leaf("value", public.to_vec()), leaf("signature", signature.to_vec())];
    Builder::new("skey").children(parts).build()
}
