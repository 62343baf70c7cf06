//! The stream of frames, from either side.

use roost_proto::frame::{self, FrameDecoder, FrameError};

/// The longest payload that is taken here.
const LIMIT: usize = 4096;

/// The first byte says in pieces of which size the rest comes. However it comes, the same is read, no more is kept than
/// one frame, and what is written again is what was read.
pub fn frames(data: &[u8]) {
    let (size, stream) = super::input::choice(data);
    let size = usize::from(size).max(1);
    for decoder in [FrameDecoder::new, FrameDecoder::with_intro] {
        let whole = read(decoder(LIMIT), stream.chunks(stream.len().max(1)));
        assert_eq!(whole, read(decoder(LIMIT), stream.chunks(size)));
        let mut written = Vec::new();
        for frame in &whole.0 {
            frame::encode(frame, &mut written).expect("it was short enough to be read");
        }
        let (again, _) = read(FrameDecoder::new(LIMIT), [written.as_slice()].into_iter());
        assert_eq!(whole.0, again);
    }
}

fn read<'a>(
    mut decoder: FrameDecoder,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<bytes::Bytes>, Result<(), FrameError>) {
    let mut frames = Vec::new();
    let mut outcome = Ok(());
    for piece in pieces {
        outcome = outcome.and_then(|()| decoder.push(piece, &mut frames));
    }
    (frames, outcome.and_then(|()| decoder.finish()))
}
