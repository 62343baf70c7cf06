//! Notifications of the server: prekeys run low, devices come and go, identities change.
//!
//! What must hold: each is acknowledged, also those that we have no use for; a change of devices is
//! believed at once, because a message that misses a device is lost on it.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::stanza::{Builder, Jid, Read, Stanza, is_server, server_jid};

use super::commit::Pending;
use super::crypto::PeerName;
use super::inbound::{bounded, person};
use super::tokens::For;
use super::{CryptoRequest, Machine};
use crate::device::CommandError;
use roost_proto::stanza::iq;

impl Machine {
    pub(super) fn on_notification(&mut self, link: u64, stanza: Stanza) {
        if matches!(
            stanza.text("type").as_deref(),
            Some("picture" | "status" | "disappearing_mode" | "business" | "contacts")
        ) {
            return self.on_profile_notification(link, stanza);
        }
        let mut outcome = Pending::default();
        match stanza.text("type").as_deref() {
            Some("mediaretry") => self.on_media_retry(&stanza),
            Some("encrypt") => self.on_encrypt_notification(&stanza, &mut outcome),
            Some("server_sync") => self.on_server_sync(&stanza, &mut outcome),
            Some("link_code_companion_reg") => self.on_primary_hello(link, &stanza),
            Some("companion_reg_refresh") => self.on_registration_refresh(&stanza),
            Some("passkey_prologue_request") => self.on_passkey_asked(&stanza),
            Some("crsc_continuation") => self.on_passkey_continued(&stanza),
            Some("devices") => {
                for jid in [stanza.jid("from"), stanza.jid("lid")].into_iter().flatten() {
                    self.directory.forget(&jid);
                }
            }
            Some("account_sync") => {
                if let Some(account) = self.account.as_ref().filter(|_| stanza.child("devices").is_some()) {
                    for jid in [Some(&account.pn), account.lid.as_ref()].into_iter().flatten() {
                        self.directory.forget(jid);
                    }
                }
                self.on_account_sync(&stanza, &mut outcome);
            }
            Some("privacy_token") => self.on_tokens(&stanza),
            Some("newsletter") => self.on_newsletter_update(&stanza, &mut outcome),
            Some("mex") => {
                self.on_newsletter_change(&stanza, &mut outcome);
                self.on_mex(&stanza);
            }
            Some("w:gp2") => self.on_group_notification(&stanza, &mut outcome),
            _ => {}
        }
        // Behind the state that it changed.
        let slot = self.lane.open();
        let ack = self.plain_ack(&stanza, None);
        self.settle_slot(slot, link, outcome, ack);
    }

    fn on_encrypt_notification(&mut self, stanza: &Stanza, outcome: &mut Pending) {
        let Some(from) = stanza.jid("from") else { return };
        if is_server(&from) {
            if let Some(count) = stanza.child("count").and_then(|count| count.number("value")) {
                self.refill_prekeys(count);
            } else if stanza.child("digest").is_some() {
                self.ask_key_digest();
            }
        } else if stanza.child("identity").is_some() {
            // One of them is named, or both are.
            let beside = stanza.jid("lid").filter(Jid::is_lid);
            let mut peer = self.peer_name(&from);
            peer.lid = peer.lid.or_else(|| beside.as_ref().map(|lid| lid.user.to_string()));
            for jid in std::iter::once(&from).chain(&beside) {
                self.directory.forget(jid);
            }
            self.change_state(CryptoRequest::Forget { peer: peer.clone() });
            self.ask_token(PeerName { device: 0, ..peer.clone() }, For::NewKeys(peer));
            let id = stanza.text("id").unwrap_or_default();
            let changed = api::IdentityChanged { person: Some(person(&[Some(from.clone()), beside])) };
            let dedupe = bounded(format!("identity/{from}/{id}"));
            outcome.batch.events.push(self.synthetic(dedupe, Payload::IdentityChanged(changed)));
        }
    }

    /// Unlinks the device on request.
    pub(super) fn log_out(&mut self, token: u64) {
        if let Some(error) = self.unpaired() {
            return self.done(token, Err(error));
        }
        let Some(account) = self.account.clone() else { return };
        if !self.may_act() {
            return self.done(token, Err(CommandError::Unavailable));
        }
        if let Some(refusal) = self.unconnected() {
            return self.done(token, Err(refusal));
        }
        self.request(super::requests::Asked::Logout { token }, |id| {
            let remove = Builder::new("remove-companion-device")
                .attr("jid", account.pn)
                .attr("reason", "user_initiated")
                .build();
            iq::request(id, "set", "md", server_jid()).children([remove])
        });
    }
}
