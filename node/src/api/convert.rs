//! What the store knows, as the API says it.
//!
//! What must hold: a device whose owner is not living is never shown as if it were connected; times are
//! absent rather than zero; nothing here fails.

use std::time::Duration;

use roost_actors::port::{DeviceStatus, StoredMessage};
use roost_placement::ledger::{Desired, Member, MemberState, Ownership, Transition};
use roost_placement::wish::{Pin, PinMode, Spreading};
use roost_proto::api;
use roost_proto::api::device::State;
use roost_proto::id::{DeviceKey, UnixMillis};
use sha2::{Digest as _, Sha256};

use super::cursor::{self, Position};
use super::media;
use super::port::Seen;
use crate::directory::{Device, LoggedEvent, Tenant};

/// A point in time.
pub(super) fn timestamp(at: UnixMillis) -> api::Timestamp {
    let nanos = i32::try_from(at.0.rem_euclid(1000)).expect("below 1000") * 1_000_000;
    api::Timestamp { seconds: at.0.div_euclid(1000), nanos }
}

/// A span of time.
pub(super) fn duration(span: Duration) -> api::Duration {
    let nanos = i32::try_from(span.subsec_nanos()).expect("below a billion");
    api::Duration { seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), nanos }
}

/// A tenant.
pub(super) fn tenant(tenant: &Tenant) -> api::Tenant {
    api::Tenant {
        name: format!("tenants/{}", tenant.business_id),
        display_name: tenant.display_name.clone(),
        create_time: Some(timestamp(tenant.created)),
        spread: match tenant.spread {
            Spreading::Auto => api::tenant::Spread::Auto,
            Spreading::Devices => api::tenant::Spread::Devices,
            Spreading::Strict => api::tenant::Spread::Strict,
        }
        .into(),
    }
}

/// A pin.
pub(super) fn pin(pin: &Pin) -> api::Pin {
    let mode = match pin.mode {
        PinMode::Require => api::pin::Mode::Require,
        PinMode::Prefer => api::pin::Mode::Prefer,
    };
    api::Pin { node: pin.node.to_string(), mode: mode.into() }
}

/// Who holds a device.
pub(super) fn ownership(row: &Ownership) -> api::Ownership {
    api::Ownership {
        node: row.owner.as_ref().map(|life| life.node.to_string()).unwrap_or_default(),
        incarnation: row.owner.as_ref().map_or(0, |life| life.incarnation.0),
        epoch: row.epoch.0,
    }
}

/// A device, judged with who is living.
pub(super) fn device(device: &Device, seen: &Seen) -> api::Device {
    let owned = device.ownership.owner.as_ref().is_some_and(|life| seen.address(life).is_some());
    let (state, reason, code) = state(device.ownership.desired, owned, device.status.as_ref());
    let status = device.status.as_ref();
    let account = status.filter(|status| status.pn.is_some() || status.lid.is_some());
    api::Device {
        name: device.ownership.key.to_string(),
        display_name: device.display_name.clone(),
        state: state as i32,
        state_reason: reason,
        state_code: code,
        account: account.map(|status| api::Identity {
            lid: status.lid.clone().unwrap_or_default(),
            phone_number: status.pn.clone().unwrap_or_default(),
            push_name: status.push_name.clone(),
        }),
        health: status.map(|status| status.health.clone()).filter(|health| *health != Default::default()),
        ownership: Some(ownership(&device.ownership)),
        create_time: Some(timestamp(device.created)),
        update_time: Some(timestamp(status.map_or(device.created, |status| status.at))),
        pin: device.ownership.wish.pin.as_ref().map(pin),
        proxy_uri: device.proxy.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn state(desired: Desired, owned: bool, status: Option<&DeviceStatus>) -> (State, String, u32) {
    let said = status.map_or(State::Unpaired, |status| status.state);
    let sentence = |text: &str| text.to_owned();
    match (desired, said) {
        // What only another pairing or an operator changes stays as it is.
        (_, State::LoggedOut | State::Failed | State::Outdated) | (Desired::Online, State::Unpaired) => {
            let status = status.map(|status| (status.reason.clone(), status.code));
            let (reason, code) = status.unwrap_or_else(|| (sentence("It has not been paired yet."), 0));
            (said, reason, code)
        }
        (Desired::Offline | Desired::Deleted, _) if owned => {
            (State::Stopped, sentence("It is being stopped."), 0)
        }
        (Desired::Offline | Desired::Deleted, _) => (State::Stopped, sentence("It is stopped."), 0),
        (Desired::Online, _) if !owned => {
            (State::Starting, sentence("No living node holds it at the moment; one will take it on."), 0)
        }
        (Desired::Online, said) => {
            let status = status.map(|status| (status.reason.clone(), status.code)).unwrap_or_default();
            (said, status.0, status.1)
        }
    }
}

/// The name of a message.
pub(super) fn message_name(key: &DeviceKey, message_id: &str) -> String {
    format!("{key}/messages/{message_id}")
}

/// A message.
pub(super) fn message(key: &DeviceKey, stored: &StoredMessage) -> api::Message {
    api::Message {
        name: message_name(key, &stored.message.message_id),
        whatsapp_id: stored.message.whatsapp_id.clone(),
        state: stored.state as i32,
        ordinal: stored.ordinal,
        failure: stored.failure.clone().unwrap_or_default(),
        to: stored.message.chat.clone(),
        request_id: stored.message.request_id.clone(),
        accept_time: Some(timestamp(stored.message.accepted)),
        send_time: stored.sent.map(timestamp),
        server_ack_time: stored.server_ack.map(timestamp),
        delivered_time: stored.delivered.map(timestamp),
        read_time: stored.read.map(timestamp),
        expire_time: stored.message.terms.expires.map(timestamp),
    }
}

/// An event.
pub(super) fn event(mut event: LoggedEvent) -> api::Event {
    media::name_in(&mut event);
    api::Event {
        event_id: event_id(&event),
        device: event.key.to_string(),
        sequence: event.sequence.0,
        owner_epoch: event.epoch.0,
        cursor: cursor::after(&event.key, Position { sequence: event.sequence, age: event.age }),
        occur_time: Some(timestamp(event.occurred)),
        commit_time: Some(timestamp(event.committed)),
        origin: event.origin as i32,
        payload: Some(event.payload),
    }
}

/// A member of the cluster.
pub(super) fn node(member: &Member, age: Duration) -> api::Node {
    let state = match member.state {
        MemberState::Joining => api::node::State::Joining,
        MemberState::Active => api::node::State::Active,
        MemberState::Draining => api::node::State::Draining,
        MemberState::Dead => api::node::State::Dead,
    };
    api::Node {
        name: member.life.node.to_string(),
        incarnation: member.life.incarnation.0,
        address: member.address.clone(),
        zone: member.zone.clone(),
        weight: member.weight,
        state: state as i32,
        owned: member.owned,
        lease_remaining: Some(duration(member.remaining.saturating_sub(age))),
        version: member.version,
        cordoned: member.cordoned,
        cut_off: member.cut_off,
        unreachable: member.reach.failing,
        connected: None,
        waiting: None,
    }
}

/// A line of a device's history.
pub(super) fn transition(line: &Transition) -> api::locate_device_response::Transition {
    api::locate_device_response::Transition {
        epoch: line.epoch.0,
        node: line.owner.as_ref().map(|life| life.node.to_string()).unwrap_or_default(),
        incarnation: line.owner.as_ref().map_or(0, |life| life.incarnation.0),
        reason: line.reason.clone(),
        time: Some(timestamp(line.at)),
    }
}

/// The same for every reading of the same event: made of what never changes about it.
fn event_id(event: &LoggedEvent) -> String {
    let mut hash = Sha256::new();
    hash.update(event.key.to_string());
    hash.update(event.epoch.0.to_be_bytes());
    hash.update(event.sequence.0.to_be_bytes());
    hash.update(event.committed.0.to_be_bytes());
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State) -> DeviceStatus {
        let reason = "as WhatsApp said".to_owned();
        DeviceStatus {
            state,
            reason,
            code: 7,
            pn: None,
            lid: None,
            push_name: String::new(),
            at: UnixMillis(0),
            health: Default::default(),
        }
    }

    #[test]
    fn a_device_without_a_living_owner_is_never_shown_as_online() {
        let said = status(State::Online);
        assert_eq!(state(Desired::Online, true, Some(&said)).0, State::Online);
        assert_eq!(state(Desired::Online, false, Some(&said)).0, State::Starting);
        assert_eq!(state(Desired::Offline, false, Some(&said)).0, State::Stopped);
        assert_eq!(state(Desired::Offline, true, Some(&said)).0, State::Stopped);
    }

    #[test]
    fn what_only_a_new_pairing_changes_stays_visible() {
        let said = status(State::LoggedOut);
        for (desired, owned) in [(Desired::Online, false), (Desired::Offline, false), (Desired::Online, true)]
        {
            let (state, reason, code) = state(desired, owned, Some(&said));
            assert_eq!((state, reason.as_str(), code), (State::LoggedOut, "as WhatsApp said", 7));
        }
        assert_eq!(state(Desired::Online, false, None).0, State::Unpaired);
        assert_eq!(state(Desired::Offline, false, None).0, State::Stopped);
    }

    #[test]
    fn times_before_the_epoch_are_times_too() {
        assert_eq!(timestamp(UnixMillis(-1)), api::Timestamp { seconds: -1, nanos: 999_000_000 });
        assert_eq!(timestamp(UnixMillis(1_500)), api::Timestamp { seconds: 1, nanos: 500_000_000 });
    }
}
