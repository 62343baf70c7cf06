//! What was done to a cluster and when, by both clocks: the monotonic one for spans, the wall clock to find
//! the moment again in the ledgers of others.

use std::time::{Duration, Instant, SystemTime};

use crate::timeline::{Kind, Mark};

/// The diary of one run.
#[derive(Debug)]
pub struct Diary {
    began: Instant,
    began_wall: SystemTime,
    marks: Vec<Mark>,
    quiet: bool,
}

/// An entry that may be ended.
#[derive(Debug, Clone, Copy)]
pub struct Entry(usize);

impl Diary {
    /// Begins now. A `quiet` one prints nothing.
    pub fn begin(quiet: bool) -> Diary {
        Diary { began: Instant::now(), began_wall: SystemTime::now(), marks: Vec::new(), quiet }
    }

    /// Something was broken, at one node or (`None`) for all.
    pub fn fault(&mut self, node: Option<&str>, text: &str) -> Entry {
        self.write(Kind::Fault, node, text)
    }

    /// Something else worth knowing.
    pub fn event(&mut self, text: &str) {
        self.write(Kind::Event, None, text);
    }

    /// What was broken works again.
    pub fn mended(&mut self, entry: Entry) {
        let now = self.began.elapsed();
        let mark = &mut self.marks[entry.0];
        mark.until = Some(now);
        let text = format!("over: {}", mark.text);
        self.say(&text);
    }

    /// Words for whoever waits at the terminal.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            super::say(&format!("{:>7.2} s  {text}", self.began.elapsed().as_secs_f64()));
        }
    }

    fn write(&mut self, kind: Kind, node: Option<&str>, text: &str) -> Entry {
        self.say(&node.map_or_else(|| text.to_owned(), |node| format!("{node}: {text}")));
        let (at, node) = (self.began.elapsed(), node.map(str::to_owned));
        self.marks.push(Mark { at, until: None, node, kind, text: text.to_owned() });
        Entry(self.marks.len() - 1)
    }

    /// Everything, in order.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Where a moment of the wall clock, in Unix milliseconds, lies in this run.
    pub fn place_of(&self, unix_millis: i64) -> Duration {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(unix_millis).unwrap_or(0));
        at.duration_since(self.began_wall).unwrap_or_default()
    }

    /// Where a moment of the monotonic clock lies in this run.
    pub fn place_of_instant(&self, at: Instant) -> Duration {
        at.duration_since(self.began)
    }

    /// When the last fault began or ended, whichever is later.
    pub fn last_fault(&self) -> Option<Duration> {
        let faults = self.marks.iter().filter(|mark| mark.kind == Kind::Fault);
        faults.map(|mark| mark.until.unwrap_or(mark.at)).max()
    }
}
