//! Histories per second of the simulation at machines depth, on one core: 5 nodes, 50 devices, 2 virtual
//! minutes under faults. The aim is 100.

use std::time::{Duration, Instant};

use roost_simulations::machines::many::one;
use roost_simulations::run::Size;

const HISTORIES: u64 = 20;

fn main() {
    let size = Size { nodes: Some(5), devices: Some(50), under_faults: Some(Duration::from_secs(120)) };
    let begin = Instant::now();
    let mut facts = 0;
    for seed in 1..=HISTORIES {
        let answer = one(seed, size, false);
        assert_eq!(answer.violation, None, "seed {seed}");
        facts += answer.facts;
    }
    let took = begin.elapsed().as_secs_f64();
    let rate = HISTORIES as f64 / took;
    println!(
        "{HISTORIES} histories of {} facts in {took:.1} s: {rate:.2} per second and core",
        facts / HISTORIES
    );
}
