//! The ledger's port of a run's database. What a statement did is recorded where it ran.

use std::time::Duration;

use async_trait::async_trait;
use roost_placement::egress::Report;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Grant, Holder, JoinError, Ledger, MemberState, Ownership, Permit, Posted,
    Timing, Transition, Unavailable,
};
use roost_placement::wish::Surveyed;
use roost_proto::id::{Age, DeviceKey, Life};

use super::Database;
use crate::history::{How, What};

#[async_trait]
impl Ledger for Database {
    async fn join(
        &self,
        candidate: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> Result<Life, JoinError> {
        let life = self.model.join(candidate, silent, timing).await?;
        if let Some((clock, row)) = self.model.lease(&life) {
            self.record.fact(What::Joined { life: life.clone(), clock, lease_until: row.until });
        }
        Ok(life)
    }

    async fn beat(&self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable> {
        let beaten = self.model.beat(life, said, timing).await?;
        if let (Beaten::Renewed(_), Some((clock, row))) = (&beaten, self.model.lease(life)) {
            let (lease_until, lease_since) = (row.until, row.since);
            self.record.fact(What::Beaten { life: life.clone(), clock, lease_until, lease_since });
        }
        Ok(beaten)
    }

    async fn set_state(&self, life: &Life, state: MemberState) -> Result<bool, Unavailable> {
        let done = self.model.set_state(life, state).await?;
        if done {
            self.record.fact(What::Stood { life: life.clone(), state });
        }
        Ok(done)
    }

    async fn bury(&self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
        let clock = self.model.lease(me).map_or(0, |(clock, _)| clock);
        let done = self.model.bury(me, victim, timing).await?;
        if done {
            self.record.fact(What::Buried { victim: victim.clone(), by: me.clone(), clock });
        }
        Ok(done)
    }

    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable> {
        let done = self.model.certify_death(life).await?;
        if done {
            self.record.fact(What::Certified { victim: life.clone() });
        }
        Ok(done)
    }

    async fn reattach(&self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
        let kept = self.model.reattach(me, posts).await?;
        let new = kept.iter().filter(|kept| posts.iter().all(|post| post.grant != kept.grant));
        for Grant { key, life, epoch } in new.map(|kept| kept.grant.clone()) {
            self.record.fact(What::Granted { key, epoch, owner: Some(life), how: How::Attach });
        }
        Ok(kept)
    }

    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
        self.model.claimable(limit).await
    }

    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable> {
        let grants = self.model.claim(me, from, keys).await?;
        for Grant { key, life, epoch } in grants.iter().cloned() {
            let how = from.cloned().map_or(How::Claim, How::TakeOver);
            self.record.fact(What::Granted { key, epoch, owner: Some(life), how });
        }
        Ok(grants)
    }

    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
        self.model.mine(me).await
    }

    async fn permit(&self, grants: &[Grant], age: Age, margin: Duration) -> Result<Vec<Permit>, Unavailable> {
        for grant in grants {
            self.record.fact(What::AskedStanding(grant.clone()));
        }
        let permits = self.model.permit(grants, age, margin).await?;
        for permit in &permits {
            self.record.fact(What::Permitted(permit.grant.clone()));
        }
        Ok(permits)
    }

    async fn give(&self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable> {
        let given = self.model.give(grant, to).await?;
        if let Some(Grant { key, life, epoch }) = given.clone() {
            let how = How::Give(grant.life.clone());
            self.record.fact(What::Granted { key, epoch, owner: Some(life), how });
        }
        Ok(given)
    }

    async fn release(&self, grant: &Grant) -> Result<bool, Unavailable> {
        let done = self.model.release(grant).await?;
        if done && let Some(row) = self.model.ownership(&grant.key).await? {
            let (key, how) = (grant.key.clone(), How::Release(grant.life.clone()));
            self.record.fact(What::Granted { key, epoch: row.epoch, owner: None, how });
        }
        Ok(done)
    }

    async fn survey(
        &self,
        of: Option<&Life>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Surveyed>, Unavailable> {
        self.model.survey(of, after, limit).await
    }

    async fn ownership(&self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable> {
        self.model.ownership(key).await
    }

    async fn history(&self, key: &DeviceKey, limit: usize) -> Result<Vec<Transition>, Unavailable> {
        self.model.history(key, limit).await
    }
}
