//! Faults that the simulated WhatsApp commits on demand.
//!
//! What must hold: nothing happens that was not asked for, and a counted fault ends by itself. All of them
//! stay within what the real server or network has been seen to do; message contents are damaged only by
//! [`Fault::CorruptDeliveries`]. Faults are data: the machine carries them out.

use std::collections::BTreeMap;

use roost_proto::id::UnixMillis;
use roost_proto::login::{FailureReason, StreamError};
use roost_proto::version::ProtocolVersion;
use serde::{Deserialize, Serialize};

use super::account::DeviceRef;
use super::damage::Damage;
use super::gathering::Gathering;
use super::poison::Poison;

/// One fault. In JSON the variant is the field `kind`; devices are written as `15550001000:1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The connection of a device breaks without a word.
    DropConnection {
        /// Whose; every connection when absent.
        device: Option<String>,
    },
    /// The server does not tell a device that it took its next messages.
    LoseServerAcks {
        /// Whose messages.
        device: String,
        /// How many.
        count: u32,
    },
    /// The next receipts and acks of a device do not settle anything, so that it gets its messages again.
    LoseDeviceAcks {
        /// Whose.
        device: String,
        /// How many.
        count: u32,
    },
    /// The next messages of a device to groups are refused with 421, as when its list of their devices is stale: they
    /// reach nobody.
    StaleLists {
        /// Whose messages.
        device: String,
        /// How many.
        count: u32,
    },
    /// What members of a group say of a message comes in one receipt, when so many have said it. 0 ends it.
    GatherReceipts {
        /// How many.
        count: u32,
        /// Whether it is all that they say, and not what is of one kind.
        by_message: bool,
    },
    /// The next deliveries to a device are written twice.
    DuplicateDeliveries {
        /// To whom.
        device: String,
        /// How many.
        count: u32,
    },
    /// One byte of each ciphertext in the next messages to a device is changed.
    CorruptDeliveries {
        /// To whom.
        device: String,
        /// How many.
        count: u32,
    },
    /// The next messages to a device come without their content: only the phone has it.
    WithholdDeliveries {
        /// To whom.
        device: String,
        /// How many.
        count: u32,
    },
    /// Everything to a device comes later, in order. 0 ends it.
    Delay {
        /// To whom; to all when absent.
        device: Option<String>,
        /// Milliseconds.
        ms: u32,
    },
    /// All connections end with 503, and logins fail with 503 for a time.
    Unavailable {
        /// Milliseconds.
        ms: u32,
        /// Whether connections that are up end too.
        existing: bool,
    },
    /// The connection of a device ends with a stream error of this kind: 515, 503, `replaced` (as code
    /// 440), or any other code. Its credentials stay good; 401 is only by unlinking.
    StreamError {
        /// Whose.
        device: String,
        /// The code.
        code: u16,
    },
    /// The next logins of a device fail with this reason.
    LoginFailure {
        /// Whose.
        device: String,
        /// For example 405 or 503.
        reason: u16,
        /// How many.
        count: u32,
    },
    /// The next devices that want to be paired are refused with this reason, before they show a code.
    RegistrationFailure {
        /// For example 400, 403 or 413.
        reason: u16,
        /// How many.
        count: u32,
    },
    /// The account of a device may begin no chats for so long: such messages are refused with 463. 0 ends it.
    LockNewChats {
        /// One of its devices.
        device: String,
        /// Milliseconds.
        ms: u32,
        /// Whether its devices are told.
        tell: bool,
    },
    /// The account of a device may begin so many chats until a cycle ends; further ones are refused with 475.
    CapNewChats {
        /// One of its devices.
        device: String,
        /// How many.
        total: u32,
        /// Milliseconds until the end of the cycle; 0 lifts the quota.
        ms: u32,
        /// Whether its devices are told now.
        tell: bool,
    },
    /// Clients that say a lower version than this, or none, are refused with 405: at their next login, as the
    /// real server does it. None ends it.
    DemandVersion {
        /// For example `[2, 3000, 1045649368]`.
        least: Option<[u32; 3]>,
    },
    /// The next clients that try to resume (IK) are answered with the whole handshake, as by a server
    /// whose key they do not know.
    RefuseResumptions {
        /// How many.
        count: u32,
    },
    /// The server says that a device has this many one-time prekeys left.
    PrekeyCount {
        /// Whose.
        device: String,
        /// The count.
        value: u32,
    },
    /// One-time prekeys of a device are gone, as if strangers had taken them.
    TakePrekeys {
        /// Whose.
        device: String,
        /// How many are left.
        leave: u32,
    },
    /// The server says that it has no keys of a device, when that asks for their digest, until it uploads some.
    LoseKeys {
        /// Whose.
        device: String,
    },
    /// Before the next uploads of app state by a device are looked at, its phone changes the same collection.
    /// Nothing happens when the phone has no memory.
    Overtake {
        /// Whose uploads.
        device: String,
        /// How many.
        count: u32,
    },
    /// The next page of app state that a device fetches is damaged in its last patch, so that it does not verify.
    TamperPatches {
        /// Whose pages.
        device: String,
        /// How many.
        count: u32,
    },
    /// A message arrives that nobody can read.
    Poison {
        /// To whom.
        device: String,
        /// What is wrong with it.
        what: Poison,
    },
    /// Bytes come to a device that are no frame, or a frame that is no stanza.
    Damage {
        /// To whom; nothing happens when it is not connected.
        device: String,
        /// What is wrong with them.
        what: Damage,
    },
    /// Media that were uploaded are gone.
    ExpireMedia {
        /// Which: its direct path; all when absent.
        direct_path: Option<String>,
        /// How downloads are answered: 403, 404 or 410.
        status: u16,
    },
    /// A media host answers everything with this status; none ends it.
    MediaHost {
        /// As clients are told of it.
        host: String,
        /// For example 503.
        status: Option<u16>,
    },
    /// The next uploads and downloads are refused.
    RefuseMedia {
        /// How many.
        count: u32,
        /// For example 429.
        status: u16,
    },
    /// Phones have lost what was sent, and cannot upload it again.
    PhonesForgetMedia {
        /// Whether.
        forget: bool,
    },
    /// Messages from companions to other accounts are refused with 463, unless they show a token that their
    /// recipient has given, or one for strangers, of the salt of their phone.
    DemandTokens {
        /// Whether.
        demand: bool,
    },
    /// The phone unlinks a device: its credentials are void.
    Unlink {
        /// Which.
        device: String,
    },
}

/// Counted and timed faults that are in force.
#[derive(Debug, Default)]
pub(super) struct Faults {
    devices: BTreeMap<DeviceRef, DeviceFaults>,
    pub(super) gathering: Gathering,
    delay_all_ms: u32,
    unavailable_until: Option<UnixMillis>,
    refuse_resumptions: u32,
    least_version: Option<ProtocolVersion>,
    /// How many registrations are refused, and with which reason.
    registrations: (u32, u16),
}

/// What is in force for one device.
#[derive(Debug, Default, Clone)]
pub(super) struct DeviceFaults {
    pub(super) lose_server_acks: u32,
    pub(super) stale_lists: u32,
    pub(super) lose_device_acks: u32,
    pub(super) duplicate: u32,
    pub(super) corrupt: u32,
    pub(super) withhold: u32,
    pub(super) keyless: bool,
    pub(super) overtake: u32,
    pub(super) tamper: u32,
    pub(super) delay_ms: u32,
    pub(super) login_failures: u32,
    pub(super) login_reason: u16,
}

impl Faults {
    /// The faults of one device, to change.
    pub(super) fn of(&mut self, device: DeviceRef) -> &mut DeviceFaults {
        self.devices.entry(device).or_default()
    }

    /// Takes one from a counter, if there is one left.
    pub(super) fn take(&mut self, device: DeviceRef, which: fn(&mut DeviceFaults) -> &mut u32) -> bool {
        let Some(faults) = self.devices.get_mut(&device) else { return false };
        let counter = which(faults);
        let left = *counter > 0;
        *counter = counter.saturating_sub(1);
        left
    }

    /// Whether the server says that it has no keys of this device.
    pub(super) fn keyless(&self, device: DeviceRef) -> bool {
        self.devices.get(&device).is_some_and(|faults| faults.keyless)
    }

    /// The reason with which this login must fail.
    pub(super) fn login(&mut self, device: DeviceRef, now: UnixMillis) -> Option<FailureReason> {
        if self.unavailable_until.is_some_and(|until| now < until) {
            return Some(FailureReason::ServiceUnavailable);
        }
        let reason = self.devices.get(&device)?.login_reason;
        self.take(device, |f| &mut f.login_failures).then(|| reason.into())
    }

    pub(super) fn refuse_registrations(&mut self, count: u32, reason: u16) {
        self.registrations = (count, reason);
    }

    /// The reason with which this registration must fail.
    pub(super) fn registration(&mut self) -> Option<FailureReason> {
        let (left, reason) = &mut self.registrations;
        *left = left.checked_sub(1)?;
        Some((*reason).into())
    }

    /// How much later everything to this device comes.
    pub(super) fn delay_ms(&self, device: DeviceRef) -> u32 {
        let own = self.devices.get(&device).map_or(0, |faults| faults.delay_ms);
        own.max(self.delay_all_ms)
    }

    pub(super) fn refuse_resumptions(&mut self, count: u32) {
        self.refuse_resumptions = count;
    }

    /// Whether clients may resume now.
    pub(super) fn resumes(&self) -> bool {
        self.refuse_resumptions == 0
    }

    /// A client that tried to resume was refused.
    pub(super) fn resumption_refused(&mut self) {
        self.refuse_resumptions = self.refuse_resumptions.saturating_sub(1);
    }

    pub(super) fn demand_version(&mut self, least: Option<ProtocolVersion>) {
        self.least_version = least;
    }

    /// Whether a client of this version may log in.
    pub(super) fn takes(&self, version: Option<ProtocolVersion>) -> bool {
        self.least_version.is_none_or(|least| version.is_some_and(|version| version >= least))
    }

    pub(super) fn delay_all(&mut self, ms: u32) {
        self.delay_all_ms = ms;
    }

    pub(super) fn unavailable_until(&mut self, until: UnixMillis) {
        self.unavailable_until = Some(until);
    }
}

/// The stream error of a code, as [`Fault::StreamError`] names it.
pub(super) fn stream_error(code: u16) -> StreamError {
    match code {
        515 => StreamError::RestartRequired,
        503 => StreamError::ServiceUnavailable,
        440 => StreamError::Replaced,
        other => StreamError::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceRef = DeviceRef { pn: 1, device: 1 };

    #[test]
    fn a_counted_fault_ends_by_itself() {
        let mut faults = Faults::default();
        faults.of(DEVICE).corrupt = 2;
        let taken = (0..4).map(|_| faults.take(DEVICE, |f| &mut f.corrupt)).collect::<Vec<_>>();
        assert_eq!(taken, [true, true, false, false]);
    }

    #[test]
    fn logins_fail_for_a_time_or_a_number() {
        let mut faults = Faults::default();
        faults.unavailable_until(UnixMillis(10));
        assert_eq!(faults.login(DEVICE, UnixMillis(9)), Some(FailureReason::ServiceUnavailable));
        assert_eq!(faults.login(DEVICE, UnixMillis(10)), None);
        let device = faults.of(DEVICE);
        (device.login_failures, device.login_reason) = (1, 405);
        assert_eq!(faults.login(DEVICE, UnixMillis(11)), Some(FailureReason::ClientOutdated));
        assert_eq!(faults.login(DEVICE, UnixMillis(11)), None);
    }

    #[test]
    fn a_demanded_version_keeps_older_clients_out_until_it_ends() {
        let mut faults = Faults::default();
        let [older, least] = [[2, 3000, 4], [2, 3000, 5]].map(ProtocolVersion);
        assert!(faults.takes(None) && faults.takes(Some(older)));
        faults.demand_version(Some(least));
        assert!(!faults.takes(None) && !faults.takes(Some(older)) && faults.takes(Some(least)));
        faults.demand_version(None);
        assert!(faults.takes(Some(older)));
    }

    #[test]
    fn faults_are_json_with_a_kind() {
        let fault: Fault = serde_json::from_str(r#"{"kind":"delay","device":null,"ms":5}"#).expect("a fault");
        assert_eq!(fault, Fault::Delay { device: None, ms: 5 });
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"explode"}"#).is_err());
    }
}
