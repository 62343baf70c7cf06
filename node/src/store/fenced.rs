//! The fenced transaction: the only way to write what belongs to a device.
//!
//! What must hold: the first statement locks the ownership rows against any change of owner and says
//! which grants stand (`ownership.md` section 3e); what belongs to a grant that does not stand is left
//! out; sequences and ordinals are taken from the head row, which is locked until the commit, so they
//! have no gaps whoever else writes. One transaction carries many devices with a fixed number of
//! statements. It decides nothing about grouping and retries (the committer does).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use roost_actors::port::Sweep;
use roost_placement::ledger::Grant;
use roost_proto::id::{Age, DeviceKey};

use super::polls::VoteRow;
use super::prepared::{Prepared, QuarantineRow, UpdateRow, seal_event};
use super::rows::{HeadRow, MessageRow, SqlResult, StatusRow};

/// A sealed event at its place in the log.
pub(super) struct Appended<'a> {
    pub(super) key: &'a DeviceKey,
    pub(super) seq: i64,
    pub(super) epoch: i64,
    pub(super) occurred: i64,
    pub(super) origin: i16,
    pub(super) digest: [u8; 16],
    pub(super) payload: Vec<u8>,
}

/// A piece of state to put, or its key to delete.
pub(super) struct StatePut<'a> {
    pub(super) key: &'a DeviceKey,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) value: &'a [u8],
}

/// The statements of one open write transaction, in one dialect; each takes many rows. Slices are
/// never empty and are ordered by key, so that two transactions lock rows in the same order.
#[async_trait]
pub(super) trait Rows: Send {
    /// Locks the ownership rows of the grants that stand; returns their indices. Without `wait`, rows
    /// that others hold are left out.
    async fn fence(&mut self, age: Age, grants: &[&Grant], wait: bool) -> SqlResult<Vec<i64>>;
    /// Locks and reads the heads. Without `wait`, those that others hold are left out.
    async fn heads(&mut self, keys: &[&DeviceKey], wait: bool) -> SqlResult<Vec<HeadRow>>;
    /// Which of these dedupe digests exist, as indices.
    async fn known_digests(&mut self, digests: &[(&DeviceKey, [u8; 16])]) -> SqlResult<Vec<i64>>;
    /// Which of these ids of WhatsApp messages have, as indices.
    async fn known_ids(&mut self, ids: &[(&DeviceKey, &str)]) -> SqlResult<Vec<i64>>;
    /// Messages that have these request ids.
    async fn known_requests(&mut self, requests: &[(&DeviceKey, &str)]) -> SqlResult<Vec<MessageRow>>;
    /// Keeps digests that belong to no event.
    async fn keep_digests(&mut self, digests: &[(&DeviceKey, [u8; 16])]) -> SqlResult<()>;
    /// Writes events and their digests.
    async fn append(&mut self, events: &[Appended<'_>]) -> SqlResult<()>;
    /// Moves the heads on.
    async fn set_heads(&mut self, heads: &[HeadRow]) -> SqlResult<()>;
    async fn insert_messages(&mut self, rows: &[MessageRow]) -> SqlResult<()>;
    async fn update_messages(&mut self, rows: &[(&DeviceKey, UpdateRow)]) -> SqlResult<()>;
    async fn put_state(&mut self, rows: &[StatePut<'_>]) -> SqlResult<()>;
    async fn delete_state(&mut self, rows: &[StatePut<'_>]) -> SqlResult<()>;
    /// Removes rows of a device that are of no use any more; how many.
    async fn sweep(&mut self, key: &DeviceKey, sweep: Sweep) -> SqlResult<u64>;
    /// Writes votes, but for those that are older than what their voters have said before.
    async fn put_votes(&mut self, rows: &[(&DeviceKey, &VoteRow)]) -> SqlResult<()>;
    async fn put_aside(&mut self, rows: &[(&DeviceKey, &QuarantineRow)]) -> SqlResult<()>;
    async fn set_status(&mut self, rows: &[(&DeviceKey, &StatusRow)]) -> SqlResult<()>;
    async fn commit(self: Box<Self>) -> SqlResult<()>;
}

/// What became of one accept.
pub(super) enum AcceptedRow {
    New(i64),
    Repeated(Box<MessageRow>),
    KeyReused,
    IdTaken,
}

/// What became of one batch: one answer per accept and per event, in order.
pub(super) struct Written {
    pub(super) accepts: Vec<AcceptedRow>,
    pub(super) events: Vec<Option<i64>>,
    pub(super) swept: Option<usize>,
}

/// A write transaction that holds the fence for some grants.
pub(super) struct FencedTx {
    rows: Box<dyn Rows>,
    age: Age,
    wait: bool,
    standing: BTreeSet<Grant>,
}

impl FencedTx {
    /// Takes the fence for those grants of the batches that stand, in the newest age that a batch knows of.
    pub(super) async fn begin(
        mut rows: Box<dyn Rows>,
        batches: &[&Prepared],
        wait: bool,
    ) -> SqlResult<FencedTx> {
        let age = batches.iter().map(|batch| batch.age).max().unwrap_or_default();
        let ordered: BTreeSet<&Grant> =
            batches.iter().filter(|batch| batch.age == age).map(|batch| &batch.grant).collect();
        let ordered: Vec<&Grant> = ordered.into_iter().collect();
        let standing = rows.fence(age, &ordered, wait).await?;
        let standing = standing.into_iter().filter_map(|at| ordered.get(usize::try_from(at).ok()?));
        let standing = standing.map(|grant| (*grant).clone()).collect();
        Ok(FencedTx { rows, age, wait, standing })
    }

    fn lets(&self, batch: &Prepared) -> bool {
        batch.age == self.age && self.standing.contains(&batch.grant)
    }

    /// Writes the batches of this age whose grant stands. One answer per batch, in order; `None` for those left out: of a
    /// device whose head another transaction holds that is all of them, so that they keep their order.
    pub(super) async fn write(&mut self, batches: &[&Prepared]) -> SqlResult<Vec<Option<Written>>> {
        let live: Vec<&Prepared> = batches.iter().copied().filter(|batch| self.lets(batch)).collect();
        let before = self.look_up(&live).await?;
        let mut merged = Merged::default();
        let mut heads = before.heads;
        let mut digests = before.digests;
        let mut requests = before.requests;
        let mut ids = before.ids;
        let mut answers = Vec::with_capacity(batches.len());
        for batch in batches {
            if !self.lets(batch) {
                answers.push(None);
                continue;
            }
            let key = &batch.grant.key;
            let mut written = Written { accepts: Vec::new(), events: Vec::new(), swept: None };
            if !batch.events.is_empty() || !batch.accepts.is_empty() {
                let head = heads.get_mut(key).ok_or(sqlx::Error::RowNotFound)?;
                for event in &batch.events {
                    let fresh = digests.insert((key, event.digest));
                    written.events.push(fresh.then(|| {
                        head.last_seq += 1;
                        merged.events.push(Appended {
                            key,
                            seq: head.last_seq,
                            epoch: batch.grant.epoch.0,
                            occurred: event.occurred,
                            origin: event.origin,
                            digest: event.digest,
                            payload: seal_event(&batch.key, key, head.last_seq, &event.payload),
                        });
                        head.last_seq
                    }));
                }
                for accept in &batch.accepts {
                    let chosen = batch.chosen.get(&accept.message_id).map(Vec::as_slice);
                    let is_taken = chosen.is_some_and(|chosen| {
                        ids.contains(&(key, accept.whatsapp_id.as_str()))
                            || chosen.iter().any(|digest| digests.contains(&(key, *digest)))
                    });
                    let outcome = merged.accept(key, accept, is_taken, head, &mut requests);
                    if let (AcceptedRow::New(_), Some([sent, ..])) = (&outcome, chosen) {
                        ids.insert((key, accept.whatsapp_id.as_str()));
                        digests.insert((key, *sent));
                        merged.taken.insert((key, *sent));
                    }
                    written.accepts.push(outcome);
                }
            }
            merged.rest(batch);
            answers.push(Some(written));
        }
        merged.store(&mut *self.rows, heads).await?;
        for (batch, answer) in batches.iter().zip(&mut answers) {
            if let (Some(sweep), Some(written)) = (batch.sweep, answer) {
                let swept = self.rows.sweep(&batch.grant.key, sweep).await?;
                written.swept = usize::try_from(swept).ok();
            }
        }
        Ok(answers)
    }

    pub(super) async fn commit(self) -> SqlResult<()> {
        self.rows.commit().await
    }

    /// Reads under the locks what decides about duplicates and numbers.
    async fn look_up<'a>(&mut self, live: &[&'a Prepared]) -> SqlResult<Before<'a>> {
        let counted = live.iter().filter(|batch| !batch.events.is_empty() || !batch.accepts.is_empty());
        let keys: BTreeSet<&'a DeviceKey> = counted.map(|batch| &batch.grant.key).collect();
        let mut before = Before::default();
        if keys.is_empty() {
            return Ok(before);
        }
        let keys: Vec<&'a DeviceKey> = keys.into_iter().collect();
        for head in self.rows.heads(&keys, self.wait).await? {
            let owner = keys.iter().find(|key| is(key, &head.business_id, &head.device_id));
            before.heads.extend(owner.map(|key| (*key, head)));
        }
        if !self.wait {
            let held = |key: &DeviceKey| keys.contains(&key) && !before.heads.contains_key(&key);
            self.standing.retain(|grant| !held(&grant.key));
        }
        let digests: BTreeSet<(&DeviceKey, [u8; 16])> = live
            .iter()
            .flat_map(|batch| {
                let chosen = batch.chosen.values().flatten().copied();
                let all = batch.events.iter().map(|event| event.digest).chain(chosen);
                all.map(|digest| (&batch.grant.key, digest))
            })
            .collect();
        if !digests.is_empty() {
            let digests: Vec<_> = digests.into_iter().collect();
            let known = self.rows.known_digests(&digests).await?;
            before.digests = known.into_iter().filter_map(|at| digests.get(at as usize).copied()).collect();
        }
        let chosen = live.iter().flat_map(|batch| {
            let chosen = batch.accepts.iter().filter(|new| batch.chosen.contains_key(&new.message_id));
            chosen.map(|new| (&batch.grant.key, new.whatsapp_id.as_str()))
        });
        let chosen: BTreeSet<(&'a DeviceKey, &'a str)> = chosen.collect();
        if !chosen.is_empty() {
            let chosen: Vec<_> = chosen.into_iter().collect();
            let known = self.rows.known_ids(&chosen).await?;
            before.ids = known.into_iter().filter_map(|at| chosen.get(at as usize).copied()).collect();
        }
        let requests: BTreeSet<(&'a DeviceKey, &str)> = live
            .iter()
            .flat_map(|batch| batch.accepts.iter().map(|new| (&batch.grant.key, new.request_id.as_str())))
            .collect();
        if !requests.is_empty() {
            let requests: Vec<_> = requests.into_iter().collect();
            for row in self.rows.known_requests(&requests).await? {
                let owner = keys.iter().find(|key| is(key, &row.business_id, &row.device_id));
                before.requests.extend(owner.map(|key| ((*key, row.request_id.clone()), row)));
            }
        }
        Ok(before)
    }
}

fn is(key: &DeviceKey, business_id: &str, device_id: &str) -> bool {
    key.business_id.as_str() == business_id && key.device_id.as_str() == device_id
}

#[derive(Default)]
struct Before<'a> {
    heads: BTreeMap<&'a DeviceKey, HeadRow>,
    digests: BTreeSet<(&'a DeviceKey, [u8; 16])>,
    /// Of those that were chosen.
    ids: BTreeSet<(&'a DeviceKey, &'a str)>,
    requests: BTreeMap<(&'a DeviceKey, String), MessageRow>,
}

/// All batches of a transaction as rows, one per key, the last write winning; of votes the one that was cast last.
#[derive(Default)]
struct Merged<'a> {
    events: Vec<Appended<'a>>,
    messages: Vec<MessageRow>,
    /// What says that chosen ids are taken from now on.
    taken: BTreeSet<(&'a DeviceKey, [u8; 16])>,
    updates: BTreeMap<(&'a DeviceKey, &'a str), UpdateRow>,
    state: BTreeMap<(&'a DeviceKey, &'a str, &'a str), Option<&'a [u8]>>,
    votes: BTreeMap<(&'a DeviceKey, &'a [u8], &'a str), &'a VoteRow>,
    aside: BTreeMap<(&'a DeviceKey, [u8; 16]), &'a QuarantineRow>,
    status: BTreeMap<&'a DeviceKey, &'a StatusRow>,
}

impl<'a> Merged<'a> {
    fn accept(
        &mut self,
        key: &'a DeviceKey,
        new: &MessageRow,
        is_taken: bool,
        head: &mut HeadRow,
        requests: &mut BTreeMap<(&'a DeviceKey, String), MessageRow>,
    ) -> AcceptedRow {
        let request = (key, new.request_id.clone());
        match requests.get(&request) {
            Some(row) if row.request_hash == new.request_hash => AcceptedRow::Repeated(Box::new(row.clone())),
            Some(_) => AcceptedRow::KeyReused,
            None if is_taken => AcceptedRow::IdTaken,
            None => {
                head.last_ordinal += 1;
                let row = MessageRow { ordinal: head.last_ordinal, ..new.clone() };
                self.messages.push(row.clone());
                requests.insert(request, row);
                AcceptedRow::New(head.last_ordinal)
            }
        }
    }

    fn rest(&mut self, batch: &'a Prepared) {
        let key = &batch.grant.key;
        for update in &batch.updates {
            let at = (key, update.message_id.as_str());
            self.updates.entry(at).and_modify(|row| row.then(update)).or_insert_with(|| update.clone());
        }
        for change in &batch.state {
            self.state.insert((key, change.kind, change.name.as_str()), change.value.as_deref());
        }
        for vote in &batch.votes {
            let at = (key, vote.ballot.as_slice(), vote.voter.as_str());
            let kept = self.votes.entry(at).or_insert(vote);
            if vote.cast_at >= kept.cast_at {
                *kept = vote;
            }
        }
        for stanza in &batch.quarantine {
            self.aside.entry((key, stanza.digest)).or_insert(stanza);
        }
        self.status.extend(batch.status.as_ref().map(|status| (key, status)));
    }

    async fn store(self, rows: &mut dyn Rows, heads: BTreeMap<&'a DeviceKey, HeadRow>) -> SqlResult<()> {
        if !self.events.is_empty() {
            rows.append(&self.events).await?;
        }
        if !self.messages.is_empty() {
            rows.insert_messages(&self.messages).await?;
        }
        if !self.taken.is_empty() {
            rows.keep_digests(&self.taken.into_iter().collect::<Vec<_>>()).await?;
        }
        if !self.events.is_empty() || !self.messages.is_empty() {
            let heads: Vec<HeadRow> = heads.into_values().collect();
            rows.set_heads(&heads).await?;
        }
        if !self.updates.is_empty() {
            let updates: Vec<_> = self.updates.into_iter().map(|((key, _), row)| (key, row)).collect();
            rows.update_messages(&updates).await?;
        }
        let put = |(key, kind, name), value| StatePut { key, kind, name, value };
        let (puts, deletes): (Vec<_>, Vec<_>) =
            self.state.into_iter().partition(|(_, value)| value.is_some());
        let puts: Vec<_> = puts.into_iter().map(|(at, value)| put(at, value.unwrap_or_default())).collect();
        let deletes: Vec<_> = deletes.into_iter().map(|(at, _)| put(at, &[])).collect();
        if !puts.is_empty() {
            rows.put_state(&puts).await?;
        }
        if !deletes.is_empty() {
            rows.delete_state(&deletes).await?;
        }
        if !self.votes.is_empty() {
            let votes: Vec<_> = self.votes.into_iter().map(|((key, ..), row)| (key, row)).collect();
            rows.put_votes(&votes).await?;
        }
        if !self.aside.is_empty() {
            let aside: Vec<_> = self.aside.into_iter().map(|((key, _), row)| (key, row)).collect();
            rows.put_aside(&aside).await?;
        }
        if !self.status.is_empty() {
            let status: Vec<_> = self.status.into_iter().collect();
            rows.set_status(&status).await?;
        }
        Ok(())
    }
}
