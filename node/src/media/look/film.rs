//! What a film is like: its size as it is shown, and how long it lasts. Only what its container (MP4, and 3GP and MOV,
//! which are the same) tells is read; no picture is decoded.
//!
//! What must hold: boxes are read along the few paths that are named here, in loops, so that nothing in the file chooses how
//! deep a reader goes; what a box does not tell, or tells wrongly, is not known.

use std::io::{self, ErrorKind, Read};

use super::{Seen, whole_seconds};

/// Largest header that is read. One of two hours has about 4 MiB of it in the worst case, and mostly a tenth of that.
const HEADER: u64 = 2 << 20;

/// Name of a box.
type Name = [u8; 4];

/// Why nothing is told of a film.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFilm {
    #[error("it cannot be read")]
    Disk(#[from] io::Error),
    #[error("a box of it is shorter than it says")]
    Cut,
    #[error("it has no header")]
    Headless,
    #[error("its header is too large")]
    TooLarge,
}

/// Whether a type, without parameters, is one that can be looked at.
pub(super) fn can_look_at(mime_type: &str) -> bool {
    ["video/mp4", "video/x-m4v", "video/3gpp", "video/3gpp2", "video/quicktime"]
        .iter()
        .any(|known| mime_type.eq_ignore_ascii_case(known))
}

/// Reads the header, wherever in the file it is.
pub(super) fn look(file: impl Read) -> Result<Seen, NoFilm> {
    let header = header(file)?;
    let moov = Inside(&header);
    let tracks = || moov.boxes().filter(|(name, _)| name == b"trak").map(|(_, track)| track);
    let (width, height) = tracks().find(is_picture).map(size).unwrap_or_default();
    Ok(Seen { width, height, seconds: seconds(moov, tracks()).and_then(whole_seconds), ..Seen::default() })
}

/// What is in the box that tells what the film is like; the pictures and the sound are passed over.
fn header(mut file: impl Read) -> Result<Vec<u8>, NoFilm> {
    loop {
        let mut begin = [0; 16];
        match file.read_exact(&mut begin[..8]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(NoFilm::Headless),
            read => read?,
        }
        let (size, known) = match u32_at(&begin, 0).unwrap_or_default() {
            // Until the end.
            0 => (u64::MAX, 8),
            1 => {
                file.read_exact(&mut begin[8..])?;
                (u64_at(&begin, 8).unwrap_or_default(), 16)
            }
            size => (size.into(), 8),
        };
        let inside = size.checked_sub(known).ok_or(NoFilm::Cut)?;
        if begin[4..8] != *b"moov" {
            io::copy(&mut (&mut file).take(inside), &mut io::sink())?;
            continue;
        }
        let mut header = Vec::new();
        file.take(inside.min(HEADER + 1)).read_to_end(&mut header)?;
        return match header.len() as u64 {
            length if length > HEADER => Err(NoFilm::TooLarge),
            length if length < inside && size < u64::MAX => Err(NoFilm::Cut),
            _ => Ok(header),
        };
    }
}

/// What is in a box.
#[derive(Debug, Clone, Copy)]
struct Inside<'a>(&'a [u8]);

impl<'a> Inside<'a> {
    /// The boxes in it, in order, as far as they are well formed.
    fn boxes(self) -> impl Iterator<Item = (Name, Inside<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let name = rest.get(4..8)?.try_into().ok()?;
            let (size, known) = match u32_at(rest, 0)? {
                0 => (rest.len() as u64, 8),
                1 => (u64_at(rest, 8)?, 16),
                size => (size.into(), 8),
            };
            let (whole, behind) = rest.split_at_checked(usize::try_from(size).ok()?)?;
            rest = behind;
            Some((name, Inside(whole.get(known..)?)))
        })
    }

    /// The first box at the end of this path.
    fn find(self, path: &[&Name]) -> Option<Inside<'a>> {
        path.iter().try_fold(self, |inside, wanted| {
            inside.boxes().find(|(name, _)| name == *wanted).map(|(_, found)| found)
        })
    }

    /// Numbers behind the version of a box: of 32 bits in its first version, and the times of 64 in the second. `times` counts
    /// the times before the wanted number, `others` the numbers of 32 bits.
    fn place(self, times: usize, others: usize) -> Option<(usize, bool)> {
        match self.0.first()? {
            0 => Some((4 + 4 * (times + others), false)),
            1 => Some((4 + 8 * times + 4 * others, true)),
            _ => None,
        }
    }

    fn number(self, times: usize, others: usize) -> Option<u32> {
        u32_at(self.0, self.place(times, others)?.0)
    }

    /// A duration. All bits set, of 32 or of 64, mean that it is not known.
    fn duration(self, times: usize, others: usize) -> Option<f64> {
        let (at, long) = self.place(times, others)?;
        let ticks = if long {
            u64_at(self.0, at).filter(|ticks| *ticks < u64::MAX)
        } else {
            u32_at(self.0, at).filter(|ticks| *ticks < u32::MAX).map(u64::from)
        };
        ticks.filter(|ticks| *ticks > 0).map(|ticks| ticks as f64)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn is_picture(track: &Inside<'_>) -> bool {
    track.find(&[b"mdia", b"hdlr"]).and_then(|handler| handler.0.get(8..12)) == Some(b"vide")
}

/// As it is shown: a track that lies on its side has width and height the other way round.
fn size(track: Inside<'_>) -> (u32, u32) {
    let Some(header) = track.find(&[b"tkhd"]) else { return (0, 0) };
    // Behind two times and the duration, and two and four other numbers.
    let at = |n: usize| header.number(3, 6 + n).unwrap_or_default();
    // Numbers with sixteen bits behind the point.
    let (mut width, mut height) = (at(9) >> 16, at(10) >> 16);
    if width == 0 || height == 0 {
        (width, height) = coded(track).unwrap_or_default();
    }
    let on_its_side = at(0) == 0 && at(4) == 0 && at(1) != 0 && at(3) != 0;
    if on_its_side { (height, width) } else { (width, height) }
}

/// As its pictures are encoded, by the first description of them.
fn coded(track: Inside<'_>) -> Option<(u32, u32)> {
    let descriptions = track.find(&[b"mdia", b"minf", b"stbl", b"stsd"])?;
    let (_, first) = Inside(descriptions.0.get(8..)?).boxes().next()?;
    let sizes = u32_at(first.0, 24)?;
    Some((sizes >> 16, sizes & 0xffff))
}

/// The longest of its tracks as they are played, or what is told of its fragments.
fn seconds<'a>(moov: Inside<'a>, tracks: impl Iterator<Item = Inside<'a>>) -> Option<f64> {
    let scale = moov.find(&[b"mvhd"])?.number(2, 0).filter(|scale| *scale > 0)?.into();
    let longest = tracks.filter_map(|track| played(track, scale)).fold(0.0, f64::max);
    let fragments = moov.find(&[b"mvex", b"mehd"]).and_then(|all| all.duration(0, 0));
    [Some(longest), fragments.map(|ticks| ticks / scale)].into_iter().flatten().find(|seconds| *seconds > 0.0)
}

fn played(track: Inside<'_>, scale: f64) -> Option<f64> {
    let edited = track.find(&[b"tkhd"]).and_then(|header| header.duration(2, 2));
    let whole = || {
        let media = track.find(&[b"mdia", b"mdhd"])?;
        let scale = media.number(2, 0).filter(|scale| *scale > 0)?;
        Some(media.duration(2, 1)? / f64::from(scale))
    };
    edited.map(|ticks| ticks / scale).or_else(whole)
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
        assert!(matches!(look(&FILM[..FILM.len() / 2]), Err(NoFilm::Headless)));
        assert!(matches!(look(&FILM[..FILM.len() - 1]), Err(NoFilm::Cut)));
        assert!(look(&b"not a film"[..]).is_err());
        assert!(look(&[][..]).is_err());
        assert_eq!(look(M4A).expect("MP4 too").width, 0);
        assert!(can_look_at("video/mp4") && can_look_at("VIDEO/quicktime") && !can_look_at("video/webm"));
    }

    fn boxed(name: &Name, inside: &[&[u8]]) -> Vec<u8> {
        let inside = inside.concat();
        let size = u32::try_from(inside.len() + 8).expect("it is small");
        [&size.to_be_bytes()[..], name, &inside].concat()
    }

    /// A description of sound that has another in it, and so on.
    fn nested(depth: usize) -> Vec<u8> {
        let (mut begins, mut length) = (Vec::new(), 0);
        for _ in 0..depth {
            // Its tag, its length in four times seven bits, a number and flags.
            let mut begin = vec![3];
            begin.extend([21, 14, 7].map(|bits| 0x80 | ((length + 3) >> bits & 0x7f) as u8));
            begin.extend([((length + 3) & 0x7f) as u8, 0, 0, 0]);
            length += begin.len();
            begins.push(begin);
        }
        begins.reverse();
        begins.concat()
    }

    #[test]
    fn no_depth_that_a_film_chooses_overflows_the_stack() {
        let esds = boxed(b"esds", &[&[0; 4], &nested(50_000)]);
        let mp4a = boxed(b"mp4a", &[&[0, 0, 0, 0, 0, 0, 0, 1], &[0; 20], &esds]);
        let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &mp4a]);
        let hdlr = boxed(b"hdlr", &[&[0; 8], b"soun", &[0; 13]]);
        let minf = boxed(b"minf", &[&boxed(b"stbl", &[&stsd])]);
        // Boxes until the end of what they are in.
        let deep = b"\0\0\0\0trak".repeat(50_000);
        let film = boxed(b"moov", &[&boxed(b"trak", &[&boxed(b"mdia", &[&hdlr, &minf])]), &deep]);
        let look = move || look(&film[..]).is_ok_and(|seen| seen == Seen::default());
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(look);
        assert!(thread.expect("a thread").join().expect("it ends"), "a film without pictures");
    }

    #[test]
    fn a_header_that_would_fill_the_memory_is_not_read() {
        let track = [0, 0, 0, 8, b't', b'r', b'a', b'k'];
        let moov = boxed(b"moov", &[&track.repeat(usize::try_from(HEADER).expect("it fits") / 8 + 1)]);
        let film =
            [&FILM[..FILM.windows(4).position(|name| name == b"moov").expect("it has one") - 4], &moov]
                .concat();
        assert!(matches!(look(&film[..]), Err(NoFilm::TooLarge)));
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
