//! The parent and real worker processes: certificates, restarts, signals.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use roost_node::parent::{Family, FamilyError, RestartOptions, raise};
use roost_placement::ledger::{JoinError, Ledger, MemberState, Timing};
use roost_proto::id::{Incarnation, Life};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::ledger::{TestLedger, candidate};
use crate::pass;

/// With these a slot in use is waited for 0.48 s.
const SWIFT: Timing = Timing {
    beat: Duration::from_millis(20),
    ttl: Duration::from_millis(100),
    margin: Duration::from_millis(20),
    grace: Duration::from_millis(20),
};

/// A worker that is a line of shell; `$F` is a file to write to.
fn family(ledger: &TestLedger, script: &str, file: &Path) -> Family {
    let script = format!("F='{}'; {script}", file.display());
    let first = Duration::from_millis(5);
    Family {
        ledger: Arc::new(ledger.clone()),
        candidate: candidate("n1"),
        timing: Timing::FAST,
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        grace: Duration::from_secs(20),
        restarts: RestartOptions { most: 3, first, ..RestartOptions::default() },
    }
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seen");
    (folder, path)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("within 20 seconds")
}

#[tokio::test]
async fn a_worker_that_crashes_is_certified_dead_and_started_as_a_new_life() {
    let (_folder, path) = file();
    let ledger = TestLedger::default();
    let script = "echo $ROOST_LIFE >> $F; test $(wc -l < $F) -ge 3";
    let (_stop, signals) = mpsc::channel(1);
    let code = in_time(raise(family(&ledger, script, &path), signals)).await.expect("it ran");
    assert_eq!(code, 0);
    assert_eq!(lines(&path), ["n1/1", "n1/2", "n1/3"]);
    assert_eq!(ledger.certificates.load(Ordering::Relaxed), 3);
    let last = Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(3) };
    assert_eq!(ledger.state_of(&last), Some(MemberState::Dead));
}

#[tokio::test]
async fn a_worker_that_refuses_its_configuration_is_not_started_again() {
    let (_folder, path) = file();
    let (_stop, signals) = mpsc::channel(1);
    let family = family(&TestLedger::default(), "echo x >> $F; exit 78", &path);
    assert_eq!(in_time(raise(family, signals)).await.expect("it ran"), 78);
    assert_eq!(lines(&path).len(), 1);
}

#[tokio::test]
async fn a_worker_that_cannot_live_is_given_up_when_the_budget_is_spent() {
    let (_folder, path) = file();
    let (_stop, signals) = mpsc::channel(1);
    let family = family(&TestLedger::default(), "echo x >> $F; exit 3", &path);
    assert_eq!(in_time(raise(family, signals)).await.expect("it ran"), 3);
    assert_eq!(lines(&path).len(), 4, "once and three restarts");
}

#[tokio::test]
async fn the_first_signal_asks_the_second_kills() {
    let (_folder, path) = file();
    let ledger = TestLedger::default();
    let script = "trap 'echo asked >> $F' TERM; echo up >> $F; while :; do sleep 0.02; done";
    let (stop, signals) = mpsc::channel(2);
    let family = family(&ledger, script, &path);
    let ask = async {
        for wanted in ["up", "asked"] {
            while !lines(&path).iter().any(|line| line == wanted) {
                pass(Duration::from_millis(5)).await;
            }
            stop.send(()).await.expect("the parent listens");
        }
    };
    let (code, ()) = in_time(async { tokio::join!(raise(family, signals), ask) }).await;
    assert_eq!(code.expect("it ran"), 137);
    assert_eq!(ledger.certificates.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_worker_that_does_not_leave_in_time_is_killed() {
    let (_folder, path) = file();
    let script = "trap '' TERM; echo up >> $F; while :; do sleep 0.02; done";
    let (stop, signals) = mpsc::channel(2);
    let family = Family { grace: Duration::from_millis(50), ..family(&TestLedger::default(), script, &path) };
    let ask = async {
        while lines(&path).is_empty() {
            pass(Duration::from_millis(5)).await;
        }
        stop.send(()).await.expect("the parent listens");
    };
    let (code, ()) = in_time(async { tokio::join!(raise(family, signals), ask) }).await;
    assert_eq!(code.expect("it ran"), 137);
}

#[tokio::test(start_paused = true)]
async fn a_node_id_that_somebody_else_holds_is_refused_after_a_while() {
    let (_folder, path) = file();
    let ledger = TestLedger::default();
    let holder = ledger.join(&candidate("n1"), None, &Timing::FAST).await.expect("free");
    let beating = ledger.clone();
    let beats = holder.clone();
    tokio::spawn(async move {
        loop {
            beating.beat(&beats, &0.into(), &Timing::FAST).await.expect("up");
            pass(Duration::from_millis(400)).await;
        }
    });
    let (_stop, signals) = mpsc::channel(1);
    let refused = raise(family(&ledger, "exit 0", &path), signals).await.expect_err("in use");
    let FamilyError::Join(JoinError::InUse { holder: named, .. }) = refused else { panic!("{refused}") };
    assert_eq!(named.life, holder);
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_slot_is_taken_after_its_holder_has_stood_still_before_our_eyes() {
    let (_folder, path) = file();
    let ledger = TestLedger::default();
    ledger.join(&candidate("n1"), None, &Timing::FAST).await.expect("free");
    pass(Duration::from_secs(60)).await;
    let began = Instant::now();
    let family = Family { program: path.join("nothing"), ..family(&ledger, "", &path) };
    let (_stop, signals) = mpsc::channel(1);
    let refused = raise(family, signals).await.expect_err("no such program");
    assert!(matches!(refused, FamilyError::Spawn { .. }), "{refused}");
    let waited = began.elapsed();
    assert!(waited >= Timing::FAST.quarantine() && waited < 2 * Timing::FAST.quarantine(), "{waited:?}");
    let next = Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(2) };
    assert_eq!(ledger.state_of(&next), Some(MemberState::Dead), "it had joined");
}

/// A node whose worker ends while the store is away, for longer than a slot in use is waited for; `heard` is what has
/// become of its slot by the time when the store answers again. Returns the life of its next worker.
async fn outlasts_an_outage(heard: impl AsyncFnOnce(&TestLedger, Life)) -> String {
    let (_folder, path) = file();
    let ledger = TestLedger::default();
    let script = "echo $ROOST_LIFE >> $F; test $(wc -l < $F) -ge 2 && exit 0
                  while [ ! -e $F.away ]; do sleep 0.02; done; exit 3";
    let family = Family { timing: SWIFT, ..family(&ledger, script, &path) };
    let (_stop, signals) = mpsc::channel(1);
    let outage = async {
        while lines(&path).is_empty() {
            pass(Duration::from_millis(5)).await;
        }
        ledger.set_down(true);
        std::fs::write(path.with_extension("away"), "").expect("written");
        // Six certificates; then two each 0.2 s or more.
        while ledger.unanswered.load(Ordering::Relaxed) < 14 {
            pass(Duration::from_millis(5)).await;
        }
        ledger.set_down(false);
        heard(&ledger, Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(1) }).await;
    };
    let (code, ()) = in_time(async { tokio::join!(raise(family, signals), outage) }).await;
    assert_eq!(code.expect("it comes back"), 0);
    lines(&path).last().expect("a line").clone()
}

#[tokio::test]
async fn a_life_whose_certificate_came_late_does_not_keep_its_node_out() {
    assert_eq!(outlasts_an_outage(async |_, _| ()).await, "n1/2");
}

#[tokio::test]
async fn a_slot_in_use_is_waited_for_from_when_that_is_heard_on() {
    let taken_by_another = async |ledger: &TestLedger, life: Life| {
        ledger.certify_death(&life).await.expect("up");
        ledger.join(&candidate("n1"), None, &SWIFT).await.expect("free");
    };
    assert_eq!(outlasts_an_outage(taken_by_another).await, "n1/3");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_at_the_start_is_an_error() {
    let (_folder, path) = file();
    let ledger = TestLedger::default();
    ledger.set_down(true);
    let (_stop, signals) = mpsc::channel(1);
    let refused = raise(family(&ledger, "exit 0", &path), signals).await.expect_err("down");
    assert!(matches!(refused, FamilyError::Join(JoinError::Unavailable(_))), "{refused}");
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error_and_leaves_no_life_behind() {
    let (_folder, path) = file();
    let ledger = TestLedger::default();
    let family = Family { program: path.join("nothing"), ..family(&ledger, "", &path) };
    let (_stop, signals) = mpsc::channel(1);
    let refused = raise(family, signals).await.expect_err("no such program");
    assert!(matches!(refused, FamilyError::Spawn { .. }), "{refused}");
    assert_eq!(ledger.certificates.load(Ordering::Relaxed), 1);
}
