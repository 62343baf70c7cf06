//! What stays at WhatsApp behind a piece of history: its file, which the phone has made for this device alone.
//!
//! What must hold: it is deleted only behind the commit that ends the piece, because an owner that dies before must find it;
//! one that dies after it leaves it to WhatsApp, as nobody knows of it any more. A piece that was not told to its end
//! keeps its file, and so does everything else that comes as a file: nothing here ever sees app state or a message.

use bytes::Bytes;
use roost_proto::media::MediaKind;

use super::piece::{Piece, Source};
use super::{Machine, row};
use crate::machine::commit::{After, Pending};
use crate::port::{StateKind, Unneeded};

impl Machine {
    /// What is to be done with the file of a piece that is told, once that is durable.
    pub(super) fn leave_behind(&self, piece: Piece) -> Option<After> {
        let Source::File(blob) = piece.source else { return None };
        let file = blob.file(MediaKind::History)?;
        let nonce = self.history.nonce.clone();
        Some(After::Unneeded(Box::new(Unneeded { file, handle: blob.handle, nonce })))
    }

    /// The phone says in a piece what is shown with a deletion.
    pub(super) fn learn_nonce(&mut self, nonce: &str) {
        if nonce == self.history.nonce {
            return;
        }
        let (slot, mut outcome) = (self.lane.open(), Pending::default());
        self.take_nonce(&mut outcome, nonce.to_owned());
        self.lane.fill(slot, outcome);
        self.lane_advance();
    }

    pub(super) fn take_nonce(&mut self, outcome: &mut Pending, nonce: String) {
        if nonce != self.history.nonce {
            let bytes = Some(Bytes::from(nonce.clone())).filter(|nonce| !nonce.is_empty());
            outcome.batch.state.push((row(StateKind::HistoryNonce, ""), bytes));
            self.history.nonce = nonce;
        }
    }
}
