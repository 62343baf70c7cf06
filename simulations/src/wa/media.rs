//! Media files: where clients are sent, what they upload, and what becomes of it.
//!
//! What must hold: the server is blind, and strict about what it can see: an upload needs an `auth` that this
//! server gave out not long ago, and its path must name the SHA-256 of its bytes; a download needs the whole direct path.
//! A blob that has expired stays with the phones of its chat, which upload it again under a new path. Blobs
//! are kept in memory, within a bound, and not across restarts.
//!
//! With which code the real server refuses a bad `auth` or a wrong hash is a guess, as no client tells them apart. That
//! it does not look at what a direct path has behind its signature is one too: whatsapp-rust spoils that. So is that a
//! post has to name the handle of its upload, if it has one: whatsmeow says so, and Baileys uploads such files where
//! encrypted ones go, for which there is none.

mod deletion;
mod packs;

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use rand::RngExt as _;
use roost_proto::id::UnixMillis;
use roost_proto::media::MediaKind;
use roost_proto::stanza::{Builder, Stanza};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::account::{DeviceRef, Pn, seconds};
use super::machine::Machine;
pub(super) use deletion::Deletion;
pub use packs::PublicPack;

/// The largest file, as WhatsApp documents it for documents: 2 GB; here what a test machine bears.
pub(super) const LARGEST: usize = 256 << 20;
/// Bytes of all blobs together; the oldest go.
const KEPT: usize = 1 << 30;
/// Where unmodified clients go when nobody says anything else.
const HOST: &str = "mmg.whatsapp.net";
/// What a direct path has behind its signature.
const UNSIGNED: &str = "&_nc_sid=5e03e0";
/// Cover pictures that are known to have been uploaded.
const COVERS: usize = 1000;
/// For how long a client may use an answer, in seconds.
const TTL: u32 = 300;

/// What a refused transfer is answered with: a status of HTTP.
pub(super) type Status = u16;

/// The status, and why, for the log.
pub(super) type Refused = (Status, &'static str);

/// All that the media servers know.
pub(super) struct Store {
    hosts: Vec<String>,
    /// Whose each is, and until when it is good, in seconds.
    auths: BTreeMap<String, (DeviceRef, u64)>,
    /// By the path without its query.
    blobs: BTreeMap<String, Blob>,
    order: VecDeque<String>,
    bytes: usize,
    /// Hosts that answer everything with this status.
    failing: BTreeMap<String, Status>,
    /// So many more transfers are refused with this status.
    refusing: (u32, Status),
    phones_forget: bool,
    /// Requests that were refused on demand.
    refused: u64,
    /// Requests that each host has answered well.
    served: BTreeMap<String, u64>,
    /// What shows that a cover picture was uploaded, by its number.
    covers: BTreeMap<String, (String, u64)>,
    /// What the companions of an account show when they delete what their phone has made for them.
    nonces: BTreeMap<Pn, String>,
    /// Files that were deleted, by account, and how many of them with a nonce.
    deleted: BTreeMap<Pn, (u64, u64)>,
    /// Packs of stickers that everybody may take, by id, as they are told.
    packs: BTreeMap<String, Value>,
}

/// In which form something is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Encrypted.
    Sealed,
    /// As it is, for newsletters.
    Plain,
    /// A picture of a product.
    Product,
    /// The picture above the profile of a business.
    Cover,
    /// None that is known.
    Unknown,
}

impl Form {
    /// By the path of the request, whose second part is the kind.
    pub(super) fn of(path: &str, kind: &str) -> Form {
        match (path.split('/').nth(1), kind) {
            (Some("mms"), kind) if MediaKind::from_path(kind).is_some() => Form::Sealed,
            (Some("newsletter"), kind) if kind.strip_prefix("newsletter-").is_some_and(is_shown) => {
                Form::Plain
            }
            (Some("product"), "image") => Form::Product,
            (Some("pps"), "biz-cover-photo") => Form::Cover,
            _ => Form::Unknown,
        }
    }
}

/// Whether newsletters have files of this kind.
fn is_shown(kind: &str) -> bool {
    matches!(kind, "image" | "video" | "audio" | "document")
}

struct Blob {
    bytes: Bytes,
    /// What an upload for newsletters is called.
    handle: Option<String>,
    /// The signature: the query of its direct path up to what is not signed.
    query: String,
    hash: [u8; 32],
    /// The status that it is answered with now.
    gone: Option<Status>,
    /// For whom a phone has made it, and what a deletion calls it.
    made_for: Option<(Pn, String)>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            hosts: vec![HOST.to_owned()],
            auths: BTreeMap::new(),
            blobs: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            failing: BTreeMap::new(),
            refusing: (0, 503),
            phones_forget: false,
            refused: 0,
            served: BTreeMap::new(),
            covers: BTreeMap::new(),
            nonces: BTreeMap::new(),
            deleted: BTreeMap::new(),
            packs: BTreeMap::new(),
        }
    }
}

impl Store {
    /// Whether a host lets this request through.
    pub(super) fn admit(&mut self, host: &str) -> Result<(), Refused> {
        if let Some(status) = self.failing.get(host) {
            return Err((*status, "a fault of the host"));
        }
        if self.refusing.0 > 0 {
            self.refusing.0 -= 1;
            self.refused += 1;
            return Err((self.refusing.1, "a fault of the next transfers"));
        }
        *self.served.entry(host.to_owned()).or_default() += 1;
        Ok(())
    }

    /// The device that was given an `auth`, while it is good.
    fn holder(&self, auth: &str, now_s: u64) -> Result<DeviceRef, Refused> {
        match self.auths.get(auth) {
            Some((device, until_s)) if now_s < *until_s => Ok(*device),
            _ => Err((401, "nobody was given this auth, or long ago")),
        }
    }

    /// Gives out an `auth`, and forgets those that are not good any more.
    fn authorize(&mut self, auth: String, device: DeviceRef, now_s: u64) {
        self.auths.retain(|_, (_, until_s)| now_s < *until_s);
        self.auths.insert(auth, (device, now_s + u64::from(TTL)));
    }

    /// Whether an upload to `…/{token}?auth=&token=` may begin. Returns the hash that it must have.
    pub(super) fn may_upload(
        &self,
        form: Form,
        path: &str,
        (auth, now_s): (&str, u64),
        token: &str,
    ) -> Result<[u8; 32], Refused> {
        self.holder(auth, now_s)?;
        let hash = URL_SAFE.decode(path).or_else(|_| URL_SAFE_NO_PAD.decode(path)).ok();
        match hash.and_then(|hash| hash.try_into().ok()) {
            None => Err((400, "the path is no SHA-256 in base64")),
            Some(_) if form == Form::Unknown => Err((400, "an unknown kind of file")),
            Some(_) if path != token => Err((400, "the token is another than the path")),
            Some(hash) => Ok(hash),
        }
    }

    /// Takes the bytes of an upload whose hash was promised. Returns the direct path.
    pub(super) fn upload(
        &mut self,
        rng: &mut impl rand::Rng,
        hash: [u8; 32],
        bytes: Bytes,
    ) -> Result<String, Refused> {
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != hash {
            return Err((400, "the bytes have another hash than was promised"));
        }
        Ok(self.keep(rng, hash, bytes))
    }

    pub(super) fn keep(&mut self, rng: &mut impl rand::Rng, hash: [u8; 32], bytes: Bytes) -> String {
        let (number, signature): (u64, u64) = (rng.random(), rng.random());
        let path = format!("/v/t62.7118-24/{number:020}_n.enc");
        let query = format!("ccb=11-4&oh=01_{signature:016x}&oe=7FFFFFFF");
        self.bytes += bytes.len();
        self.order.push_back(path.clone());
        let blob = Blob { bytes, handle: None, query: query.clone(), hash, gone: None, made_for: None };
        self.blobs.insert(path.clone(), blob);
        while self.bytes > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.blobs.remove(&oldest).map_or(0, |blob| blob.bytes.len());
        }
        format!("{path}?{query}{UNSIGNED}")
    }

    /// The bytes behind a direct path, whose query may have more behind its signature.
    pub(super) fn download(&self, path: &str, query: &str) -> Result<Bytes, Refused> {
        let blob = self.blobs.get(path).ok_or((404, "there is no such file"))?;
        let mut parts = query.split('&');
        if !blob.query.split('&').all(|part| parts.next() == Some(part)) {
            return Err((403, "the query is not the signed one of the direct path"));
        }
        // Of a file that is not encrypted whatsmeow says none.
        let hash = parts.find_map(|part| part.strip_prefix("hash=")).filter(|hash| !hash.is_empty());
        let decode = |text: &str| URL_SAFE.decode(text.replace("%3D", "=")).ok();
        if hash.is_some_and(|hash| decode(hash).is_none_or(|hash| hash != blob.hash)) {
            return Err((403, "another hash than that of the file"));
        }
        blob.gone.map_or_else(|| Ok(blob.bytes.clone()), |status| Err((status, "a fault: the file is gone")))
    }

    /// The answer to an upload. Whether the real one has a path for a cover picture too is not known; Baileys needs it.
    pub(super) fn uploaded(
        &mut self,
        rng: &mut impl rand::Rng,
        now_s: u64,
        form: Form,
        host: &str,
        direct_path: &str,
    ) -> Value {
        let mut answer = json!({
            "url": format!("https://{host}{direct_path}"),
            "direct_path": direct_path,
            "handle": "",
            "object_id": "",
        });
        let path = direct_path.split('?').next().unwrap_or_default();
        if let Some(blob) = self.blobs.get_mut(path).filter(|_| form == Form::Plain) {
            let handle = format!("{:032x}", rng.random::<u128>());
            answer["handle"] = handle.clone().into();
            blob.handle = Some(handle);
        }
        if form == Form::Cover {
            let (number, proof): (u32, u64) = (rng.random(), rng.random());
            answer["fbid"] = number.into();
            answer["meta_hmac"] = format!("{proof:016x}").into();
            answer["ts"] = now_s.into();
            if self.covers.len() >= COVERS {
                self.covers.pop_first();
            }
            self.covers.insert(number.to_string(), (format!("{proof:016x}"), now_s));
        }
        answer
    }

    /// Whether a cover picture was uploaded and this shows it.
    pub(super) fn is_cover(&self, number: &str, proof: &str, at_s: u64) -> bool {
        self.covers.get(number).is_some_and(|cover| *cover == (proof.to_owned(), at_s))
    }

    /// Whether a post may show the file at a direct path, when it says that its upload is called this.
    pub(super) fn may_show(&self, direct_path: &str, handle: Option<&str>) -> Result<(), &'static str> {
        let path = direct_path.split('?').next().unwrap_or_default();
        let blob = self.blobs.get(path).ok_or("a post with a file that was never uploaded")?;
        match blob.handle.as_deref() == handle {
            true => Ok(()),
            false => Err("a post with a file whose upload is called otherwise than its media_id"),
        }
    }

    /// Whether something is behind this URL.
    pub(super) fn shows(&self, url: &str) -> bool {
        let path = url.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
        let path = path.and_then(|(_, path)| path.split('?').next());
        path.is_some_and(|path| self.blobs.contains_key(&format!("/{path}")))
    }

    /// Blobs that are answered with this status from now on: the one at a direct path, or all.
    pub(super) fn expire(&mut self, direct_path: Option<&str>, status: Status) {
        let path = direct_path.map(|path| path.split('?').next().unwrap_or(path));
        for (at, blob) in &mut self.blobs {
            if path.is_none_or(|path| path == at) {
                blob.gone = Some(status);
            }
        }
    }

    pub(super) fn fail_host(&mut self, host: &str, status: Option<Status>) {
        match status {
            Some(status) => _ = self.failing.insert(host.to_owned(), status),
            None => _ = self.failing.remove(host),
        }
    }

    pub(super) fn refuse(&mut self, count: u32, status: Status) {
        self.refusing = (count, status);
    }

    pub(super) fn phones_forget(&mut self, forget: bool) {
        self.phones_forget = forget;
    }

    /// Whether phones have nothing to upload again.
    pub(super) fn is_forgotten_by_phones(&self) -> bool {
        self.phones_forget
    }

    /// What a phone does when it is asked for a file: uploads the bytes with this hash again. `None` when it
    /// does not have them.
    pub(super) fn again(&mut self, rng: &mut impl rand::Rng, hash: &[u8; 32]) -> Option<String> {
        if self.phones_forget {
            return None;
        }
        let bytes = self.blobs.values().find(|blob| blob.hash == *hash).map(|blob| blob.bytes.clone())?;
        Some(self.keep(rng, *hash, bytes))
    }
}

impl Machine {
    /// Tells clients to go to these hosts for media, the first one first.
    pub fn serve_media_at(&mut self, hosts: Vec<String>) {
        self.media.hosts = hosts;
    }

    /// Where clients go for media.
    pub fn media_hosts(&self) -> &[String] {
        &self.media.hosts
    }

    /// Transfers that a media host has let through.
    pub fn media_served(&self, host: &str) -> u64 {
        self.media.served.get(host).copied().unwrap_or(0)
    }

    /// Transfers that were refused on demand.
    pub fn media_refused(&self) -> u64 {
        self.media.refused
    }

    /// `<media_conn auth ttl auth_ttl max_buckets><host hostname type/>*</media_conn>`
    pub(super) fn media_conn(&mut self, now: UnixMillis, device: DeviceRef) -> Stanza {
        let auth = format!("{:032x}", self.rng.random::<u128>());
        self.media.authorize(auth.clone(), device, seconds(now));
        let hosts = self.media.hosts.iter().enumerate().map(|(at, name)| {
            let kind = if at == 0 { "primary" } else { "fallback" };
            Builder::new("host").attr("hostname", name.as_str()).attr("type", kind).build()
        });
        let hosts: Vec<_> = hosts.collect();
        Builder::new("media_conn")
            .attr("auth", auth)
            .attr("ttl", TTL)
            .attr("auth_ttl", TTL)
            .attr("max_buckets", 12u8)
            .children(hosts)
            .build()
    }
}

#[cfg(test)]
mod tests;
