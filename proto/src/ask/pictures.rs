//! Profile pictures, of accounts and of groups: namespace `w:profile:picture`.

use super::{Question, get, set};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Asks where the picture of an account or a group can be downloaded. Without a picture WhatsApp refuses
/// with 404, where it is hidden with 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetPicture {
    /// Whose.
    pub of: Jid,
    /// The small one.
    pub preview: bool,
    /// Id of the picture that the caller has already; empty when it has none.
    pub known: String,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Changes with the picture.
    pub id: String,
    /// Where it is; the link expires.
    pub url: String,
    /// The same without a host.
    pub direct_path: String,
}

impl Question for GetPicture {
    /// `None`: it is the one that the caller knows.
    type Answer = Option<Picture>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let kind = if self.preview { "preview" } else { "image" };
        let mut picture = Builder::new("picture").attr("query", "url").attr("type", kind);
        if !self.known.is_empty() {
            picture = picture.attr("id", self.known.clone());
        }
        get("w:profile:picture").attr("target", self.of.clone()).children([picture.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Option<Picture>, Missing> {
        let picture = match answer.child("picture") {
            None if !self.known.is_empty() => return Ok(None),
            _ => answer.need_child("picture")?,
        };
        if picture.number("status") == Some(304) {
            return Ok(None);
        }
        Ok(Some(Picture {
            id: picture.need_text("id")?.into_owned(),
            url: picture.need_text("url")?.into_owned(),
            direct_path: picture.text("direct_path").unwrap_or_default().into_owned(),
        }))
    }
}

/// Sets or removes the picture of the own account, or of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetPicture {
    /// The group; `None` for the own account.
    pub of: Option<Jid>,
    /// A JPEG; `None` removes the picture.
    pub jpeg: Option<Vec<u8>>,
}

impl Question for SetPicture {
    /// Id of the new picture.
    type Answer = Option<String>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let mut request = set("w:profile:picture");
        if let Some(of) = &self.of {
            request = request.attr("target", of.clone());
        }
        if let Some(jpeg) = &self.jpeg {
            let picture = Builder::new("picture").attr("type", "image").bytes(jpeg.clone()).build();
            request = request.children([picture]);
        }
        request.build()
    }

    fn read(&self, answer: &Stanza) -> Result<Option<String>, Missing> {
        Ok(answer.child("picture").and_then(|picture| picture.text("id")).map(|id| id.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(picture: Builder) -> Stanza {
        Builder::new("iq").children([picture.build()]).build()
    }

    #[test]
    fn a_picture_that_the_caller_has_is_not_told_again() {
        let ask = GetPicture { of: Jid::pn("4915100000001"), preview: true, known: "7".to_owned() };
        let unchanged = answer(Builder::new("picture").attr("status", 304u64));
        assert_eq!(ask.read(&unchanged), Ok(None));
        assert_eq!(ask.read(&Builder::new("iq").build()), Ok(None));
        let first = GetPicture { known: String::new(), ..ask };
        assert!(first.read(&Builder::new("iq").build()).is_err(), "who knows none is owed one");
        let shown = answer(Builder::new("picture").attr("id", "8").attr("url", "https://x/8"));
        assert_eq!(first.read(&shown).expect("complete").expect("another").id, "8");
    }

    #[test]
    fn a_removal_has_no_content() {
        let remove = SetPicture { of: None, jpeg: None }.request();
        assert!(remove.all().is_empty() && remove.jid("target").is_none());
        let group: Jid = "123@g.us".parse().expect("a JID");
        let set = SetPicture { of: Some(group.clone()), jpeg: Some(vec![0xff]) }.request();
        assert_eq!(set.jid("target"), Some(group));
        assert_eq!(set.child("picture").and_then(Read::leaf), Some(&[0xff][..]));
    }
}
