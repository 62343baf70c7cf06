//! Small files that the readers are tested with, and what they do with files that were damaged.
//! How they were made is told in `kept/README.md`.

use std::io::Cursor;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{InTime, film, sound};

pub(super) const VOICE: &[u8] = include_bytes!("kept/voice.ogg");
pub(super) const MP3: &[u8] = include_bytes!("kept/sound.mp3");
pub(super) const M4A: &[u8] = include_bytes!("kept/sound.m4a");
pub(super) const FLAC: &[u8] = include_bytes!("kept/sound.flac");
pub(super) const FILM: &[u8] = include_bytes!("kept/film.mp4");

/// Files that are made of each.
const CHANGED: u64 = 150;

/// A file with some bytes changed, or a part missing, doubled, or cut off.
fn damaged(file: &[u8], dice: &mut StdRng) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..dice.random_range(1..=8) {
        let at = dice.random_range(0..file.len());
        let to = (at + dice.random_range(1..=64)).min(file.len());
        match dice.random_range(0..8) {
            0 => drop(file.drain(at..to)),
            1 => {
                let part = file[at..to].to_vec();
                file.splice(at..at, part);
            }
            2 => file.truncate(at.max(1)),
            3 => file[at..to].fill(0xff),
            _ => file[at] = dice.random(),
        }
        if file.is_empty() {
            break;
        }
    }
    file
}

/// The pages of an Ogg with their checksums made right, so that what is in them is read.
fn summed(mut file: Vec<u8>) -> Vec<u8> {
    let pages: Vec<usize> = (0..file.len()).filter(|at| file[*at..].starts_with(b"OggS")).collect();
    for (n, begin) in pages.iter().enumerate() {
        let end = pages.get(n + 1).copied().unwrap_or(file.len());
        if end - begin < 27 {
            continue;
        }
        file[begin + 22..begin + 26].fill(0);
        let sum = file[*begin..end].iter().fold(0_u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
                if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            })
        });
        file[begin + 22..begin + 26].copy_from_slice(&sum.to_le_bytes());
    }
    file
}

#[test]
fn a_damaged_file_does_no_harm() {
    for (name, whole) in [("voice", VOICE), ("MP3", MP3), ("M4A", M4A), ("FLAC", FLAC), ("film", FILM)] {
        for seed in 0..CHANGED {
            let file = summed(damaged(whole, &mut StdRng::seed_from_u64(seed)));
            let begun = Instant::now();
            let until = begun + Duration::from_secs(60);
            let heard = sound::look(InTime { file: Cursor::new(&file[..]), until }, file.len() as u64);
            let seen = film::look(&file[..]);
            let sane = |length: usize| length == 0 || length == 64;
            assert!(heard.is_err() || heard.is_ok_and(|heard| sane(heard.waveform.len())), "{name} {seed}");
            assert!(seen.is_err() || seen.is_ok_and(|seen| seen.thumbnail.is_empty()), "{name} {seed}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} {seed} took {:?}", begun.elapsed());
        }
    }
}
