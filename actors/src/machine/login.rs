//! From `<success/>` to messages, and staying there: active, presence, keepalive.

use std::time::Duration;

use bytes::Bytes;
use roost_proto::frame::MAX_ROUTING;
use roost_proto::stanza::{Builder, Jid, Read, Stanza, iq};

use super::pairing::account_key;
use super::requests::Asked;
use super::timer::Timer;
use super::{Effect, Machine};
use crate::port::Reached;

impl Machine {
    /// `<ib><edge_routing><routing_info/></edge_routing></ib>`, what is said of the backlog, and others.
    pub(super) fn on_information(&mut self, stanza: &Stanza) {
        self.on_backlog(stanza);
        let routing = stanza.child("edge_routing").and_then(|routing| routing.child("routing_info"));
        let routing = routing.and_then(Read::leaf).filter(|routing| routing.len() <= MAX_ROUTING);
        if let Some(routing) = routing {
            self.connection.routing = Some(Bytes::copy_from_slice(routing));
        }
    }

    /// Logged in. WhatsApp holds the backlog back until it has heard `<active/>`, so that goes first;
    /// presence is announced because receipts of an absent device do not show as delivered.
    pub(super) fn enter(&mut self) {
        self.request(Asked::Active, |id| iq::set(id, "passive").children([Builder::new("active").build()]));
        self.check_prekeys();
        self.rotate_signed_prekey();
        self.check_health();
        self.announce_presence();
        self.subscribe_all();
        self.keepalive_begin();
    }

    /// An account that was imported without its LID, as older libraries keep it, learns it here: groups and most chats
    /// know us by it alone.
    pub(super) fn learn_lid(&mut self, lid: Option<Jid>) {
        let Some(account) = self.account.as_mut().filter(|account| account.lid.is_none()) else { return };
        let Some(lid) = lid.filter(|lid| lid.is_lid() && lid.device == account.device()) else { return };
        account.lid = Some(lid.clone());
        let row = account.to_bytes();
        self.commits.pending().batch.state.push((account_key(), Some(row)));
        self.tenure_learns(&lid);
    }

    pub(super) fn on_active(&mut self, refused: Option<u16>) {
        match refused {
            None => {
                self.set_online();
                self.ask_ranges();
                self.attempt_succeeded();
            }
            Some(0) => {}
            Some(code) => self.drop_link(&format!("WhatsApp refused to be active with code {code}")),
        }
    }

    /// WhatsApp has shown that it is there.
    pub(super) fn heard(&mut self) {
        self.connection.reached = Reached { heard: Some(self.now.boot), ..Reached::default() };
        self.effects.push(Effect::Reached(self.connection.reached));
    }

    /// An attempt to connect has ended on the way there.
    pub(super) fn unreached(&mut self, link: u64) {
        let dialling = self.connection.link() == Some(link) && self.connection.up().is_none();
        if dialling && self.connection.reached.failing.is_none() {
            self.connection.reached.failing = Some(self.now.boot);
            self.effects.push(Effect::Reached(self.connection.reached));
        }
    }

    /// The next ping in its usual, random time. A link that is being paired needs them too: codes are shown for longer
    /// than WhatsApp bears silence.
    pub(super) fn keepalive_begin(&mut self) {
        self.clear_timer(Timer::Pong);
        let pairs = self.attempt.is_some() && self.connection.up().is_some();
        if pairs || self.connection.greeted() {
            let (shortest, longest, _) = self.limits.keepalive;
            let pause = shortest + self.jitter(longest.saturating_sub(shortest));
            self.set_timer(Timer::Keepalive, pause);
        }
    }

    /// Asks for a sign of life. Not while the node may not act: the link is not read then, so silence
    /// would say nothing.
    pub(super) fn ping(&mut self) {
        if !self.may_act() || self.commits.failing() {
            return self.set_timer(Timer::Keepalive, Duration::from_secs(1));
        }
        let (_, _, patience) = self.limits.keepalive;
        self.request_unpaired(Asked::Ping, |id| iq::get(id, "w:p"));
        self.set_timer(Timer::Pong, patience);
        self.keepalive_next();
    }

    /// Any answer will do, also a refusal.
    pub(super) fn on_pong(&mut self, refused: Option<u16>) {
        if !matches!(refused, Some(0 | 408)) {
            self.heard();
            self.clear_timer(Timer::Pong);
        }
    }

    fn keepalive_next(&mut self) {
        let (shortest, longest, patience) = self.limits.keepalive;
        let pause = shortest.max(patience) + self.jitter(longest.saturating_sub(shortest));
        self.set_timer(Timer::Keepalive, pause);
    }
}
