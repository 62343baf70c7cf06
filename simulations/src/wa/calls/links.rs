//! Links that people join a call by: `<link_create media/>` to `@call`, answered in the acknowledgement. Nobody joins by
//! them.

use rand::RngExt as _;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};

use super::Refused;
use crate::wa::machine::Machine;

impl Machine {
    pub(super) fn create_call_link(&mut self, to: &Jid, part: &Stanza) -> Result<Stanza, Refused> {
        if to.server != Server::Call {
            return Err((400, "links are asked of @call"));
        }
        let media = part.text("media").filter(|media| matches!(&**media, "audio" | "video"));
        let media = media.ok_or((400, "a link to a call that is neither audio nor video"))?.into_owned();
        let token = format!("{:022x}", self.rng.random::<u64>());
        Ok(Builder::new("link_create").attr("token", token).attr("media", media).build())
    }
}
