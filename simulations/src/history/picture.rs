//! A history as a picture: who had which device, which processes ran and acted, what was broken.
//!
//! What must hold: it shows what was recorded and nothing else; what lasts is drawn as long as it lasted.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_placement::ledger::MemberState;
use roost_proto::id::{DeviceKey, Life, NodeId};

use super::{Fact, History, How, What};
use crate::timeline::{Bar, Kind, Mark, Timeline};

impl History {
    /// The run as a picture, if its facts were kept.
    pub fn timeline(&self, title: &str, notes: Vec<String>) -> Timeline {
        let mut picture = Picture::default();
        self.facts().iter().for_each(|fact| picture.add(fact));
        let end = self.facts().last().map_or(0, |fact| fact.at);
        let mut timeline = picture.end(end);
        timeline.title = title.to_owned();
        timeline.notes = notes;
        if let Some(violation) = self.violation() {
            let text = format!("{}: {}", violation.invariant, violation.seen);
            let at = micros(violation.at);
            timeline.marks.push(Mark { at, until: None, node: None, kind: Kind::Violation, text });
        }
        timeline
    }
}

/// What is drawn so far, and what has begun and not ended.
#[derive(Default)]
struct Picture {
    bars: Vec<Bar>,
    marks: Vec<Mark>,
    lanes: Vec<String>,
    held: BTreeMap<DeviceKey, (Life, i64, u64)>,
    /// Spans of nodes, by node and kind of span: since when, and the words.
    open: BTreeMap<(String, &'static str), (u64, String)>,
}

impl Picture {
    fn add(&mut self, fact: &Fact) {
        let at = fact.at;
        match &fact.what {
            What::Granted { key, epoch, owner, how } => {
                self.release(key, at);
                if let Some(life) = owner {
                    self.held.insert(key.clone(), (life.clone(), epoch.0, at));
                }
                if let How::TakeOver(from) = how {
                    let text = format!("{} is taken over from {from}", key.device_id);
                    self.mark(at, owner.as_ref().map(|life| &life.node), Kind::Event, text);
                }
            }
            What::Started(life) => {
                self.lane(life.node.as_str());
                self.close(&life.node, "process", at);
            }
            What::Exited(life) => self.open(&life.node, "process", at, "no process runs".to_owned()),
            What::Quiesced(life) => {
                self.open(&life.node, "quiet", at, format!("{life} does not act: its lease may be over"));
            }
            What::Resumed(life) => self.close(&life.node, "quiet", at),
            What::Frozen { life, .. } => {
                self.open(&life.node, "frozen", at, "the machine stands still".to_owned());
            }
            What::Thawed(life) => self.close(&life.node, "frozen", at),
            What::Buried { victim, by, .. } => {
                self.mark(at, Some(&victim.node), Kind::Event, format!("{by} buries {victim}"));
            }
            What::Certified { victim } => {
                self.mark(at, Some(&victim.node), Kind::Event, format!("{victim} is certified dead"));
            }
            What::Stood { life, state: MemberState::Draining } => {
                self.mark(at, Some(&life.node), Kind::Event, format!("{life} drains"));
            }
            What::ClockStepped { millis } => {
                let text = format!("the database's clock steps by {millis} ms");
                self.mark(at, None, Kind::Fault, text);
            }
            What::TailLost { since } => {
                let words = format!("the database has lost everything since {:.3} s", *since as f64 / 1e6);
                self.mark(at, None, Kind::Event, words);
            }
            What::Fault(words) => {
                let node = self.lanes.iter().find(|lane| words.starts_with(&format!("{lane} "))).cloned();
                let mark = Mark { at: micros(at), until: None, node, kind: Kind::Fault, text: words.clone() };
                self.marks.push(mark);
            }
            What::Spell { words, node, until } => {
                let until = Some(micros(*until));
                let node = node.as_ref().map(ToString::to_string);
                let mark = Mark { at: micros(at), until, node, kind: Kind::Fault, text: words.clone() };
                self.marks.push(mark);
            }
            What::Healed => {
                // What was to last longer ends here.
                for mark in &mut self.marks {
                    mark.until = mark.until.map(|until| until.min(micros(at)));
                }
                self.mark(at, None, Kind::Event, "all faults are over".to_owned());
            }
            What::Due => self.mark(at, None, Kind::Event, "liveness is due".to_owned()),
            _ => {}
        }
    }

    fn end(mut self, at: u64) -> Timeline {
        for key in self.held.keys().cloned().collect::<Vec<_>>() {
            self.release(&key, at);
        }
        for ((node, _), (since, text)) in std::mem::take(&mut self.open) {
            self.span(node, since, at, text);
        }
        self.lanes.sort();
        let Picture { bars, marks, lanes, .. } = self;
        Timeline { bars, marks, lanes, ..Timeline::default() }
    }

    fn lane(&mut self, node: &str) {
        if !self.lanes.iter().any(|lane| lane == node) {
            self.lanes.push(node.to_owned());
        }
    }

    fn release(&mut self, key: &DeviceKey, at: u64) {
        let Some((life, epoch, since)) = self.held.remove(key) else { return };
        let (device, node) = (key.device_id.to_string(), life.node.to_string());
        self.bars.push(Bar { device, node, epoch, from: micros(since), to: micros(at) });
    }

    fn mark(&mut self, at: u64, node: Option<&NodeId>, kind: Kind, text: String) {
        let node = node.map(ToString::to_string);
        self.marks.push(Mark { at: micros(at), until: None, node, kind, text });
    }

    fn open(&mut self, node: &NodeId, kind: &'static str, at: u64, text: String) {
        self.open.entry((node.to_string(), kind)).or_insert((at, text));
    }

    fn close(&mut self, node: &NodeId, kind: &'static str, at: u64) {
        if let Some((since, text)) = self.open.remove(&(node.to_string(), kind)) {
            self.span(node.to_string(), since, at, text);
        }
    }

    fn span(&mut self, node: String, since: u64, until: u64, text: String) {
        let (at, until) = (micros(since), Some(micros(until)));
        self.marks.push(Mark { at, until, node: Some(node), kind: Kind::Event, text });
    }
}

fn micros(at: u64) -> Duration {
    Duration::from_micros(at)
}
