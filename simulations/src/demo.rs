//! `roost demo`: the whole system on one machine, disturbed while it works, and a table of what became of
//! it.
//!
//! It starts the simulated WhatsApp and three real nodes on one store, pairs the devices of a dozen
//! tenants, keeps them talking, kills the busiest owner, freezes another for longer than its lease,
//! drains the third and brings it back. Green means that every accepted message stands exactly once in
//! the log of its receiver. The demo uses the public API and signals only; it has no way to help. It runs below a
//! keeper, so however it ends, nothing that it has started stays.

mod picture;
mod screen;
mod story;
mod verdict;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use screen::Screen;
use story::Story;

use crate::keeper;
use crate::world::{Plan, World};

/// Options of `roost demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// A smaller cast and shorter scenes: under a minute.
    #[arg(long)]
    pub short: bool,
    /// Stay up afterwards and print commands to try.
    #[arg(long)]
    pub keep: bool,
    /// An empty PostgreSQL database to use instead of an SQLite file.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Print plain lines even on a terminal.
    #[arg(long)]
    pub plain: bool,
}

/// How large and how long.
#[derive(Debug, Clone, Copy)]
struct Scale {
    tenants: usize,
    devices_each: usize,
    senders: usize,
    pause: Duration,
    /// Undisturbed talk between the scenes.
    calm: Duration,
    /// How long the second node is frozen.
    freeze: Duration,
    /// How long a scene may take to come to its end.
    patience: Duration,
}

impl Scale {
    fn of(args: &DemoArgs) -> Scale {
        let whole = Scale {
            tenants: 12,
            devices_each: 5,
            senders: 24,
            pause: Duration::from_millis(60),
            calm: Duration::from_secs(5),
            freeze: Duration::from_secs(6),
            patience: Duration::from_secs(60),
        };
        if args.short {
            Scale { tenants: 6, devices_each: 3, senders: 6, calm: Duration::from_secs(2), ..whole }
        } else {
            whole
        }
    }
}

/// Runs the demo. Exit code 1 when anything was lost, doubled, reused or did not work.
pub async fn run(args: DemoArgs) -> ExitCode {
    let colour = std::io::stdout().is_terminal() && !args.plain;
    let scale = Scale::of(&args);
    let screen = Screen::new(colour);
    let world = match build(&args, scale, &screen).await {
        Ok(world) => world,
        Err(error) => {
            eprintln!("the demo could not be set up: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut story = Story::begin(world, screen, scale);
    let verdict = story.play().await;
    println!("\n{}", verdict.table(colour));
    let green = verdict.is_green();
    if green {
        println!("Nothing was lost, doubled or sent under a used key.");
    } else {
        println!("Something is wrong. The logs of the nodes are kept.");
    }
    if args.keep {
        story.invite();
        if tokio::signal::ctrl_c().await.is_err() {
            eprintln!("Ctrl-C cannot be waited for here; stopping");
        }
    }
    let folder = (!green).then(|| story.keep_folder());
    story.end().await;
    if let Some(folder) = folder {
        println!("The logs of the nodes are in {}", keeper::spared(folder).display());
    }
    if green { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn build(args: &DemoArgs, scale: Scale, screen: &Screen) -> Result<World, crate::world::Failed> {
    let plan = Plan {
        program: std::env::current_exe()?,
        store_url: args.database_url.clone(),
        nodes: 3,
        tenants: scale.tenants,
        devices_each: scale.devices_each,
    };
    World::build(&plan, |what| screen.say(what)).await
}
