//! An owner that is killed again and again while real clients talk with its device.
//!
//! What must hold: it dies by SIGKILL once in so many calls, in turn while the call is under way and right after
//! it, so that what comes next (a word of a client, say) finds nobody; an owner is killed only when the one before
//! has been followed by another that is online, and no node so often that it would not be started again; the
//! callers are careful: they ask again when nobody has answered.
//! A cluster without a mortal owner makes the same calls and lives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use roost_node::client::Client;
use roost_node::errors::reason_of;
use tokio::time::{Instant, sleep};
use tonic::{Request, Response, Status};

use super::cluster::{CALL, LOOK, PATIENCE};
use super::event::ClientEvent;
use super::{Cluster, Failure, Person, RealClient, Victim};
use crate::callers::{within, worth_trying_again};

/// A node whose worker has died ten times within two minutes leaves for good: so often one may die, and within that time.
const MOST: usize = 9;
const WHILE: Duration = Duration::from_secs(125);

/// Whose owner dies, and how often.
#[derive(Default)]
pub(super) struct Mortal {
    device: String,
    every: usize,
    calls: AtomicUsize,
    deaths: AtomicUsize,
    /// The epoch that ended with the last death.
    epoch: AtomicI64,
    /// When the workers of each node have died.
    when: Mutex<BTreeMap<String, VecDeque<Instant>>>,
}

impl Mortal {
    /// Whether this node can lose one more worker.
    fn may_die(&self, node: &str) -> bool {
        let mut when = self.when.lock().unwrap_or_else(PoisonError::into_inner);
        let times = when.entry(node.to_owned()).or_default();
        times.retain(|time| time.elapsed() < WHILE);
        times.len() < MOST
    }

    fn died(&self, node: String) {
        let mut when = self.when.lock().unwrap_or_else(PoisonError::into_inner);
        when.entry(node).or_default().push_back(Instant::now());
    }
}

impl Cluster {
    /// From now on the worker that owns the device is killed once in so many calls.
    pub fn let_die(&mut self, device: &str, every: usize) {
        self.mortal = Some(Mortal { device: device.to_owned(), every, ..Mortal::default() });
    }

    /// Asks for something that may be asked for twice, at any node, until it is answered. Returns the answer.
    ///
    /// # Errors
    /// The refusal, or what was said last when nobody has answered within the patience of a caller.
    pub async fn ask<Q: Clone, A>(
        &self,
        request: Q,
        ask: impl AsyncFn(Client, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let ask = async |client: Client| ask(client, within(request.clone(), CALL)).await;
        Ok(self.insist(ask).await?.into_inner())
    }

    /// The same for what nobody keeps, such as typing: an owner is there, and it does not die.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_spared<Q: Clone, A>(
        &self,
        request: Q,
        ask: impl AsyncFn(Client, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        self.outlived().await?;
        let ask = async |client: Client| ask(client, within(request.clone(), CALL)).await;
        Ok(self.until_answered(ask).await?.into_inner())
    }

    /// How something is refused that has to be: asked of an owner that does not die.
    ///
    /// # Errors
    /// It was not refused.
    pub async fn refusal<T: Debug>(
        &self,
        ask: impl AsyncFn(Client) -> Result<T, Status>,
    ) -> Result<Status, Failure> {
        self.outlived().await?;
        match self.until_answered(ask).await {
            Ok(answer) => Err(Failure::new(format!("not refused, but {answer:?}"))),
            Err(refused) => Ok(refused),
        }
    }

    /// As [`Self::ask`] for calls that are more than a request and an answer.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn insist<T>(&self, ask: impl AsyncFn(Client) -> Result<T, Status>) -> Result<T, Failure> {
        self.amid(self.until_answered(ask)).await
    }

    async fn until_answered<T>(&self, ask: impl AsyncFn(Client) -> Result<T, Status>) -> Result<T, Status> {
        let end = Instant::now() + PATIENCE;
        loop {
            let refused = match ask(self.callers.any()).await {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let unknown = reason_of(&refused).as_deref() == Some("OUTCOME_UNKNOWN");
            if !(unknown || worth_trying_again(&refused)) || Instant::now() > end {
                return Err(refused);
            }
            sleep(LOOK).await;
        }
    }

    /// Makes a call, amid or before the death of the owner when it is time for that.
    pub(super) async fn amid<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Failure> {
        let Some(mortal) = &self.mortal else { return Ok(call.await?) };
        if !(mortal.calls.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(mortal.every) {
            return Ok(call.await?);
        }
        self.outlived().await?;
        if !mortal.may_die(&self.owner(&mortal.device).await?.0) {
            return Ok(call.await?);
        }
        let kill = async {
            let (node, epoch) = self.kill_owner(&mortal.device, Victim::Worker).await?;
            mortal.died(node);
            mortal.epoch.store(epoch, Ordering::Relaxed);
            Ok::<_, Failure>(())
        };
        if mortal.deaths.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            let (answer, killed) = tokio::join!(call, kill);
            killed?;
            Ok(answer?)
        } else {
            let answer = call.await;
            kill.await?;
            Ok(answer?)
        }
    }

    /// Waits until the device is online with an owner after the last that was killed. Returns how many were.
    pub async fn outlived(&self) -> Result<usize, Failure> {
        let Some(mortal) = &self.mortal else { return Ok(0) };
        self.taken_over(&mortal.device, mortal.epoch.load(Ordering::Relaxed)).await?;
        Ok(mortal.deaths.load(Ordering::Relaxed))
    }
}

impl RealClient {
    /// Texts that came under more than one id: what a caller or an owner has sent twice.
    pub fn doubled(&self) -> Vec<String> {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for message in self.messages() {
            ids.entry(message.text).or_default().insert(message.id);
        }
        ids.into_iter()
            .filter(|(_, ids)| ids.len() > 1)
            .map(|(text, ids)| format!("{text:?} as {ids:?}"))
            .collect()
    }
    /// Ids of all that it has heard from this person, as far as its library tells them.
    pub fn ids_from(&self, person: &Person) -> BTreeSet<String> {
        let number = person.pn.to_string();
        let is_of = |sender: &str| {
            let user = sender.split(['@', ':', '.']).next().unwrap_or_default();
            user == person.lid || user == number
        };
        let heard = self.events().into_iter().filter_map(|event| match event {
            ClientEvent::Message(message) => Some((message.sender, message.id)),
            ClientEvent::Said(said) => Some((said.sender, said.id)),
            _ => None,
        });
        heard.filter(|(sender, id)| is_of(sender) && !id.is_empty()).map(|(_, id)| id).collect()
    }
}
