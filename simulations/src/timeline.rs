//! A run as a picture that a person understands at a glance: nodes as lanes, who had which device as bars,
//! faults and what else matters as marks, in one HTML page.
//!
//! What must hold: the page needs nothing from outside and no script; the same run gives the same bytes; all
//! text is escaped; a device that two bars hold at once is drawn as such, whoever says so. Pure: it neither
//! reads a clock nor judges a run.

mod axis;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use self::axis::{Axis, LEFT, WIDTH};
use crate::percentiles::readable;

pub use self::page::{escape, page};

/// What is drawn. Times count from the beginning of the run.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// What was run.
    pub title: String,
    /// Sentences beneath the title, such as the verdict and how to run it again.
    pub notes: Vec<String>,
    /// Nodes from the top down. A node that only a bar or a mark names comes after them.
    pub lanes: Vec<String>,
    /// Who had which device when.
    pub bars: Vec<Bar>,
    /// Faults and events.
    pub marks: Vec<Mark>,
}

/// A node had a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The device; each has a colour of its own.
    pub device: String,
    /// The lane.
    pub node: String,
    /// The epoch under which it was held.
    pub epoch: i64,
    /// Since when.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When it began.
    pub at: Duration,
    /// When it ended, of what lasts.
    pub until: Option<Duration>,
    /// The lane; `None` is the whole cluster.
    pub node: Option<String>,
    /// What sort of thing it is.
    pub kind: Kind,
    /// What happened, in a few words.
    pub text: String,
}

/// The sort of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something was broken on purpose.
    Fault,
    /// Something worth knowing.
    Event,
    /// A promise was broken.
    Violation,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Kind::Fault => "fault",
            Kind::Event => "event",
            Kind::Violation => "violation",
        }
    }
}

/// Height of the strip above the lanes, where the numbers of marks stand.
const STRIP: f64 = 26.0;
/// Height of a lane, if its bars allow.
const LANE: f64 = 74.0;
/// A bar that is wide enough for its name.
const NAMED: f64 = 46.0;
/// The step from one device's hue to the next, in degrees: neighbours never look alike.
const HUE: usize = 137;

impl Timeline {
    /// The run as a page of its own.
    pub fn html(&self) -> String {
        page(&self.title, &[self.body()])
    }

    /// The run as a part of a larger page, with a heading.
    pub fn section(&self) -> String {
        format!("<h2>{}</h2>\n{}", escape(&self.title), self.body())
    }

    /// Spans in which two bars hold the same device: device, from, to, in order.
    pub fn held_twice(&self) -> Vec<(&str, Duration, Duration)> {
        let mut devices: BTreeMap<&str, Vec<&Bar>> = BTreeMap::new();
        for bar in &self.bars {
            devices.entry(&bar.device).or_default().push(bar);
        }
        let mut twice = Vec::new();
        for (device, mut bars) in devices {
            bars.sort_by_key(|bar| (bar.from, bar.to));
            let mut held_until = Duration::ZERO;
            for bar in bars {
                if bar.from < held_until && bar.from < bar.to {
                    twice.push((device, bar.from, bar.to.min(held_until)));
                }
                held_until = held_until.max(bar.to);
            }
        }
        twice
    }

    fn body(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "<p>{}</p>", escape(note));
        }
        text.push_str(&self.svg());
        text.push_str(&self.legend());
        text
    }

    fn legend(&self) -> String {
        if self.marks.is_empty() {
            return String::new();
        }
        let mut text = "<table class=\"marks\">\n".to_owned();
        for (number, mark) in self.numbered() {
            let lasts = mark.until.map_or(String::new(), |until| readable(until.saturating_sub(mark.at)));
            let _ = writeln!(
                text,
                "<tr><td>{number}</td><td>{}</td><td>{lasts}</td><td>{}</td><td class=\"{}\">{}</td></tr>",
                readable(mark.at),
                escape(mark.node.as_deref().unwrap_or("cluster")),
                mark.kind.class(),
                escape(&mark.text),
            );
        }
        text.push_str("</table>\n");
        text
    }

    /// Marks in the order of time, numbered from 1.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Mark)> {
        let mut marks: Vec<&Mark> = self.marks.iter().collect();
        marks.sort_by_key(|mark| mark.at);
        (1..).zip(marks)
    }

    fn svg(&self) -> String {
        let lanes = self.all_lanes();
        let axis = Axis { end: self.end() };
        let rows: Vec<(Vec<(&Bar, usize)>, usize)> = lanes.iter().map(|lane| self.rows(lane)).collect();
        let bar_height = |count: usize| ((LANE - 8.0) / count.max(1) as f64).clamp(3.0, 16.0);
        let lane_height = |count: usize| (count as f64 * bar_height(count) + 8.0).max(34.0);
        let mut tops = BTreeMap::new();
        let mut bottom = STRIP;
        for (lane, (_, count)) in lanes.iter().zip(&rows) {
            tops.insert(*lane, (bottom, lane_height(*count)));
            bottom += lane_height(*count) + 6.0;
        }
        let mut text = format!(
            "<svg viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{}\">\n",
            LEFT + WIDTH + 10.0,
            bottom + 22.0,
            escape(&self.title)
        );
        for (lane, (top, height)) in &tops {
            let _ = writeln!(
                text,
                "<rect class=\"lane\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{WIDTH}\" height=\"{height:.1}\"/>\
                 <text class=\"name\" x=\"4\" y=\"{:.1}\">{}</text>",
                top + height / 2.0 + 4.0,
                escape(lane)
            );
        }
        for tick in axis.ticks() {
            let x = axis.x(tick);
            let _ = writeln!(
                text,
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{STRIP}\" y2=\"{bottom:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} s</text>",
                bottom + 15.0,
                tick.as_secs_f64()
            );
        }
        self.draw_marks(&mut text, &axis, &tops, bottom);
        let devices: BTreeSet<&str> = self.bars.iter().map(|bar| bar.device.as_str()).collect();
        let hues: BTreeMap<&str, usize> = devices.into_iter().zip((0..).step_by(HUE)).collect();
        let twice = self.held_twice();
        for (lane, (bars, count)) in lanes.iter().zip(&rows) {
            let (top, height) = (tops[lane].0 + 4.0, bar_height(*count));
            for (bar, row) in bars {
                let y = top + *row as f64 * height;
                draw_bar(&mut text, &axis, bar, hues[bar.device.as_str()] % 360, y, height);
                for (_, from, to) in twice.iter().filter(|(device, ..)| *device == bar.device) {
                    let (from, to) = (bar.from.max(*from), bar.to.min(*to));
                    if from < to {
                        let _ = writeln!(
                            text,
                            "<rect class=\"twice\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\">\
                             <title>{} held twice for {}</title></rect>",
                            axis.x(from),
                            axis.width(from, to),
                            escape(&bar.device),
                            readable(to.saturating_sub(from))
                        );
                    }
                }
            }
        }
        text.push_str("</svg>\n");
        text
    }

    fn draw_marks(&self, text: &mut String, axis: &Axis, tops: &BTreeMap<&str, (f64, f64)>, bottom: f64) {
        for (number, mark) in self.numbered() {
            let (top, height) = match &mark.node {
                Some(node) => tops[node.as_str()],
                None => (STRIP, bottom - STRIP),
            };
            let (x, class) = (axis.x(mark.at), mark.kind.class());
            let title = format!("{}: {}", readable(mark.at), mark.text);
            if let Some(until) = mark.until {
                let _ = writeln!(
                    text,
                    "<rect class=\"span {class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\">\
                     <title>{}</title></rect>",
                    axis.width(mark.at, until),
                    escape(&title)
                );
            }
            let _ = writeln!(
                text,
                "<g class=\"{class}\"><line class=\"stem\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"14\" y2=\"{:.1}\"/>\
                 <text class=\"number {class}\" x=\"{x:.1}\" y=\"11\" text-anchor=\"middle\">{number}</text>\
                 <title>{}</title></g>",
                top + height,
                escape(&title)
            );
        }
    }

    fn all_lanes(&self) -> Vec<&str> {
        let mut lanes: Vec<&str> = self.lanes.iter().map(String::as_str).collect();
        let named = self.bars.iter().map(|bar| &bar.node);
        let named: BTreeSet<&String> =
            named.chain(self.marks.iter().filter_map(|m| m.node.as_ref())).collect();
        for node in named {
            if !lanes.contains(&node.as_str()) {
                lanes.push(node);
            }
        }
        lanes
    }

    fn end(&self) -> Duration {
        let bars = self.bars.iter().map(|bar| bar.to);
        let marks = self.marks.iter().map(|mark| mark.until.unwrap_or(mark.at).max(mark.at));
        bars.chain(marks).max().unwrap_or_default().max(Duration::from_millis(1))
    }

    /// Bars of a lane, each with the first row that is free, and how many rows that takes.
    fn rows(&self, lane: &str) -> (Vec<(&Bar, usize)>, usize) {
        let mut bars: Vec<&Bar> = self.bars.iter().filter(|bar| bar.node == lane).collect();
        bars.sort_by(|a, b| (a.from, &a.device, a.epoch).cmp(&(b.from, &b.device, b.epoch)));
        let mut free_from: Vec<Duration> = Vec::new();
        let mut placed = Vec::new();
        for bar in bars {
            let row = free_from.iter().position(|free| *free <= bar.from).unwrap_or(free_from.len());
            if row == free_from.len() {
                free_from.push(Duration::ZERO);
            }
            free_from[row] = bar.to.max(bar.from);
            placed.push((bar, row));
        }
        (placed, free_from.len())
    }
}

fn draw_bar(text: &mut String, axis: &Axis, bar: &Bar, hue: usize, y: f64, height: f64) {
    let (x, width) = (axis.x(bar.from), axis.width(bar.from, bar.to));
    let (device, node) = (escape(&bar.device), escape(&bar.node));
    let _ = writeln!(
        text,
        "<rect class=\"bar\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         style=\"fill:hsl({hue} 55% var(--light))\"><title>{device} on {node}, epoch {}: {} to {}</title></rect>",
        bar.epoch,
        readable(bar.from),
        readable(bar.to)
    );
    if width > NAMED && height >= 9.0 {
        let short = bar.device.rsplit('/').next().unwrap_or(&bar.device);
        let room = (width / 5.5) as usize;
        let name: String = format!("{short} e{}", bar.epoch).chars().take(room).collect();
        let y = y + height / 2.0 + 3.0;
        let name = escape(&name);
        let _ = writeln!(text, "<text class=\"label\" x=\"{:.1}\" y=\"{y:.1}\">{name}</text>", x + 3.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(device: &str, node: &str, epoch: i64, from: u64, to: u64) -> Bar {
        let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
        Bar { device: device.to_owned(), node: node.to_owned(), epoch, from, to }
    }

    fn run() -> Timeline {
        Timeline {
            title: "worker killed & taken over".to_owned(),
            notes: vec!["seed <7>".to_owned()],
            lanes: vec!["node-2".to_owned(), "node-1".to_owned()],
            bars: vec![bar("a", "node-1", 1, 0, 400), bar("a", "node-2", 2, 700, 2_000)],
            marks: vec![Mark {
                at: Duration::from_millis(400),
                until: None,
                node: Some("node-1".to_owned()),
                kind: Kind::Fault,
                text: "SIGKILL".to_owned(),
            }],
        }
    }

    #[test]
    fn a_page_names_lanes_bars_and_marks_and_needs_nothing_from_outside() {
        let page = run().html();
        for part in ["node-1", "node-2", "a on node-2, epoch 2: 700 ms to 2.00 s", "400 ms: SIGKILL"] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        assert!(!["http", "<script", "src=", "@import"].iter().any(|outside| page.contains(outside)));
        assert_eq!(page, run().html());
    }

    #[test]
    fn text_is_escaped() {
        let page = run().html();
        assert!(page.contains("killed &amp; taken") && page.contains("seed &lt;7&gt;"), "{page}");
    }

    #[test]
    fn a_device_that_is_held_twice_is_found_and_drawn() {
        let mut run = run();
        assert_eq!(run.held_twice(), []);
        assert!(!run.html().contains("class=\"twice\""));
        run.bars.push(bar("a", "node-3", 3, 1_500, 2_500));
        let (from, to) = (Duration::from_millis(1_500), Duration::from_millis(2_000));
        assert_eq!(run.held_twice(), [("a", from, to)]);
        assert_eq!(run.html().matches("class=\"twice\"").count(), 2);
    }

    #[test]
    fn lanes_keep_their_order_and_an_unnamed_one_comes_last() {
        let mut run = run();
        run.marks.push(Mark { node: Some("node-0".to_owned()), ..run.marks[0].clone() });
        assert_eq!(run.all_lanes(), ["node-2", "node-1", "node-0"]);
    }

    #[test]
    fn bars_that_overlap_in_a_lane_stand_below_each_other() {
        let bars = vec![bar("a", "n", 1, 0, 10), bar("b", "n", 1, 5, 20), bar("c", "n", 1, 10, 20)];
        let run = Timeline { bars, ..Timeline::default() };
        let (placed, rows) = run.rows("n");
        assert_eq!(
            placed.iter().map(|(bar, row)| (bar.device.as_str(), *row)).collect::<Vec<_>>(),
            [("a", 0), ("b", 1), ("c", 0)]
        );
        assert_eq!(rows, 2);
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks: Vec<_> = Axis { end: Duration::from_millis(61_000) }.ticks().collect();
        assert_eq!((ticks[1], ticks.len()), (Duration::from_secs(10), 7));
        assert!(Timeline::default().html().contains("<svg"));
    }
}
