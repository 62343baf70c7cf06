//! What the commands about placement print: plans and their progress, audits, explanations, pins.
//!
//! What must hold: a plan that was not carried out whole, and an audit with findings, end with an error,
//! so that a script notices.

use roost_proto::api;
use roost_proto::api::audit_cluster_response::Finding;
use roost_proto::api::rebalance_cluster_response as said;
use serde_json::{Value, json};
use tonic::{Code, Request};

use super::{Globals, Output, render};
use crate::client::{Client, Problem, request, retrying};

/// Prints the plan, and each move as it is made.
pub(super) async fn rebalance(
    client: &Client,
    dry_run: bool,
    moves_per_minute: u32,
    output: Output,
) -> Result<(), Problem> {
    // A run takes as long as it takes, and ends when nobody watches.
    let wanted = Request::new(api::RebalanceClusterRequest { validate_only: dry_run, moves_per_minute });
    let mut cluster = client.cluster().max_decoding_message_size(16 * 1024 * 1024);
    let mut stream = cluster.rebalance_cluster(wanted).await?.into_inner();
    let mut failures = 0;
    while let Some(answer) = stream.message().await? {
        match answer.step {
            Some(said::Step::Plan(plan)) => show_plan(&plan, output),
            Some(said::Step::Progress(step)) => {
                failures += usize::from(!step.failure.is_empty());
                show_progress(&step, output);
            }
            None => {}
        }
    }
    match failures {
        0 => Ok(()),
        count => Err(failed(format!("{count} devices did not move"))),
    }
}

/// Prints what an audit found.
pub(super) async fn audit(client: &Client, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    let answer = retrying(deadline, || {
        let mut cluster = client.cluster();
        async move { cluster.audit_cluster(request(api::AuditClusterRequest {}, deadline)).await }
    });
    let found = answer.await?;
    match globals.output {
        Output::Json => {
            let findings: Vec<_> = found.findings.iter().map(json_finding).collect();
            let (owned, running, silent) = (found.owned, found.running, &found.silent);
            println!(
                "{}",
                json!({"findings": findings, "owned": owned, "running": running, "silent": silent})
            );
        }
        Output::Table => {
            println!("{} devices have an owner, {} run", found.owned, found.running);
            for node in &found.silent {
                println!("{node} does not answer: what it runs is not known");
            }
            let rows: Vec<_> = found.findings.iter().map(finding_row).collect();
            if !rows.is_empty() {
                print!("{}", render::columns(&["DEVICE", "FINDING", "OWNER", "EPOCH", "RUNS ON"], &rows));
            }
        }
    }
    match (found.findings.len(), found.silent.len()) {
        (0, 0) => Ok(()),
        (0, silent) => Err(failed(format!("{silent} nodes do not answer"))),
        (count, _) => Err(failed(format!("{count} findings"))),
    }
}

/// Pins a device and says where it is now.
pub(super) async fn pin(
    client: &Client,
    globals: &Globals,
    name: String,
    node: String,
    require: bool,
) -> Result<(), Problem> {
    let mode = if require { api::pin::Mode::Require } else { api::pin::Mode::Prefer };
    let wanted = api::PinDeviceRequest { name, pin: Some(api::Pin { node, mode: mode.into() }) };
    let done = client.cluster().pin_device(request(wanted, globals.deadline())).await?.into_inner();
    match globals.output {
        Output::Json => {
            let ownership = render::ownership(done.ownership.as_ref());
            println!("{}", json!({"ownership": ownership, "waitsFor": done.waits_for}));
        }
        Output::Table if done.waits_for.is_empty() => {
            let row = done.ownership.unwrap_or_default();
            println!("on {}, epoch {}", row.node, row.epoch);
        }
        Output::Table => println!("pinned; it waits for {}", done.waits_for),
    }
    Ok(())
}

/// Prints an explanation.
pub(super) fn show_explanation(said: &api::ExplainDeviceResponse, output: Output) {
    match output {
        Output::Json => println!("{}", json_explanation(said)),
        Output::Table => {
            said.sentences.iter().for_each(|line| println!("{}", render::clean(line)));
            let row = |line: &api::explain_device_response::Candidate| {
                vec![line.node.clone(), line.standing().as_str_name().to_owned(), line.why.clone()]
            };
            let rows: Vec<_> = said.preference.iter().map(row).collect();
            print!("\n{}", render::columns(&["NODE", "STANDING", "WHY"], &rows));
            let row = |line: &api::explain_device_response::Change| {
                let life = match line.node.is_empty() {
                    true => "-".to_owned(),
                    false => format!("{}/{}", line.node, line.incarnation),
                };
                vec![line.epoch.to_string(), life, line.reason.clone(), render::time(line.time.as_ref())]
            };
            let rows: Vec<_> = said.history.iter().map(row).collect();
            print!("\n{}", render::columns(&["EPOCH", "OWNER", "REASON", "TIME"], &rows));
        }
    }
}

fn json_explanation(said: &api::ExplainDeviceResponse) -> Value {
    let candidate = |line: &api::explain_device_response::Candidate| json!({"node": line.node, "standing": line.standing().as_str_name(), "why": line.why});
    let change = |line: &api::explain_device_response::Change| {
        json!({
            "epoch": line.epoch.to_string(),
            "node": line.node,
            "incarnation": line.incarnation.to_string(),
            "reason": line.reason,
            "time": render::json_time(line.time.as_ref()),
        })
    };
    json!({
        "sentences": said.sentences,
        "ownership": render::ownership(said.ownership.as_ref()),
        "leaseRemaining": said.lease_remaining.as_ref().map(api::Duration::to_string),
        "since": render::json_time(said.since.as_ref()),
        "pin": render::pin(said.pin.as_ref()),
        "preference": said.preference.iter().map(candidate).collect::<Vec<_>>(),
        "history": said.history.iter().map(change).collect::<Vec<_>>(),
    })
}

fn failed(message: String) -> Problem {
    Problem { code: Code::FailedPrecondition, reason: None, message, fields: Vec::new(), retry: None }
}

/// Why a device should move, for people.
fn sentence(reason: said::Reason) -> &'static str {
    match reason {
        said::Reason::Unspecified => "for a reason that this program does not know",
        said::Reason::TakeOver => "nobody living holds it; a node takes it by itself",
        said::Reason::Drain => "its owner drains and gives it away by itself",
        said::Reason::Pin => "it is pinned there",
        said::Reason::Spread => "too much of its tenant is in one failure domain",
        said::Reason::Rebalance => "its owner has more than its share",
    }
}

fn json_move(line: &said::Move) -> Value {
    json!({"device": line.device, "from": line.from, "to": line.to, "reason": line.reason().as_str_name()})
}

fn move_row(line: &said::Move) -> Vec<String> {
    let from = if line.from.is_empty() { "-".to_owned() } else { line.from.clone() };
    vec![line.device.clone(), from, line.to.clone(), sentence(line.reason()).to_owned()]
}

fn show_plan(plan: &said::Plan, output: Output) {
    match output {
        Output::Json => {
            let load = |load: &said::Load| json!({"node": load.node, "before": load.before, "after": load.after, "bound": load.bound});
            let moves: Vec<_> = plan.moves.iter().map(json_move).collect();
            let loads: Vec<_> = plan.loads.iter().map(load).collect();
            println!("{}", json!({"plan": {"moves": moves, "loads": loads, "heldBack": plan.held_back}}));
        }
        Output::Table => {
            if !plan.held_back.is_empty() {
                println!("nothing would be moved now: {}", plan.held_back);
            }
            let load = |load: &said::Load| {
                [&load.node, &load.before.to_string(), &load.after.to_string(), &load.bound.to_string()]
                    .map(String::clone)
                    .to_vec()
            };
            let rows: Vec<_> = plan.loads.iter().map(load).collect();
            print!("{}", render::columns(&["NODE", "DEVICES", "THEN", "BOUND"], &rows));
            if plan.moves.is_empty() {
                println!("\nnothing to move");
            } else {
                let rows: Vec<_> = plan.moves.iter().map(move_row).collect();
                print!("\n{}", render::columns(&["DEVICE", "FROM", "TO", "WHY"], &rows));
            }
        }
    }
}

fn show_progress(step: &said::Progress, output: Output) {
    let line = step.r#move.clone().unwrap_or_default();
    let pause = step.pause.as_ref().map(api::Duration::to_string);
    match output {
        Output::Json => {
            let (done, total) = (step.done, step.total);
            let progress = json!({
                "move": json_move(&line), "done": done, "total": total, "failure": step.failure, "pause": pause,
            });
            println!("{}", json!({ "progress": progress }));
        }
        Output::Table => {
            let outcome = match &pause {
                Some(pause) if step.failure.is_empty() => format!("moved, pause {pause}"),
                _ => format!("did not move: {}", render::clean(&step.failure)),
            };
            println!("{}/{} {} {} to {}: {outcome}", step.done, step.total, line.device, line.from, line.to);
        }
    }
}

fn json_finding(found: &Finding) -> Value {
    json!({
        "device": found.device,
        "kind": found.kind().as_str_name(),
        "ownership": render::ownership(found.ownership.as_ref()),
        "runningOn": found.running_on,
        "runningEpoch": found.running_epoch.to_string(),
    })
}

fn finding_row(found: &Finding) -> Vec<String> {
    let row = found.ownership.clone().unwrap_or_default();
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let kind = found.kind().as_str_name().to_owned();
    vec![found.device.clone(), kind, dash(row.node), row.epoch.to_string(), dash(found.running_on.clone())]
}
