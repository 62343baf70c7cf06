//! The keys that a retry receipt carries from the second attempt on: enough for a new ratchet with the
//! device that asks.

use crate::bundle;
use crate::signal::Bundle;
use crate::stanza::{Read as _, Stanza};

/// The bundle in a `<receipt type=retry>`; `None` when it carries none that can be read. Shape: a
/// registration id of 4 bytes beside `<keys>`, see [`bundle::read`].
pub fn bundle(receipt: &Stanza) -> Option<Bundle> {
    bundle::read(receipt.child("keys")?, receipt, None)
}
