//! What all parts of a run share: time, chance, the record, and the ways between hosts.
//!
//! What must hold: between two hosts what was sent on one link arrives in the order in which it was sent; what
//! is sent into a cut waits for its end, as TCP would have it, and who waits for it loses patience first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::input::Input;
use super::odds::Odds;
use super::queue::{Asked, Happening, Queue, Statement};
use crate::run::{Database, Plan, Record, Time};

/// One process, unique in a run.
pub(super) type ProcessId = u64;

/// One link from a process to WhatsApp, unique in a run.
pub(super) type LinkId = u64;

/// Who is on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Host {
    /// A node, by number.
    Node(usize),
    /// WhatsApp.
    WhatsApp,
    /// The callers.
    Callers,
}

impl Host {
    /// By the name that a plan uses.
    pub(super) fn named(name: &str) -> Host {
        match name.strip_prefix('n').and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => Host::Node(number - 1),
            None if name == "whatsapp" => Host::WhatsApp,
            None => Host::Callers,
        }
    }
}

/// How a node reaches the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Way {
    /// Calls are refused at once.
    pub(super) refused: bool,
    /// Statements do not get there.
    pub(super) deaf: bool,
    /// Answers do not come back.
    pub(super) mute: bool,
    /// Of this many of a thousand calls the answer is lost.
    pub(super) lost: u32,
    /// Answers take so many microseconds longer.
    pub(super) late: u64,
}

/// What waits for the end of a cut, and on which link it travels.
type Waiting = (Option<LinkId>, Happening);

/// What all parts share.
pub(super) struct Context {
    pub(super) plan: Arc<Plan>,
    pub(super) time: Time,
    pub(super) rng: StdRng,
    pub(super) record: Record,
    pub(super) database: Database,
    pub(super) odds: Odds,
    /// The way of each node to the database.
    pub(super) ways: Vec<Way>,
    /// The process that was last begun on each node, if it runs.
    pub(super) running: Vec<Option<ProcessId>>,
    queue: Queue,
    cuts: BTreeMap<(Host, Host), u32>,
    waiting: BTreeMap<(Host, Host), VecDeque<Waiting>>,
    /// When the last thing on a link arrives at a host.
    arrivals: BTreeMap<(LinkId, Host), u64>,
    /// Statements and answers that wait for the database to be reached again.
    held: Vec<Vec<Happening>>,
    last_id: u64,
}

impl Context {
    pub(super) fn new(
        plan: Arc<Plan>,
        time: Time,
        rng: StdRng,
        record: Record,
        database: Database,
        odds: Odds,
    ) -> Context {
        let nodes = plan.nodes;
        Context {
            plan,
            time,
            rng,
            record,
            database,
            odds,
            ways: vec![Way::default(); nodes],
            running: vec![None; nodes],
            queue: Queue::default(),
            cuts: BTreeMap::new(),
            waiting: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            held: (0..nodes).map(|_| Vec::new()).collect(),
            last_id: 0,
        }
    }

    /// True time in microseconds.
    pub(super) fn now(&self) -> u64 {
        self.time.now()
    }

    /// A number that nothing else in this run has.
    pub(super) fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The next thing that happens by then.
    pub(super) fn next(&mut self, by: u64) -> Option<(u64, Happening)> {
        self.queue.take(by)
    }

    /// Something happens after a while.
    pub(super) fn after(&mut self, span: Duration, what: Happening) {
        self.queue.put(self.now() + micros(span), what);
    }

    fn between(&mut self, (short, long): (Duration, Duration)) -> u64 {
        self.rng.random_range(micros(short)..=micros(long))
    }

    /// One message on the network; in order with the others on its link.
    pub(super) fn send(&mut self, from: Host, to: Host, link: Option<LinkId>, what: Happening) {
        self.send_at(0, from, to, link, what);
    }

    /// The same, leaving not before then.
    pub(super) fn send_at(&mut self, then: u64, from: Host, to: Host, link: Option<LinkId>, what: Happening) {
        let way = (from, to);
        if self.cuts.contains_key(&way) {
            self.waiting.entry(way).or_default().push_back((link, what));
            return;
        }
        let mut at = self.now().max(then) + self.between(self.plan.network);
        if let Some(link) = link {
            let last = self.arrivals.entry((link, to)).or_default();
            at = at.max(*last);
            *last = at;
        }
        self.queue.put(at, what);
    }

    /// Nothing arrives any more in this direction.
    pub(super) fn cut(&mut self, from: Host, to: Host) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    /// One cut in this direction is over.
    pub(super) fn mend(&mut self, from: Host, to: Host) {
        let way = (from, to);
        let Some(cuts) = self.cuts.get_mut(&way) else { return };
        *cuts -= 1;
        if *cuts > 0 {
            return;
        }
        self.cuts.remove(&way);
        for (link, what) in self.waiting.remove(&way).unwrap_or_default() {
            self.send(from, to, link, what);
        }
    }

    /// Everything arrives again.
    pub(super) fn mend_all(&mut self) {
        for ((from, to), cuts) in self.cuts.clone() {
            (0..cuts).for_each(|_| self.mend(from, to));
        }
    }

    /// A link is over at both ends.
    pub(super) fn forget_link(&mut self, link: LinkId, place: usize) {
        self.arrivals.remove(&(link, Host::WhatsApp));
        self.arrivals.remove(&(link, Host::Node(place)));
    }

    /// A statement leaves for the database.
    pub(super) fn ask(&mut self, asked: Asked, statement: Statement) {
        let at = self.now() + self.between(self.plan.database);
        self.queue.put(at, Happening::Statement(asked, statement));
    }

    /// A statement has come to the database's door.
    pub(super) fn execute(&mut self, asked: Asked, statement: Statement) {
        let way = self.ways[asked.place];
        if way.refused {
            return self.queue.put(self.now(), Happening::Answer(asked, None));
        }
        if way.deaf {
            return self.hold(asked, Happening::Statement(asked, statement));
        }
        if self.now() >= asked.until {
            return;
        }
        let answer = statement(&self.database);
        let lost = way.lost > 0 && self.rng.random_range(0..1000) < way.lost;
        if lost {
            self.record.rarely("answer lost");
        }
        let at = self.now() + self.between(self.plan.database) + way.late;
        self.queue.put(at, Happening::Answer(asked, (!lost).then(|| Box::new(answer))));
    }

    /// Whether an answer gets through to who asked; it is held when not.
    pub(super) fn returns(&mut self, asked: Asked, answer: Option<Box<Input>>) -> Option<Option<Box<Input>>> {
        let way = self.ways[asked.place];
        if way.mute {
            self.hold(asked, Happening::Answer(asked, answer));
            return None;
        }
        Some(answer.filter(|_| !way.refused))
    }

    /// Who asked stops waiting in its time, whatever becomes of the call.
    fn hold(&mut self, asked: Asked, what: Happening) {
        self.record.rarely("database silent");
        self.held[asked.place].push(what);
        self.queue.put(asked.until.max(self.now()), Happening::Late(asked));
    }

    /// How a node reaches the database from now on.
    pub(super) fn set_way(&mut self, place: usize, way: Way) {
        self.ways[place] = way;
        for what in std::mem::take(&mut self.held[place]) {
            self.queue.put(self.now(), what);
        }
    }
}

/// In whole microseconds.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 4)
}
