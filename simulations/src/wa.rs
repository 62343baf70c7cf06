//! A simulated WhatsApp: the server, its accounts and their phones, over a real socket.
//!
//! Unmodified clients pair with it and talk through it, and it keeps a ledger that checkers read. The
//! machine ([`Machine`]) is pure; [`SimServer`] gives it sockets. Where it is strict and where it guesses is
//! said at each place.
//!
//! What it deliberately does not do: carry the media of calls.

mod account;
mod admin;
mod authenticator;
mod authority;
mod backlog;
mod bots;
mod business;
mod calls;
mod crowd;
mod damage;
mod fault;
mod files;
mod gathering;
mod groups;
mod journal;
mod ledger;
mod link;
mod listener;
mod machine;
mod media;
mod memory;
mod newsletters;
mod options;
mod owners;
mod pair_code;
mod pairing;
mod passkey;
mod phone;
mod phones;
mod poison;
mod posts;
mod privacy;
pub mod probe;
mod query;
mod receipts;
mod refusals;
mod reinstall;
mod resume;
mod reupload;
mod route;
mod server;
mod session;
mod sharing;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod trust;

pub use account::{Account, Companion, DeviceRef, Form, Pn, participants_hash};
pub use authenticator::Authenticator;
pub use authority::AuthorityError;
pub use backlog::Backlog;
pub use bots::Question;
pub use business::{Business, Product};
pub use calls::{CallLink, Calls, Unsaid};
pub use damage::Damage;
pub use fault::Fault;
pub use groups::{Group, PersonalInvite, Role};
pub use journal::Seen;
pub use ledger::{
    ConnectionRecord, DeviceRecord, KeyReuse, Ledger, MessageRecord, Receiver, RefusalRecord, Totals,
};
pub use machine::{ConnectionId, Effect, Event, Machine};
pub use media::PublicPack;
pub use memory::{Memory, PastChat};
pub use newsletters::{Newsletter, Post};
pub use options::SimOptions;
pub use pair_code::TypeError;
pub use pairing::{ScanError, Scanned, Scanner};
pub use passkey::Passkey;
pub use phone::{Phone, PhoneMessage, Sent};
pub use phones::PhoneError;
pub use poison::Poison;
pub use posts::Audience;
pub use privacy::Privacy;
pub use query::Profile;
pub use server::{Observer, SimServer, StartError};
pub use session::UnknownDevice;
pub use state::StateError;
pub use trust::Trust;
