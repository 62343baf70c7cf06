//! One scenario from an empty machine to its verdict.
//!
//! What must hold: the load goes on from before the first fault until the last is over; whatever happens, a
//! verdict comes out of it, and everything that was started has ended. A run that is stopped ends where it is,
//! however broken its nodes and its database are by then, and says what was seen until then. A scenario that
//! this machine does not allow is not run, and that is said.

use std::time::Duration;

use futures_util::future::join_all;
use roost_node::client::Client;
use roost_proto::api::{Recipient, SendMessageRequest, recipient, send_message_request};
use uuid::Uuid;

use super::arena::{Arena, PATIENCE, Pace};
use super::consumer::Consumers;
use super::database::Database;
use super::findings::{self, OWNERSHIP, Tenure};
use super::scenario::{Needs, Scenario};
use super::verdict::{Price, Verdict};
use super::watch::Watch;
use crate::callers::within;
use crate::sightings;
use crate::talk::{Speaker, Talk};
use crate::tally::Balance;
use crate::timeline::{Kind, Mark, Timeline};
use crate::world::{Failed, World, until};

/// What came of a scenario.
pub enum Outcome {
    /// It was run.
    Ran(Box<Ran>),
    /// It cannot be run here: what is missing.
    Skipped(String),
}

/// A scenario that was run.
pub struct Ran {
    /// What it came to.
    pub verdict: Verdict,
    /// What happened.
    pub timeline: Timeline,
    /// How long all of it took, from the first fault on.
    pub took: Duration,
    /// Where the logs of the nodes are, when something is wrong.
    pub logs: Option<std::path::PathBuf>,
}

/// Speakers for each sender, how many senders there are at most, and the pause between two messages of one.
const SPEAKERS: usize = 2;
const SENDERS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Undisturbed talk before the first fault.
const CALM: Duration = Duration::from_secs(2);

/// Runs it.
pub async fn run(scenario: &Scenario, pace: &Pace) -> Outcome {
    if let Some(missing) = scenario.missing(pace) {
        return Outcome::Skipped(missing);
    }
    match play(scenario, pace).await {
        Ok(ran) => Outcome::Ran(Box::new(ran)),
        Err(error) => {
            let verdict = Verdict { complaints: vec![error.to_string()], ..Verdict::default() };
            let timeline = Timeline { title: scenario.name.to_owned(), ..Timeline::default() };
            Outcome::Ran(Box::new(Ran { verdict, timeline, took: Duration::ZERO, logs: None }))
        }
    }
}

async fn play(scenario: &Scenario, pace: &Pace) -> Result<Ran, Failed> {
    let arena = tokio::select! {
        biased;
        () = pace.stop.cancelled() => None,
        arena = set_up(scenario, pace) => Some(arena?),
    };
    let Some(mut arena) = arena else { return Ok(stopped_before_it_began(scenario)) };
    let senders = arena.world.speakers.len().div_ceil(SPEAKERS).min(SENDERS);
    let mut talk = arena.world.talk(senders, PAUSE);
    let consumers = Consumers::start(&arena.world.callers, &arena.world.tenants);
    let watch = Watch::start(arena.world.lookers.clone());
    let mut verdict = Verdict { price: scenario.price, ..Verdict::default() };
    tokio::select! {
        biased;
        () = pace.stop.cancelled() => verdict.stopped = true,
        () = trial(scenario, &mut arena, &mut talk, &consumers, &mut verdict) => {}
    }
    let consumed = consumers.seen();
    verdict.consumed = (consumed.taken, consumed.again);
    verdict.complaints.extend(consumed.faults);
    if verdict.stopped {
        arena.diary.event("stopped");
        // It may be frozen, and is asked below.
        arena.database.thaw();
        arena.world.books.with(|tally| {
            (verdict.balance, verdict.reordered) = (tally.balance(), tally.reordered());
        });
    } else {
        audit(&mut verdict, &arena.world).await;
    }
    verdict.rewritten = arena.world.books.with(|tally| tally.rewritten());
    verdict.key_reuse = sightings::key_reuse(&arena.world.sim);
    verdict.complaints.extend(sightings::reused_keys(&arena.world.sim, INQUIRIES));
    match arena.database.sql(OWNERSHIP).and_then(|answer| findings::tenures(&answer, &arena.diary)) {
        Ok(log) => examine(&mut verdict, &arena, &log, &watch),
        // It was stopped while the database was away.
        Err(error) if verdict.stopped => {
            examine(&mut verdict, &arena, &[], &watch);
            verdict.findings.notes.push(format!("the ownership log cannot be read: {error}"));
        }
        Err(error) => verdict.complaints.push(error.to_string()),
    }
    if !verdict.stopped {
        inquire(&mut verdict, &arena);
    }
    let timeline = picture(scenario, pace, &arena, &verdict);
    let logs = if verdict.is_dirty() {
        arena.world.keep_folder();
        Some(arena.world.site.folder.clone())
    } else {
        None
    };
    Ok(Ran { verdict, timeline, took: arena.diary.elapsed(), logs })
}

/// Makes everything that a scenario plays on.
async fn set_up(scenario: &Scenario, pace: &Pace) -> Result<Arena, Failed> {
    let (needs, url) = (scenario.needs, pace.database_url.clone());
    let database = tokio::task::spawn_blocking(move || match (needs, url) {
        (Needs::SmallDisk, _) => Database::on_a_small_disk(),
        (Needs::Pooler, _) => Database::behind_a_pooler(),
        (_, Some(url)) => Database::given(&url),
        (_, None) => Database::temporary(),
    });
    let program = match (needs, &pace.release_before) {
        (Needs::ReleaseBefore, Some(before)) => before,
        _ => &pace.program,
    };
    Arena::build(pace, program, database.await??).await
}

fn stopped_before_it_began(scenario: &Scenario) -> Ran {
    let mut verdict = Verdict { stopped: true, ..Verdict::default() };
    verdict.findings.notes.push("stopped while it was set up".to_owned());
    let timeline = Timeline { title: scenario.name.to_owned(), ..Timeline::default() };
    Ran { verdict, timeline, took: Duration::ZERO, logs: None }
}

/// The scenario, under load, and everything that has to come to its end after it.
async fn trial(
    scenario: &Scenario,
    arena: &mut Arena,
    talk: &mut Talk,
    consumers: &Consumers,
    verdict: &mut Verdict,
) {
    arena.calm(CALM).await;
    if let Err(error) = (scenario.play)(arena).await {
        verdict.complaints.push(error.to_string());
    }
    match recover(arena).await {
        Ok(took) => verdict.recovery = Some(took),
        Err(error) => verdict.complaints.push(format!("no recovery: {error}")),
    }
    let refused = talk.hush().await;
    if let Some(first) = refused.first() {
        verdict.complaints.push(format!("{} calls were refused, the first with {first}", refused.len()));
    }
    talk.all_arrived(&arena.world.books, PATIENCE / 2).await;
    let positions: Vec<(String, i64)> = arena.world.books.with(|tally| {
        let position = |speaker: &Speaker| (speaker.device.clone(), tally.position(&speaker.device));
        arena.world.speakers.iter().map(position).collect()
    });
    let caught_up = || async {
        let seen = consumers.seen();
        positions.iter().all(|(device, sequence)| seen.has_taken(device, *sequence))
    };
    if let Err(error) = until("the consumers have taken everything", PATIENCE / 2, caught_up).await {
        verdict.complaints.push(error.to_string());
    }
}

/// Holds what was sent against the logs as they are now, and against what the readers were given meanwhile.
async fn audit(verdict: &mut Verdict, world: &World) {
    let read = world.books.with(|tally| tally.balance());
    match crate::talk::read_all(&world.callers, &world.books, &world.tenants).await {
        Ok(log) => (verdict.balance, verdict.reordered) = (log.balance(), log.reordered()),
        Err(status) => verdict.complaints.push(format!("the logs cannot be read: {status}")),
    }
    let Balance { once, doubled, .. } = verdict.balance;
    if verdict.price == Price::Nothing && (read.once, read.doubled) != (once, doubled) {
        let (seen, twice) = (read.once, read.doubled);
        verdict
            .complaints
            .push(format!("readers were given {seen} once and {twice} twice, the logs have others"));
    }
    if verdict.price == Price::Nothing {
        verdict.complaints.extend(read.faults);
    }
}

/// Lost messages that are looked into.
const INQUIRIES: usize = 5;

/// Says how far lost messages have come, so that somebody can find out where they stayed.
fn inquire(verdict: &mut Verdict, arena: &Arena) {
    let lost = arena.world.books.with(|tally| tally.lost());
    for (text, to, id) in lost.into_iter().take(INQUIRIES) {
        let id = id.unwrap_or_default();
        let phone = arena.world.speakers.iter().find(|speaker| speaker.device == to);
        let seen = phone.map(|phone| sightings::handling(&arena.world.sim, &id, &phone.phone_number));
        let row = arena.database.sql(&format!(
            "SELECT 'state ' || state || ', written to the wire ' || (sent IS NOT NULL) || ', acknowledged ' ||
             (server_ack IS NOT NULL) FROM message WHERE whatsapp_id = '{id}'"
        ));
        let row = row.unwrap_or_else(|error| error.to_string());
        verdict
            .findings
            .notes
            .push(format!("lost: {text:?} ({id}) to {to}; WhatsApp: {seen:?}; sender: {row}"));
    }
}

fn examine(verdict: &mut Verdict, arena: &Arena, log: &[Tenure], watch: &Watch) {
    verdict.findings = findings::find(&arena.world, &arena.diary, log, &watch.deaths());
}

/// Waits until each device can send and receive again; says how long after the last fault that was.
async fn recover(arena: &mut Arena) -> Result<Duration, Failed> {
    arena.settled("the last fault").await?;
    probe(&arena.world).await?;
    let took = arena.diary.elapsed().saturating_sub(arena.diary.last_fault().unwrap_or_default());
    arena.diary.event("every device sends and receives");
    Ok(took)
}

/// One message from each device to the next, and all of them arrived.
async fn probe(world: &World) -> Result<(), Failed> {
    let speakers = &world.speakers;
    let calls = (0..speakers.len()).map(|place| async move {
        let (from, to) = (&speakers[place], &speakers[(place + 1) % speakers.len()]);
        let text = format!("probe {}", Uuid::new_v4());
        let request = SendMessageRequest {
            parent: from.device.clone(),
            to: Some(Recipient { to: Some(recipient::To::PhoneNumber(to.phone_number.clone())) }),
            content: Some(send_message_request::Content::Text(text.clone())),
            request_id: Uuid::new_v4().to_string(),
            wait_for: send_message_request::WaitFor::Accepted.into(),
            ..Default::default()
        };
        let send = |client: Client| {
            let request = within(request.clone(), Duration::from_secs(5));
            async move { client.messages().send_message(request).await }
        };
        world.callers.call(PATIENCE, send).await?;
        world.books.with(|tally| tally.sent(&text, &to.device));
        Ok::<_, tonic::Status>((text, to.device.clone()))
    });
    let sent: Result<Vec<_>, _> = join_all(calls).await.into_iter().collect();
    let sent = sent?;
    let arrived =
        || async { world.books.with(|tally| sent.iter().all(|(text, to)| tally.has_arrived(text, to))) };
    until("a message from each device has arrived", PATIENCE, arrived).await
}

fn picture(scenario: &Scenario, pace: &Pace, arena: &Arena, verdict: &Verdict) -> Timeline {
    let mut marks = arena.diary.marks().to_vec();
    for complaint in verdict.complaints() {
        let (at, text) = (arena.diary.elapsed(), complaint.clone());
        marks.push(Mark { at, until: None, node: None, kind: Kind::Violation, text });
    }
    let mut notes = vec![scenario.about.to_owned(), format!("seed {}", pace.seed)];
    if arena.without_network() {
        notes.push("without network namespaces: all nodes share the loopback interface".to_owned());
    }
    Timeline {
        title: scenario.name.to_owned(),
        notes,
        lanes: arena.world.nodes.iter().map(|node| node.id.clone()).collect(),
        bars: verdict.findings.bars.clone(),
        marks,
    }
}
