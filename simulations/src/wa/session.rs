//! Logins, and faults that end connections.
//!
//! What must hold: a login is accepted only with the Noise key that the device was paired with; the older
//! connection of the same device hears `replaced`; nothing but answers is sent before `<active/>`, and the
//! end of the backlog is always told, also when it was empty.

use roost_proto::id::UnixMillis;
use roost_proto::login::{Failure, FailureReason, Login, StreamError, Success};
use roost_proto::noise::Pattern;
use roost_proto::stanza::{Builder, Stanza, server_jid};
use roost_proto::version::ProtocolVersion;

use super::account::{DeviceRef, Form, seconds};
use super::fault::{Fault, stream_error};
use super::machine::{Connection, ConnectionId, Effect, Machine, Online};

/// What a client stores and sends before its next intro. Opaque.
const ROUTING_INFO: [u8; 3] = [8, 2, 8];

/// A fault names a device that does not exist, or no device at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no device {0:?}")]
pub struct UnknownDevice(pub String);

impl Machine {
    pub(super) fn login(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        (login, version): (&Login, Option<ProtocolVersion>),
        (noise, pattern): (&[u8; 32], Pattern),
    ) {
        self.connections.insert(connection, Connection::Ending);
        let device = DeviceRef { pn: login.username, device: login.device.unwrap_or(0) };
        if let Some(reason) = self.faults.login(device, now) {
            self.refuse_login(now, connection, device, reason, "a fault");
            return;
        }
        if !self.faults.takes(version) {
            let reason = FailureReason::ClientOutdated;
            return self.refuse_login(now, connection, device, reason, "an outdated client");
        }
        let account = self.accounts.get(&device.pn);
        let companion = account.and_then(|account| account.companions.get(&device.device));
        let why = match companion {
            None => "an unknown device",
            Some(companion) if companion.noise != *noise => "another Noise key",
            Some(_) => "",
        };
        if !why.is_empty() {
            self.refuse_login(now, connection, device, FailureReason::LoggedOut, why);
            return;
        }
        if let Some(older) = self.online.get(&device).copied() {
            self.ledger.device(device).replaced += 1;
            self.end(now, older, StreamError::Replaced, "replaced");
        }
        let lid = self.account(device.pn).device_jid(device.device, Form::Lid);
        let online = Online {
            device,
            active: false,
            resume: None,
            available: false,
            subscriptions: Default::default(),
        };
        self.connections.insert(connection, Connection::Online(online));
        self.online.insert(device, connection);
        self.ledger.login(device, connection, pattern, now);
        tracing::info!(%device, connection, "login");
        let success = Success { lid: Some(lid), time: Some(seconds(now)) };
        self.send(now, connection, success.to_stanza());
        let routing = Builder::new("routing_info").bytes(ROUTING_INFO).build();
        let routing = Builder::new("edge_routing").children([routing]).build();
        self.send(now, connection, ib(routing));
    }

    /// A connection opened with this routing header.
    pub(super) fn note_routing(&mut self, connection: ConnectionId, routing: &[u8]) {
        if let Some(device) = self.device_of(connection).filter(|_| routing == ROUTING_INFO) {
            self.ledger.device(device).routed += 1;
        }
    }

    fn refuse_login(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        device: DeviceRef,
        reason: FailureReason,
        why: &str,
    ) {
        tracing::info!(%device, connection, ?reason, why, "refused a login");
        self.ledger.refused(Some(device), ("login", None), why, now);
        // Strangers must not fill the ledger with devices that never were.
        if self.accounts.get(&device.pn).is_some_and(|a| a.companions.contains_key(&device.device)) {
            self.ledger.device(device).refused_logins += 1;
        }
        self.fail(now, connection, Failure::new(reason));
    }

    /// `<active/>` or `<passive/>`: the device wants its messages, or wants them held back.
    pub(super) fn set_active(&mut self, now: UnixMillis, connection: ConnectionId, active: bool) {
        let Some(online) = self.online_mut(connection) else { return };
        let before = std::mem::replace(&mut online.active, active);
        let device = online.device;
        if active && !before {
            self.release_backlog(now, connection, device);
        }
    }

    /// Commits a fault.
    ///
    /// # Errors
    /// [`UnknownDevice`]; nothing was done.
    pub fn commit(&mut self, now: UnixMillis, fault: &Fault) -> Result<Vec<Effect>, UnknownDevice> {
        tracing::info!(?fault, "fault");
        match fault {
            Fault::DropConnection { device: None } => {
                for connection in self.online.values().copied().collect::<Vec<_>>() {
                    self.close(now, connection, "dropped");
                }
            }
            Fault::DropConnection { device: Some(device) } => {
                let device = self.known(device)?;
                if let Some(connection) = self.online.get(&device).copied() {
                    self.close(now, connection, "dropped");
                }
            }
            Fault::LoseServerAcks { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).lose_server_acks = *count;
            }
            Fault::LoseDeviceAcks { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).lose_device_acks = *count;
            }
            Fault::GatherReceipts { count, by_message } => {
                for (device, receipt) in self.faults.gathering.begin(*count, *by_message) {
                    self.deliver(now, device, receipt);
                }
            }
            Fault::DuplicateDeliveries { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).duplicate = *count;
            }
            Fault::CorruptDeliveries { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).corrupt = *count;
            }
            Fault::WithholdDeliveries { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).withhold = *count;
            }
            Fault::Delay { device: None, ms } => self.faults.delay_all(*ms),
            Fault::Delay { device: Some(device), ms } => {
                let device = self.known(device)?;
                self.faults.of(device).delay_ms = *ms;
            }
            Fault::Unavailable { ms, existing } => {
                self.faults.unavailable_until(UnixMillis(now.0 + i64::from(*ms)));
                let connections: Vec<_> = self.online.values().copied().filter(|_| *existing).collect();
                for connection in connections {
                    self.end(now, connection, StreamError::ServiceUnavailable, "unavailable");
                }
            }
            Fault::StreamError { device, code } => {
                let device = self.known(device)?;
                if let Some(connection) = self.online.get(&device).copied() {
                    self.end(now, connection, stream_error(*code), "stream error");
                }
            }
            Fault::LoginFailure { device, reason, count } => {
                let device = self.known(device)?;
                let faults = self.faults.of(device);
                (faults.login_failures, faults.login_reason) = (*count, *reason);
            }
            Fault::RegistrationFailure { reason, count } => {
                self.faults.refuse_registrations(*count, *reason);
            }
            Fault::LockNewChats { device, ms, tell } => {
                let device = self.known(device)?;
                self.lock_account(now, device.pn, *ms, *tell);
            }
            Fault::CapNewChats { device, total, ms, tell } => {
                let device = self.known(device)?;
                self.cap_account(now, device.pn, *total, *ms, *tell);
            }
            Fault::DemandVersion { least } => self.faults.demand_version(least.map(ProtocolVersion)),
            Fault::RefuseResumptions { count } => self.faults.refuse_resumptions(*count),
            Fault::PrekeyCount { device, value } => {
                let device = self.known(device)?;
                self.tell_prekey_count(now, device, *value);
            }
            Fault::TakePrekeys { device, leave } => {
                let device = self.known(device)?;
                let companions = &mut self.account_mut(device.pn).companions;
                if let Some(companion) = companions.get_mut(&device.device) {
                    companion.one_time.truncate(*leave as usize);
                }
                self.tell_prekey_count(now, device, *leave);
            }
            Fault::LoseKeys { device } => {
                let device = self.known(device)?;
                self.faults.of(device).keyless = true;
            }
            Fault::StaleLists { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).stale_lists = *count;
            }
            Fault::Overtake { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).overtake = *count;
            }
            Fault::TamperPatches { device, count } => {
                let device = self.known(device)?;
                self.faults.of(device).tamper = *count;
            }
            Fault::Poison { device, what } => {
                let device = self.known(device)?;
                self.poison(now, device, *what);
            }
            Fault::Damage { device, what } => {
                let device = self.known(device)?;
                if let Some(connection) = self.online.get(&device).copied() {
                    self.damage(now, connection, *what);
                }
            }
            Fault::ExpireMedia { direct_path, status } => {
                self.media.expire(direct_path.as_deref(), *status);
            }
            Fault::MediaHost { host, status } => self.media.fail_host(host, *status),
            Fault::RefuseMedia { count, status } => self.media.refuse(*count, *status),
            Fault::PhonesForgetMedia { forget } => self.media.phones_forget(*forget),
            Fault::DemandTokens { demand } => self.trust.demand(*demand),
            Fault::Unlink { device } => {
                let device = self.known(device)?;
                self.unlink(now, device);
            }
        }
        Ok(self.settle_phones(now))
    }

    fn known(&self, text: &str) -> Result<DeviceRef, UnknownDevice> {
        let device: Option<DeviceRef> = text.parse().ok();
        device
            .filter(|d| self.accounts.get(&d.pn).is_some_and(|a| a.companions.contains_key(&d.device)))
            .ok_or_else(|| UnknownDevice(text.chars().take(40).collect()))
    }
}

pub(super) fn ib(child: Stanza) -> Stanza {
    Builder::new("ib").attr("from", server_jid()).children([child]).build()
}
