//! `roost poll …`: how polls stand.

use clap::Subcommand;
use roost_proto::api;
use roost_proto::json;

use super::{Globals, Output, device_name, render};
use crate::client::Problem;

/// What can be asked of polls.
#[derive(Debug, Clone, Subcommand)]
pub enum PollCommand {
    /// Counts the votes of a poll that have come to the device, or were sent by it.
    Results {
        /// `acme/shop` or its whole name.
        device: String,
        /// WhatsApp's id of the poll.
        poll: String,
        /// Who made it, a phone number or `{digits}@lid`; without it this account did.
        #[arg(long, default_value = "")]
        sender: String,
    },
}

pub(super) async fn run(command: PollCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let PollCommand::Results { device, poll, sender } = command;
    let poll = api::MessageRef { whatsapp_id: poll, from_me: sender.is_empty(), sender };
    let wanted = api::GetPollResultsRequest { device: device_name(&device), poll: Some(poll) };
    let results = repeat!(client.polls.get_poll_results, wanted, globals.deadline());
    match globals.output {
        Output::Json => println!("{}", json::of("PollResults", &results).unwrap_or_default()),
        Output::Table => print!("{}", table(&results)),
    }
    Ok(())
}

/// The question, then a line for each option, with a mark at the right one of a quiz. Where WhatsApp's clients show no
/// voters, neither are any here.
fn table(results: &api::PollResults) -> String {
    let poll = results.poll.clone().unwrap_or_default();
    let row = |(place, option): (u32, &api::poll_results::Option)| {
        let of_it = results.votes.iter().filter(|vote| vote.options.contains(&place));
        let voters: Vec<String> =
            of_it.map(|vote| render::clean(&render::person(vote.voter.as_ref()))).collect();
        let right = !poll.correct_option.is_empty() && option.name == poll.correct_option;
        let name = format!("{}{}", render::clean(&option.name), if right { " (right)" } else { "" });
        let voters = if poll.hide_voters { "(hidden)".to_owned() } else { voters.join(", ") };
        vec![name, option.votes.to_string(), voters]
    };
    let rows: Vec<Vec<String>> = (0..).zip(&results.options).map(row).collect();
    let last = render::time(results.last_vote_time.as_ref());
    let more = if results.partial { "; there are more votes than are counted here" } else { "" };
    let columns = render::columns(&["OPTION", "VOTES", "VOTERS"], &rows);
    let end = poll.end_time.as_ref().map(|end| format!("; ends {end}")).unwrap_or_default();
    format!("{}\n{columns}last vote: {last}{end}{more}\n", render::clean(&poll.question))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_shows_each_option_with_its_voters_and_marks_the_right_one() {
        let option = |name: &str, votes| api::poll_results::Option { name: name.into(), votes };
        let voter = Some(api::Person { lid: "7@lid".into(), ..Default::default() });
        let results = api::PollResults {
            poll: Some(api::Poll { question: "?".into(), correct_option: "no".into(), ..Default::default() }),
            options: vec![option("yes", 0), option("no", 1)],
            votes: vec![api::poll_results::Vote { voter, options: vec![1], ..Default::default() }],
            ..Default::default()
        };
        let shown = table(&results);
        assert!(shown.contains("no (right)  1      7@lid"), "{shown}");
        assert!(shown.ends_with("last vote: -\n"), "{shown}");
        let mut poll = results.poll.clone().unwrap_or_default();
        (poll.hide_voters, poll.end_time) = (true, Some(api::Timestamp { seconds: 1_900_000_000, nanos: 0 }));
        let shown = table(&api::PollResults { poll: Some(poll), ..results });
        assert!(shown.contains("no (right)  1      (hidden)"), "{shown}");
        assert!(shown.ends_with("last vote: -; ends 2030-03-17T17:46:40Z\n"), "{shown}");
    }
}
