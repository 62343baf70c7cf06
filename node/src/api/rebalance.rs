//! `RebalanceCluster`: an operator's plan for the whole cluster, shown, or carried out move by move.
//!
//! What must hold: nothing is begun while placement is frozen or the members are unsettled, and a run
//! ends as soon as one of both begins; no faster than the pace; each move is an ordinary hand-off by the
//! device's owner, so a run that breaks off leaves nothing half done. It makes no take-overs and no
//! drains: nodes do these by themselves.

use std::time::Duration;

use roost_placement::ledger::{MemberState, View};
use roost_placement::load;
use roost_placement::plan::{self, Move, Plan, Policy, Reason};
use roost_placement::wish::Surveyed;
use roost_proto::api;
use roost_proto::api::rebalance_cluster_response as said;
use roost_proto::id::NodeId;
use tokio::time::{Instant, MissedTickBehavior};

use super::call::Call;
use super::streams::Sink;
use super::{Api, convert};
use crate::errors::{ApiError, HeldBack};

/// Rows of one survey.
const PAGE: usize = 5000;
/// Lines of a plan; another run makes the next.
const MOST_MOVES: usize = 10_000;
/// Moves per minute, unless 1 % of the devices are more.
const PACE: u32 = 60;
const FASTEST: u32 = 6000;

/// A rebalance that may begin.
pub(super) struct Run {
    api: Api,
    call: Call,
    plan: Plan,
    held_back: Option<HeldBack>,
    dry: bool,
    a_minute: u32,
}

impl Api {
    /// Plans, and refuses what may not be carried out now.
    pub(super) async fn begin_rebalance(
        &self,
        call: Call,
        request: &api::RebalanceClusterRequest,
    ) -> Result<Run, ApiError> {
        if request.moves_per_minute > FASTEST {
            return Err(ApiError::field("moves_per_minute", format!("must be 0 to {FASTEST}")));
        }
        call.must_operate()?;
        let rows = self.survey().await?;
        let mut view = self.parts().cluster.views().borrow().view.clone();
        let held_back = held_back(&view, &rows);
        // These are all rows: what members said with their last heartbeat is older.
        for member in &mut view.members {
            let owned = rows.iter().filter(|line| line.row.owner.as_ref() == Some(&member.life)).count();
            member.owned = u32::try_from(owned).unwrap_or(u32::MAX);
        }
        let dry = request.validate_only;
        if let Some(why) = held_back.clone().filter(|_| !dry) {
            return Err(ApiError::HeldBack(why));
        }
        let spread = self.parts().cluster.spread();
        let policy = Policy { spread, even: true, max_moves: MOST_MOVES, ..Policy::default() };
        let plan = plan::plan(&view, &policy, &rows);
        let share = u32::try_from(rows.len() / 100).unwrap_or(FASTEST);
        let a_minute = match request.moves_per_minute {
            0 => share.clamp(PACE, FASTEST),
            wanted => wanted,
        };
        Ok(Run { api: self.clone(), call, plan, held_back, dry, a_minute })
    }

    /// Everything that is wanted online.
    pub(super) async fn survey(&self) -> Result<Vec<Surveyed>, ApiError> {
        let mut rows: Vec<Surveyed> = Vec::new();
        loop {
            let after = rows.last().map(|line| line.row.key.clone());
            let page = self.parts().ledger.survey(None, after.as_ref(), PAGE).await?;
            let last = page.len() < PAGE;
            rows.extend(page);
            if last {
                return Ok(rows);
            }
        }
    }
}

impl Run {
    pub(super) async fn carry_out(self, sink: &Sink<api::RebalanceClusterResponse>) -> Result<(), ApiError> {
        let Run { api, call, plan, held_back, dry, a_minute } = self;
        sink.send(answer(said::Step::Plan(shown(&plan, held_back.as_ref())))).await?;
        if dry {
            return Ok(());
        }
        let mut moves = plan.moves;
        moves.retain(|line| !matches!(line.reason, Reason::TakeOver | Reason::Drain));
        let total = u32::try_from(moves.len()).unwrap_or(u32::MAX);
        let mut pace = tokio::time::interval(Duration::from_secs(60) / a_minute);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for (done, line) in (1..).zip(moves) {
            pace.tick().await;
            let view = api.parts().cluster.views().borrow().view.clone();
            if let Some(why) = held_back_by(&view) {
                return Err(ApiError::HeldBack(why));
            }
            let progress = api.make(&call, &line).await;
            sink.send(answer(said::Step::Progress(said::Progress { done, total, ..progress }))).await?;
        }
        Ok(())
    }
}

impl Api {
    /// One move, whatever becomes of it.
    async fn make(&self, call: &Call, line: &Move) -> said::Progress {
        let mut progress = said::Progress { r#move: Some(shown_move(line)), ..Default::default() };
        // Each hand-off has a deadline of its own; the run has none.
        let call = Call { deadline: Instant::now() + super::call::DEFAULT_DEADLINE, ..call.clone() };
        let moved = match (&line.from, self.target(&line.to.node)) {
            (Some(owner), Ok(target)) => self.hand_over(&call, &line.key, owner, &target).await,
            (_, Err(error)) => Err(error),
            (None, _) => Err(ApiError::NotOwner { key: line.key.clone() }),
        };
        match moved {
            Ok((_, pause)) => progress.pause = Some(convert::duration(pause)),
            Err(error) => progress.failure = error.sentence(),
        }
        progress
    }
}

/// Why nothing may be rebalanced now.
fn held_back(view: &View, rows: &[Surveyed]) -> Option<HeldBack> {
    let placeable = |line: &&Surveyed| {
        let takes = |node: &NodeId| load::active(view).any(|member| member.life.node == *node);
        line.row.wish.required().is_none_or(takes)
    };
    let lives = |line: &&Surveyed| view.members.iter().any(|m| Some(&m.life) == line.row.owner.as_ref());
    let orphans = rows.iter().filter(|line| !lives(line)).filter(placeable).count();
    held_back_by(view).or_else(|| {
        (orphans > 0).then(|| HeldBack::Unsettled(format!("{orphans} devices have no living owner yet")))
    })
}

/// The same, as far as the members alone show it.
fn held_back_by(view: &View) -> Option<HeldBack> {
    if view.frozen {
        return Some(HeldBack::Frozen);
    }
    if !view.blocked.is_zero() {
        return Some(HeldBack::Unsettled(
            "take-overs are blocked after a gap of the whole cluster".to_owned(),
        ));
    }
    for member in &view.members {
        let node = &member.life.node;
        let why = match member.state {
            // It is away because it cannot reach WhatsApp, and has nothing that could move.
            MemberState::Draining if member.cut_off && member.owned == 0 => continue,
            MemberState::Draining => format!("{node} is draining"),
            MemberState::Joining => format!("{node} is joining"),
            _ if member.remaining.is_zero() => format!("the lease of {node} has run out"),
            _ if member.version != view.members[0].version => "an upgrade is under way".to_owned(),
            _ => continue,
        };
        return Some(HeldBack::Unsettled(why));
    }
    None
}

fn answer(step: said::Step) -> api::RebalanceClusterResponse {
    api::RebalanceClusterResponse { step: Some(step) }
}

fn shown(plan: &Plan, held_back: Option<&HeldBack>) -> said::Plan {
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let load = |(node, load): (&NodeId, &plan::Load)| said::Load {
        node: node.to_string(),
        before: count(load.before),
        after: count(load.after),
        bound: count(load.bound),
    };
    said::Plan {
        moves: plan.moves.iter().map(shown_move).collect(),
        loads: plan.loads.iter().map(load).collect(),
        held_back: held_back.map(ToString::to_string).unwrap_or_default(),
    }
}

fn shown_move(line: &Move) -> said::Move {
    let reason = match line.reason {
        Reason::TakeOver => said::Reason::TakeOver,
        Reason::Drain | Reason::Egress => said::Reason::Drain,
        Reason::Pin => said::Reason::Pin,
        Reason::Spread => said::Reason::Spread,
        Reason::Rebalance => said::Reason::Rebalance,
    };
    said::Move {
        device: line.key.to_string(),
        from: line.from.as_ref().map(|life| life.node.to_string()).unwrap_or_default(),
        to: line.to.node.to_string(),
        reason: reason.into(),
    }
}
