//! Deletions: a companion has read a piece of history, and the file that its phone has made for it may go.
//!
//! What must hold: only a file of history goes, and only when a device of its account says its hash, its place and the handle
//! of its notice. That WhatsApp looks at all of this, that it keeps every other file, and with which code it refuses are
//! guesses: whatsmeow deletes nothing else, and minds no answer. So is that a nonce is not needed: whatsmeow shows one
//! as soon as it has it, which may be too late for the first file; a wrong one is refused here.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use rand::RngExt as _;
use serde::Deserialize;

use super::{Machine, Pn, Refused, Store};

/// What is said of a file that is to be deleted.
#[derive(Debug, Default, Deserialize)]
pub(in crate::wa) struct Deletion {
    #[serde(default)]
    pub(in crate::wa) auth: String,
    /// SHA-256 of what is stored, in base64.
    #[serde(default)]
    pub(in crate::wa) token: String,
    /// The direct path without its query, in base64.
    #[serde(default)]
    pub(in crate::wa) d_md: String,
    /// What its notice calls it.
    #[serde(default)]
    pub(in crate::wa) e_handle: String,
}

impl Store {
    /// The file at a direct path was made by the phone of this account for its companion. Returns what a deletion calls it.
    pub(in crate::wa) fn made_for(&mut self, rng: &mut impl rand::Rng, pn: Pn, direct_path: &str) -> String {
        let handle = format!("{:032x}", rng.random::<u128>());
        if let Some(blob) = self.blobs.get_mut(direct_path.split('?').next().unwrap_or_default()) {
            blob.made_for = Some((pn, handle.clone()));
        }
        handle
    }

    /// What the companions of this account show with a deletion, as their phone tells them.
    pub(in crate::wa) fn nonce(&mut self, rng: &mut impl rand::Rng, pn: Pn) -> String {
        self.nonces.entry(pn).or_insert_with(|| format!("{:032x}", rng.random::<u128>())).clone()
    }

    /// `DELETE /mms/{kind}/{path}`, with this nonce if there is one.
    pub(in crate::wa) fn delete(
        &mut self,
        (kind, path): (&str, &str),
        said: &Deletion,
        nonce: Option<&str>,
        now_s: u64,
    ) -> Result<(), Refused> {
        let device = self.holder(&said.auth, now_s)?;
        let place = URL_SAFE_NO_PAD.decode(&said.d_md).ok().and_then(|path| String::from_utf8(path).ok());
        let place = place.filter(|_| path == said.token).ok_or((400, "it does not say which file"))?;
        let blob = self.blobs.get(&place).ok_or((404, "there is no such file"))?;
        let (pn, handle) = blob
            .made_for
            .as_ref()
            .filter(|_| kind == "md-msg-hist")
            .ok_or((403, "only files of history are known to be deleted"))?;
        if *pn != device.pn {
            return Err((403, "the file was made for another account"));
        }
        if URL_SAFE.decode(path).ok().is_none_or(|hash| hash != blob.hash) {
            return Err((403, "the token is not the hash of the file"));
        }
        if *handle != said.e_handle {
            return Err((403, "the handle is not that of the notice"));
        }
        if nonce.is_some_and(|nonce| self.nonces.get(pn).is_some_and(|known| known != nonce)) {
            return Err((403, "the nonce is not what the phone has told"));
        }
        let deleted = self.deleted.entry(*pn).or_default();
        *deleted = (deleted.0 + 1, deleted.1 + u64::from(nonce.is_some()));
        self.bytes -= blob.bytes.len();
        self.blobs.remove(&place);
        Ok(())
    }
}

impl Machine {
    /// Files of history that companions of this account have deleted, and those that are still there.
    pub fn history_files(&self, pn: Pn) -> (u64, usize) {
        let kept = |blob: &&super::Blob| blob.made_for.as_ref().is_some_and(|(made_for, _)| *made_for == pn);
        let (deleted, _) = self.media.deleted.get(&pn).copied().unwrap_or_default();
        (deleted, self.media.blobs.values().filter(kept).count())
    }

    /// How many of those that were deleted were so with the nonce of the phone.
    pub fn nonces_shown(&self, pn: Pn) -> u64 {
        self.media.deleted.get(&pn).map_or(0, |(_, with_nonce)| *with_nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::stored;
    use super::*;

    #[test]
    fn a_companion_deletes_the_history_that_was_made_for_it_and_nothing_else() {
        let mut rng = rand::rng();
        let (mut store, path, query) = stored();
        let token = URL_SAFE.encode(store.blobs[&path].hash);
        let said = |auth: &str, path: &str, e_handle: &str| Deletion {
            auth: auth.to_owned(),
            token: token.clone(),
            d_md: URL_SAFE_NO_PAD.encode(path),
            e_handle: e_handle.to_owned(),
        };
        let history = ("md-msg-hist", token.as_str());
        let status = |store: &mut Store, place, said, nonce| {
            store.delete(place, &said, nonce, 0).map_err(|(status, _)| status)
        };
        assert_eq!(status(&mut store, history, said("auth", &path, ""), None), Err(403), "it is a message's");
        let handle = store.made_for(&mut rng, 1, &format!("{path}?{query}"));
        let nonce = store.nonce(&mut rng, 1);
        assert_eq!(store.nonce(&mut rng, 1), nonce, "it stays what it is");
        let other = super::super::DeviceRef { pn: 2, device: 1 };
        store.authorize("other".to_owned(), other, 0);
        let refusals = [
            (history, said("stranger", &path, &handle), None, 401),
            (history, said("other", &path, &handle), None, 403),
            (history, said("auth", "/v/elsewhere", &handle), None, 404),
            (history, said("auth", &path, "other"), None, 403),
            (history, said("auth", &path, &handle), Some("other"), 403),
            (("image", token.as_str()), said("auth", &path, &handle), None, 403),
            (("md-msg-hist", "AAAA"), said("auth", &path, &handle), None, 400),
        ];
        for (place, said, nonce, refused) in refusals {
            assert_eq!(status(&mut store, place, said, nonce), Err(refused));
        }
        assert!(store.download(&path, &query).is_ok(), "it is still there");
        assert_eq!(status(&mut store, history, said("auth", &path, &handle), Some(&nonce)), Ok(()));
        assert!(matches!(store.download(&path, &query), Err((404, _))));
        assert_eq!(
            status(&mut store, history, said("auth", &path, &handle), None),
            Err(404),
            "a second time"
        );
    }
}
