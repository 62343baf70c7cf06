//! `roost health …`: how WhatsApp judges the account of a device, and what it may still send.

use clap::Subcommand;
use roost_proto::api::{self, account_health};
use roost_proto::json;

use super::{Globals, Output, device_name, render};
use crate::client::{Problem, request, retrying};

/// What can be asked and changed.
#[derive(Debug, Clone, Subcommand)]
pub enum HealthCommand {
    /// Shows a lock, a quota and refusals of the account of a device.
    Device {
        /// `acme/shop` or the whole name.
        name: String,
        /// Asks WhatsApp first, at most once a minute.
        #[arg(long)]
        refresh: bool,
    },
    /// Shows what a device may still send by its own pace and by WhatsApp's quota.
    Quota {
        /// `acme/shop` or the whole name.
        name: String,
    },
    /// Sets the pace of a device; what is above it waits.
    Pace {
        /// `acme/shop` or the whole name.
        name: String,
        /// Messages a minute in chats that exist; 0 is no limit.
        #[arg(long, default_value_t = 0)]
        replies: u32,
        /// New chats a day; 0 is no limit.
        #[arg(long)]
        reach_outs: u32,
    },
}

pub(super) async fn run(command: HealthCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    match command {
        HealthCommand::Device { name, refresh } => {
            let wanted = api::GetAccountHealthRequest { device: device_name(&name), refresh };
            let health = retrying(deadline, || {
                let (mut accounts, wanted) = (client.accounts(), request(wanted.clone(), deadline));
                async move { accounts.get_account_health(wanted).await }
            });
            show(&health.await?, globals.output);
        }
        HealthCommand::Quota { name } => {
            let wanted = api::GetQuotaRequest { device: device_name(&name) };
            let quota = retrying(deadline, || {
                let (mut accounts, wanted) = (client.accounts(), request(wanted.clone(), deadline));
                async move { accounts.get_quota(wanted).await }
            });
            show_quota(&quota.await?, globals.output);
        }
        HealthCommand::Pace { name, replies, reach_outs } => {
            let policy = api::PacingPolicy { reply_per_minute: replies, reach_out_per_day: reach_outs };
            let wanted = api::UpdatePacingPolicyRequest { device: device_name(&name), policy: Some(policy) };
            // The same policy again changes nothing.
            let set = retrying(deadline, || {
                let (mut accounts, wanted) = (client.accounts(), request(wanted.clone(), deadline));
                async move { accounts.update_pacing_policy(wanted).await }
            });
            let set = set.await?;
            match globals.output {
                Output::Json => println!("{}", json::of("PacingPolicy", &set).unwrap_or_default()),
                Output::Table => println!("{}", sentence(&set)),
            }
        }
    }
    Ok(())
}

fn show(health: &api::AccountHealth, output: Output) {
    if output == Output::Json {
        return println!("{}", json::of("AccountHealth", health).unwrap_or_default());
    }
    match &health.time_lock {
        Some(lock) => {
            let reason = if lock.reason.is_empty() { "no reason given" } else { &lock.reason };
            println!(
                "locked for new chats until {} ({})",
                render::time(lock.until.as_ref()),
                render::clean(reason)
            );
        }
        None => println!("not locked"),
    }
    if let Some(quota) = &health.capping {
        println!("{}", quota_line(quota));
    }
    let row = |nack: &account_health::Nack| {
        vec![nack.code.to_string(), nack.count.to_string(), render::time(nack.last_time.as_ref())]
    };
    let rows: Vec<_> = health.nacks.iter().map(row).collect();
    if !rows.is_empty() {
        print!("{}", render::columns(&["REFUSED WITH", "TIMES", "LAST"], &rows));
    }
}

fn show_quota(quota: &api::Quota, output: Output) {
    if output == Output::Json {
        return println!("{}", json::of("Quota", quota).unwrap_or_default());
    }
    println!("{}", sentence(&quota.policy.unwrap_or_default()));
    if let Some(left) = quota.reach_outs_left {
        println!("{left} new chats may be begun now");
    }
    if quota.next_reach_out_time.is_some() {
        println!("the next one at {}", render::time(quota.next_reach_out_time.as_ref()));
    }
    if let Some(capping) = &quota.capping {
        println!("{}", quota_line(capping));
    }
}

fn sentence(policy: &api::PacingPolicy) -> String {
    let limit = |limit: u32| if limit == 0 { "any number of".to_owned() } else { format!("at most {limit}") };
    format!(
        "{} new chats a day, {} messages a minute in others",
        limit(policy.reach_out_per_day),
        limit(policy.reply_per_minute)
    )
}

fn quota_line(quota: &account_health::Capping) -> String {
    let status = quota.status().as_str_name();
    let end = render::time(quota.cycle_end.as_ref());
    format!("WhatsApp's quota: {} of {} new chats used, {status}, next cycle {end}", quota.used, quota.total)
}
