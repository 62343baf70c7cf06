//! Who may have a message of a group again: whoever is a member now.
//!
//! What must hold: nobody is refused because of what is remembered here, only by a list that WhatsApp has given
//! anew and that names everybody. Who has joined since the message is not told from who was there; other clients give
//! it to everybody who asks.

use roost_proto::content;
use roost_proto::stanza::Server;

use super::{Job, WAITING, is_final};
use crate::machine::crypto::{PeerName, Purpose};
use crate::machine::identities::{Wanted, name_of};
use crate::machine::{CryptoRequest, Machine};

impl Machine {
    /// A device asks for a message of its group.
    pub(super) fn resend_in_group(&mut self, job: Job) {
        let ours = self.account.as_ref().is_some_and(|account| account.is_own(&job.to));
        let user = name_of(&job.to);
        if ours || is_called(&job) || self.is_member(&job, &user) == Some(true) {
            return self.resend(job);
        }
        let wanted = Wanted::Viewer(Box::new(job));
        self.ask_crypto(CryptoRequest::Identities { user }, Purpose::Identities(wanted));
    }

    /// It is known who asks, under every name.
    pub(super) fn on_member_named(&mut self, mut job: Job, known: PeerName) {
        if self.is_member(&job, &known) == Some(true) {
            return self.resend(job);
        }
        job.member = Some(known);
        self.ask_members(job);
    }

    /// Who is in the group is asked for, also when it is remembered: she may have joined since.
    pub(super) fn ask_members(&mut self, mut job: Job) {
        self.leave_room(&mut job);
        let Some(group) = job.group.clone().filter(|_| self.resends.for_members.len() < WAITING) else {
            return;
        };
        self.resends.for_members.push(job);
        self.ask_group(&group);
    }

    /// WhatsApp has said who is in a group, or has not.
    pub(in crate::machine) fn on_members(&mut self, group: &str, refusal: Option<u16>) {
        let waiting = std::mem::take(&mut self.resends.for_members);
        let is_of_it = |job: &Job| job.group.as_ref().is_some_and(|place| place.to_string() == group);
        let (waiting, others) = waiting.into_iter().partition(is_of_it);
        self.resends.for_members = others;
        let waiting: Vec<Job> = waiting;
        for mut job in waiting {
            match refusal {
                None => {
                    let known = job.member.take().unwrap_or_default();
                    let refused = self.is_member(&job, &known) == Some(false);
                    self.on_right(job, !refused);
                }
                Some(code) if is_final(code) => self.give_up_resend(&job),
                // The receipt comes again with the next login.
                Some(0) => {}
                Some(_) => self.resend_later(job),
            }
        }
    }

    /// Whether somebody is a member, as far as that is remembered.
    fn is_member(&self, job: &Job, who: &PeerName) -> Option<bool> {
        self.groups.get(&job.group.as_ref()?.to_string())?.has(who)
    }
}

/// Whether a bot asks that the message calls.
fn is_called(job: &Job) -> bool {
    let message = job.message.as_ref().filter(|_| job.to.server == Server::Bot);
    let called = message.and_then(|stored| content::for_bot(&stored.message.content));
    called.is_some_and(|(bot, _)| bot.user == job.to.user)
}
