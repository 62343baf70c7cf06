//! The live picture in the terminal: members, who owns what, messages, and what is happening.
//!
//! Drawn in place on a terminal, as plain lines elsewhere. Pure text out of a state that the story
//! writes; it asks nobody anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use roost_proto::api::Node;
use roost_proto::api::node::State;

/// What the picture shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    /// Members as the last answer said.
    pub(super) members: Vec<Node>,
    /// Owner of each device by name; empty when nobody has it.
    pub(super) owners: BTreeMap<String, String>,
    /// Messages that the API accepted.
    pub(super) sent: usize,
    /// Accepted and not yet in the receiver's log.
    pub(super) under_way: usize,
    /// Connections at the simulated WhatsApp.
    pub(super) connected: usize,
    /// What has happened, oldest first.
    pub(super) story: Vec<String>,
}

/// Colours of the nodes in order of name: blue, yellow, magenta, cyan, green, red.
const COLOURS: [u8; 6] = [44, 43, 45, 46, 42, 41];

/// Devices in one row of the map.
const COLUMNS: usize = 20;

/// Lines of the story that stay in view.
const STORY: usize = 12;

impl Picture {
    /// The whole picture, with colours, for a terminal.
    pub(super) fn draw(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "\x1b[1mRoost\x1b[0m   three nodes, one store, a simulated WhatsApp\n");
        for (place, member) in self.members.iter().enumerate() {
            let lease = member.lease_remaining.map_or(0.0, |left| {
                f64::from(i32::try_from(left.seconds).unwrap_or(0)) + f64::from(left.nanos) / 1e9
            });
            let owned = self.owners.values().filter(|owner| **owner == member.name).count();
            let _ = writeln!(
                text,
                "  {} {:<8} life {:<3} {:<9} lease {lease:>4.1} s  {:<32} {owned}",
                swatch(place),
                member.name,
                member.incarnation,
                state_name(member.state()),
                "▇".repeat(owned.min(32)),
            );
        }
        let _ = writeln!(text, "\n  who owns what (one cell a device)");
        for row in self.owners.values().collect::<Vec<_>>().chunks(COLUMNS) {
            text.push_str("  ");
            for owner in row {
                match self.members.iter().position(|member| member.name == **owner) {
                    Some(place) => text.push_str(&swatch(place)),
                    None => text.push_str("··"),
                }
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "\n  messages accepted {:<7} under way {:<5} devices connected {}\n",
            self.sent, self.under_way, self.connected
        );
        for line in self.story.iter().rev().take(STORY).rev() {
            let _ = writeln!(text, "  {line}");
        }
        text
    }

    /// One line, for a log.
    pub(super) fn line(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            let owned = self.owners.values().filter(|owner| **owner == member.name).count();
            let _ = write!(text, "{} {} {owned}, ", member.name, state_name(member.state()));
        }
        let _ = write!(
            text,
            "connected {}, accepted {}, under way {}",
            self.connected, self.sent, self.under_way
        );
        text
    }
}

fn swatch(place: usize) -> String {
    format!("\x1b[{}m  \x1b[0m", COLOURS[place % COLOURS.len()])
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Joining => "joining",
        State::Active => "active",
        State::Draining => "draining",
        State::Dead => "dead",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_counts_devices_by_their_owner() {
        let member = Node { name: "node-1".to_owned(), state: State::Active.into(), ..Node::default() };
        let owners = [("a", "node-1"), ("b", "node-1"), ("c", "")];
        let owners = owners.map(|(device, owner)| (device.to_owned(), owner.to_owned())).into();
        let picture = Picture { members: vec![member], owners, sent: 7, ..Picture::default() };
        assert_eq!(picture.line(), "node-1 active 2, connected 0, accepted 7, under way 0");
        assert!(picture.draw().contains("▇▇"));
    }
}
