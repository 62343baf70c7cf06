//! The binary `roost`: what a node offers, and the simulated world around it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use roost_node::cli::{self, Globals, ServeArgs};
use roost_simulations::{chaos, demo, keeper, scan, seeds, sim_server};

#[derive(Parser)]
#[command(name = "roost", version, about = "Hosts WhatsApp companion devices on nodes that may be killed")]
struct Roost {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a node.
    Serve(ServeArgs),
    #[command(flatten)]
    Client(Box<cli::Command>),
    /// Starts a simulated WhatsApp and three nodes here, disturbs them, and says what became of it.
    Demo(demo::DemoArgs),
    /// Breaks nodes, real and simulated, in every way there is, and judges what becomes of their devices.
    #[command(subcommand)]
    Chaos(Chaos),
    /// Runs the simulated WhatsApp alone.
    SimServer(sim_server::Args),
    /// Pairs a device with a simulated phone.
    SimScan(scan::SimScanArgs),
}

#[derive(Subcommand)]
enum Chaos {
    /// Simulates a whole cluster in virtual time, one seed after another.
    Sim(seeds::Args),
    #[command(flatten)]
    Real(chaos::ChaosCommand),
}

fn main() -> ExitCode {
    let Roost { globals, command } = Roost::parse();
    match command {
        Command::Serve(args) => roost_node::serve::run(&args),
        Command::Client(command) => on_a_runtime(cli::run(*command, &globals)),
        Command::Demo(args) => keeper::kept(|| on_a_runtime(demo::run(args))),
        Command::Chaos(Chaos::Sim(args)) => seeds::command(&args),
        Command::Chaos(Chaos::Real(chaos::ChaosCommand::List)) => chaos::list(),
        Command::Chaos(Chaos::Real(chaos::ChaosCommand::Run(args))) => {
            keeper::kept(|| on_a_runtime(chaos::command(args)))
        }
        Command::SimServer(args) => on_a_runtime(simulate(args)),
        Command::SimScan(args) => on_a_runtime(scan::run(args, globals.endpoint)),
    }
}

async fn simulate(args: sim_server::Args) -> ExitCode {
    match sim_server::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn on_a_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!("the runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
