//! How a backlog is handed out after a login: a few stanzas, then as many as the client asks for.
//!
//! What must hold: order; what comes meanwhile goes behind what waits, and no more is held than waits; the end is told
//! once. A client that has settled all that it was given and has asked for nothing more gets the rest at once, and so does
//! one that pings instead. (That is a guess: whatsapp-rust says that WhatsApp Web gets nothing more then; whatsmeow never
//! asks and Baileys once, and both get all.)

use std::collections::VecDeque;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Read as _, Stanza};

use super::account::DeviceRef;
use super::machine::{ConnectionId, Machine, Refusal};
use super::session::ib;

/// Stanzas that nobody needs to ask for. (About as many, as whatsapp-rust says of the real server.)
const PRIMER: usize = 5;

/// The rest of a backlog.
pub(super) struct Resume {
    held: VecDeque<Stanza>,
    /// Stanzas that may be written.
    room: usize,
    /// Stanzas that were written.
    written: usize,
    /// Of these, the settled ones.
    settled: usize,
}

impl Machine {
    /// The device wants its messages.
    pub(super) fn release_backlog(&mut self, now: UnixMillis, connection: ConnectionId, device: DeviceRef) {
        let Some(companion) = self.account(device.pn).companions.get(&device.device) else { return };
        let held: VecDeque<Stanza> = companion.backlog.waiting().cloned().collect();
        let count = |tag: &str| held.iter().filter(|stanza| stanza.tag == tag).count();
        if !held.is_empty() {
            let preview = Builder::new("offline_preview")
                .attr("count", held.len())
                .attr("message", count("message"))
                .attr("notification", count("notification"))
                .attr("receipt", count("receipt"))
                .attr("appdata", 0u8)
                .build();
            self.send(now, connection, ib(preview));
        }
        let resume = Resume { held, room: PRIMER, written: 0, settled: 0 };
        if let Some(online) = self.online_mut(connection) {
            online.resume = Some(resume);
        }
        self.resume(now, connection);
    }

    /// Keeps a new stanza for later when older ones still wait for the client to ask. What was dropped from the backlog for
    /// it is not handed out any more.
    pub(super) fn hold_back(
        &mut self,
        connection: ConnectionId,
        stanza: &Stanza,
        dropped: Option<Stanza>,
    ) -> bool {
        let Some(resume) = self.online_mut(connection).and_then(|online| online.resume.as_mut()) else {
            return false;
        };
        // Unless it was written already, the oldest that waits is the oldest that is held.
        if dropped.is_some() && resume.held.front() == dropped.as_ref() {
            resume.held.pop_front();
        }
        resume.held.push_back(stanza.clone());
        true
    }

    /// `<ib><offline_batch count/></ib>`; a client may ask when all has come already. Whatever else a client informs of
    /// is not looked at.
    pub(super) fn information(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let Some(batch) = stanza.child("offline_batch") else { return Ok(()) };
        let count = batch.number("count").filter(|count| *count > 0).ok_or("a batch of no size")?;
        if let Some(device) = self.device_of(connection) {
            self.ledger.device(device).batches += 1;
        }
        if let Some(resume) = self.online_mut(connection).and_then(|online| online.resume.as_mut()) {
            resume.room = resume.room.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        }
        self.resume(now, connection);
        Ok(())
    }

    /// The client has settled something that it was given.
    pub(super) fn resume_settled(&mut self, now: UnixMillis, connection: ConnectionId) {
        let Some(resume) = self.online_mut(connection).and_then(|online| online.resume.as_mut()) else {
            return;
        };
        resume.settled += 1;
        if resume.settled >= resume.written {
            self.resume_unasked(now, connection);
        }
    }

    /// Hands out the rest to a client that does not ask.
    pub(super) fn resume_unasked(&mut self, now: UnixMillis, connection: ConnectionId) {
        let Some(resume) = self.online_mut(connection).and_then(|online| online.resume.as_mut()) else {
            return;
        };
        resume.room = usize::MAX;
        self.resume(now, connection);
    }

    fn resume(&mut self, now: UnixMillis, connection: ConnectionId) {
        while let Some(online) = self.online_mut(connection)
            && let (device, Some(resume)) = (online.device, &mut online.resume)
        {
            if resume.held.is_empty() {
                let end = Builder::new("offline").attr("count", resume.written).build();
                online.resume = None;
                self.send(now, connection, ib(end));
                return self.greet(now, device);
            }
            if resume.room == 0 {
                return;
            }
            (resume.room, resume.written) = (resume.room - 1, resume.written + 1);
            let Some(stanza) = resume.held.pop_front() else { return };
            if stanza.tag == "message" {
                self.ledger.device(device).messages_from_backlog += 1;
            }
            self.write(now, connection, device, stanza.with("offline", "0"));
        }
    }
}
