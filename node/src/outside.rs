//! What a node takes from its machine, as values: clocks, randomness, the network.
//!
//! What must hold: nothing else in this crate reads a clock that decides something, rolls dice or opens a
//! connection to a peer or to WhatsApp, so that whoever composes a node decides what time it is and whom
//! it can reach. Keys and everything else that is secret do not come from [`Dice`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roost_proto::id::UnixMillis;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::cluster::{BootClock, boot_clock};

/// Reads the wall clock.
pub type WallClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The wall clock of this machine.
pub fn wall_clock() -> WallClock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// Everything that a node takes from its machine.
#[derive(Clone)]
pub struct Outside {
    /// Leases and permits are counted on it.
    pub boot: BootClock,
    /// For people and for WhatsApp.
    pub wall: WallClock,
    /// Jitter, and names that need not be secret.
    pub dice: Dice,
    /// The way to peers and to WhatsApp.
    pub network: Network,
}

impl Outside {
    /// This machine.
    pub fn system() -> Outside {
        let (boot, wall) = (boot_clock(), wall_clock());
        Outside { boot, wall, dice: Dice::default(), network: Network::System }
    }

    /// A name that nobody else has: a ULID of this moment.
    pub fn name(&self) -> String {
        let millis = u64::try_from((self.wall)().0).unwrap_or_default();
        ulid::Ulid::from_parts(millis, self.dice.bits()).to_string()
    }
}

/// Randomness for jitter and for names. Cloning gives the same dice.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Default for Dice {
    fn default() -> Dice {
        Dice::seeded(rand::random())
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dice")
    }
}

impl Dice {
    /// The same seed, the same rolls.
    pub fn seeded(seed: [u8; 32]) -> Dice {
        Dice(Arc::new(Mutex::new(StdRng::from_seed(seed))))
    }

    /// At least 0, less than 1.
    pub fn fraction(&self) -> f64 {
        self.with(|rng| rng.random())
    }

    /// A factor in this range, for jitter.
    pub fn between(&self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.fraction()
    }

    fn bits(&self) -> u128 {
        self.with(|rng| rng.random())
    }

    fn with<T>(&self, roll: impl FnOnce(&mut StdRng) -> T) -> T {
        roll(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for S {}

/// Opens connections.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// To this port of this host; whoever calls sets the limit.
    async fn connect(&self, host: &str, port: u16) -> std::io::Result<Box<dyn Duplex>>;
}

/// A network.
#[derive(Clone, Default)]
pub enum Network {
    /// TCP of this machine.
    #[default]
    System,
    /// Another one, as simulations have it.
    Other(Arc<dyn Connect>),
}

impl Network {
    /// Opens a connection; whoever calls sets the limit. Small messages are not delayed on it.
    pub async fn connect(&self, host: &str, port: u16) -> std::io::Result<Box<dyn Duplex>> {
        match self {
            Network::System => {
                let tcp = TcpStream::connect((host, port)).await?;
                tcp.set_nodelay(true)?;
                Ok(Box::new(tcp))
            }
            Network::Other(network) => network.connect(host, port).await,
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Network::System => "System",
            Network::Other(_) => "Other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_of_one_seed_roll_the_same_and_stay_in_their_range() {
        let (a, b) = (Dice::seeded([7; 32]), Dice::seeded([7; 32]));
        for _ in 0..100 {
            let factor = a.between(0.5, 1.5);
            assert!((0.5..1.5).contains(&factor));
            assert_eq!(factor, b.between(0.5, 1.5));
        }
    }
}
