//! Trouble for real nodes, and what it cost: a kill, a freeze, a drain, each followed from its cause to
//! the first new message.
//!
//! Spans are taken where a user would see them: the signal here, members and owners in the answers of the
//! API, logins and ends of connections in the ledger of the simulated WhatsApp, events at the readers.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use roost_node::client::Client;
use roost_proto::api::DrainNodeRequest;
use rustix::process::Signal;

use crate::percentiles::Spans;
use crate::postgres::TempPostgres;
use crate::processes::{holds_write_lock, is_stopped};
use crate::sightings;
use crate::world::{Failed, World, until};

/// How long catching a node inside a transaction may take.
const CATCH: Duration = Duration::from_secs(10);

/// A frozen node is not asked by those who look on, for so long at most.
const FROZEN: Duration = Duration::from_secs(600);

/// A device that lost its owner.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// Its name.
    pub device: String,
    /// Its phone number.
    pub phone_number: String,
    /// The epoch that ended.
    pub epoch: i64,
}

/// What became of the devices of a node that was lost.
#[derive(Debug, Clone, Default)]
pub struct TakeOver {
    /// From the cause until a member no longer counts the node among the living.
    pub detected: Duration,
    /// From the cause until each device has a new owner.
    pub claimed: Duration,
    /// From the cause to the first login under the new owner, per device.
    pub logins: Spans,
    /// From the cause to the first message that a reader saw under a new owner.
    pub first_message: Duration,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    at: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Moment {
        Moment { at: Instant::now(), wall: SystemTime::now() }
    }
}

/// Devices of a node as they are now.
pub async fn orphans_of(world: &World, place: usize) -> Result<Vec<Orphan>, Failed> {
    let owners = world.owners().await?;
    let mut orphans = Vec::new();
    for speaker in &world.speakers {
        if let Some(owner) = owners.get(&speaker.device).filter(|o| o.node == world.nodes[place].id) {
            orphans.push(Orphan {
                device: speaker.device.clone(),
                phone_number: speaker.phone_number.clone(),
                epoch: owner.epoch,
            });
        }
    }
    Ok(orphans)
}

/// SIGKILL to the worker of a node.
pub fn kill(world: &World, place: usize) -> Result<Moment, Failed> {
    let moment = Moment::now();
    if world.nodes[place].signal_worker(Signal::KILL)? {
        Ok(moment)
    } else {
        Err(format!("{} has no worker to kill", world.nodes[place].id).into())
    }
}

/// SIGKILL to the parent of a node, which takes its worker with it: nobody is left to certify the death.
pub fn kill_whole(world: &World, place: usize) -> Result<Moment, Failed> {
    let moment = Moment::now();
    if world.nodes[place].signal_parent(Signal::KILL)? {
        Ok(moment)
    } else {
        Err(format!("{} does not run", world.nodes[place].id).into())
    }
}

/// SIGSTOP to the worker of a node in the middle of a transaction on PostgreSQL: when it has passed the
/// fence and has not committed. To catch it there, rows that it needs next are locked for a moment.
pub async fn freeze_in_transaction(
    world: &World,
    place: usize,
    server: &TempPostgres,
    database: &str,
) -> Result<Moment, Failed> {
    let node = &world.nodes[place];
    let mut session = server.session(database, "trouble")?;
    let id = &node.id;
    let sessions = |state: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity a WHERE application_name LIKE 'roost/{id}/%' AND {state}"
        );
        server.sql(database, &sql).is_ok_and(|count| count != "0")
    };
    // Not for somebody else: a statement by itself would leave no transaction behind.
    let behind = "EXISTS (SELECT 1 FROM pg_stat_activity t WHERE t.application_name = 'trouble'
                  AND t.pid = ANY (pg_blocking_pids(a.pid)))";
    let waiting = || async { sessions(behind) };
    // Rows that it commits at this moment are passed over, and devices move: so it is asked again.
    let what = format!("{id} waits inside a transaction");
    let started = Instant::now();
    loop {
        session.run(&format!(
            "BEGIN; SELECT 1 FROM event_head h JOIN ownership o USING (business_id, device_id)
             WHERE o.owner_node = '{id}' FOR UPDATE OF h SKIP LOCKED;"
        ));
        match until(&what, CATCH / 10, waiting).await {
            Ok(()) => break,
            Err(error) if started.elapsed() > CATCH => return Err(error),
            Err(_) => drop(session.run("ROLLBACK;")),
        }
    }
    let moment = Moment::now();
    node.signal_worker(Signal::STOP)?;
    session.run("ROLLBACK;");
    // The statement that waited ends now, and nobody takes its answer.
    let idle = || async { sessions("state = 'idle in transaction'") };
    until(&format!("{id} is frozen inside a transaction"), CATCH, idle).await?;
    Ok(moment)
}

/// SIGSTOP to the worker of a node. On SQLite a process that is frozen inside a write transaction blocks
/// the file for all, so there it is woken and frozen again until it is caught outside one.
pub async fn freeze(world: &World, place: usize) -> Result<Moment, Failed> {
    let node = &world.nodes[place];
    let file = world.site.store_url.strip_prefix("sqlite://").map(Path::new);
    for _ in 0..1000 {
        let moment = Moment::now();
        let worker = node.worker().ok_or("there is no worker to freeze")?;
        node.signal_worker(Signal::STOP)?;
        until("the worker is stopped", CATCH, || async { is_stopped(worker) }).await?;
        match file {
            Some(file) if holds_write_lock(worker, file)? => {
                node.signal_worker(Signal::CONT)?;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            _ => {
                world.lookers.leave_alone(place, FROZEN);
                return Ok(moment);
            }
        }
    }
    Err("the worker was never seen outside a write transaction".into())
}

/// SIGCONT to the worker of a node.
pub fn wake(world: &World, place: usize) -> Result<(), Failed> {
    world.nodes[place].signal_worker(Signal::CONT)?;
    world.lookers.leave_alone(place, Duration::ZERO);
    Ok(())
}

/// Follows a take-over to its end, each step at most for `patience`.
pub async fn follow(
    world: &World,
    place: usize,
    orphans: &[Orphan],
    old: &[i64],
    cause: Moment,
    patience: Duration,
) -> Result<TakeOver, Failed> {
    let id = &world.nodes[place].id;
    until(&format!("{id} is found dead"), patience, || async {
        lives_of(world, place).await.is_ok_and(|lives| lives != old)
    })
    .await?;
    let detected = cause.at.elapsed();
    until("every device has a new owner", patience, || async {
        let Ok(owners) = world.owners().await else { return false };
        orphans.iter().all(|orphan| {
            owners.get(&orphan.device).is_some_and(|o| !o.node.is_empty() && o.epoch > orphan.epoch)
        })
    })
    .await?;
    let claimed = cause.at.elapsed();
    let logins = logged_in(world, orphans, cause, patience).await?;
    let first = || {
        let seen = |o: &Orphan| world.books.with(|tally| tally.first_message_after(&o.device, o.epoch));
        orphans.iter().filter_map(seen).min()
    };
    until("a first message arrives under a new owner", patience, || async {
        orphans.is_empty() || first().is_some()
    })
    .await?;
    let first_message = first().map(|at| at.duration_since(cause.at)).unwrap_or_default();
    Ok(TakeOver { detected, claimed, logins, first_message })
}

/// Incarnations under which a node is among the living.
pub async fn lives_of(world: &World, place: usize) -> Result<Vec<i64>, Failed> {
    let members = world.members().await?;
    let own = members.iter().filter(|member| member.name == world.nodes[place].id);
    Ok(own.map(|member| member.incarnation).collect())
}

async fn logged_in(
    world: &World,
    orphans: &[Orphan],
    cause: Moment,
    patience: Duration,
) -> Result<Spans, Failed> {
    let login = |orphan: &Orphan| sightings::first_login(&world.sim, &orphan.phone_number, cause.wall);
    until("every device is connected again", patience, || async {
        orphans.iter().all(|orphan| login(orphan).is_some())
    })
    .await?;
    let mut spans = Spans::default();
    for at in orphans.iter().filter_map(login) {
        spans.push(at.duration_since(cause.wall).unwrap_or_default());
    }
    Ok(spans)
}

/// Drains a node to its end and waits until its devices are connected elsewhere. Returns, per device, the
/// span from the end of the old connection to the next login.
pub async fn drain(
    world: &mut World,
    place: usize,
    orphans: &[Orphan],
    patience: Duration,
) -> Result<Spans, Failed> {
    let cause = Moment::now();
    let request = DrainNodeRequest { node: world.nodes[place].id.clone() };
    let drain = |client: Client| {
        let request = request.clone();
        async move { client.cluster().drain_node(request).await }
    };
    let mut progress = world.callers.call(patience, drain).await?.into_inner();
    while let Ok(Some(step)) = progress.message().await {
        if step.remaining == 0 {
            break;
        }
    }
    match world.nodes[place].ended(patience).await? {
        Some(status) if status.success() => {}
        Some(status) => return Err(format!("{} ended its drain with {status}", request.node).into()),
        None => return Err(format!("{} did not end after its drain", request.node).into()),
    }
    logged_in(world, orphans, cause, patience).await?;
    let mut gaps = Spans::default();
    for gap in orphans.iter().filter_map(|o| sightings::gap(&world.sim, &o.phone_number, cause.wall)) {
        gaps.push(gap);
    }
    Ok(gaps)
}
