//! A device that begins anew under the same grant: what is in the store is loaded again.
//!
//! What must hold: nothing of before acts any more when the new machine begins; whoever waited for an answer gets none.

use std::time::Duration;

use super::children::{Children, draw};
use super::{State, now};
use crate::device::{Finished, PairingUpdate};
use crate::machine::Machine;
use crate::port::ProxyUri;

impl State {
    /// After a failure, if those are not too many.
    pub(super) async fn start_anew(&mut self, why: &str) {
        let boot = self.ports.clocks.boot();
        tracing::warn!(device = %self.opening.grant.key, why, "the device starts anew");
        self.failures.push_back(boot);
        self.failures.retain(|at| boot.since(*at) < Duration::from_secs(60));
        if self.failures.len() > self.ports.limits.restarts {
            return self.end(Finished::Broken(why.to_owned())).await;
        }
        self.begin_anew(why).await;
    }

    /// Another proxy was chosen, or one that was read before it was: the row is read again and dialled with.
    pub(super) async fn on_proxy(&mut self, proxy: Option<ProxyUri>) {
        if self.proxy.as_ref() != Some(&proxy) {
            self.begin_anew("another proxy was chosen").await;
        }
    }

    async fn begin_anew(&mut self, why: &str) {
        let life = self.children.life() + 1;
        self.children.end().await;
        self.armed = None;
        self.asking = None;
        self.loading = None;
        self.proxy = None;
        self.replies.clear();
        self.show_pairing(PairingUpdate::Failed { reason: "CONNECTION_LOST", message: why.to_owned() });
        match Children::spawn(life, &self.me, &self.opening.grant, &self.ports, &mut self.rng).await {
            Ok(children) => self.children = children,
            Err(error) => return self.end(Finished::Broken(error.to_string())).await,
        }
        let seed = draw(&mut self.rng);
        self.machine = Machine::new(self.opening.clone(), self.ports.limits.clone(), seed, now(&self.ports));
    }
}
