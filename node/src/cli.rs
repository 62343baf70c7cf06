//! The command line: what each command asks of the API, and how the process ends.
//!
//! What must hold: the exit code is 0 when it worked, [`exit_code`] of the gRPC code when the API
//! refused, [`crate::config::EXIT_CONFIGURATION`] for a refused configuration; answers go to standard
//! output, everything else to standard error. Starting a node is not here: the binary composes it from
//! [`ServeArgs`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tokio::time::Instant;
use tonic::Code;

use crate::client::{Client, Problem};
use crate::config::{self, EXIT_CONFIGURATION};

/// Calls a method of one of the API's services until it works or is refused for good, which the function returns. For
/// calls that may be repeated: they ask, or say what shall be.
macro_rules! repeat {
    ($client:ident.$service:ident.$method:ident, $wanted:expr, $deadline:expr) => {{
        let (wanted, deadline) = ($wanted, $deadline);
        let answer = crate::client::retrying(deadline, || {
            let (mut service, wanted) = ($client.$service(), wanted.clone());
            async move { service.$method(crate::client::request(wanted, deadline)).await }
        });
        answer.await?
    }};
}

/// For all commands, in place of the library's own, which panic when the reader is gone.
macro_rules! print {
    ($($text:tt)*) => { crate::cli::out::write(format_args!($($text)*)) };
}
macro_rules! println {
    ($($text:tt)*) => { crate::cli::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

mod account;
mod business;
mod call;
mod chat;
mod cluster;
mod contact;
mod device;
mod events;
mod group;
mod health;
mod import;
mod label;
mod media;
mod message;
mod newsletter;
mod out;
mod pair;
mod placement;
mod poll;
mod protocol;
mod push;
mod render;
mod send;
mod tenant;
mod timer;

/// What a command needs to know beside its own arguments.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// Any node of the cluster.
    #[arg(long, global = true, env = "ROOST_ENDPOINT", default_value = "http://127.0.0.1:7443")]
    pub endpoint: String,
    /// How answers are printed; json follows protobuf's own mapping, one object a line.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How long a call may take, retries included.
    #[arg(long, global = true, value_parser = parse_duration, default_value = "30s")]
    pub timeout: Duration,
}

impl Globals {
    /// When a call that begins now must be over.
    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    async fn connect(&self) -> Result<Client, Problem> {
        Client::connect(&self.endpoint).await
    }
}

/// Form of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    Table,
    /// One JSON object a line.
    Json,
}

/// Arguments of `roost serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Configuration file; variables of the form ROOST__SECTION__KEY win over it.
    #[arg(short, long, env = "ROOST_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The commands that talk to a running cluster or only read files.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Devices: list, create, update, show, explain, pin, start, stop, log out, delete, pair, import, watch.
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// What an account shows of itself and to whom: name, about text, picture, privacy, timer, previews of links; what its
    /// devices share: quick replies, records.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Businesses: profile, cover, products, collections, orders.
    #[command(subcommand)]
    Business(business::BusinessCommand),
    /// People: whose a number is, what they show, whom the account has blocked, links to them, its address book; bots.
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    /// What a device shows of itself, typing included.
    #[command(subcommand)]
    Presence(contact::PresenceCommand),
    /// Sends a message: a text, or another kind by its name.
    Send(send::SendArgs),
    /// Messages that were accepted: show, watch, cancel.
    #[command(subcommand)]
    Message(message::MessageCommand),
    /// Polls: how they stand.
    #[command(subcommand)]
    Poll(poll::PollCommand),
    /// Calls: reject one, make a link to one, look at what a link leads to.
    #[command(subcommand)]
    Call(call::CallCommand),
    /// Chats: list, show, mute, pin, archive, mark as read, say that messages were read, star, clear, delete.
    #[command(subcommand)]
    Chat(chat::ChatCommand),
    /// History: asks the phone for older messages.
    #[command(subcommand)]
    History(chat::HistoryCommand),
    /// How WhatsApp judges an account, and the pace of its device.
    #[command(subcommand)]
    Health(health::HealthCommand),
    /// Groups: list, show, create, rename, describe, picture, timer, add, remove, promote, demote, requests, invite, preview,
    /// join, leave, report; the groups of communities.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Labels: list, edit, delete, assign, unassign.
    #[command(subcommand)]
    Label(label::LabelCommand),
    /// Newsletters: list, show, create, set, delete, follow, mute, posts, watch, admins, followers.
    #[command(subcommand)]
    Newsletter(newsletter::NewsletterCommand),
    /// Files: upload, download, show, refresh, delete.
    #[command(subcommand)]
    Media(media::MediaCommand),
    /// The event log.
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Tenants: list, create, show, spread.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// The cluster: status, ring, locate, move, drain, cordon, freeze, rebalance, audit, watch.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// The version of WhatsApp Web that devices log in with: get, latest, set, canary.
    #[command(subcommand)]
    Protocol(protocol::ProtocolCommand),
    /// The configuration of a node, without starting it.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Says the version.
    Version,
}

/// `roost config …`
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Prints the effective values with the source of each; secrets are redacted.
    Print(ServeArgs),
    /// Says whether a node would start with this.
    Validate(ServeArgs),
    /// Prints every section and key with its default, as a file to begin with.
    Defaults,
}

/// Runs one command to its end.
pub async fn run(command: Command, globals: &Globals) -> ExitCode {
    let done = match command {
        Command::Device(command) => device::run(command, globals).await,
        Command::Account(command) => account::run(command, globals).await,
        Command::Message(command) => message::run(command, globals).await,
        Command::Business(command) => business::run(command, globals).await,
        Command::Contact(command) => contact::run(command, globals).await,
        Command::Presence(command) => contact::presence(command, globals).await,
        Command::Send(args) => send::run(args, globals).await,
        Command::Poll(command) => poll::run(command, globals).await,
        Command::Call(command) => call::run(command, globals).await,
        Command::Chat(command) => chat::run(command, globals).await,
        Command::History(command) => chat::history(command, globals).await,
        Command::Health(command) => health::run(command, globals).await,
        Command::Group(command) => group::run(command, globals).await,
        Command::Label(command) => label::run(command, globals).await,
        Command::Newsletter(command) => newsletter::run(command, globals).await,
        Command::Media(command) => media::run(command, globals).await,
        Command::Events(command) => events::run(command, globals).await,
        Command::Tenant(command) => tenant::run(command, globals).await,
        Command::Cluster(command) => cluster::run(command, globals).await,
        Command::Protocol(command) => protocol::run(command, globals).await,
        Command::Config(command) => return configuration(command),
        Command::Version => {
            println!("roost {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(exit_code(problem.code))
        }
    }
}

/// 10 more than the number of the gRPC code: 13 for INVALID_ARGUMENT, 15 for NOT_FOUND, 24 for
/// UNAVAILABLE. The shift keeps clear of 1 and 2, which shells and argument parsers use.
pub fn exit_code(code: Code) -> u8 {
    10 + u8::try_from(i32::from(code)).expect("gRPC codes are 0 to 16")
}

fn configuration(command: ConfigCommand) -> ExitCode {
    let (args, print) = match command {
        ConfigCommand::Print(args) => (args, true),
        ConfigCommand::Validate(args) => (args, false),
        ConfigCommand::Defaults => {
            print!("{}", config::layers::DEFAULTS);
            return ExitCode::SUCCESS;
        }
    };
    match config::load(args.config.as_deref()) {
        Ok((_, layers)) if print => print!("{}", layers.print()),
        Ok((config, _)) => println!("valid; this is node {}", config.node.id),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    }
    ExitCode::SUCCESS
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).ok_or_else(|| "must be a duration with a unit, as 500ms, 10s or 5m".into())
}

/// `acme` as `tenants/acme`; whole names stay as they are.
fn tenant_name(text: &str) -> String {
    match text.starts_with("tenants/") {
        true => text.to_owned(),
        false => format!("tenants/{text}"),
    }
}

/// `acme/shop` as `tenants/acme/devices/shop`; whole names stay as they are.
fn device_name(text: &str) -> String {
    match text.split_once('/') {
        Some((tenant, device)) if tenant != "tenants" => format!("tenants/{tenant}/devices/{device}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_grpc_code_and_never_look_like_a_crash() {
        assert_eq!(exit_code(Code::InvalidArgument), 13);
        assert_eq!(exit_code(Code::NotFound), 15);
        assert_eq!(exit_code(Code::Unavailable), 24);
        assert_eq!(exit_code(Code::Unauthenticated), 26);
    }

    #[test]
    fn short_names_become_whole_ones() {
        assert_eq!(device_name("acme/shop"), "tenants/acme/devices/shop");
        assert_eq!(device_name("tenants/acme/devices/shop"), "tenants/acme/devices/shop");
        assert_eq!(tenant_name("acme"), "tenants/acme");
        assert_eq!(tenant_name("tenants/acme"), "tenants/acme");
    }

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory as _;

        #[derive(clap::Parser)]
        struct Whole {
            #[command(flatten)]
            _globals: Globals,
            #[command(subcommand)]
            _command: Command,
        }
        Whole::command().debug_assert();
    }
}
