//! Links that people join a call by: `<link_create media/>` and `<link_query token media/>` to `@call`, answered in the
//! acknowledgement. Nobody joins by them.
//!
//! The shapes are those of Baileys and whatsapp-rust. Guesses: that whoever knows a link may ask what it leads to, that
//! nobody waits for an admin, and that who asks about the other media than that of the call is refused at all.

use rand::RngExt as _;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};

use super::{CallLink, Refused};
use crate::wa::account::{DeviceRef, Form};
use crate::wa::machine::Machine;

impl Machine {
    /// `<link_create media><event start_time/></link_create>`; the event is for a call that is planned.
    pub(super) fn create_call_link(
        &mut self,
        device: DeviceRef,
        to: &Jid,
        part: &Stanza,
    ) -> Result<Stanza, Refused> {
        let media = media(to, part)?;
        let start_s = match part.child("event") {
            Some(event) => Some(event.number("start_time").ok_or((400, "a planned call without a start"))?),
            None => None,
        };
        let token = format!("{:022x}", self.rng.random::<u64>());
        let link = CallLink { media: media.clone(), start_s };
        self.account_mut(device.pn).calls.links.note(&token, link);
        Ok(Builder::new("link_create").attr("token", token).attr("media", media).build())
    }

    pub(super) fn query_call_link(
        &mut self,
        device: DeviceRef,
        to: &Jid,
        part: &Stanza,
    ) -> Result<Stanza, Refused> {
        let media = media(to, part)?;
        let token = part
            .text("token")
            .filter(|token| !token.is_empty())
            .ok_or((400, "no link is named"))?
            .into_owned();
        let found = self.accounts.values().find_map(|account| Some((account, account.calls.link(&token)?)));
        let (creator, link) = found.ok_or((404, "no call has this link"))?;
        if link.media != media {
            return Err((406, "a link to a call of the other media"));
        }
        let room = Builder::new("waiting_room")
            .attr("enabled", "0")
            .attr("is_admin", if creator.pn == device.pn { "1" } else { "0" });
        let about = Builder::new("link_query")
            .attr("token", token)
            .attr("media", media)
            .attr("link_creator", creator.jid(Form::Lid))
            .attr("link_creator_pn", creator.jid(Form::Pn));
        Ok(about.children([room.build()]).build())
    }
}

fn media(to: &Jid, part: &Stanza) -> Result<String, Refused> {
    if to.server != Server::Call {
        return Err((400, "links are asked of @call"));
    }
    let media = part.text("media").filter(|media| matches!(&**media, "audio" | "video"));
    Ok(media.ok_or((400, "a link to a call that is neither audio nor video"))?.into_owned())
}
