//! The loudness of a sound over its length, as WhatsApp's clients draw it beside a voice message.
//!
//! What must hold: memory does not grow with the sound, whose length nobody knows before its end. So the sums are kept
//! of blocks that double whenever there are too many of them.

/// Values of a waveform. The loudest is 100.
pub(super) const POINTS: usize = 64;
/// Blocks that are kept: so many that the edge of a point is off by a thirty-second of it at most.
const BLOCKS: usize = POINTS * 64;
/// Loudest amplitude that counts. Samples beyond 1 are clipped by whatever plays them.
const LOUDEST: f32 = 1.0;

/// The sums of what came until now.
pub(super) struct Running {
    /// Of the amplitudes in each whole block.
    sums: Vec<f64>,
    /// Frames of a block.
    size: u64,
    /// The block that is being filled.
    sum: f64,
    filled: u64,
}

impl Default for Running {
    fn default() -> Running {
        Running { sums: Vec::with_capacity(BLOCKS), size: 1, sum: 0.0, filled: 0 }
    }
}

impl Running {
    /// Takes interleaved samples of so many channels, which count as one: the mean of their amplitudes.
    pub(super) fn add(&mut self, samples: &[f32], channels: usize) {
        for frame in samples.chunks_exact(channels.max(1)) {
            let loud = |sample: &f32| if sample.is_finite() { sample.abs().min(LOUDEST) } else { 0.0 };
            self.sum += f64::from(frame.iter().map(loud).sum::<f32>()) / frame.len() as f64;
            self.filled += 1;
            if self.filled == self.size {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        self.sums.push(self.sum);
        (self.sum, self.filled) = (0.0, 0);
        if self.sums.len() == BLOCKS {
            self.sums = self.sums.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect();
            self.size *= 2;
        }
    }

    /// The waveform; `None` when there was nothing. What does not fill a last block is too short to be seen.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        let blocks = self.sums;
        if blocks.is_empty() {
            return None;
        }
        let mean = |point: usize| {
            let from = point * blocks.len() / POINTS;
            let to = ((point + 1) * blocks.len() / POINTS).max(from + 1);
            blocks[from..to].iter().sum::<f64>() / (to - from) as f64
        };
        let means: Vec<f64> = (0..POINTS).map(mean).collect();
        let loudest = means.iter().copied().fold(0.0, f64::max);
        let of_loudest = |mean: f64| if loudest > 0.0 { (100.0 * mean / loudest) as u8 } else { 0 };
        Some(means.into_iter().map(of_loudest).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sound that grows evenly louder.
    fn growing(frames: usize) -> Vec<u8> {
        let mut running = Running::default();
        let all: Vec<f32> =
            (0..frames).map(|n| n as f32 / frames as f32 * if n % 2 == 0 { 1.0 } else { -1.0 }).collect();
        all.chunks(997).for_each(|some| running.add(some, 1));
        running.finish().expect("there was something")
    }

    #[test]
    fn the_loudest_of_sixty_four_points_is_a_hundred_whatever_the_length() {
        for frames in [64, 1000, 4096, 100_000, 1_000_003] {
            let waveform = growing(frames);
            assert_eq!((waveform.len(), waveform[POINTS - 1]), (POINTS, 100), "{frames}");
            for (point, value) in waveform.iter().enumerate() {
                let exact = (100.0 * (point as f64 + 0.5) / (POINTS as f64 - 0.5)) as i16;
                assert!((i16::from(*value) - exact).abs() <= 3, "{frames}: {waveform:?}");
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_sound() {
        let mut running = Running::default();
        (0..100).for_each(|_| running.add(&[0.5; 50_000], 2));
        assert!(running.sums.len() < BLOCKS && running.sums.capacity() <= BLOCKS);
        assert_eq!(running.finish().expect("sound"), vec![100; POINTS]);
    }

    #[test]
    fn silence_is_flat_and_nothing_has_no_waveform() {
        let mut running = Running::default();
        running.add(&[0.0; 500], 1);
        assert_eq!(running.finish(), Some(vec![0; POINTS]));
        assert_eq!(Running::default().finish(), None);
    }

    #[test]
    fn samples_that_are_no_numbers_are_silent() {
        let mut running = Running::default();
        let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 7.5];
        running.add(&strange.repeat(64), 1);
        assert!(running.finish().expect("sound").contains(&100));
    }
}
