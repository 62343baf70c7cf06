//! `roost chaos`: real nodes, a real database, faults of every kind, and a verdict on each.
//!
//! A scenario plays on an [`arena::Arena`] of real processes while devices talk, callers send to any node and
//! consumers acknowledge; afterwards the books, the ledger of the simulated WhatsApp and the ownership log say
//! what became of it. What cannot be done on a machine is said, not passed over.

pub mod arena;
pub mod consumer;
pub mod database;
pub mod diary;
pub mod findings;
pub mod network;
pub mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
pub mod scenarios;
pub mod verdict;
pub mod watch;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use roost_node::config::parse_duration;
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use self::arena::Pace;
use self::report::Report;
use self::run::{Outcome, run};
use self::scenario::{ALL, Scenario, named};
use crate::keeper::{self, Stops, exit_code};

/// What `roost chaos` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum ChaosCommand {
    /// Lists the scenarios, what they do and what they need.
    List,
    /// Runs one scenario, or all of them, and says what became of it.
    ///
    /// Ctrl-C, SIGTERM or SIGHUP end it early, with everything that it has started, after the report of what was seen
    /// until then (exit code 130, 143 or 129); a second one ends it at once.
    Run(RunArgs),
}

/// Options of `roost chaos run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// A name from `roost chaos list`, or `all`.
    #[arg(required = true, num_args = 1..)]
    pub scenarios: Vec<String>,
    /// Decides who is struck when; real processes do not replay to the byte.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Nodes, 2 to 50.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=50))]
    pub nodes: u8,
    /// Devices of all tenants together, 2 to 5000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=5000))]
    pub devices: u16,
    /// How long faults go on in each scenario, such as 60s or 10m.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub duration: Duration,
    /// So many rounds instead of a duration, in scenarios that go in rounds.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// An empty PostgreSQL database to use instead of a temporary server.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// The program of the release before, for `rolling-upgrade`.
    #[arg(long, value_name = "FILE")]
    pub release_before: Option<PathBuf>,
    /// Writes an HTML page here, and the same as text beside it.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "must be a duration with a unit, as 60s or 10m".to_owned())
}

/// Names the scenarios.
pub fn list() -> ExitCode {
    for scenario in ALL {
        println!("{:<22} {}", scenario.name, scenario.about);
        if !scenario.needs.words().is_empty() {
            println!("{:<22} needs {}", "", scenario.needs.words());
        }
    }
    ExitCode::SUCCESS
}

/// Runs scenarios. Exit code 1 when a verdict is dirty, 2 when nothing could be run, 128 and its number when a signal
/// has stopped it.
pub async fn command(args: RunArgs) -> ExitCode {
    let mut stops = match Stops::listen() {
        Ok(stops) => stops,
        Err(error) => {
            eprintln!("roost: signals cannot be received: {error}");
            return ExitCode::from(2);
        }
    };
    let stop = CancellationToken::new();
    let run = run_all(args, stop.clone());
    tokio::pin!(run);
    let signal = tokio::select! {
        code = &mut run => return code,
        signal = stops.next() => signal,
    };
    say(&format!("{}: it is stopped", name_of(signal)));
    stop.cancel();
    run.await;
    ExitCode::from(exit_code(signal))
}

fn name_of(signal: Signal) -> &'static str {
    match signal {
        Signal::INT => "SIGINT",
        Signal::HUP => "SIGHUP",
        _ => "SIGTERM",
    }
}

/// Says it to whoever waits at the terminal, who may have hung up.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

async fn run_all(args: RunArgs, stop: CancellationToken) -> ExitCode {
    let mut chosen: Vec<&'static Scenario> = Vec::new();
    for name in &args.scenarios {
        match named(name) {
            Some(scenario) => chosen.push(scenario),
            None if name == "all" => chosen.extend(ALL),
            None => {
                eprintln!("roost: there is no scenario {name:?}; `roost chaos list` names them");
                return ExitCode::from(2);
            }
        }
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("roost: the path of this program is not known: {error}");
            return ExitCode::from(2);
        }
    };
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let RunArgs { nodes, devices, duration, rounds, database_url, release_before, report: path, .. } = args;
    let pace = Pace {
        program,
        release_before,
        seed,
        nodes: nodes.into(),
        devices: devices.into(),
        duration,
        rounds,
        database_url,
        quiet: false,
        stop: stop.clone(),
    };
    let rounds = pace.rounds.map_or(String::new(), |rounds| format!(" --rounds {rounds}"));
    let before = pace.release_before.as_ref();
    let before = before.map_or(String::new(), |file| format!(" --release-before {}", file.display()));
    let names = args.scenarios.join(" ");
    let seconds = duration.as_secs();
    let again = format!(
        "roost chaos run {names} --seed {seed} --nodes {nodes} --devices {devices} --duration {seconds}s{rounds}{before}"
    );
    let mut report = Report::default();
    report.again = again;
    let mut not_begun = Vec::new();
    for scenario in chosen {
        if stop.is_cancelled() {
            not_begun.push(scenario.name);
            continue;
        }
        say(&format!("\n== {}: {}", scenario.name, scenario.about));
        let mut outcome = run(scenario, &pace).await;
        if let Outcome::Ran(ran) = &mut outcome {
            ran.logs = ran.logs.take().map(keeper::spared);
        }
        match &outcome {
            Outcome::Skipped(missing) => say(&format!("not run: needs {missing}")),
            Outcome::Ran(ran) => say(ran.verdict.text().trim_end()),
        }
        report.push(scenario, outcome);
    }
    if stop.is_cancelled() {
        let rest = if not_begun.is_empty() {
            String::new()
        } else {
            format!("; not begun: {}", not_begun.join(", "))
        };
        report.stopped = Some(format!("stopped before the end{rest}"));
    }
    say(&format!("\n{}\nagain: {}", report.table(), report.again));
    if let Some(path) = &path {
        match report.write(path) {
            Ok(()) => say(&format!("report: {}", path.display())),
            Err(error) => {
                let _ = writeln!(io::stderr(), "roost: {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
