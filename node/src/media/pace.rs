//! How slow the other side of a transfer may be.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second that have to pass in the long run.
const LEAST: f64 = 65_536.0;
/// How long the other side may fall behind that.
const CREDIT: Duration = Duration::from_secs(60);

/// Counts how far the other side has fallen behind the least rate.
#[derive(Debug)]
pub struct Pace {
    left: Duration,
}

/// It has fallen too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

impl Default for Pace {
    fn default() -> Pace {
        Pace { left: CREDIT }
    }
}

impl Pace {
    /// Waits for the other side.
    ///
    /// # Errors
    /// When it takes longer than it may any more.
    pub async fn wait<T>(&mut self, step: impl Future<Output = T>) -> Result<T, TooSlow> {
        let begun = Instant::now();
        let done = tokio::time::timeout(self.left, step).await.map_err(|_| TooSlow);
        self.left = self.left.saturating_sub(begun.elapsed());
        done
    }

    /// Whether it has fallen too far behind.
    pub fn is_over(&self) -> bool {
        self.left.is_zero()
    }

    /// So many bytes have passed.
    pub fn passed(&mut self, bytes: usize) {
        let earned = Duration::from_secs_f64(bytes as f64 / LEAST);
        self.left = self.left.saturating_add(earned).min(CREDIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves pieces of so many bytes, each after a second; how many before it was too slow.
    async fn moved(bytes: usize, most: u32) -> u32 {
        let mut pace = Pace::default();
        for piece in 0..most {
            let never = std::future::pending::<()>();
            let second = tokio::time::timeout(Duration::from_secs(1), never);
            if pace.wait(second).await.is_err() {
                return piece;
            }
            pace.passed(bytes);
        }
        most
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_moves_a_byte_now_and_then_is_too_slow() {
        assert_eq!(moved(65_536, 1000).await, 1000);
        assert!((58..=60).contains(&moved(1, 1000).await));
        assert!((118..=120).contains(&moved(32_768, 1000).await));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_fast_at_first_buys_no_standstill() {
        let mut pace = Pace::default();
        pace.passed(1 << 30);
        let begun = Instant::now();
        assert_eq!(pace.wait(std::future::pending::<()>()).await, Err(TooSlow));
        assert_eq!(begun.elapsed(), CREDIT);
    }
}
