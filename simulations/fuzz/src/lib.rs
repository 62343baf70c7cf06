//! What reads bytes of others, fed with any bytes: WhatsApp's, a phone's, a stranger's.
//!
//! What must hold: each function takes every input without a panic, without going round in circles and within the
//! memory that the fuzzer allows, and checks what is true of every input: what was read can be written and read
//! again, and a device settles what it is given. `corpus/` keeps, for each, inputs that reach different places;
//! `simulations/tests/corpus.rs` feeds them to it in every run of the tests.

mod device;
mod handshakes;
mod input;
mod pairing;
mod patches;
mod wire;

pub use device::{messages, stanzas};
pub use handshakes::handshakes;
pub use pairing::pairing;
pub use patches::patches;
pub use wire::frames;

/// Takes one input.
pub type Target = fn(&[u8]);

/// All of them by the names of their folders in `corpus/`.
pub const TARGETS: [(&str, Target); 6] = [
    ("frames", frames),
    ("stanzas", stanzas),
    ("messages", messages),
    ("handshakes", handshakes),
    ("pairing", pairing),
    ("patches", patches),
];
