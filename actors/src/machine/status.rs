//! What the device says of itself: the status row, and the events that tell of changes.

use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::id::UnixMillis;

use super::{Effect, Machine};
use crate::port::{DeviceStatus, NewEvent};

/// The present status, and how many changes of it this owner has logged.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) now: DeviceStatus,
    stored: Option<DeviceStatus>,
    logged: u64,
}

impl Status {
    pub(super) fn new(at: UnixMillis) -> Status {
        let now = DeviceStatus {
            state: api::device::State::Starting,
            reason: "its state is being loaded".to_owned(),
            code: 0,
            pn: None,
            lid: None,
            push_name: String::new(),
            at,
            health: api::AccountHealth::default(),
        };
        Status { now, stored: None, logged: 0 }
    }

    pub(super) fn adopt(&mut self, stored: Option<DeviceStatus>) {
        self.stored = stored;
    }

    /// The row with what is known of the account now; the state in it stays as it was stored.
    pub(super) fn note_health(&mut self, health: &api::AccountHealth) -> DeviceStatus {
        self.now.health = health.clone();
        let row = DeviceStatus { health: health.clone(), ..self.stored.clone().unwrap_or(self.now.clone()) };
        self.stored.insert(row).clone()
    }

    /// The row with this name of the account; the state in it stays as it was stored.
    pub(super) fn note_name(&mut self, name: &str) -> DeviceStatus {
        self.now.push_name = name.to_owned();
        let row =
            DeviceStatus { push_name: name.to_owned(), ..self.stored.clone().unwrap_or(self.now.clone()) };
        self.stored.insert(row).clone()
    }

    /// What the last owner left.
    pub(super) fn left(&self) -> Option<&DeviceStatus> {
        self.stored.as_ref()
    }
}

impl Machine {
    /// Shows a status, and writes it with an event when it differs from what is stored. Steps on the way
    /// to a connection are only shown: a take-over must not wait for them, nor the log fill with them.
    pub(super) fn set_status(&mut self, state: api::device::State, reason: &str, code: u32) {
        let account = self.account.as_ref();
        let status = DeviceStatus {
            state,
            reason: reason.to_owned(),
            code,
            pn: account.map(|account| account.pn.to_string()),
            lid: account.and_then(|account| account.lid.as_ref()).map(ToString::to_string),
            push_name: account.map(|account| account.push_name.clone()).unwrap_or_default(),
            at: self.now.wall,
            health: self.health.now.clone(),
        };
        self.status.now = status.clone();
        self.effects.push(Effect::Publish(status.clone()));
        let passing = matches!(state, api::device::State::Starting | api::device::State::Connecting);
        let known = self.status.stored.as_ref().is_some_and(|stored| {
            (stored.state, stored.code, &stored.pn, &stored.lid)
                == (status.state, status.code, &status.pn, &status.lid)
        });
        if passing || known {
            // A name that was known before the row had a place for it.
            let stored = self
                .status
                .stored
                .as_ref()
                .filter(|stored| known && !status.push_name.is_empty() && stored.push_name.is_empty());
            if stored.is_some() {
                self.commits.pending().batch.status = Some(self.status.note_name(&status.push_name));
            }
            return;
        }
        self.status.stored = Some(status.clone());
        self.status.logged += 1;
        // The count begins anew when the device does, under the same epoch.
        let dedupe =
            format!("device/{}/{}/{}", self.opening.grant.epoch, self.now.wall.0, self.status.logged);
        let changed = api::DeviceStateChanged { state: state.into(), reason: reason.to_owned(), code };
        let event = self.synthetic(dedupe, Payload::DeviceStateChanged(changed));
        self.commits.pending().batch.status = Some(status);
        self.commits.pending().batch.events.push(event);
    }

    /// The first event of a new owner.
    pub(super) fn note_new_owner(&mut self) {
        let grant = &self.opening.grant;
        let changed = api::OwnershipChanged {
            from_node: self.opening.from.as_ref().map(ToString::to_string).unwrap_or_default(),
            to_node: grant.life.node.to_string(),
            epoch: grant.epoch.0,
            reason: self.opening.reason.clone(),
        };
        let event = self.synthetic(format!("owner/{}", grant.epoch), Payload::OwnershipChanged(changed));
        self.commits.pending().batch.events.push(event);
    }

    /// An event that Roost itself makes.
    pub(super) fn synthetic(&self, dedupe: String, payload: Payload) -> NewEvent {
        NewEvent { dedupe, occurred: self.now.wall, origin: Origin::Synthetic, payload }
    }
}
