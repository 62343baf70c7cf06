//! `roost chaos sim`: the deterministic simulation, for one seed or for many.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::machines::many;
use crate::stack::fan;

/// What the command line says.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How much of a node is real.
    #[arg(long, value_enum, default_value_t = Depth::Machines)]
    pub depth: Depth,
    /// Runs this seed and says what it came to.
    #[arg(long, conflicts_with = "seeds", required_unless_present = "seeds")]
    pub seed: Option<u64>,
    /// Runs these seeds, as 1..100: the last one is left out.
    #[arg(long, value_parser = range)]
    pub seeds: Option<Range<u64>>,
    /// Ends after so many minutes, also when seeds are left.
    #[arg(long, requires = "seeds")]
    pub minutes: Option<u64>,
    /// What is kept of the run.
    #[command(flatten)]
    pub written: Written,
    /// Seeds at a time; as many as there are cores when absent.
    #[arg(long, requires = "seeds")]
    pub jobs: Option<usize>,
}

/// What is kept of a run, and where.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Written {
    /// Writes the run as a picture into this HTML file.
    #[arg(long, requires = "seed", value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes everything that happened into this file, one fact a line, first its time in seconds.
    #[arg(long, requires = "seed", value_name = "FILE")]
    pub facts: Option<PathBuf>,
}

/// How much of a node is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    /// The pure code alone, stepped by a loop: fast.
    Machines,
    /// The shells too, on a simulated network.
    Stack,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    bounds
        .map(|(from, to)| from..to)
        .filter(|range| !range.is_empty())
        .ok_or_else(|| "must be a first seed and the one after the last, as 1..100".to_owned())
}

/// Carries it out. Exit code 1 when an invariant was broken.
pub fn command(args: &Args) -> ExitCode {
    let Some(seeds) = &args.seeds else {
        let seed = args.seed.unwrap_or_default();
        // No runtime of ours may be around: a run at stack depth brings its own.
        return match args.depth {
            Depth::Machines => many::replay(seed, &args.written),
            Depth::Stack => fan::replay(seed, &args.written),
        };
    };
    let jobs = args.jobs.or_else(|| Some(std::thread::available_parallelism().ok()?.get())).unwrap_or(1);
    let limit = args.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    if args.depth == Depth::Machines {
        return many::many(seeds.start, seeds.end, jobs, limit);
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(fan::many(seeds.start, seeds.end, jobs, limit)),
        Err(error) => {
            eprintln!("the runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
