//! Why a device is where it is, and what happens next, in words.
//!
//! What must hold: it says only what the row, its history and the view show, and what the rules of
//! `choice`, `plan` and the claims make of them; where a view may be behind, the words say "should". It
//! changes nothing and is asked for by people only.

use std::time::Duration;

use roost_proto::id::NodeId;

use crate::choice::Choice;
use crate::egress;
use crate::ledger::{Desired, Member, MemberState, Ownership, Transition, View};
use crate::load;
use crate::wish::{Pin, PinMode};

/// What a member is to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It owns it.
    Owner,
    /// It could have it.
    Able,
    /// It takes nothing yet.
    Joining,
    /// It gives everything away.
    Draining,
    /// It takes nothing new.
    Cordoned,
    /// It owns as many devices as it may.
    Full,
    /// The device requires another node.
    Excluded,
    /// Its lease has run out, and it is not buried yet.
    Silent,
}

/// One member, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which node.
    pub node: NodeId,
    /// What it is to the device.
    pub standing: Standing,
    /// A sentence.
    pub why: String,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Who, why, pins, what next; the times are the caller's to add.
    pub sentences: Vec<String>,
    /// Those on the preference list in its order, then the others in order of node id.
    pub candidates: Vec<Candidate>,
    /// It requires a node that cannot take it, and nobody living holds it.
    pub unplaceable: bool,
}

/// Explains a row. `history` is newest first; `bound_percent` is that of claims.
pub fn explain(
    view: &View,
    choice: &Choice<'_>,
    row: &Ownership,
    history: &[Transition],
    bound_percent: u32,
) -> Explanation {
    let order = choice.order(&row.key, &row.wish);
    let question = Question { view, row, history, order, bound_percent };
    let candidates = question.candidates();
    let unplaceable = question.unplaceable();
    let mut sentences = vec![question.who()];
    sentences.extend(question.why(&candidates));
    sentences.extend(question.pin());
    sentences.push(question.next(&candidates, unplaceable));
    Explanation { sentences, candidates, unplaceable }
}

struct Question<'a> {
    view: &'a View,
    row: &'a Ownership,
    history: &'a [Transition],
    order: Vec<&'a NodeId>,
    bound_percent: u32,
}

impl Question<'_> {
    fn member(&self, node: &NodeId) -> Option<&Member> {
        self.view.members.iter().find(|member| member.life.node == *node)
    }

    /// The member that owns it in the life that the row names.
    fn owner(&self) -> Option<&Member> {
        let owner = self.row.owner.as_ref()?;
        self.view.members.iter().find(|member| member.life == *owner)
    }

    fn who(&self) -> String {
        let (key, epoch) = (&self.row.key, self.row.epoch);
        match (&self.row.owner, self.owner()) {
            (None, _) => format!("Nobody owns {key}; its epoch is {epoch}."),
            (Some(life), Some(member)) if member.remaining.is_zero() => {
                format!("{life} owns {key} under epoch {epoch}, but its lease has run out.")
            }
            (Some(life), Some(member)) => {
                format!(
                    "{life} owns {key} under epoch {epoch}; its lease has {} left.",
                    span(member.remaining)
                )
            }
            (Some(life), None) => {
                format!("The row of {key} names {life} under epoch {epoch}, and that life is over.")
            }
        }
    }

    /// How the present owner came to it, and why those before it on the list did not.
    fn why(&self, candidates: &[Candidate]) -> Vec<String> {
        let now = self.history.iter().find(|line| line.epoch == self.row.epoch);
        let before = self.history.iter().find(|line| line.epoch < self.row.epoch);
        let Some(now) = now else {
            return vec!["It has never had an owner.".to_owned()];
        };
        let node = |line: Option<&Transition>| {
            let life = line.and_then(|line| line.owner.as_ref());
            life.map_or_else(|| "its last owner".to_owned(), ToString::to_string)
        };
        let how = match (now.reason.as_str(), &now.owner) {
            ("claim", Some(life)) => format!("{life} claimed it while nobody held it."),
            ("take-over", Some(life)) => {
                format!("{life} took it over from {}, whose life was over.", node(before))
            }
            ("give", Some(life)) => format!("{} gave it to {life}.", node(before)),
            (_, None) => format!("{} freed it.", node(before)),
            (reason, Some(life)) => format!("{life} got it by {reason}."),
        };
        let mut sentences = vec![how];
        let owner = now.owner.as_ref().map(|life| &life.node);
        match self.order.iter().position(|first| Some(*first) == owner) {
            Some(0) => sentences.push("It is the first on the device's list.".to_owned()),
            Some(place) => {
                let earlier: Vec<String> = candidates[..place].iter().map(|line| line.why.clone()).collect();
                sentences.push(format!(
                    "It is number {} on the device's list. {}",
                    place + 1,
                    earlier.join(" ")
                ));
            }
            None => {}
        }
        sentences
    }

    fn pin(&self) -> Option<String> {
        let Pin { node, mode } = self.row.wish.pin.as_ref()?;
        Some(match mode {
            PinMode::Require => format!("It is pinned to {node} and goes to no other node."),
            PinMode::Prefer => format!("It is pinned to {node}; other nodes have it while {node} cannot."),
        })
    }

    fn candidates(&self) -> Vec<Candidate> {
        let listed = self.order.iter().filter_map(|node| self.member(node));
        let others = self.view.members.iter().filter(|member| !self.order.contains(&&member.life.node));
        listed.chain(others).map(|member| self.candidate(member)).collect()
    }

    fn candidate(&self, member: &Member) -> Candidate {
        let node = &member.life.node;
        let orphans = usize::from(self.owner().is_none());
        let (total, weights) = (load::total(self.view, orphans), load::weights(load::active(self.view)));
        let bound = load::bound(total, member.weight.max(1), weights, self.bound_percent);
        let (standing, why) = if self.row.owner.as_ref() == Some(&member.life) {
            (Standing::Owner, format!("{node} owns it."))
        } else if member.remaining.is_zero() {
            (Standing::Silent, format!("The lease of {node} has run out."))
        } else if !self.row.wish.allows(node) {
            (Standing::Excluded, format!("{node} is not the node that it requires."))
        } else if member.state == MemberState::Draining && member.cut_off {
            (Standing::Draining, format!("{node} cannot reach WhatsApp and takes nothing (egress drain)."))
        } else if member.state == MemberState::Draining {
            (Standing::Draining, format!("{node} gives everything away."))
        } else if member.cordoned {
            (Standing::Cordoned, format!("{node} is cordoned and takes nothing new."))
        } else if member.state == MemberState::Joining {
            (Standing::Joining, format!("{node} is joining and takes nothing yet."))
        } else if u64::from(member.owned) >= bound && self.row.wish.required().is_none() {
            let owned = member.owned;
            (Standing::Full, format!("{node} owns {owned} devices and takes no more than {bound}."))
        } else if self.row.wish.pin.as_ref().is_some_and(|pin| pin.node == *node) {
            (Standing::Able, format!("{node} can take it, and it is pinned there."))
        } else if self.owner().is_some() {
            (Standing::Able, format!("{node} could have it, but a device does not move by itself."))
        } else {
            (Standing::Able, format!("{node} can take it."))
        };
        Candidate { node: node.clone(), standing, why }
    }

    /// Whether it requires a node that cannot take it while nobody living holds it.
    fn unplaceable(&self) -> bool {
        self.row.desired == Desired::Online
            && self.owner().is_none()
            && self.row.wish.required().is_some_and(|node| !self.takes(node))
    }

    fn next(&self, candidates: &[Candidate], unplaceable: bool) -> String {
        let first = candidates.iter().find(|line| line.standing == Standing::Able).map(|line| &line.node);
        if self.row.desired != Desired::Online {
            return match self.owner() {
                Some(member) => format!("It is wanted offline: {} stops and frees it.", member.life.node),
                None => "It is wanted offline: nobody takes it until it is started.".to_owned(),
            };
        }
        if unplaceable && let Some(node) = self.row.wish.required() {
            let why = match candidates.iter().find(|line| line.node == *node) {
                Some(line) => line.why.clone(),
                None => format!("{node} is not a living member."),
            };
            return format!("It waits for {node} (pinned_unplaceable): {why}");
        }
        let Some(owner) = self.owner() else {
            let held = self.view.blocked;
            return match first {
                Some(node) if !held.is_zero() => {
                    format!("Take-overs are held back for {}; then {node} should take it.", span(held))
                }
                Some(node) => format!(
                    "{node} should take it within a second; if it does not, the next on the list will."
                ),
                None => {
                    "It waits until a node can take it: none of the members can at the moment.".to_owned()
                }
            };
        };
        let life = &owner.life;
        if owner.remaining.is_zero() {
            return format!(
                "If {life} does not return, another member buries it once the grace is over and its own \
                 renewals have been unbroken for the quarantine; then the first on the list takes the device over."
            );
        }
        if let Some(said) = egress::next(self.view, owner, first) {
            return said;
        }
        match (owner.state, first, self.row.wish.pin.as_ref().filter(|pin| pin.node != life.node)) {
            (MemberState::Draining, Some(node), _) => {
                format!("{life} drains: it should hand the device to {node}.")
            }
            (MemberState::Draining, None, _) => {
                format!("{life} drains, and nobody can take the device: it will be freed and wait.")
            }
            (_, _, Some(pin)) if self.takes(&pin.node) && self.view.frozen => {
                format!("It should go to {}, but an operator has frozen placement.", pin.node)
            }
            (_, _, Some(pin)) if self.takes(&pin.node) => {
                format!("{life} hands it to {} when the cluster is calm.", pin.node)
            }
            (_, _, Some(pin)) => format!("It stays where it is until {} can take it.", pin.node),
            _ => "It stays where it is, unless its owner gets more than its share.".to_owned(),
        }
    }

    fn takes(&self, node: &NodeId) -> bool {
        load::active(self.view).any(|member| member.life.node == *node)
    }
}

/// Seconds and tenths.
fn span(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{Epoch, Incarnation, Life, UnixMillis};

    use super::*;
    use crate::ring::{Ring, Spread};
    use crate::wish::Wish;

    fn life(node: &str) -> Life {
        Life { node: node.parse().expect("a label"), incarnation: Incarnation(3) }
    }

    fn view(nodes: &[&str]) -> View {
        let member = |node: &&str| Member {
            life: life(node),
            address: String::new(),
            zone: String::new(),
            weight: 100,
            state: MemberState::Active,
            version: 1,
            owned: 1,
            remaining: Duration::from_millis(1800),
            beats: 1,
            cordoned: false,
            reach: Default::default(),
            cut_off: false,
        };
        View { view_epoch: 1, members: nodes.iter().map(member).collect(), ..View::default() }
    }

    fn row(owner: Option<&str>) -> Ownership {
        Ownership {
            key: "tenants/acme/devices/shop".parse().expect("a name"),
            owner: owner.map(life),
            epoch: Epoch(7),
            desired: Desired::Online,
            wish: Wish::default(),
        }
    }

    fn line(epoch: i64, owner: Option<&str>, reason: &str) -> Transition {
        Transition {
            epoch: Epoch(epoch),
            owner: owner.map(life),
            reason: reason.to_owned(),
            at: UnixMillis(1),
        }
    }

    fn say(view: &View, row: &Ownership, history: &[Transition]) -> Explanation {
        let (ring, spread) = (Ring::of(view), Spread::default());
        explain(view, &Choice::new(&ring, view, &spread), row, history, 125)
    }

    fn order(view: &View, row: &Ownership) -> Vec<String> {
        let candidates = say(view, row, &[]).candidates;
        candidates.iter().map(|line| line.node.to_string()).collect()
    }

    #[test]
    fn an_owner_is_explained_by_how_it_came_and_who_was_passed_over() {
        let mut view = view(&["n1", "n2", "n3"]);
        let order = order(&view, &row(None));
        let first = view.members.iter_mut().find(|member| member.life.node.as_str() == order[0]);
        first.expect("a member").owned = 9;
        let (second, row) = (order[1].as_str(), row(Some(&order[1])));
        let history = [line(7, Some(second), "take-over"), line(6, Some("n9"), "claim")];
        let said = say(&view, &row, &history);
        assert_eq!(said.candidates[0].standing, Standing::Full);
        assert_eq!(said.candidates[1].standing, Standing::Owner);
        assert_eq!(said.candidates[2].standing, Standing::Able);
        let text = said.sentences.join(" ");
        assert!(
            text.contains(&format!("{}/3 took it over from n9/3, whose life was over.", order[1])),
            "{text}"
        );
        assert!(
            text.contains("number 2") && text.contains("owns 9 devices and takes no more than"),
            "{text}"
        );
        assert!(text.contains("lease has 1.8 s left") && text.contains("It stays where it is"), "{text}");
    }

    #[test]
    fn a_required_pin_whose_node_is_gone_waits_and_says_so() {
        let mut row = row(None);
        row.wish.pin = Some(Pin { node: "n9".parse().expect("a label"), mode: PinMode::Require });
        let said = say(&view(&["n1"]), &row, &[]);
        assert!(said.unplaceable);
        assert_eq!(said.candidates[0].standing, Standing::Excluded);
        let last = said.sentences.last().expect("a sentence");
        assert_eq!(last, "It waits for n9 (pinned_unplaceable): n9 is not a living member.");
        let mut view = view(&["n1", "n9"]);
        view.members[1].cordoned = true;
        assert!(say(&view, &row, &[]).unplaceable, "cordoned it takes nothing new");
        view.members[1].cordoned = false;
        assert!(!say(&view, &row, &[]).unplaceable);
    }

    #[test]
    fn what_happens_next_follows_the_owners_state() {
        let next = |view: &View, row: &Ownership| say(view, row, &[]).sentences.pop().expect("a sentence");
        let mut view = view(&["n1", "n2"]);
        let mut held = row(Some("n1"));
        view.members[0].state = MemberState::Draining;
        assert_eq!(next(&view, &held), "n1/3 drains: it should hand the device to n2.");
        view.members[1].cordoned = true;
        assert!(next(&view, &held).contains("it will be freed and wait"));
        view.members[0].state = MemberState::Active;
        view.members[0].remaining = Duration::ZERO;
        assert!(next(&view, &held).starts_with("If n1/3 does not return, another member buries it"));
        view.members[0].remaining = Duration::from_secs(1);
        view.members[1].cordoned = false;
        held.wish.pin = Some(Pin { node: "n2".parse().expect("a label"), mode: PinMode::Prefer });
        assert_eq!(next(&view, &held), "n1/3 hands it to n2 when the cluster is calm.");
        view.frozen = true;
        assert!(next(&view, &held).contains("an operator has frozen placement"));
        held.desired = Desired::Offline;
        assert_eq!(next(&view, &held), "It is wanted offline: n1 stops and frees it.");
        assert!(next(&view, &row(None)).contains("should take it within a second"));
        view.blocked = Duration::from_millis(4100);
        assert!(next(&view, &row(None)).contains("held back for 4.1 s; then n"));
        assert!(next(&View::default(), &row(None)).contains("none of the members can"));
    }
}
