//! A file of history that cannot be had: the phone is asked once to upload it again, and answers with another
//! notice about the same piece.
//!
//! What must hold: only who has the first notice can ask, because the question is sealed with its media key; what was told
//! of the piece stays told. That the phone names the first notice in the second is what the field for it says; no client
//! shows it. A notice that does not is a piece of its own, whose messages are in the log once all the same.

use rand::Rng as _;
use roost_proto::media::{MediaKind, retry_request};
use roost_proto::phone::{Notice, Place};
use roost_proto::stanza::Builder;

use super::piece::{Piece, Source};
use super::{Machine, row};
use crate::machine::commit::{After, Pending};
use crate::machine::connect::encode;
use crate::machine::inbound::bounded;
use crate::port::{FileError, StateKind};

impl Machine {
    /// Asks the phone for a file that is gone or damaged; says whether it did.
    pub(super) fn ask_for_piece(&mut self, name: &str, error: &FileError) -> bool {
        if matches!(error, FileError::TooLarge(_)) || self.connection.online().is_none() {
            return false;
        }
        let own = self.account.as_ref().map(|account| account.pn.to_non_ad());
        let patience = self.now.boot.plus(self.limits.phone.1);
        let piece = self.history.waiting.get_mut(name).filter(|piece| !piece.asked);
        let (Some(own), Some(piece)) = (own, piece) else { return false };
        let file = match &piece.source {
            Source::File(blob) => blob.file(MediaKind::History),
            Source::Inline(_) => None,
        };
        let Some(file) = file else { return false };
        // It is fetched once more after that, as it was told or as it is told now.
        (piece.asked, piece.trouble) = (true, Some((0, patience)));
        let mut iv = [0; 12];
        self.rng.fill_bytes(&mut iv);
        let sealed = retry_request(&file.key, name, iv);
        let encrypt =
            [Builder::new("enc_p").bytes(sealed).build(), Builder::new("enc_iv").bytes(iv.to_vec()).build()];
        let receipt = Builder::new("receipt")
            .attr("id", name.to_owned())
            .attr("to", own)
            .attr("type", "server-error")
            .attr("category", "peer")
            .children([Builder::new("encrypt").children(encrypt).build()]);
        self.send(&receipt.build());
        true
    }

    /// The phone may never have heard what it was asked: it is asked again on the next connection.
    pub(in crate::machine) fn history_link_lost(&mut self) {
        let asked = |piece: &&mut Piece| piece.asked && piece.trouble.is_some_and(|(times, _)| times == 0);
        for piece in self.history.waiting.values_mut().filter(asked) {
            piece.asked = false;
        }
    }

    /// A notice may be about a piece that was told before: its file is another one now.
    pub(super) fn take_again(&mut self, name: &str, notice: &Notice, outcome: &mut Pending) -> bool {
        let Some(original) = notice.original.clone().map(bounded) else { return false };
        let (Some(piece), Place::File(blob)) = (self.history.waiting.get_mut(&original), &notice.place)
        else {
            return false;
        };
        piece.source = Source::File(blob.clone());
        piece.trouble = None;
        outcome.batch.state.push((row(StateKind::HistoryFile, &original), Some(piece.source.to_bytes())));
        self.thank(outcome, name);
        true
    }

    /// The phone forgets the piece when it hears this; when it does not, it tells it again.
    /// Returns whether that can be said now.
    pub(super) fn thank(&self, outcome: &mut Pending, name: &str) -> bool {
        let (Some((_, phone)), Some(link)) = (self.phone(), self.connection.online()) else { return false };
        let receipt =
            Builder::new("receipt").attr("id", name.to_owned()).attr("to", phone).attr("type", "hist_sync");
        outcome.after.extend(encode(&receipt.build()).map(|bytes| After::Wire(link, bytes)));
        true
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::history::{Blob, Kind};

    use super::super::piece::Cursor;
    use super::*;
    use crate::machine::tests::alone;

    #[test]
    fn a_file_that_is_gone_waits_for_the_connection_on_which_the_phone_can_be_asked() {
        let mut machine = alone();
        let blob = Blob::default();
        let place = Place::File(blob.clone());
        let notice =
            Notice { kind: Kind::Recent, order: 0, progress: 0, request: None, original: None, place };
        let piece = Piece::new(Cursor::new(&notice), Source::File(blob));
        machine.history.waiting.insert("N1".to_owned(), piece);
        machine.on_history_file("N1", Err(FileError::Gone));
        let piece = machine.history.waiting.get_mut("N1").expect("it is not given up");
        assert!(!piece.asked && piece.trouble.is_some());

        (piece.asked, piece.trouble) = (true, Some((0, machine.now.boot)));
        machine.history_link_lost();
        assert!(!machine.history.waiting["N1"].asked, "the phone may not have heard it");
    }
}
