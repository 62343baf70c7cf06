//! A piece of history as it comes: packed bytes go in, its parts come out one at a time.
//!
//! What must hold: at most one part and what one step of inflating gives are held, whatever the size of the
//! piece; nothing that is larger than its limit is waited for. A malformed conversation is left from where it
//! is malformed, and the next one is read.

use bytes::{Buf as _, Bytes};
use prost::Message as _;
use zlib_rs::{Inflate, InflateFlush, Status};

use super::slice::{ConversationSlice, MessageSlice};
use super::{HistoryError, STATUSES};

/// Bytes that are inflated at a time.
const STEP: usize = 64 << 10;
/// The largest message that is read. (WhatsApp's own messages carry thumbnails and little else.)
const MESSAGE: u64 = 1 << 20;
/// The largest pair of names, and the largest description of a conversation.
const SMALL: u64 = 64 << 10;
/// The most bytes that a piece may inflate to.
pub(super) const INFLATED: u64 = 8 << 30;
/// Of `HistorySync`: sync type and progress, push names, pairs of identities, nonce and salt.
const TOP: [u64; 6] = [1, 6, 7, 15, 16, 19];
/// Of `Conversation`: what is said of a chat beside its messages.
const ABOUT: [u64; 13] = [1, 6, 11, 13, 16, 21, 22, 24, 25, 28, 38, 39, 42];
/// `HistorySync.conversations` and `Conversation.messages`.
const REPEATED: u64 = 2;
/// `HistorySync.statusV3Messages`: those in a row are read as if they were a chat.
const STATUS: u64 = 3;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More packed bytes are needed.
    Hungry,
    /// A field of the piece itself, with its key.
    Field(Bytes),
    /// An encoded `HistorySyncMsg` of the present conversation.
    Message(Bytes),
    /// A message of the present conversation that is too large.
    TooLarge,
    /// The present conversation is over: its fields beside the messages, with their keys; `None` when it is
    /// malformed.
    Chat(Option<Bytes>),
    /// The piece is over.
    End,
}

pub(super) struct Walker {
    inflate: Inflate,
    /// The most bytes that it may inflate to.
    most: u64,
    packed: Bytes,
    closed: bool,
    /// The stream has ended.
    over: bool,
    /// Inflated bytes; those before `at` are read.
    plain: Vec<u8>,
    at: usize,
    /// Bytes to be left out.
    skip: u64,
    chat: Option<Chat>,
    /// Status posts are being read.
    posts: bool,
}

/// The conversation that is being read.
struct Chat {
    left: u64,
    about: Vec<u8>,
    malformed: bool,
}

/// The beginning of a field.
struct Header {
    number: u64,
    /// Bytes of the key and, if there is one, of the length.
    head: u64,
    /// Bytes of the value.
    body: u64,
    /// It is of bytes.
    sized: bool,
}

impl Walker {
    pub(super) fn new(most: u64) -> Walker {
        Walker {
            inflate: Inflate::new(true, 15),
            most,
            packed: Bytes::new(),
            closed: false,
            over: false,
            plain: Vec::new(),
            at: 0,
            skip: 0,
            chat: None,
            posts: false,
        }
    }

    /// Gives the next packed bytes. Those before must have been used up: [`Step::Hungry`] says so. What stands behind the
    /// end of the stream stays unread.
    pub(super) fn feed(&mut self, packed: Bytes) {
        debug_assert!(self.packed.is_empty() || self.over, "it was not hungry");
        self.packed = packed;
    }

    /// There are no more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn next(&mut self) -> Result<Step, HistoryError> {
        loop {
            if let Some(step) = self.read()? {
                return Ok(step);
            }
            if self.over {
                let whole = self.at == self.plain.len() && self.skip == 0 && self.chat.is_none();
                if whole && std::mem::take(&mut self.posts) {
                    return Ok(statuses());
                }
                return if whole { Ok(Step::End) } else { Err(HistoryError::Malformed) };
            }
            if !self.inflate_more()? {
                return if self.closed {
                    Err(HistoryError::Packed("it is cut short"))
                } else {
                    Ok(Step::Hungry)
                };
            }
        }
    }

    /// The next part that is here whole.
    fn read(&mut self) -> Result<Option<Step>, HistoryError> {
        loop {
            if self.skip > 0 {
                let here = self.skip.min((self.plain.len() - self.at) as u64);
                self.skip -= here;
                self.at += usize::try_from(here).expect("it is here");
                if self.skip > 0 {
                    return Ok(None);
                }
            }
            if let Some(chat) = self.chat.take_if(|chat| chat.left == 0) {
                return Ok(Some(Step::Chat((!chat.malformed).then(|| chat.about.into()))));
            }
            let header = match header(&self.plain[self.at..]) {
                Ok(Some(header)) => header,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.leave_chat().ok_or(error)?;
                    continue;
                }
            };
            match self.field(&header) {
                Some(Some(step)) => return Ok(Some(step)),
                Some(None) => {}
                None => return Ok(None),
            }
        }
    }

    /// Reads a field or skips it; `None` when it must be waited for.
    fn field(&mut self, header: &Header) -> Option<Option<Step>> {
        let Header { number, head, body, sized } = *header;
        let whole = head.saturating_add(body);
        let Some(chat) = &mut self.chat else {
            if number == STATUS && sized {
                self.posts = true;
                if body > MESSAGE {
                    self.skip = whole;
                    return Some(Some(Step::TooLarge));
                }
                let message = Some(self.take(head, whole)?);
                return Some(Some(Step::Message(MessageSlice { message }.encode_to_vec().into())));
            }
            if std::mem::take(&mut self.posts) {
                return Some(Some(statuses()));
            }
            if number == REPEATED && sized {
                self.chat = Some(Chat { left: body, about: Vec::new(), malformed: false });
                self.skip = head;
                return Some(None);
            }
            if !TOP.contains(&number) || body > SMALL {
                self.skip = whole;
                return Some(None);
            }
            return Some(Some(Step::Field(self.take(0, whole)?)));
        };
        if whole > chat.left {
            self.leave_chat();
            return Some(None);
        }
        let message = number == REPEATED && sized;
        let about = ABOUT.contains(&number) && chat.about.len() as u64 + whole <= SMALL;
        if message && body > MESSAGE || !message && !about {
            chat.left -= whole;
            self.skip = whole;
            return Some(message.then_some(Step::TooLarge));
        }
        let taken = self.take(if message { head } else { 0 }, whole)?;
        let chat = self.chat.as_mut().expect("it is being read");
        chat.left -= whole;
        if message {
            return Some(Some(Step::Message(taken)));
        }
        chat.about.extend_from_slice(&taken);
        Some(None)
    }

    /// Takes so many bytes, without the first; `None` when they are not here yet.
    fn take(&mut self, without: u64, whole: u64) -> Option<Bytes> {
        let whole = usize::try_from(whole).ok()?;
        let bytes = self.plain[self.at..].get(usize::try_from(without).ok()?..whole)?;
        let bytes = Bytes::copy_from_slice(bytes);
        self.at += whole;
        Some(bytes)
    }

    /// What is left of the present conversation cannot be read; `None` when there is none.
    fn leave_chat(&mut self) -> Option<()> {
        let chat = self.chat.as_mut()?;
        chat.malformed = true;
        self.skip = std::mem::take(&mut chat.left);
        Some(())
    }

    /// Inflates a little more; false when that needs more packed bytes.
    fn inflate_more(&mut self) -> Result<bool, HistoryError> {
        self.plain.drain(..std::mem::take(&mut self.at));
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let from = self.plain.len();
        self.plain.resize(from + STEP, 0);
        let status = self.inflate.decompress(&self.packed, &mut self.plain[from..], InflateFlush::NoFlush);
        let status = status.map_err(|error| HistoryError::Packed(error.as_str()))?;
        let (read, written) = (self.inflate.total_in() - read, self.inflate.total_out() - written);
        self.packed.advance(usize::try_from(read).expect("no more than there was"));
        self.plain.truncate(from + usize::try_from(written).expect("no more than a step"));
        self.over = status == Status::StreamEnd;
        if self.inflate.total_out() > self.most {
            return Err(HistoryError::TooLarge);
        }
        Ok(self.over || written > 0 || read > 0)
    }
}

/// The end of status posts, as that of a chat.
fn statuses() -> Step {
    let about = ConversationSlice { id: STATUSES.to_owned(), ..Default::default() };
    Step::Chat(Some(about.encode_to_vec().into()))
}

/// Reads the beginning of a field; `None` when it is not here whole.
fn header(bytes: &[u8]) -> Result<Option<Header>, HistoryError> {
    let Some((key, head)) = varint(bytes)? else { return Ok(None) };
    let (number, rest) = (key >> 3, &bytes[head..]);
    let fixed = |body| Ok(Some(Header { number, head: head as u64, body, sized: false }));
    match key & 7 {
        0 => match varint(rest)? {
            Some((_, length)) => fixed(length as u64),
            None => Ok(None),
        },
        1 => fixed(8),
        2 => Ok(varint(rest)?.map(|(body, length)| {
            let head = (head + length) as u64;
            Header { number, head, body, sized: true }
        })),
        5 => fixed(4),
        _ => Err(HistoryError::Malformed),
    }
}

/// A number and its length in bytes; `None` when it is not here whole.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, HistoryError> {
    let mut number = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((number, at + 1)));
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err(HistoryError::Malformed) }
}
