//! Texts per second through one device and through many, on SQLite and on PostgreSQL.
//!
//! One real node and its store on this machine, the simulated WhatsApp in this process: the rates are those
//! of a small machine that does everything at once, so only their ratios mean something elsewhere. Sending is
//! from the call to WhatsApp's acknowledgement; receiving is from the phone's send to the event log. Nothing
//! passes or fails. `cargo bench --bench throughput -- [DEVICES] [MESSAGES]`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_simulations::interop::{Cluster, Failure, Person, Reader, Stage};
use roost_simulations::postgres::TempPostgres;

/// Pairings at the same time.
const PAIRING: usize = 16;
/// Sends at the same time, for one device and for all.
const IN_FLIGHT: usize = 64;

/// A device and the phone that it talks with.
struct Line {
    device: String,
    own: Person,
    peer: Person,
}

/// Texts per second.
#[derive(Debug, Clone, Copy)]
struct Rates {
    one_sends: f64,
    many_send: f64,
    one_receives: f64,
    many_receive: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let devices = numbers.next().unwrap_or(200).max(1);
    let messages = numbers.next().unwrap_or(2_000).max(devices);
    match compare(devices, messages).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure:?}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(devices: usize, messages: usize) -> Result<(), Failure> {
    let sqlite = {
        let stage = Stage::set().await?;
        let url = format!("sqlite://{}", stage.folder().join("roost.db").display());
        measure("SQLite", &stage, &url, devices, messages).await?
    };
    let postgres = {
        let server = tokio::task::spawn_blocking(TempPostgres::start).await??;
        let url = server.database("throughput")?;
        let stage = Stage::set().await?;
        measure("PostgreSQL", &stage, &url, devices, messages).await?
    };
    println!("\n{messages} texts a row; rates are texts per second on this machine\n");
    println!("{:<26}{:>12}{:>12}{:>24}", "", "SQLite", "PostgreSQL", "PostgreSQL / SQLite");
    let row = |name: String, rate: fn(&Rates) -> f64| {
        let (one, other) = (rate(&sqlite), rate(&postgres));
        println!("{name:<26}{one:>12.0}{other:>12.0}{:>24.2}", other / one);
    };
    row("one device sends".into(), |rates| rates.one_sends);
    row(format!("{devices} devices send"), |rates| rates.many_send);
    row("one device receives".into(), |rates| rates.one_receives);
    row(format!("{devices} devices receive"), |rates| rates.many_receive);
    for (store, rates) in [("SQLite", sqlite), ("PostgreSQL", postgres)] {
        println!(
            "{store}: {devices} devices send {:.1} times and receive {:.1} times as fast as one",
            rates.many_send / rates.one_sends,
            rates.many_receive / rates.one_receives,
        );
    }
    Ok(())
}

async fn measure(
    store: &str,
    stage: &Stage,
    url: &str,
    devices: usize,
    messages: usize,
) -> Result<Rates, Failure> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_roost"));
    let cluster = &Cluster::start(stage, program, url, 1).await?;
    println!("{store}: pairing {devices} devices");
    cluster.create_tenant("bench").await?;
    let lines = stream::iter(0..devices).map(async |number| {
        let own = stage.person(&format!("own-{number}"));
        let peer = stage.person(&format!("peer-{number}"));
        let device = cluster.create_device("bench", &format!("device-{number}")).await?;
        cluster.pair(stage, &device, &own).await?;
        Ok::<_, Failure>(Line { device, own, peer })
    });
    let lines: Vec<Line> = lines.buffer_unordered(PAIRING).try_collect().await?;
    let reader = Reader::start(cluster, "tenants/bench");
    // Device lists, prekeys and ratchets are made with the first text each way.
    send(cluster, &lines, devices).await?;
    receive(stage, &reader, &lines, devices).await?;
    println!("{store}: measuring");
    let rates = Rates {
        one_sends: send(cluster, &lines[..1], messages).await?,
        many_send: send(cluster, &lines, messages).await?,
        one_receives: receive(stage, &reader, &lines[..1], messages).await?,
        many_receive: receive(stage, &reader, &lines, messages).await?,
    };
    Ok(rates)
}

async fn send(cluster: &Cluster, lines: &[Line], messages: usize) -> Result<f64, Failure> {
    let begun = Instant::now();
    let sends = stream::iter(0..messages).map(async |number| {
        let line = &lines[number % lines.len()];
        let to = To::PhoneNumber(line.peer.pn.to_string());
        cluster
            .send(&line.device, to, "a text of ordinary length, for the benchmark", WaitFor::ServerAck)
            .await
    });
    sends.buffer_unordered(IN_FLIGHT).try_collect::<Vec<String>>().await?;
    Ok(messages as f64 / begun.elapsed().as_secs_f64())
}

async fn receive(stage: &Stage, reader: &Reader, lines: &[Line], messages: usize) -> Result<f64, Failure> {
    let before = reader.message_count();
    let begun = Instant::now();
    for number in 0..messages {
        let line = &lines[number % lines.len()];
        stage.sim.phone_sends(line.peer.pn, &line.own.pn.to_string(), "a text for the benchmark")?;
    }
    reader.messages(before + messages).await?;
    Ok(messages as f64 / begun.elapsed().as_secs_f64())
}
