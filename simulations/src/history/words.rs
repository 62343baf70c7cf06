//! Facts in words, one line each, for stories and timelines.

use std::fmt;

use roost_placement::ledger::Grant;

use super::fact::{Fact, How, What, WireKind};

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.4}  {}", self.at as f64 / 1e6, self.what)
    }
}

fn of(grant: &Grant) -> String {
    format!("{} at {} (epoch {})", grant.key.device_id, grant.life, grant.epoch)
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Joined { life, .. } => write!(f, "{life} joins"),
            What::Beaten { life, clock, lease_until, .. } => {
                write!(f, "{life} renews its lease for {} ms", lease_until - clock)
            }
            What::Stood { life, state } => write!(f, "{life} is {state:?} now"),
            What::Buried { victim, by, .. } => write!(f, "{by} buries {victim}"),
            What::Certified { victim } => write!(f, "{victim} is certified dead"),
            What::Granted { key, epoch, owner, how } => {
                let owner = owner.as_ref().map_or("nobody".to_owned(), ToString::to_string);
                write!(f, "{} goes to {owner} (epoch {epoch}), ", key.device_id)?;
                match how {
                    How::Claim => write!(f, "claimed"),
                    How::TakeOver(life) => write!(f, "taken over from {life}"),
                    How::Give(life) => write!(f, "given by {life}"),
                    How::Release(life) => write!(f, "released by {life}"),
                    How::Delete => write!(f, "deleted"),
                    How::Attach => write!(f, "kept after a lost tail"),
                }
            }
            What::Required { key, node: Some(node) } => write!(f, "{} requires {node}", key.device_id),
            What::Required { key, node: None } => write!(f, "{} may be anywhere", key.device_id),
            What::Desired { key, desired } => write!(f, "{} is wanted {desired:?}", key.device_id),
            What::Committed(commit) => {
                write!(f, "{} commits", of(&commit.grant))?;
                for event in &commit.events {
                    write!(f, " event {}", event.sequence)?;
                }
                for id in &commit.awaits {
                    write!(f, " awaits {id} again")?;
                }
                for (name, version) in &commit.ratchets {
                    write!(f, " ratchet {name}@{version}")?;
                }
                for (id, digest) in &commit.wires {
                    write!(f, " wire {id}#{digest:x}")?;
                }
                for (request, id) in &commit.accepts {
                    write!(f, " accepts {request} as {id}")?;
                }
                Ok(())
            }
            What::Fenced(grant) => write!(f, "{} is refused a write", of(grant)),
            What::Loaded(grant) => write!(f, "{} is loaded", of(grant)),
            What::Permitted(grant) => write!(f, "{} may dial", of(grant)),
            What::AskedStanding(grant) => write!(f, "{} asks whether it still owns", of(grant)),
            What::ClockStepped { millis } => write!(f, "the database's clock steps by {millis} ms"),
            What::StandbyBehind => write!(f, "the standby of the database hears nothing more"),
            What::TailLost { since } => {
                write!(f, "the database has lost everything since {:.4}", *since as f64 / 1e6)
            }
            What::Started(life) => write!(f, "{life} starts"),
            What::Exited(life) => write!(f, "{life} is gone"),
            What::HeardRenewed(life) => write!(f, "{life} hears that its lease is renewed"),
            What::Quiesced(life) => write!(f, "{life} stops acting"),
            What::Resumed(life) => write!(f, "{life} acts again"),
            What::Frozen { life, clock_stops: true } => write!(f, "{life} freezes, its clock too"),
            What::Frozen { life, .. } => write!(f, "{life} freezes"),
            What::Thawed(life) => write!(f, "{life} runs again"),
            What::Opened(grant) => write!(f, "{} is opened", of(grant)),
            What::Stopped(grant) => write!(f, "{} has stopped", of(grant)),
            What::HeardReplaced(grant) => write!(f, "{} hears that it was replaced", of(grant)),
            What::CheckedPermit(grant) => write!(f, "{} looks at its permit", of(grant)),
            What::SentLogin(grant) => write!(f, "{} sends its login", of(grant)),
            What::Wired { grant, kind, id, digest, .. } => {
                let kind = match kind {
                    WireKind::Message => "sends message",
                    WireKind::Settle => "settles",
                    WireKind::Other => "says",
                };
                write!(f, "{} {kind} {id}#{digest:x}", of(grant))
            }
            What::Online { grant, connection } => {
                write!(f, "{} is online by connection {connection}", of(grant))
            }
            What::Offline { key, connection, why } => {
                write!(f, "{}: connection {connection} is over: {why}", key.device_id)
            }
            What::Delivered { key, message } => write!(f, "WhatsApp delivers {message} to {}", key.device_id),
            What::Settled { key, message } => {
                write!(f, "WhatsApp sees {message} settled by {}", key.device_id)
            }
            What::Told { key, message, carries } => {
                write!(f, "the phone tells {} in {message}: {}", key.device_id, carries.join(" "))
            }
            What::Ciphertext { from, to, key, digest } => {
                write!(f, "a ciphertext from {from} to {to} under key {key:x}: #{digest:x}")
            }
            What::Prekey { key, id, .. } => write!(f, "{} uploads the prekey {id}", key.device_id),
            What::SignedPrekey { key, id, .. } => {
                write!(f, "{} gives the signed prekey {id}", key.device_id)
            }
            What::Preferred { by, tenant, order } => {
                let order: Vec<String> = order.iter().map(ToString::to_string).collect();
                write!(f, "{by} prefers {} for {tenant}", order.join(", "))
            }
            What::Reached { receiver, sender, message, .. } => {
                write!(f, "{message} of {sender} reaches {receiver}")
            }
            What::Asked { key, request, .. } => write!(f, "a caller asks {} for {request}", key.device_id),
            What::Accepted { key, request, message, .. } => {
                write!(f, "{} accepts {request} as {message}", key.device_id)
            }
            What::Refused { request, why } => write!(f, "{request} is refused: {why}"),
            What::Offered { consumer, key, sequence, .. } => {
                write!(f, "event {sequence} of {} is offered to {consumer}", key.device_id)
            }
            What::Acknowledged { consumer, key, sequence, .. } => {
                write!(f, "{consumer} has {} up to event {sequence}", key.device_id)
            }
            What::Fault(what) => write!(f, "FAULT {what}"),
            What::Spell { words, until, .. } => write!(f, "FAULT {words}, until {:.3}", *until as f64 / 1e6),
            What::Healed => write!(f, "all faults are over"),
            What::Due => write!(f, "liveness is due"),
        }
    }
}
