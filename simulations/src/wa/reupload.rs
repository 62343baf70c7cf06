//! A phone is asked for a file that the servers have dropped: it uploads the file again and says where.
//!
//! What must hold: only who has the message can ask, because the question is sealed with the message's media key;
//! the answer goes to the device that asked, and to no other.

use rand::Rng as _;
use roost_proto::id::UnixMillis;
use roost_proto::media::{RetryAnswer, open_retry_request, retry_answer};
use roost_proto::stanza::{Builder, Read as _, Stanza};

use super::account::{DeviceRef, Form, seconds};
use super::machine::{Machine, Refusal};

impl Machine {
    /// `<receipt type=server-error id><encrypt><enc_p/><enc_iv/></encrypt><rmr/></receipt>`; without `<rmr>` and with the
    /// category `peer` it is about a piece of history.
    pub(super) fn media_asked(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let id = stanza.text("id").unwrap_or_default().into_owned();
        let part = |name| Some(stanza.child("encrypt")?.child(name)?.leaf()?.to_vec());
        let (Some(sealed), Some(iv)) = (part("enc_p"), part("enc_iv")) else {
            return Err("a question about media that is not sealed".into());
        };
        let Some(rmr) = stanza.child("rmr").cloned() else {
            return match stanza.text("category").as_deref() {
                Some("peer") => self.history_asked(now, from, &id, (&sealed, &iv)),
                _ => Err("a question about media without <rmr>".into()),
            };
        };
        if rmr.jid("jid").is_none() || rmr.text("from_me").is_none() {
            return Err("<rmr> needs jid and from_me".into());
        }
        let file = self.account(from.pn).phone.file(&id).cloned();
        let content = match file {
            // What the phone says of a message that it does not have.
            None => vec![Builder::new("error").attr("code", 2u8).build()],
            Some(file) => {
                open_retry_request(&file.key, &id, &iv, &sealed)
                    .map_err(|error| Refusal::from(format!("a question about media: {error}")))?;
                let answer = match self.media.again(&mut self.rng, &file.hashes.sealed) {
                    Some(direct_path) => RetryAnswer::Uploaded { direct_path },
                    None => RetryAnswer::NotFound,
                };
                let mut iv = [0; 12];
                self.rng.fill_bytes(&mut iv);
                let sealed = retry_answer(&file.key, &id, iv, &answer);
                let parts = [
                    Builder::new("enc_p").bytes(sealed).build(),
                    Builder::new("enc_iv").bytes(iv.to_vec()).build(),
                ];
                vec![Builder::new("encrypt").children(parts).build()]
            }
        };
        let notification = Builder::new("notification")
            .attr("type", "mediaretry")
            .attr("from", self.account(from.pn).jid(Form::Pn))
            .attr("id", id)
            .attr("t", seconds(now))
            .children(content.into_iter().chain([rmr]));
        self.deliver(now, from, notification.build());
        Ok(())
    }
}
