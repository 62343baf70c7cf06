//! Reading a piece of history twice: once to learn what is in it, and once for its messages, a slice at a time.
//!
//! What must hold: memory is bounded by the outline (names and chats, no messages) and one slice; the second
//! reading may begin at any message, and gives the same slices from there.

use bytes::Bytes;
use prost::Message as _;

use super::slice::{ConversationSlice, HistorySlice, MessageSlice, PairSlice};
use super::walk::{INFLATED, Step, Walker};
use super::{Chat, HistoryError, Kind, People};

/// Messages of one slice.
pub const SLICE: usize = 100;
/// Bytes of messages after which a slice ends too.
const SLICE_BYTES: usize = 1 << 20;
/// Bytes of names and chats of one piece.
const OUTLINE: usize = 16 << 20;
/// The most bytes that a piece may inflate to that came with its message: it is read in one go.
const INLINE: u64 = 64 << 20;
/// The longest nonce that is believed.
const NONCE: usize = 256;

/// What is in a piece, without its messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Which part of the past it is.
    pub kind: Kind,
    /// How much has been told with it, in per cent.
    pub progress: u32,
    /// Its conversations, in order.
    pub chats: Vec<Outlined>,
    /// Names and identities of people.
    pub people: People,
}

/// One conversation in an outline.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlined {
    /// What is said of it; `None` when it is malformed.
    pub about: Option<Chat>,
    /// Its messages in the piece.
    pub messages: u32,
}

/// The first reading.
pub struct Survey {
    walker: Walker,
    head: Vec<u8>,
    chats: Vec<Outlined>,
    people: People,
    messages: u32,
    weight: usize,
}

impl Default for Survey {
    fn default() -> Survey {
        Survey::of(INFLATED)
    }
}

impl Survey {
    /// Of a piece that came with its message.
    pub fn inline() -> Survey {
        Survey::of(INLINE)
    }

    fn of(most: u64) -> Survey {
        Survey {
            walker: Walker::new(most),
            head: Vec::new(),
            chats: Vec::new(),
            people: People::default(),
            messages: 0,
            weight: 0,
        }
    }

    /// Reads the next packed bytes.
    ///
    /// # Errors
    /// [`HistoryError`]; the piece is of no use then.
    pub fn feed(&mut self, packed: Bytes) -> Result<(), HistoryError> {
        self.walker.feed(packed);
        self.walk()
    }

    /// There are no more: what is in it.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn finish(mut self) -> Result<Outline, HistoryError> {
        self.walker.close();
        self.walk()?;
        let head = HistorySlice::decode(&*self.head).map_err(|_| HistoryError::Malformed)?;
        let (kind, progress) = (head.kind.into(), head.progress.unwrap_or(0));
        let salt = head.salt.filter(|salt| !salt.is_empty());
        let nonce = head.nonce.filter(|nonce| (1..=NONCE).contains(&nonce.len()));
        Ok(Outline { kind, progress, chats: self.chats, people: People { salt, nonce, ..self.people } })
    }

    fn walk(&mut self) -> Result<(), HistoryError> {
        loop {
            match self.walker.next()? {
                Step::Hungry | Step::End => return Ok(()),
                Step::Message(_) | Step::TooLarge => self.messages = self.messages.saturating_add(1),
                Step::Field(bytes) => {
                    self.weigh(bytes.len())?;
                    let Ok(HistorySlice { push_names, lids, .. }) = HistorySlice::decode(bytes.clone())
                    else {
                        continue;
                    };
                    if push_names.is_empty() && lids.is_empty() {
                        self.head.extend_from_slice(&bytes);
                    }
                    let pairs = |pairs: Vec<PairSlice>| pairs.into_iter().map(|pair| (pair.one, pair.other));
                    self.people.push_names.extend(pairs(push_names));
                    self.people.lids.extend(pairs(lids));
                }
                Step::Chat(about) => {
                    self.weigh(about.as_ref().map_or(0, Bytes::len))?;
                    let about = about.and_then(|bytes| ConversationSlice::decode(bytes).ok()?.about());
                    self.chats.push(Outlined { about, messages: std::mem::take(&mut self.messages) });
                }
            }
        }
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), HistoryError> {
        // What a parsed entry takes beside its text.
        self.weight += bytes + 64;
        if self.weight > OUTLINE { Err(HistoryError::TooLarge) } else { Ok(()) }
    }
}

/// The place of a message in a piece.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of its conversation, from 0.
    pub chat: u64,
    /// Its number in that, from 0.
    pub message: u64,
}

/// Some messages in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// Each with the number of its conversation: an encoded `WebMessageInfo` for
    /// [`Past::read`](super::Past::read).
    pub messages: Vec<(u64, Bytes)>,
    /// Messages that are too large, or are not there.
    pub left_out: u64,
    /// The place behind it.
    pub next: Position,
    /// There is nothing behind it.
    pub last: bool,
}

/// The second reading.
pub struct Slices {
    walker: Walker,
    begin: Position,
    here: Position,
    slice: Slice,
    bytes: usize,
}

impl Slices {
    /// From this message on.
    pub fn from(begin: Position) -> Slices {
        let walker = Walker::new(INFLATED);
        Slices { walker, begin, here: Position::default(), slice: Slice::default(), bytes: 0 }
    }

    /// The place of the first message of the next slice.
    pub fn next_position(&self) -> Position {
        self.here.max(self.begin)
    }

    /// Gives the next packed bytes, when [`Slices::slice`] has asked for them.
    pub fn feed(&mut self, packed: Bytes) {
        self.walker.feed(packed);
    }

    /// There are no more.
    pub fn close(&mut self) {
        self.walker.close();
    }

    /// The next slice; `None` when more packed bytes are needed.
    ///
    /// # Errors
    /// [`HistoryError`]; what came before stands.
    pub fn slice(&mut self) -> Result<Option<Slice>, HistoryError> {
        loop {
            let message = match self.walker.next()? {
                Step::Hungry => return Ok(None),
                Step::End => {
                    self.slice.last = true;
                    return Ok(Some(self.cut()));
                }
                Step::Field(_) => continue,
                Step::Chat(_) => {
                    self.here = Position { chat: self.here.chat + 1, message: 0 };
                    continue;
                }
                Step::TooLarge => None,
                Step::Message(bytes) => MessageSlice::decode(bytes).ok().and_then(|one| one.message),
            };
            let wanted = self.here >= self.begin;
            let chat = self.here.chat;
            self.here.message += 1;
            if !wanted {
                continue;
            }
            match message {
                Some(message) => {
                    self.bytes += message.len();
                    self.slice.messages.push((chat, message));
                }
                None => self.slice.left_out += 1,
            }
            if self.slice.messages.len() >= SLICE || self.bytes >= SLICE_BYTES {
                return Ok(Some(self.cut()));
            }
        }
    }

    fn cut(&mut self) -> Slice {
        self.bytes = 0;
        Slice { next: self.here, ..std::mem::take(&mut self.slice) }
    }
}

#[cfg(test)]
mod tests;
