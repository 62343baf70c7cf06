//! How one input is taken apart.

/// The first byte, and the rest.
pub(crate) fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// Pieces, each behind its length in two bytes; the last one may be shorter than it says.
pub(crate) fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        data = rest;
        Some(piece)
    })
}

/// Good bytes with changes: three bytes each, a place and what is flipped there. A last odd byte cuts them.
pub(crate) fn changed(good: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let (changes, rest) = changes.as_chunks::<3>();
    for [high, low, flip] in changes {
        let place = usize::from(u16::from_be_bytes([*high, *low]));
        let length = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(place % length) {
            *byte ^= flip;
        }
    }
    if let [cut] = rest {
        bytes.truncate(usize::from(*cut));
    }
    bytes
}
