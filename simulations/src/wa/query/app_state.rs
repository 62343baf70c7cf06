//! Namespace `w:sync:app:state`: the collections of an account, as patches in order.
//!
//! What must hold: a patch is accepted only on top of the version that its maker had, and gets the next
//! number; whoever was too late hears `conflict` and what it missed. The server reads no record and has no
//! key. A snapshot is given only where one was asked for, and where it saves much; all clients accept patches
//! instead. At which sizes the real server does that, and phones put the changes of a patch into a file, is a guess.
//! Here the server makes that file, because it keeps every patch whole; no client can tell.

use roost_proto::appstate::{self, Collection, Patch};
use roost_proto::id::UnixMillis;
use roost_proto::media::MediaKind;
use roost_proto::stanza::{Builder, Content, Read as _, Stanza, iq};

use super::super::account::DeviceRef;
use super::super::machine::Machine;
use super::{Answer, refuse};

/// Patches in one answer. (The real number is not known; clients ask for more as long as they are told to.)
const PAGE: usize = 20;
/// Collections in one request. (A guess: there are five.)
const MAX_COLLECTIONS: usize = 16;
/// From so many patches on, a collection that is asked for as a whole is a file.
const WHOLE: usize = 10;
/// More changes than this are in a file beside their patch.
const CHANGES: usize = 20;
/// The largest patch; larger ones have to go as a file. (A guess.)
const MAX_PATCH: usize = 1 << 20;

impl Machine {
    /// How many patches have been handed out whose changes are in a file.
    pub fn patch_files(&self) -> usize {
        self.patch_files.len()
    }

    pub(super) fn app_state(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        let asked = stanza.child("sync").map_or(&[][..], |sync| sync.all());
        if asked.is_empty() || asked.len() > MAX_COLLECTIONS {
            return Err(refuse(400, "no collections, or too many"));
        }
        let mut answered = Vec::new();
        for collection in asked {
            let name = collection.text("name").and_then(|name| name.parse::<Collection>().ok());
            let Some(name) = name.filter(|_| collection.tag == "collection") else {
                return Err(refuse(400, "an unknown collection"));
            };
            let version = collection.number("version").unwrap_or(0);
            answered.push(match collection.child("patch") {
                Some(patch) => self.upload(now, device, name, version, patch),
                None if collection.text("return_snapshot").as_deref() == Some("true")
                    && self.saves_much(device, name) =>
                {
                    self.whole(device, name)
                }
                None => self.fetched(now, device, name, version),
            });
        }
        Ok(vec![Builder::new("sync").children(answered).build()])
    }

    fn upload(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        name: Collection,
        version: u64,
        patch: &Stanza,
    ) -> Stanza {
        let current = self.patches(device, name).len() as u64;
        let read = patch.leaf().filter(|bytes| bytes.len() <= MAX_PATCH).map(Patch::read);
        let Some(Ok(patch)) = read else {
            return self.refuse_collection(now, device, name, "a patch that is too large or cannot be read");
        };
        if patch.external().is_none() && patch.index_macs().next().is_none() {
            return self.refuse_collection(now, device, name, "a patch that changes nothing");
        }
        if self.faults.take(device, |f| &mut f.overtake) && version == current {
            self.overtake(now, device, name);
        }
        let current = self.patches(device, name).len() as u64;
        if version != current {
            let conflict = iq::Refused::new(409);
            let why = format!("app state {name} is at {current}, and not at {version}");
            self.note_part(now, device, "collection", 409, &why);
            let missed = self.missed(device, name, version);
            let more = version.saturating_add(PAGE as u64) < current;
            let told = [conflict.to_element()].into_iter().chain(missed);
            let refused = collection(name, current).attr("type", "error");
            return refused
                .attr("has_more_patches", if more { "true" } else { "false" })
                .children(told)
                .build();
        }
        let version = self.take_patch(now, device, name, patch);
        collection(name, version).attr("type", "result").build()
    }

    /// What a companion at this version lacks.
    fn fetched(&mut self, now: UnixMillis, device: DeviceRef, name: Collection, version: u64) -> Stanza {
        let current = self.patches(device, name).len() as u64;
        if version > current {
            // The code is a guess: no client asks for what was never made.
            return self.refuse_collection(now, device, name, "a version that there has never been");
        }
        let sent = current.min(version + PAGE as u64);
        let more = if sent < current { "true" } else { "false" };
        let answer = collection(name, sent).attr("type", "result").attr("has_more_patches", more);
        let mut missed = self.missed(device, name, version);
        if !missed.is_empty() && self.faults.take(device, |f| &mut f.tamper) {
            missed.iter_mut().for_each(tamper);
        }
        if missed.is_empty() { answer.build() } else { answer.children(missed).build() }
    }

    /// Whether a file is better than patches.
    fn saves_much(&self, device: DeviceRef, name: Collection) -> bool {
        let patches = self.patches(device, name);
        patches.len() >= WHOLE || patches.iter().any(|patch| patch.mutations().0 > CHANGES)
    }

    /// The whole collection, as a file.
    fn whole(&mut self, device: DeviceRef, name: Collection) -> Stanza {
        let patches = self.patches(device, name);
        let (current, snapshot) = (patches.len() as u64, appstate::snapshot_of(patches));
        let blob = self.phone_uploads(MediaKind::AppState, &snapshot);
        let snapshot = Builder::new("snapshot").bytes(blob.to_bytes()).build();
        let answer = collection(name, current).attr("type", "result").attr("has_more_patches", "false");
        answer.children([snapshot]).build()
    }

    /// `<patches>` with one page after a version; nothing when there is none.
    fn missed(&mut self, device: DeviceRef, name: Collection, version: u64) -> Vec<Stanza> {
        let from = usize::try_from(version).unwrap_or(usize::MAX);
        let page = self.patches(device, name).get(from..).unwrap_or_default().iter().take(PAGE);
        let page: Vec<Patch> = page.cloned().collect();
        let page = page.into_iter().map(|patch| {
            let patch = self.outside(device, name, patch);
            Builder::new("patch").bytes(patch.to_bytes()).build()
        });
        let page: Vec<Stanza> = page.collect();
        if page.is_empty() { Vec::new() } else { vec![Builder::new("patches").children(page).build()] }
    }

    /// A patch as it is given: with its changes in a file when they are many.
    fn outside(&mut self, device: DeviceRef, name: Collection, patch: Patch) -> Patch {
        let (changes, bytes) = patch.mutations();
        if changes <= CHANGES {
            return patch;
        }
        let key = (device.pn, name, patch.version());
        let blob = match self.patch_files.get(&key) {
            Some(blob) => blob.clone(),
            None => self.phone_uploads(MediaKind::AppState, &bytes),
        };
        self.patch_files.insert(key, blob.clone());
        patch.with_file(&blob)
    }

    /// One collection of a request is refused; the others are answered.
    fn refuse_collection(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        name: Collection,
        why: &'static str,
    ) -> Stanza {
        self.note_refusal(now, Some(device), ("collection", None), &format!("app state {name}: 400, {why}"));
        let version = self.patches(device, name).len() as u64;
        let told = iq::Refused::new(400).to_element();
        collection(name, version).attr("type", "error").children([told]).build()
    }

    fn patches(&self, device: DeviceRef, name: Collection) -> &[Patch] {
        self.account(device.pn).collections.get(&name).map_or(&[], Vec::as_slice)
    }
}

fn collection(name: Collection, version: u64) -> Builder {
    Builder::new("collection").attr("name", name.as_str()).attr("version", version)
}

/// Damages the MAC of the last patch: it stands before the id of the key, which is the end.
fn tamper(patches: &mut Stanza) {
    if let Some(Content::Nodes(patches)) = &mut patches.content
        && let Some(Content::Bytes(bytes)) = patches.last_mut().and_then(|patch| patch.content.as_mut())
        && let Some(at) = bytes.len().checked_sub(24)
    {
        bytes[at] ^= 0xff;
    }
}
