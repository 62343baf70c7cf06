//! A TCP proxy between a node and something that it needs: slow, lossy, silent or aimed elsewhere on demand.
//!
//! What must hold: bytes keep their order and none is invented; a lost packet is what TCP makes of it, a
//! pause of everything behind it; buffers are bounded, so a slow link pushes back. It knows nothing of what
//! it carries, and it ends with its value.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Bytes that are read at a time: about a segment's worth, so that losses strike often enough.
const CHUNK: usize = 4 * 1024;

/// Chunks under way in one direction of one connection.
const UNDER_WAY: usize = 64;

/// What the loss of a packet costs: Linux's least retransmission time-out.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// What a link is like.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weather {
    /// One way.
    pub delay: Duration,
    /// Up to so much more, drawn anew for each chunk.
    pub jitter: Duration,
    /// How likely a chunk is lost and sent again, 0 to 1.
    pub loss: f64,
    /// Nothing passes, and nobody is told.
    pub silent: bool,
}

#[derive(Debug, Clone)]
struct Course {
    target: SocketAddr,
    weather: Weather,
    /// Connections of an earlier age end.
    age: u64,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    course: Arc<watch::Sender<Course>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of `address` and connects to `target`.
    pub async fn start(address: IpAddr, target: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let course = Arc::new(watch::Sender::new(Course { target, weather: Weather::default(), age: 0 }));
        let accepting = tokio::spawn(accept(listener, course.clone()));
        Ok(Proxy { address, course, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, also for connections that are up.
    pub fn weather(&self, weather: Weather) {
        self.course.send_modify(|course| course.weather = weather);
    }

    /// Breaks all connections; new ones go to `target`.
    pub fn aim(&self, target: SocketAddr) {
        self.course.send_modify(|course| {
            course.target = target;
            course.age += 1;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, course: Arc<watch::Sender<Course>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => {
                    connections.spawn(carry(near, course.subscribe()));
                }
                // Out of descriptors: some connections must end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one connection until either side ends it or the proxy is aimed elsewhere.
async fn carry(near: TcpStream, mut course: watch::Receiver<Course>) {
    let Course { target, age, .. } = course.borrow_and_update().clone();
    let Ok(far) = TcpStream::connect(target).await else { return };
    if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (there, back) = (pass(near_in, far_out, course.clone()), pass(far_in, near_out, course.clone()));
    tokio::select! {
        // One direction may end before the other; a broken one ends both.
        _ = async { tokio::try_join!(there, back) } => {}
        _ = course.wait_for(|course| course.age != age) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    course: watch::Receiver<Course>,
) -> io::Result<()> {
    let (sender, chunks) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async {
        let mut due = Instant::now();
        loop {
            let mut chunk = vec![0; CHUNK];
            let length = from.read(&mut chunk).await?;
            chunk.truncate(length);
            due = due.max(Instant::now() + passage(&course.borrow().weather));
            // An empty chunk is the end of the stream. The writer fails by itself.
            if sender.send((due, chunk)).await.is_err() || length == 0 {
                drop(sender);
                return Ok(());
            }
        }
    };
    tokio::try_join!(read, write(chunks, to, course.clone())).map(|_| ())
}

async fn write(
    mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut course: watch::Receiver<Course>,
) -> io::Result<()> {
    while let Some((due, chunk)) = chunks.recv().await {
        sleep_until(due).await;
        if course.wait_for(|course| !course.weather.silent).await.is_err() {
            return Ok(());
        }
        if chunk.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&chunk).await?;
    }
    Ok(())
}

/// How long one chunk is under way.
fn passage(weather: &Weather) -> Duration {
    let mut span = weather.delay + weather.jitter.mul_f64(rand::random_range(0.0..=1.0));
    let mut wait = RETRANSMIT;
    // Each try may be lost again, and TCP waits twice as long each time.
    while wait < 16 * RETRANSMIT && rand::random_bool(weather.loss.clamp(0.0, 1.0)) {
        span += wait;
        wait *= 2;
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        address
    }

    async fn through(proxy: &Proxy, bytes: &[u8]) -> (Vec<u8>, Duration) {
        let began = Instant::now();
        let mut stream = TcpStream::connect(proxy.address()).await.expect("it listens");
        stream.write_all(bytes).await.expect("it takes bytes");
        stream.shutdown().await.expect("it takes an end");
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.expect("it ends");
        (back, began.elapsed())
    }

    #[tokio::test]
    async fn bytes_come_back_in_order_however_bad_the_weather() {
        let proxy = Proxy::start(Ipv4Addr::LOCALHOST.into(), echo().await).await.expect("a port is free");
        let bytes: Vec<u8> = (0..40_000u32).flat_map(u32::to_be_bytes).collect();
        assert_eq!(through(&proxy, &bytes).await.0, bytes);
        let jitter = Duration::from_millis(5);
        proxy.weather(Weather { delay: Duration::from_millis(40), jitter, ..Weather::default() });
        let (back, took) = through(&proxy, &bytes).await;
        assert_eq!(back, bytes);
        assert!(took >= Duration::from_millis(80), "{took:?}");
    }

    #[tokio::test]
    async fn connections_break_when_the_proxy_is_aimed_elsewhere() {
        let proxy = Proxy::start(Ipv4Addr::LOCALHOST.into(), echo().await).await.expect("a port is free");
        let mut stream = TcpStream::connect(proxy.address()).await.expect("it listens");
        stream.write_all(b"a").await.expect("it takes bytes");
        assert_eq!(stream.read_u8().await.expect("the echo"), b'a');
        proxy.aim(echo().await);
        assert!(stream.read_u8().await.is_err());
        assert_eq!(through(&proxy, b"b").await.0, b"b");
    }

    #[test]
    fn a_lost_packet_costs_at_least_a_retransmission() {
        let weather = Weather { loss: 1.0, ..Weather::default() };
        assert!(passage(&weather) >= RETRANSMIT);
        assert_eq!(passage(&Weather::default()), Duration::ZERO);
    }
}
