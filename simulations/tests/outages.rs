//! The database goes away under real nodes, shorter and longer than their leases, with a bang and in
//! silence: connections to WhatsApp stay, sends are refused with a time to come back, nothing is
//! acknowledged meanwhile, nothing moves, and afterwards everything arrives once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use roost_placement::ledger::Timing;
use roost_proto::api::{Recipient, SendMessageRequest, recipient, send_message_request};
use roost_simulations::callers::within;
use roost_simulations::postgres::TempPostgres;
use roost_simulations::sightings;
use roost_simulations::talk::Speaker;
use roost_simulations::world::{Plan, World, until};
use tonic::Code;
use tonic_types::StatusExt as _;

const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any lease, its grace and the quarantine.
const LONG: Duration = Duration::from_secs(6);

/// How long a call may wait for a store that is silent: no longer than for its look-ups, or for the lease.
const ANSWER: Duration = Duration::from_secs(5);

/// Sends from every device through every node at once are refused in a way that tells the callers to come
/// back.
async fn all_refused(world: &World, what: &str) {
    let places = 0..world.nodes.len();
    let calls =
        places.flat_map(|place| world.speakers.iter().map(move |from| refused(world, place, from, what)));
    futures_util::future::join_all(calls).await;
}

async fn refused(world: &World, place: usize, from: &Speaker, what: &str) {
    let to = &world.speakers[0];
    let request = SendMessageRequest {
        parent: from.device.clone(),
        to: Some(Recipient { to: Some(recipient::To::PhoneNumber(to.phone_number.clone())) }),
        content: Some(send_message_request::Content::Text("nobody hears this".to_owned())),
        request_id: uuid::Uuid::new_v4().to_string(),
        wait_for: send_message_request::WaitFor::Accepted.into(),
        ..Default::default()
    };
    let mut messages = world.callers.node(place).messages();
    let status = messages.send_message(within(request, ANSWER)).await;
    let status = status.expect_err("nothing can be durable now");
    assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}\n{}", world.logs(20));
    assert!(status.get_details_retry_info().is_some(), "{what}: {status:?}");
    assert!(status.get_details_error_info().is_some_and(|info| info.domain == "roost"), "{what}: {status:?}");
}

/// What must be the same before and after: who owns what since when, and each device's connection.
async fn still(world: &World) -> impl PartialEq + std::fmt::Debug + use<> {
    (world.owners().await.expect("the API answers"), sightings::living(&world.sim))
}

/// How the database goes away and comes back.
struct Outage {
    what: &'static str,
    begin: fn(&mut TempPostgres),
    end: fn(&mut TempPostgres),
    lasts: Duration,
}

fn resume(server: &mut TempPostgres) {
    server.resume().expect("the server starts again");
}

const OUTAGES: [Outage; 4] = [
    Outage { what: "a restart", begin: TempPostgres::stop, end: resume, lasts: Duration::ZERO },
    Outage { what: "a long stop", begin: TempPostgres::stop, end: resume, lasts: LONG },
    Outage {
        what: "a short silence",
        begin: |server| server.freeze(),
        end: |server| server.thaw(),
        lasts: Duration::from_secs(1),
    },
    Outage {
        what: "a long silence",
        begin: |server| server.freeze(),
        end: |server| server.thaw(),
        lasts: LONG,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn without_their_database_nodes_keep_connections_acknowledge_nothing_and_lose_nothing() {
    assert!(LONG > Timing::FAST.ttl + Timing::FAST.grace + Timing::FAST.quarantine());
    let mut server = TempPostgres::start().expect("PostgreSQL can be started");
    let database = server.database("outages").expect("a database can be made");
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_roost")),
        store_url: Some(database),
        nodes: 2,
        tenants: 2,
        devices_each: 2,
    };
    let world = World::build(&plan, |_| ()).await.expect("the world can be built");
    let logs = || world.logs(40);
    let mut talk = world.talk(3, Duration::from_millis(100));
    let flowing = || async { world.books.with(|tally| tally.sent_count()) > 10 };
    until("conversations are under way", PATIENCE, flowing)
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", logs()));
    let connected = || async { sightings::connected(&world.sim) == world.speakers.len() };
    until("all are connected", PATIENCE, connected).await.unwrap_or_else(|e| panic!("{e}\n{}", logs()));
    let before = still(&world).await;

    for Outage { what, begin, end, lasts } in OUTAGES {
        let (phone, device) = (&world.speakers[1], &world.speakers[3]);
        begin(&mut server);
        let began = Instant::now();
        let number = phone.phone_number.parse().expect("digits");
        let text = format!("sent during {what}");
        let id = world.sim.phone_sends(number, &device.phone_number, &text).expect("the phone sends");
        if !lasts.is_zero() {
            let written =
                || async { sightings::handling(&world.sim, &id, &device.phone_number).delivered > 0 };
            // A device that is behind with its reading has it in its socket all the same.
            until("the message is on the wire", PATIENCE, written).await.unwrap_or_else(|e| panic!("{e}"));
            all_refused(&world, what).await;
            until("the outage is over", LONG * 2, || async { began.elapsed() >= lasts })
                .await
                .expect("time passes");
            let handled = sightings::handling(&world.sim, &id, &device.phone_number);
            assert_eq!(
                (handled.receivers, handled.settled),
                (1, 0),
                "{what}: acknowledged without a database"
            );
        }
        if lasts == LONG {
            all_refused(&world, what).await;
        }
        end(&mut server);
        println!("{what}: {:?}", began.elapsed());
        world.books.with(|tally| tally.sent(&text, &device.device));
        let settled = || async { sightings::handling(&world.sim, &id, &device.phone_number).settled == 1 };
        let settled = until("the message is acknowledged after all", PATIENCE, settled).await;
        settled.unwrap_or_else(|error| panic!("{what}: {error}\n{}", logs()));
        println!("{what}: acknowledged after {:?}", began.elapsed());
        let sent = world.books.with(|tally| tally.sent_count());
        let more = || async { world.books.with(|tally| tally.sent_count()) > sent + 5 };
        let more = until("conversations go on", PATIENCE, more).await;
        more.unwrap_or_else(|error| panic!("{what}: {error}\n{}", logs()));
        assert_eq!(still(&world).await, before, "{what}: something moved\n{}", logs());
    }

    let refused = talk.hush().await;
    assert!(refused.is_empty(), "{refused:?}\n{}", logs());
    let arrived = talk.all_arrived(&world.books, PATIENCE).await;
    let balance = world.books.with(|tally| tally.balance());
    println!("{balance:?}");
    assert!(arrived, "{balance:?}\n{}", logs());
    assert_eq!(balance.once, balance.sent, "{balance:?}");
    assert!(balance.faults.is_empty(), "{balance:?}");
    assert_eq!(sightings::key_reuse(&world.sim), 0);
    assert_eq!(still(&world).await, before, "something moved\n{}", logs());
}
