//! Requests of logged-in devices, by namespace. Every one is answered, because an unanswered request costs a
//! client a minute: unknown ones with 501, and a line in the log.

mod app_state;
mod bots;
mod business;
mod communities;
mod goods;
mod groups;
mod invites;
mod links;
mod members;
mod prekeys;
mod profile;
mod push;
mod settings;
mod usync;

pub(super) use prekeys::prekey_element;
pub use profile::Profile;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Missing, Read as _, Stanza, iq, is_server, server_jid};
use serde_json::{Value, json};

use super::account::{DeviceRef, seconds};
use super::machine::{ConnectionId, Machine, Refusal};
use super::refusals::{Refused, refuse};

/// The children of a good answer, or why there is none.
pub(super) type Answer = Result<Vec<Stanza>, Refused>;

/// What is answered to `w:mex`: `{"data": {name: what}}`.
pub(super) fn told(name: &str, what: &Value) -> Answer {
    let body = json!({ "data": { name: what } }).to_string();
    Ok(vec![Builder::new("result").bytes(body.into_bytes()).build()])
}

impl Machine {
    pub(super) fn query(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        device: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let kind = stanza.text("type").unwrap_or_default().into_owned();
        if matches!(&*kind, "result" | "error") {
            return Ok(());
        }
        if stanza.text("id").is_none() {
            return Err("a request without an id".into());
        }
        let to_server = stanza.jid("to").is_none_or(|to| is_server(&to));
        let xmlns = stanza.text("xmlns").unwrap_or_default().into_owned();
        let child = stanza.all().first();
        let tag = child.map_or("", |child| &*child.tag);
        let set = kind == "set";
        let answer = match (&*xmlns, tag, set) {
            _ if !matches!(&*kind, "get" | "set") => Err(refuse(400, "neither get nor set")),
            ("w:g2", _, set) => self.group_query(now, device, set, stanza),
            ("newsletter", _, _) => self.newsletter_iq(now, device, stanza),
            _ if !to_server => settings::elsewhere(&xmlns, tag),
            ("w:p" | "urn:xmpp:ping", _, false) => {
                self.resume_unasked(now, connection);
                Ok(vec![])
            }
            ("passive", "active" | "passive", true) => {
                // The answer comes before the backlog that it releases.
                self.send(now, connection, with_time(now, iq::result(stanza)).build());
                self.set_active(now, connection, tag == "active");
                return Ok(());
            }
            ("encrypt", _, set) => self.keys(now, device, set, stanza),
            ("usync", "usync", false) => self.usync(now, device, stanza),
            ("w:sync:app:state", "sync", true) => self.app_state(now, device, stanza),
            ("md", "remove-companion-device", true) => {
                let named = child.and_then(|child| child.jid("jid")).and_then(|jid| self.existing(&jid));
                // That a companion may unlink another one of its account, and the code, are guesses.
                match named.filter(|named| named.pn == device.pn && named.device != 0) {
                    Some(named) => {
                        self.send(now, connection, with_time(now, iq::result(stanza)).build());
                        self.unlink(now, named);
                        return Ok(());
                    }
                    None => Err(refuse(404, "no companion of the own account")),
                }
            }
            _ => self.setting(now, device, &xmlns, tag, set, stanza),
        };
        match answer {
            Ok(children) => {
                let result = with_time(now, iq::result(stanza));
                let result = if children.is_empty() { result } else { result.children(children) };
                self.send(now, connection, result.build());
                Ok(())
            }
            Err(Refused { code, why }) => {
                self.send(now, connection, iq::error(stanza, &iq::Refused::new(code)));
                Err(format!("{xmlns} {kind} <{tag}>: {code}, {why}").into())
            }
        }
    }

    /// The server says how many one-time prekeys a device has left.
    pub(super) fn tell_prekey_count(&mut self, now: UnixMillis, device: DeviceRef, value: u32) {
        let count = Builder::new("count").attr("value", value).build();
        let notification = Builder::new("notification")
            .attr("type", "encrypt")
            .attr("from", server_jid())
            .attr("id", self.server_id())
            .attr("t", seconds(now))
            .children([count]);
        self.deliver(now, device, notification.build());
    }
}

fn with_time(now: UnixMillis, builder: Builder) -> Builder {
    builder.attr("t", seconds(now))
}

/// A stanza that lacks something is a bad request.
fn bad(missing: Missing) -> Refused {
    refuse(400, missing.to_string())
}
