//! Histories per second of the simulation at stack depth, on one core: 5 nodes, 50 devices, 2 virtual
//! minutes under faults. The aim is 2.

use std::time::{Duration, Instant};

use roost_simulations::stack::{Plan, Size, run};

const HISTORIES: u64 = 10;

fn main() {
    let size = Size { nodes: Some(5), devices: Some(50), under_faults: Some(Duration::from_secs(120)) };
    let begin = Instant::now();
    let mut facts = 0;
    for seed in 1..=HISTORIES {
        let plan = Plan::draw(seed, size);
        let outcome = run(&plan, plan.history(false));
        let outcome = outcome.expect("the run can be carried out");
        assert_eq!(outcome.violation, None, "seed {seed}");
        facts += outcome.facts;
    }
    let took = begin.elapsed().as_secs_f64();
    let rate = HISTORIES as f64 / took;
    println!(
        "{HISTORIES} histories of {} facts in {took:.1} s: {rate:.2} per second and core",
        facts / HISTORIES
    );
}
