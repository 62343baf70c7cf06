//! What a sound is like: how long it lasts, and its waveform.
//!
//! What must hold: a file from outside takes no more memory or time than the limits say. It is decoded packet by packet
//! and nothing is kept of it but the sums of the waveform; what would take too long to decode still has the length that
//! its container tells. No decoder is asked that makes room for what a header claims: Vorbis is left out because of
//! that, as its tables may be four gigabytes large.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use opus_pure::OpusDecoder;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error;
use symphonia::core::formats::{Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::packet::Packet;
use symphonia::core::units::Duration as Ticks;
use symphonia::default::{get_codecs, get_probe};

use super::waveform::Running;
use super::{InTime, Seen, whole_seconds};

/// Longest sound that is decoded, in samples of all its channels: an hour at 48,000 a second. What is longer has no
/// waveform.
const SAMPLES: u64 = 3600 * 48_000;
const CHANNELS: usize = 8;
/// Largest packet that is decoded. What is not compressed comes in packets that a header has chosen.
const PACKET: usize = 1 << 20;
/// Largest sound that is looked at: a single packet, or a tag, may be nearly all of it, and is in memory then.
pub(super) const LARGEST: u64 = 64 << 20;
/// At which Opus is decoded: enough to see how loud it is.
const OPUS_RATE: i32 = 16_000;
/// The longest packet of Opus, 120 ms.
const OPUS_FRAMES: usize = OPUS_RATE as usize / 1000 * 120;
/// How long a sound may be decoded; what takes longer has no waveform.
const DECODING: Duration = Duration::from_secs(6);

/// Whether a type, without parameters, is one that can be looked at.
pub(super) fn can_look_at(mime_type: &str) -> bool {
    [
        "audio/ogg",
        "audio/opus",
        "audio/vorbis",
        "application/ogg",
        "audio/mpeg",
        "audio/mp3",
        "audio/mp4",
        "audio/m4a",
        "audio/x-m4a",
        "audio/aac",
        "audio/wav",
        "audio/x-wav",
        "audio/wave",
        "audio/flac",
        "audio/x-flac",
    ]
    .iter()
    .any(|known| mime_type.eq_ignore_ascii_case(known))
}

/// Reads a sound of so many bytes, and decodes it if there is a decoder.
pub(super) fn look<F: Read + Seek + Send + Sync>(file: InTime<F>, length: u64) -> Result<Seen, Error> {
    let until = file.until;
    let decoding = Instant::now() + DECODING;
    let source = Source::open(file, length)?;
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let mut format =
        get_probe().probe(&Default::default(), stream, Default::default(), Default::default())?;
    let track = format.default_track(TrackType::Audio).ok_or(Error::Unsupported("it has no sound"))?.clone();
    let mut voice = track.codec_params.as_ref().and_then(|it| Voice::of(it.audio()?));
    let (mut ticks, mut packets, mut whole) = (Ticks::ZERO, 0_u64, false);
    while Instant::now() < until {
        match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track.id => {
                (ticks, packets) = (ticks.saturating_add(packet.dur), packets + 1);
                let voice_before = voice.filter(|_| packet.data.len() <= PACKET);
                voice = voice_before.and_then(|it| it.hear(&packet)).filter(|_| Instant::now() < decoding);
            }
            Ok(Some(_)) => {}
            // A file that was cut off is as long as what is there of it.
            Ok(None) | Err(Error::IoError(_)) => {
                whole = Instant::now() < until;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if voice.as_ref().is_some_and(|voice| voice.bad > voice.good) {
        return Err(Error::Unsupported("hardly anything of it can be decoded"));
    }
    whole &= packets > 0;
    let told = if whole { Some(ticks) } else { track.duration };
    let waveform = voice.filter(|_| whole).and_then(|voice| voice.running.finish()).unwrap_or_default();
    let seconds = told.and_then(|ticks| seconds(&track, ticks)).and_then(whole_seconds);
    Ok(Seen { seconds, waveform, ..Seen::default() })
}

fn seconds(track: &Track, ticks: Ticks) -> Option<f64> {
    Some(track.time_base?.calc_duration(ticks)?.as_secs_f64())
}

/// A decoder, and what it was heard to say.
struct Voice {
    decoder: Decoder,
    /// One packet of samples.
    samples: Vec<f32>,
    running: Running,
    decoded: u64,
    good: u32,
    bad: u32,
}

enum Decoder {
    Opus(Box<OpusDecoder>),
    Other(Box<dyn AudioDecoder>),
}

impl Voice {
    /// `None` when there is no decoder.
    fn of(parameters: &AudioCodecParameters) -> Option<Voice> {
        let channels = parameters.channels.as_ref().map_or(1, |channels| channels.count());
        if parameters.codec == CODEC_ID_VORBIS || channels > CHANNELS {
            return None;
        }
        let (decoder, samples) = if parameters.codec == CODEC_ID_OPUS {
            // More than two channels are several streams in one.
            let decoder = OpusDecoder::new(OPUS_RATE, 1).ok().filter(|_| channels <= 2)?;
            (Decoder::Opus(Box::new(decoder)), vec![0.0; OPUS_FRAMES])
        } else {
            // Room is made for the packets that come, not for those that the header speaks of.
            let parameters = AudioCodecParameters { max_frames_per_packet: None, ..parameters.clone() };
            let decoder = get_codecs().make_audio_decoder(&parameters, &Default::default()).ok()?;
            (Decoder::Other(decoder), Vec::new())
        };
        Some(Voice { decoder, samples, running: Running::default(), decoded: 0, good: 0, bad: 0 })
    }

    /// Decodes a packet. `None` when that was too much.
    fn hear(mut self, packet: &Packet) -> Option<Voice> {
        let heard = match &mut self.decoder {
            Decoder::Opus(decoder) if !packet.data.is_empty() => {
                decoder.decode(&packet.data, OPUS_FRAMES, &mut self.samples).ok().map(|frames| (frames, 1))
            }
            Decoder::Opus(_) => None,
            Decoder::Other(decoder) => decoder.decode(packet).ok().map(|decoded| {
                let channels = decoded.num_planes();
                decoded.copy_to_vec_interleaved(&mut self.samples);
                (self.samples.len(), channels)
            }),
        };
        match heard {
            Some((samples, channels)) => {
                self.running.add(&self.samples[..samples], channels);
                self.decoded += samples as u64;
                self.good += 1;
            }
            None => self.bad += 1,
        }
        (self.decoded <= SAMPLES).then_some(self)
    }
}

/// A sound as its reader sees it.
struct Source<F> {
    file: F,
    /// Where it begins.
    from: u64,
    length: u64,
    /// Ogg is read from the beginning to the end: looking for the end first would read it twice.
    ogg: bool,
}

impl<F: Read + Seek> Source<F> {
    /// The sound without the tags (ID3) that may stand before it: they hold pictures, and nothing that is of use here.
    fn open(mut file: F, length: u64) -> io::Result<Source<F>> {
        let mut head = [0; 10];
        let known = usize::try_from(length).unwrap_or(head.len()).min(head.len());
        file.read_exact(&mut head[..known])?;
        let from = match head {
            [b'I', b'D', b'3', _, _, _, size @ ..] => {
                10 + size.iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f))
            }
            _ => 0,
        };
        file.seek(SeekFrom::Start(from))?;
        Ok(Source { file, from, length: length.saturating_sub(from), ogg: head.starts_with(b"OggS") })
    }
}

impl<F: Read> Read for Source<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl<F: Seek> Seek for Source<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(at.saturating_add(self.from)),
            other => other,
        };
        Ok(self.file.seek(to)?.saturating_sub(self.from))
    }
}

impl<F: Read + Seek + Send + Sync> MediaSource for Source<F> {
    fn is_seekable(&self) -> bool {
        !self.ogg
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::kept::{FLAC, M4A, MP3, VOICE};
    use super::*;

    fn look(file: &[u8]) -> Result<Seen, Error> {
        look_until(file, Duration::from_secs(60))
    }

    fn look_until(file: &[u8], lasting: Duration) -> Result<Seen, Error> {
        super::look(InTime { file: Cursor::new(file), until: Instant::now() + lasting }, file.len() as u64)
    }

    /// Sixteen bits, 8,000 a second: silent in the first half, loud in the second.
    fn wav(frames: u32, channels: u16) -> Vec<u8> {
        let bytes = frames * u32::from(channels) * 2;
        let mut file = b"RIFF".to_vec();
        file.extend((36 + bytes).to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(16_u32.to_le_bytes());
        file.extend(1_u16.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(8000_u32.to_le_bytes());
        file.extend((16_000 * u32::from(channels)).to_le_bytes());
        file.extend((channels * 2).to_le_bytes());
        file.extend(16_u16.to_le_bytes());
        file.extend(b"data");
        file.extend(bytes.to_le_bytes());
        for frame in 0..frames {
            let sample: i16 = if frame < frames / 2 { 0 } else { -20_000 };
            (0..channels).for_each(|_| file.extend(sample.to_le_bytes()));
        }
        file
    }

    #[test]
    fn a_tone_that_grows_louder_within_each_second_is_seen_so_in_every_format() {
        for (name, file, seconds, point_of_a_second) in
            [("Opus in Ogg", VOICE, 2, 26), ("MP3", MP3, 2, 26), ("AAC in MP4", M4A, 1, 45)]
        {
            let seen = look(file).expect(name);
            let wave = seen.waveform;
            assert_eq!(
                (seen.seconds, wave.len(), wave.iter().max()),
                (Some(seconds), 64, Some(&100)),
                "{name}"
            );
            let near = |point: usize| wave[point - 2..=point + 2].iter().copied();
            let (loud, quiet) = (near(point_of_a_second - 3).max(), near(point_of_a_second + 4).min());
            assert!(loud > Some(80) && quiet < Some(30), "{name}: {wave:?}");
            assert!(wave[8] < wave[16] && wave[16] < wave[22], "{name}: {wave:?}");
        }
    }

    #[test]
    fn what_is_not_compressed_away_is_seen_as_it_is() {
        let seen = look(FLAC).expect("FLAC");
        assert_eq!(seen.seconds, Some(2));
        assert!(seen.waveform[..12].iter().all(|value| *value == 0), "{:?}", seen.waveform);
        assert!(seen.waveform[16..24].iter().all(|value| *value >= 95), "{:?}", seen.waveform);
        for channels in [1, 2] {
            let seen = look(&wav(40_000, channels)).expect("WAV");
            assert_eq!(seen.seconds, Some(5));
            assert_eq!(seen.waveform, [[0; 32], [100; 32]].concat());
        }
    }

    #[test]
    fn more_channels_than_anybody_has_are_not_decoded() {
        let seen = look(&wav(8000, 10)).expect("its header");
        assert_eq!((seen.seconds, seen.waveform.len()), (Some(1), 0));
    }

    #[test]
    fn a_tag_before_the_sound_is_passed_over() {
        // Two hundred bytes that look like anything but the sound.
        let tagged = [b"ID3\x04\x00\x00\x00\x00\x01\x48".as_slice(), &[0xff; 200], MP3].concat();
        assert_eq!(look(&tagged).expect("MP3"), look(MP3).expect("MP3"));
        let endless = [b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f".as_slice(), MP3].concat();
        assert!(look(&endless).is_err());
    }

    #[test]
    fn a_sound_that_was_cut_off_is_as_long_as_what_is_there() {
        let seen = look(&VOICE[..VOICE.len() / 2]).expect("half of it");
        assert_eq!(seen.waveform.len(), 64, "{seen:?}");
        assert!(seen.seconds <= Some(2));
    }

    #[test]
    fn what_takes_too_long_has_no_waveform() {
        assert!(look_until(VOICE, Duration::ZERO).is_err(), "nothing was read");
    }

    #[test]
    fn what_is_no_sound_is_said_to_be_none() {
        for file in [&b""[..], b"not a sound", &[0; 5000], super::super::kept::FILM] {
            assert!(look(file).is_err());
        }
        assert!(can_look_at("audio/ogg") && can_look_at("Audio/MP4"));
        assert!(!can_look_at("audio/amr") && !can_look_at("audio/ogg; codecs=opus"));
    }
}
