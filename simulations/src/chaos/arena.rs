//! The ground on which a scenario plays: five real nodes, their database, the simulated WhatsApp, and every
//! way to come between them.
//!
//! What must hold: each node reaches the database and WhatsApp through a proxy of its own, so that each
//! can be made slow alone; where namespaces are allowed, each node lives in one, and packet filters cut it off.
//! Everything ends with the value, in order: nodes, proxies, network, database.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::diary::{Diary, Entry};
use super::network::{Far, Network, Way};
use super::proxy::{Proxy, Weather};
use crate::processes::{Ground, NodeProcess, Spot};
use crate::sightings;
use crate::wa::{SimOptions, SimServer};
use crate::world::{Failed, Plan, World, until};

/// How large, how long, how random.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// The `roost` program.
    pub program: PathBuf,
    /// The program of the release before, for scenarios that upgrade it.
    pub release_before: Option<PathBuf>,
    /// Decides who is struck when, as far as a run of real processes can be decided.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// Devices of all tenants together.
    pub devices: usize,
    /// How long faults go on.
    pub duration: Duration,
    /// So many rounds instead, for scenarios in rounds.
    pub rounds: Option<usize>,
    /// A database to use instead of a temporary server.
    pub database_url: Option<String>,
    /// Print nothing meanwhile.
    pub quiet: bool,
    /// Ends it early.
    pub stop: CancellationToken,
}

/// How long anything may take that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a look takes at what may have happened.
const GLANCE: Duration = Duration::from_millis(100);

/// Devices of one tenant, as long as there are not too many tenants for it.
const EACH: usize = 4;

/// Tenants at most: each has readers of its own.
const TENANTS: usize = 50;

/// What a node can be kept from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The database.
    Database,
    /// All other nodes.
    Peers,
    /// The simulated WhatsApp.
    WhatsApp,
}

/// The two things that a node reaches through proxies.
#[derive(Debug)]
pub struct Lines {
    /// To the database.
    pub database: Proxy,
    /// To the simulated WhatsApp.
    pub whatsapp: Proxy,
}

/// Everything that a scenario can touch.
pub struct Arena {
    /// Nodes, devices and books.
    pub world: World,
    /// One pair for each node.
    pub lines: Vec<Lines>,
    network: Option<Network>,
    /// Where they keep everything.
    pub database: Database,
    /// What was done.
    pub diary: Diary,
    /// The seed's randomness.
    pub dice: ChaCha8Rng,
    /// How large and how long.
    pub pace: Pace,
    rounds: usize,
}

impl Arena {
    /// Builds it on this database, paired and connected, with nodes that run this program at first. Blocks for the
    /// database's programs.
    pub async fn build(pace: &Pace, program: &Path, database: Database) -> Result<Arena, Failed> {
        let mut diary = Diary::begin(pace.quiet);
        let network = match super::network::missing() {
            None => Some(Network::build(pace.nodes)?),
            Some(_) => None,
        };
        let seed = Some(pace.seed);
        let sim = Arc::new(SimServer::start(SimOptions { seed, ..SimOptions::default() }).await?);
        let (mut lines, mut grounds) = (Vec::new(), Vec::new());
        for place in 0..pace.nodes {
            let host: IpAddr = network.as_ref().map_or(Ipv4Addr::LOCALHOST, Network::host).into();
            let whatsapp = Proxy::start(host, sim.addr()).await?;
            let to_database = Proxy::start(host, database.address()).await?;
            let spot = match &network {
                Some(network) => {
                    Spot { address: network.address(place).into(), namespace: Some(network.namespace(place)) }
                }
                None => Spot { address: loopback(place).into(), namespace: None },
            };
            let own = Lines { database: to_database, whatsapp };
            grounds.push(ground(spot, &own, &database));
            lines.push(own);
        }
        let tenants = pace.devices.div_ceil(EACH).clamp(1, TENANTS);
        let plan = Plan {
            program: program.to_owned(),
            store_url: None,
            nodes: pace.nodes,
            tenants,
            devices_each: pace.devices.div_ceil(tenants),
        };
        let folder = tempfile::Builder::new().prefix("roost-chaos-").tempdir()?;
        let world = World::raise(&plan, folder, sim, &grounds, |what| diary.say(what)).await?;
        diary = Diary::begin(pace.quiet);
        let dice = ChaCha8Rng::seed_from_u64(pace.seed);
        let arena = Arena { world, lines, network, database, diary, dice, pace: pace.clone(), rounds: 0 };
        arena.settled("the beginning").await?;
        Ok(arena)
    }

    /// The id of a node.
    pub fn id(&self, place: usize) -> String {
        self.world.nodes[place].id.clone()
    }

    /// Whether another round is to be played.
    pub fn another_round(&mut self) -> bool {
        self.rounds += 1;
        match self.pace.rounds {
            Some(rounds) => self.rounds <= rounds,
            None => self.rounds == 1 || self.diary.elapsed() < self.pace.duration,
        }
    }

    /// Writes that a node was struck.
    pub fn strike(&mut self, place: usize, text: &str) -> Entry {
        let id = self.id(place);
        self.diary.fault(Some(&id), text)
    }

    /// Lets them talk.
    pub async fn calm(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Cuts nodes off from something, with a black hole.
    pub fn cut(&self, place: usize, from: Side, way: Way) -> Result<(), Failed> {
        let network = self.network.as_ref().ok_or("cuts need network namespaces")?;
        let proxied =
            |proxy: &Proxy| vec![Far { address: network.host(), port: Some(proxy.address().port()) }];
        let far = match from {
            Side::Database => proxied(&self.lines[place].database),
            Side::WhatsApp => proxied(&self.lines[place].whatsapp),
            Side::Peers => {
                let others = (0..self.pace.nodes).filter(|other| *other != place);
                others.map(|other| Far { address: network.address(other), port: None }).collect()
            }
        };
        Ok(network.cut(place, &far, way)?)
    }

    /// Ends all cuts of a node.
    pub fn heal(&self, place: usize) -> Result<(), Failed> {
        match &self.network {
            Some(network) => Ok(network.heal(place)?),
            None => Ok(()),
        }
    }

    /// Ends all connections of a node to WhatsApp; new ones are closed at once.
    pub fn refuse_at_whatsapp(&self, place: usize) -> Result<(), Failed> {
        // Nobody listens any more where a listener has just been.
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        self.lines[place].whatsapp.aim(nobody);
        Ok(())
    }

    /// Ends that.
    pub fn reach_whatsapp(&self, place: usize) {
        self.lines[place].whatsapp.aim(self.world.sim.addr());
    }

    /// Waits until a node has given all its devices to others because it alone does not reach WhatsApp.
    pub async fn given_away(&self, place: usize) -> Result<(), Failed> {
        let id = self.id(place);
        let away = || async {
            let members = self.world.members().await.unwrap_or_default();
            members.iter().any(|member| member.name == id && member.cut_off && member.owned == 0)
        };
        until(&format!("others have the devices of {id}"), 2 * PATIENCE, away).await
    }

    /// The same weather on all lines to the database and to WhatsApp.
    pub fn weather(&self, weather: Weather) {
        for line in &self.lines {
            line.database.weather(weather);
            line.whatsapp.weather(weather);
        }
    }

    /// Aims all lines at where the database is now.
    pub fn aim_at_database(&self) {
        for line in &self.lines {
            line.database.aim(self.database.address());
        }
    }

    /// Waits until all nodes are active members and all devices are connected.
    pub async fn settled(&self, what: &str) -> Result<(), Failed> {
        self.world.all_active(PATIENCE).await?;
        self.connected(what).await
    }

    /// The same after the worker of a node was struck, which had these lives: it has another worker in another life.
    /// A parent that has spent its restarts is started again, as an orchestrator would.
    pub async fn tended(&mut self, place: usize, old: &[i64], what: &str) -> Result<(), Failed> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if self.world.nodes[place].ended(GLANCE).await?.is_some() {
                let text = format!("{} has spent its restarts and is started again", self.id(place));
                self.diary.event(&text);
                self.world.nodes[place].spawn()?;
            }
            // Nodes learn of a death one after the other: who has not may still call the old life active.
            let lives = crate::trouble::lives_of(&self.world, place).await.unwrap_or_default();
            let anew = !lives.is_empty() && lives != old && self.world.nodes[place].worker().is_some();
            match self.world.all_active(GLANCE).await {
                Ok(()) if anew => return self.connected(what).await,
                Err(error) if tokio::time::Instant::now() > end => return Err(error),
                Ok(()) if tokio::time::Instant::now() > end => {
                    return Err(format!("{} has no other life after {what}", self.id(place)).into());
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Waits until all devices are connected.
    pub async fn connected(&self, what: &str) -> Result<(), Failed> {
        let wanted = self.world.speakers.len();
        let connected = || async { sightings::connected(&self.world.sim) == wanted };
        until(&format!("all {wanted} devices are connected after {what}"), PATIENCE, connected).await
    }

    /// A second process under the id of a node, at an address of its own, that does not run yet.
    pub fn twin(&self, place: usize, name: &str) -> Result<NodeProcess, Failed> {
        let address = self.network.as_ref().map_or(Ipv4Addr::LOCALHOST, Network::host);
        let spot = Spot { address: address.into(), namespace: None };
        let site = self.world.site.seen_from(&ground(spot.clone(), &self.lines[place], &self.database));
        Ok(site.prepare_at(name, &self.id(place), &spot)?)
    }

    /// Waits until the life that a node had is gone.
    pub async fn gone(&self, place: usize, old: &[i64]) -> Result<(), Failed> {
        let id = self.id(place);
        let living =
            || async { crate::trouble::lives_of(&self.world, place).await.is_ok_and(|lives| lives != old) };
        until(&format!("{id} is found dead"), PATIENCE, living).await
    }

    /// What namespaces do not allow here, in words.
    pub fn without_network(&self) -> bool {
        self.network.is_none()
    }
}

fn ground(spot: Spot, lines: &Lines, database: &Database) -> Ground {
    Ground {
        spot,
        store_url: database.url_at(lines.database.address()),
        // The certificate does not know this address; Noise protects the stream all the same.
        whatsapp_url: format!("ws://{}/ws/chat", lines.whatsapp.address()),
    }
}

/// Addresses of nodes where there are no namespaces.
fn loopback(place: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 11 + u8::try_from(place).unwrap_or(u8::MAX - 11))
}

/// The address of a URL such as `postgres://user@host:5432/name`.
pub(super) fn address_of(url: &str) -> Option<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?;
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:5432") };
    with_port.to_socket_addrs().ok()?.next()
}
