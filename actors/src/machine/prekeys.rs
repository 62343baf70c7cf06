//! One-time prekeys at WhatsApp: counting them, and uploading more when they run low.
//!
//! What must hold: keys are durable before they are uploaded, so that whoever owns the device next can
//! upload the same page again or use its keys; no id is given to other keys.

use roost_proto::signal::PublicSignedPrekey;
use roost_proto::stanza::{Builder, Read, Stanza, iq};

use super::crypto::Purpose;
use super::requests::Asked;
use super::{CryptoRequest, Machine};

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

/// Whether an upload is on its way.
#[derive(Debug, Default)]
pub(super) struct Prekeys {
    busy: bool,
}

impl Machine {
    pub(super) fn count_prekeys(&mut self) {
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

    /// WhatsApp has this many left.
    pub(super) fn refill_prekeys(&mut self, left: u64) {
        let (low, first, more) = self.limits.prekeys;
        if left < u64::from(low) && !self.prekeys.busy {
            self.prekeys.busy = true;
            let slot = self.lane.open();
            self.ask_crypto(CryptoRequest::Prekeys(first, more), Purpose::Prekeys { slot });
        }
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
