//! A walk over an encoded tree that allocates nothing and refuses what the codec would trust.
//!
//! What must hold when it passes: every announced list is there in full, trees nest at most
//! [`MAX_DEPTH`] deep, a JID contains no JID, and there are at most [`MAX_ITEMS`] elements and
//! attributes. It does not look at texts and tokens; the codec does.

use super::StanzaError;

/// Real trees stay well under 20 levels.
const MAX_DEPTH: usize = 32;

/// A list of all groups of a large account has some hundred thousand.
const MAX_ITEMS: usize = 1 << 19;

pub(super) fn check(tree: &[u8]) -> Result<(), StanzaError> {
    let mut walk = Walk { tree, at: 0, items: 0 };
    walk.element(0)?;
    if walk.at == tree.len() { Ok(()) } else { Err(walk.refuse("bytes are left over")) }
}

struct Walk<'a> {
    tree: &'a [u8],
    at: usize,
    items: usize,
}

impl Walk<'_> {
    fn element(&mut self, depth: usize) -> Result<(), StanzaError> {
        if depth > MAX_DEPTH {
            return Err(self.refuse("it nests too deep"));
        }
        let tag = self.byte()?;
        let size = self.list(tag)?;
        if size == 0 {
            return Err(self.refuse("an element has no tag"));
        }
        for _ in 0..size - size.is_multiple_of(2) as usize {
            self.count()?;
            let tag = self.byte()?;
            self.value(tag, true)?;
        }
        if !size.is_multiple_of(2) {
            return Ok(());
        }
        match self.byte()? {
            tag @ (248 | 249) => {
                for _ in 0..self.list(tag)? {
                    self.count()?;
                    self.element(depth + 1)?;
                }
                Ok(())
            }
            tag => self.value(tag, true),
        }
    }

    fn list(&mut self, tag: u8) -> Result<usize, StanzaError> {
        match tag {
            0 => Ok(0),
            248 => Ok(self.byte()?.into()),
            249 => self.number(2),
            _ => Err(self.refuse("a list is due")),
        }
    }

    fn value(&mut self, tag: u8, jid_allowed: bool) -> Result<(), StanzaError> {
        match tag {
            0..=235 => Ok(()),
            236..=239 => self.skip(1),
            251 | 255 => {
                let length = self.byte()? & 0x7f;
                self.skip(length.into())
            }
            252 => {
                let length = self.number(1)?;
                self.skip(length)
            }
            253 => {
                let length = self.number(3)? & 0xf_ffff;
                self.skip(length)
            }
            254 => {
                let length = self.number(4)?;
                self.skip(length)
            }
            245..=247 | 250 if !jid_allowed => Err(self.refuse("a JID contains a JID")),
            245 => {
                self.part()?;
                self.skip(4)?;
                self.part()
            }
            246 => {
                self.part()?;
                self.skip(2)?;
                self.part()
            }
            247 => {
                self.skip(2)?;
                self.part()
            }
            250 => {
                self.part()?;
                self.part()
            }
            _ => Err(self.refuse("an unknown tag")),
        }
    }

    fn part(&mut self) -> Result<(), StanzaError> {
        let tag = self.byte()?;
        self.value(tag, false)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, StanzaError> {
        let mut number = 0;
        for _ in 0..bytes {
            number = number << 8 | usize::from(self.byte()?);
        }
        Ok(number)
    }

    fn byte(&mut self) -> Result<u8, StanzaError> {
        let byte = *self.tree.get(self.at).ok_or_else(|| self.refuse("it ends early"))?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), StanzaError> {
        if self.tree.len() - self.at < bytes {
            return Err(self.refuse("it ends early"));
        }
        self.at += bytes;
        Ok(())
    }

    fn count(&mut self) -> Result<(), StanzaError> {
        self.items += 1;
        if self.items > MAX_ITEMS { Err(self.refuse("it has too many elements")) } else { Ok(()) }
    }

    fn refuse(&self, what: &'static str) -> StanzaError {
        StanzaError::Shape { at: self.at, what }
    }
}
