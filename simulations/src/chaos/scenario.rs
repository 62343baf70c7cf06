//! What a scenario is, and which there are.
//!
//! What must hold: a scenario mends everything that it breaks before it ends, and draws whom it strikes from
//! the run's dice; whether what happened was right is not its business but the verdict's, except where it knows more than
//! the verdict can.

use std::future::Future;
use std::pin::Pin;

use super::arena::{Arena, Pace};
use super::database::pooler_missing;
use super::network;
use super::scenarios::{
    cuts, failovers, freezes, kills, limits, links, outages, pooler, restarts, storms, twins,
};
use super::verdict::Price;
use crate::world::Failed;

/// A scenario in progress.
pub type Play<'a> = Pin<Box<dyn Future<Output = Result<(), Failed>> + 'a>>;

/// What a scenario needs beyond nodes and a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Network namespaces and a packet filter.
    Network,
    /// A database server of our own, to break it.
    OwnServer,
    /// The same on a file system that can be filled.
    SmallDisk,
    /// The same behind PgBouncer.
    Pooler,
    /// The program of the release before.
    ReleaseBefore,
}

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// For the command line.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// What it may cost.
    pub price: Price,
    /// Does it.
    pub play: for<'a> fn(&'a mut Arena) -> Play<'a>,
}

impl Needs {
    /// In words, for the list.
    pub fn words(self) -> &'static str {
        match self {
            Needs::Nothing => "",
            Needs::Network => "root, ip, nft",
            Needs::OwnServer => "a PostgreSQL of its own",
            Needs::SmallDisk => "a PostgreSQL of its own; root, mount",
            Needs::Pooler => "a PostgreSQL of its own; pgbouncer",
            Needs::ReleaseBefore => "--release-before",
        }
    }
}

impl Scenario {
    /// What is missing here, in words.
    pub fn missing(&self, pace: &Pace) -> Option<String> {
        let given = pace.database_url.is_some();
        let own = || given.then(|| "a database server of its own: leave out --database-url".to_owned());
        match self.needs {
            Needs::Nothing => None,
            Needs::Network => network::missing(),
            Needs::OwnServer => own(),
            Needs::SmallDisk => own().or_else(|| {
                (!rustix::process::geteuid().is_root()).then(|| "root, for a small file system".to_owned())
            }),
            Needs::Pooler => own().or_else(pooler_missing),
            Needs::ReleaseBefore => {
                pace.release_before.is_none().then(|| "the program of --release-before".to_owned())
            }
        }
    }
}

/// All scenarios, in the order in which `all` runs them.
pub const ALL: [&Scenario; 22] = [
    &kills::WORKERS,
    &kills::NODES,
    &kills::ALL_AT_ONCE,
    &freezes::FREEZES,
    &cuts::DATABASE,
    &cuts::PEERS,
    &cuts::WHATSAPP,
    &cuts::ONE_WAY,
    &links::SLOW,
    &links::LOSSY,
    &outages::RESTART,
    &outages::KILL,
    &outages::SILENCE,
    &failovers::SYNCHRONOUS,
    &failovers::ASYNCHRONOUS,
    &pooler::POOLER,
    &limits::DISK_FULL,
    &limits::CONNECTIONS,
    &restarts::ROLLING,
    &restarts::UPGRADE,
    &storms::STORM,
    &twins::TWINS,
];

/// A scenario by its name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.into_iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_says_what_it_does() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(!names.contains("all"));
        assert!(ALL.iter().all(|scenario| scenario.about.ends_with('.')));
        assert!(named("worker-kills").is_some() && named("peace").is_none());
    }

    #[test]
    fn a_database_that_was_given_is_never_broken() {
        let pace = Pace { database_url: Some("postgres://db/roost".to_owned()), ..Pace::default() };
        for scenario in ALL.iter().filter(|s| !matches!(s.needs, Needs::Nothing | Needs::Network)) {
            assert!(scenario.missing(&pace).is_some(), "{}", scenario.name);
        }
    }

    #[test]
    fn an_upgrade_needs_the_release_before() {
        let upgrade = named("rolling-upgrade").expect("it is one of them");
        assert!(upgrade.missing(&Pace::default()).is_some_and(|text| text.contains("--release-before")));
        let pace = Pace { release_before: Some("roost-before".into()), ..Pace::default() };
        assert_eq!(upgrade.missing(&pace), None);
    }
}
