//! What a film is like: its size as it is shown, and how long it lasts. Only what its container (MP4, and 3GP and MOV,
//! which are the same) tells is read; no picture is decoded.

use std::io::{self, Cursor, ErrorKind, Read};

use mp4parse::{Error, MediaContext, SampleEntry, Status, Track, TrackType};

use super::{Seen, whole_seconds};

/// Largest header that is read: what comes of it in memory is up to fifty times as large. One of two hours has about 4 MiB
/// of it in the worst case, and mostly a tenth of that.
const HEADER: u64 = 2 << 20;

/// Whether a type, without parameters, is one that can be looked at.
pub(super) fn can_look_at(mime_type: &str) -> bool {
    ["video/mp4", "video/x-m4v", "video/3gpp", "video/3gpp2", "video/quicktime"]
        .iter()
        .any(|known| mime_type.eq_ignore_ascii_case(known))
}

/// Reads the header, wherever in the file it is.
pub(super) fn look(file: impl Read) -> Result<Seen, Error> {
    let told = mp4parse::read_mp4(&mut Cursor::new(header(file)?))?;
    let picture = told.tracks.iter().find(|track| track.track_type == TrackType::Video);
    let (width, height) = picture.map(size).unwrap_or_default();
    Ok(Seen { width, height, seconds: seconds(&told).and_then(whole_seconds), ..Seen::default() })
}

/// The two boxes that tell what the film is like; the pictures and the sound are passed over.
fn header(mut file: impl Read) -> Result<Vec<u8>, Error> {
    let mut header = Vec::new();
    loop {
        let mut begin = [0; 16];
        match file.read_exact(&mut begin[..8]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(header),
            read => read?,
        }
        let size = &begin[..4];
        let mut known = 8;
        let size = match u32::from_be_bytes(size.try_into().expect("four bytes")) {
            // Until the end.
            0 => u64::MAX,
            1 => {
                known = 16;
                file.read_exact(&mut begin[8..])?;
                u64::from_be_bytes(begin[8..].try_into().expect("eight bytes"))
            }
            size => size.into(),
        };
        let inside = size.checked_sub(known as u64).ok_or(Error::InvalidData(Status::BoxBadSize))?;
        let wanted = matches!(begin[4..8], [b'f', b't', b'y', b'p'] | [b'm', b'o', b'o', b'v']);
        if !wanted {
            io::copy(&mut (&mut file).take(inside), &mut io::sink())?;
            continue;
        }
        if header.len() as u64 + size.min(u64::from(u32::MAX)) > HEADER {
            return Err(Error::Unsupported("its header is too large"));
        }
        header.extend_from_slice(&begin[..known]);
        (&mut file).take(inside).read_to_end(&mut header)?;
    }
}

/// As it is shown: a track that lies on its side has width and height the other way round.
fn size(track: &Track) -> (u32, u32) {
    let Some(header) = &track.tkhd else { return (0, 0) };
    // Numbers with sixteen bits behind the point.
    let (mut width, mut height) = (header.width >> 16, header.height >> 16);
    if width == 0 || height == 0 {
        let coded =
            track.stsd.iter().flat_map(|entries| entries.descriptions.iter()).find_map(|entry| match entry {
                SampleEntry::Video(coded) => Some((coded.width.into(), coded.height.into())),
                _ => None,
            });
        (width, height) = coded.unwrap_or_default();
    }
    let matrix = &header.matrix;
    let on_its_side = matrix.a == 0 && matrix.d == 0 && matrix.b != 0 && matrix.c != 0;
    if on_its_side { (height, width) } else { (width, height) }
}

/// The longest of its tracks as they are played, or what is told of its fragments.
fn seconds(told: &MediaContext) -> Option<f64> {
    let scale = told.timescale?.0 as f64;
    let longest = told.tracks.iter().filter_map(|track| played(track, scale)).fold(0.0, f64::max);
    let fragments = told.mvex.as_ref().and_then(|it| it.fragment_duration).map(|all| all.0 as f64 / scale);
    [Some(longest), fragments].into_iter().flatten().find(|seconds| *seconds > 0.0)
}

fn played(track: &Track, scale: f64) -> Option<f64> {
    // All bits set, of 32 or of 64, mean that it is not known.
    let edited =
        track.tkhd.as_ref().map(|header| header.duration).filter(|it| *it > 0 && *it < u32::MAX.into());
    let whole = || Some(track.duration?.0 as f64 / track.timescale?.0 as f64);
    edited.map(|ticks| ticks as f64 / scale).or_else(whole)
}

#[cfg(test)]
mod tests {
    use super::super::kept::{FILM, M4A};
    use super::*;

    /// The film with other bytes behind the name of a box.
    fn with(name: &[u8; 4], at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut film = FILM.to_vec();
        let found = film.windows(4).position(|window| window == name).expect("it has this box") + 4 + at;
        film[found..found + bytes.len()].copy_from_slice(bytes);
        film
    }

    #[test]
    fn a_film_tells_its_size_and_how_long_it_lasts() {
        let seen = look(FILM).expect("MP4");
        assert_eq!((seen.width, seen.height, seen.seconds), (64, 48, Some(3)));
        assert!(seen.thumbnail.is_empty() && seen.waveform.is_empty());
    }

    #[test]
    fn a_film_that_lies_on_its_side_is_as_high_as_it_is_wide() {
        let turned: Vec<u8> =
            [0, 0x1_0000, 0, -0x1_0000, 0, 0].iter().flat_map(|number: &i32| number.to_be_bytes()).collect();
        let seen = look(&with(b"tkhd", 40, &turned)[..]).expect("MP4");
        assert_eq!((seen.width, seen.height), (48, 64));
        let around: Vec<u8> =
            [-0x1_0000, 0, 0, 0, -0x1_0000, 0].iter().flat_map(|number: &i32| number.to_be_bytes()).collect();
        let seen = look(&with(b"tkhd", 40, &around)[..]).expect("MP4");
        assert_eq!((seen.width, seen.height), (64, 48));
    }

    #[test]
    fn what_the_track_does_not_tell_its_pictures_and_samples_do() {
        let seen = look(&with(b"tkhd", 76, &[0; 8])[..]).expect("MP4");
        assert_eq!((seen.width, seen.height), (64, 48));
        for unknown in [[0; 4], [0xff; 4]] {
            let seen = look(&with(b"tkhd", 20, &unknown)[..]).expect("MP4");
            assert_eq!(seen.seconds, Some(3), "{unknown:?}");
        }
    }

    #[test]
    fn what_is_no_film_is_said_to_be_none() {
        assert!(look(&FILM[..FILM.len() / 2]).is_err());
        assert!(look(&b"not a film"[..]).is_err());
        assert!(look(&[][..]).is_err());
        assert_eq!(look(M4A).expect("MP4 too").width, 0);
        assert!(can_look_at("video/mp4") && can_look_at("VIDEO/quicktime") && !can_look_at("video/webm"));
    }

    #[test]
    fn a_header_that_would_fill_the_memory_is_not_read() {
        let track = [0, 0, 0, 8, b't', b'r', b'a', b'k'];
        let mut moov = (u32::try_from(HEADER).expect("it fits") + 8).to_be_bytes().to_vec();
        moov.extend(b"moov");
        moov.extend(track.repeat(usize::try_from(HEADER).expect("it fits") / 8));
        let film =
            [&FILM[..FILM.windows(4).position(|name| name == b"moov").expect("it has one") - 4], &moov]
                .concat();
        assert!(matches!(look(&film[..]), Err(Error::Unsupported("its header is too large"))));
    }

    #[test]
    fn a_header_behind_everything_else_is_found() {
        let at = |name: &[u8; 4]| FILM.windows(4).position(|window| window == name).expect("it has it") - 4;
        let (moov, mdat) = (at(b"moov"), at(b"mdat"));
        let (first, last) = (moov.min(mdat), moov.max(mdat));
        let swapped = [&FILM[..first], &FILM[last..], &FILM[first..last]].concat();
        assert_eq!(look(&swapped[..]).expect("MP4"), look(FILM).expect("MP4"));
    }
}
