//! Carries out what the placement machine of a process asks for.
//!
//! What must hold: every question is answered by one event; a device that is told to start before it has ended
//! starts when it has.

use std::time::Duration;

use roost_actors::device::Opening;
use roost_placement::ledger::{Grant, Ledger as _, MemberState};
use roost_placement::machine::{Effect, Event, Origin};
use roost_proto::id::Life;

use super::context::{Context, Host, LinkId};
use super::core::now;
use super::device::{self, Device};
use super::input::{Input, Warmth};
use super::process::Process;
use super::queue::Happening;
use super::whatsapp::Up;
use crate::history::What;
use crate::run::limits;

/// Attempts to close the own row after a drain.
const CLOSINGS: u32 = 5;

impl Process {
    pub(super) fn carry_out(&mut self, ctx: &mut Context, effect: Effect) {
        let (me, timing) = (self.core.life().clone(), ctx.plan.timing);
        let core = &mut self.core;
        match effect {
            Effect::Start(grant, origin) if self.devices.contains_key(&grant.key) => {
                self.starts.insert(grant.key.clone(), (grant, origin));
            }
            Effect::Start(grant, origin) => self.start(ctx, grant, &origin),
            Effect::Stop(grant) => self.stop(ctx, grant),
            Effect::SetState(state) => core.ask_ledger(
                ctx,
                move |db| now(db.set_state(&me, state)),
                move |answer| Event::StateSet(state, answer),
            ),
            Effect::Bury(victim) => {
                let asked = victim.clone();
                core.ask_ledger(
                    ctx,
                    move |db| now(db.bury(&me, &asked, &timing)),
                    move |answer| Event::Buried(victim, answer),
                );
            }
            Effect::ListClaimable(limit) => {
                core.ask_ledger(ctx, move |db| now(db.claimable(limit)), Event::Claimable);
            }
            Effect::Claim(from, keys) => {
                let (asked, of) = (keys.clone(), from.clone());
                core.ask_ledger(
                    ctx,
                    move |db| now(db.claim(&me, of.as_ref(), &asked)),
                    move |answer| Event::Claimed(from, keys, answer),
                );
            }
            Effect::ListMine(number) => {
                core.ask_ledger(ctx, move |db| now(db.mine(&me)), move |answer| Event::Mine(number, answer))
            }
            Effect::Survey => {
                core.ask_ledger(ctx, move |db| now(db.survey(Some(&me), None, usize::MAX)), Event::Surveyed)
            }
            Effect::Reattach(epoch, grants) => {
                ctx.record.rarely("grants posted");
                let posts = device::posts(&grants, &self.devices);
                core.ask_ledger(
                    ctx,
                    move |db| now(db.reattach(&me, &posts)),
                    move |answer| Event::Reattached(epoch, grants, answer),
                );
            }
            Effect::Look(key) => {
                let asked = key.clone();
                core.ask_ledger(
                    ctx,
                    move |db| now(db.ownership(&asked)),
                    move |answer| Event::Row(key, answer),
                );
            }
            Effect::Give(grant, to) => {
                let (asked, taker) = (grant.clone(), to.clone());
                core.ask_ledger(
                    ctx,
                    move |db| now(db.give(&asked, &taker)),
                    move |answer| Event::Given(grant, to, answer),
                );
            }
            Effect::Release(grant) => {
                let asked = grant.clone();
                core.ask_ledger(
                    ctx,
                    move |db| now(db.release(&asked)),
                    move |answer| Event::Released(grant, answer),
                );
            }
            Effect::Warm(grant, to, within) => self.warm(ctx, grant, to, within),
            Effect::Hint(to, key, _, _) => self.tell_peer(ctx, &to, Input::Adopt(key)),
            Effect::HandedOff(..) | Effect::Left(..) | Effect::Overtaken(_) => {}
            Effect::Quiesce => {
                core.permission.suspend();
                ctx.record.fact(What::Quiesced(me));
                self.devices.values_mut().for_each(|device| device.quiesce(&mut self.core, ctx, true));
            }
            Effect::Aged(age, doubtful) => core.permission.aged(age, doubtful),
            Effect::Resume => {
                core.permission.resume();
                ctx.record.fact(What::Resumed(me));
                self.devices.values_mut().for_each(|device| device.quiesce(&mut self.core, ctx, false));
            }
            Effect::Probe => {
                let link = ctx.id();
                self.probe = Some(link);
                core.up(ctx, link, Up::Dial { by: core.id, place: core.place });
                core.wake(ctx, limits().connect, Input::ProbeLate(link));
            }
            Effect::Die => self.leave(ctx),
            Effect::Drained => {
                core.permission.revoke();
                self.drained = true;
                self.close_row(ctx);
            }
        }
    }

    /// Runs a device under a grant.
    pub(super) fn start(&mut self, ctx: &mut Context, grant: Grant, origin: &Origin) {
        let (reason, from) = match origin {
            Origin::Claimed => ("claim", None),
            Origin::TakenOver(life) => ("take-over", Some(life.node.clone())),
            Origin::Given => ("give", None),
            Origin::Again => ("again", None),
            Origin::Reattached => ("re-attach", None),
        };
        ctx.record.fact(What::Opened(grant.clone()));
        let warm = self.expected.link(&mut self.core, ctx, &grant.key);
        if warm.is_some() {
            ctx.record.rarely("warm link used");
        }
        let opening = Opening { grant: grant.clone(), from, reason: reason.to_owned() };
        let mut device = Device::open(&mut self.core, ctx, opening, warm);
        device.run(&mut self.core, ctx);
        self.devices.insert(grant.key, device);
    }

    fn stop(&mut self, ctx: &mut Context, grant: Grant) {
        match self.devices.get_mut(&grant.key) {
            Some(device) => device.stop(&mut self.core, ctx),
            None => {
                ctx.record.fact(What::Stopped(grant.clone()));
                self.core.mail.push_back(Event::Stopped(grant));
            }
        }
    }

    /// Lets a peer prepare, when there is something to prepare.
    fn warm(&mut self, ctx: &mut Context, grant: Grant, to: Life, within: Duration) {
        let connected = self.devices.get(&grant.key).is_some_and(Device::is_connected);
        let warmed = Input::Placement(Event::Warmed(grant.clone(), to.clone()));
        if !connected {
            return self.core.wake(ctx, Duration::ZERO, warmed);
        }
        // Late is as good as not at all; the second answer changes nothing.
        self.core.wake(ctx, within, warmed);
        let warmth =
            Warmth { from: self.core.id, place: self.core.place, grant: grant.clone(), to: to.clone() };
        self.tell_peer(ctx, &to, Input::Warm(grant.key, warmth));
    }

    fn tell_peer(&self, ctx: &mut Context, to: &Life, input: Input) {
        let members = self.machine.as_ref().map(|machine| &machine.view().members);
        let known = members.into_iter().flatten().any(|member| member.life == *to);
        let Host::Node(place) = Host::named(to.node.as_str()) else { return };
        if let Some(process) = ctx.running[place].filter(|_| known) {
            let from = Host::Node(self.core.place);
            ctx.send(from, Host::Node(place), None, Happening::Process(process, input));
        }
    }

    /// WhatsApp has answered the probe on this link, or has not in time; whether it was the probe's.
    pub(super) fn probed(&mut self, ctx: &mut Context, link: LinkId, got_through: bool) -> bool {
        let ours = self.probe == Some(link);
        if ours {
            self.probe = None;
            self.core.up(ctx, link, Up::Gone);
            self.core.mail.push_back(Event::Probed(got_through));
        }
        ours
    }

    fn close_row(&mut self, ctx: &mut Context) {
        self.closings += 1;
        let me = self.core.life().clone();
        let statement = move |db: &crate::run::Database| {
            Input::RowClosed(now(db.set_state(&me, MemberState::Dead)).is_ok())
        };
        self.core.ask(ctx, statement, || Input::RowClosed(false));
    }

    pub(super) fn row_closed(&mut self, ctx: &mut Context, done: bool) {
        if done || self.closings >= CLOSINGS {
            self.leave(ctx);
        } else {
            self.close_row(ctx);
        }
    }
}
