//! What has waited for the device at WhatsApp, asked for in batches.
//!
//! What must hold: from the stanza that announces it to the one that ends it, at least half a batch is on its way. WhatsApp
//! hands out a few by itself and may keep the rest until it is asked (so whatsapp-rust says of WhatsApp Web; Baileys asks
//! once, whatsmeow never). What is asked for comes no faster than it is handled, because the link is read by credit.

use roost_proto::stanza::{Builder, Read, Stanza};

use super::Machine;

/// Stanzas that are asked for at a time.
const BATCH: u64 = 100;

/// A backlog that is being handed out.
#[derive(Debug)]
pub(super) struct Backlog {
    /// On which link.
    link: u64,
    /// Of what was asked for, so many have not come.
    due: u64,
}

impl Machine {
    /// `<ib><offline_preview count/></ib>` begins it, `<ib><offline/></ib>` ends it.
    pub(super) fn on_backlog(&mut self, information: &Stanza) {
        if information.child("offline").is_some() {
            self.backlog = None;
        }
        let waits = information.child("offline_preview").and_then(|preview| preview.number("count"));
        if let (Some(link), Some(1..)) = (self.connection.up(), waits) {
            self.backlog = Some(Backlog { link, due: 0 });
            self.ask_for_batch();
        }
    }

    /// A stanza has come; those of the backlog say that they are.
    pub(super) fn count_queued(&mut self, link: u64, stanza: &Stanza) {
        let Some(backlog) = self.backlog.as_mut().filter(|backlog| backlog.link == link) else { return };
        if stanza.text("offline").is_some() {
            backlog.due = backlog.due.saturating_sub(1);
            if backlog.due <= BATCH / 2 {
                self.ask_for_batch();
            }
        }
    }

    fn ask_for_batch(&mut self) {
        let Some(backlog) = &mut self.backlog else { return };
        backlog.due += BATCH;
        let batch = Builder::new("offline_batch").attr("count", BATCH).build();
        self.send(&Builder::new("ib").children([batch]).build());
    }
}
