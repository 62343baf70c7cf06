//! The ledger's port of a link. What a statement did is recorded where it ran.

use std::time::Duration;

use async_trait::async_trait;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Grant, JoinError, Ledger, MemberState, Ownership, Permit, Posted, Timing,
    Transition, Unavailable,
};
use roost_placement::wish::Surveyed;
use roost_proto::id::{DeviceKey, Life};

use super::Link;
use crate::history::{How, What};

#[async_trait]
impl Ledger for Link {
    async fn join(&self, candidate: &Candidate, timing: &Timing) -> Result<Life, JoinError> {
        let (candidate, timing) = (candidate.clone(), *timing);
        self.write(async move |link| {
            let life = link.model.join(&candidate, &timing).await?;
            if let Some((clock, row)) = link.model.lease(&life) {
                link.record.fact(What::Joined { life: life.clone(), clock, lease_until: row.until });
            }
            Ok(life)
        })
        .await
    }

    async fn beat(&self, life: &Life, owned: u32, timing: &Timing) -> Result<Beaten, Unavailable> {
        let (life, timing) = (life.clone(), *timing);
        self.write(async move |link| {
            let beaten = link.model.beat(&life, owned, &timing).await?;
            if let (Beaten::Renewed(_), Some((clock, row))) = (&beaten, link.model.lease(&life)) {
                let (lease_until, lease_since) = (row.until, row.since);
                link.record.fact(What::Beaten { life, clock, lease_until, lease_since });
            }
            Ok(beaten)
        })
        .await
    }

    async fn set_state(&self, life: &Life, state: MemberState) -> Result<bool, Unavailable> {
        let life = life.clone();
        self.write(async move |link| {
            let done = link.model.set_state(&life, state).await?;
            if done {
                link.record.fact(What::Stood { life, state });
            }
            Ok(done)
        })
        .await
    }

    async fn bury(&self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
        let (by, victim, timing) = (me.clone(), victim.clone(), *timing);
        self.write(async move |link| {
            let clock = link.model.lease(&by).map_or(0, |(clock, _)| clock);
            let done = link.model.bury(&by, &victim, &timing).await?;
            if done {
                link.record.fact(What::Buried { victim, by, clock });
            }
            Ok(done)
        })
        .await
    }

    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable> {
        let victim = life.clone();
        self.write(async move |link| {
            let done = link.model.certify_death(&victim).await?;
            if done {
                link.record.fact(What::Certified { victim });
            }
            Ok(done)
        })
        .await
    }

    async fn reattach(&self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
        let (me, posts) = (me.clone(), posts.to_vec());
        self.write(async move |link| {
            let kept = link.model.reattach(&me, &posts).await?;
            let new = kept.iter().filter(|kept| posts.iter().all(|post| post.grant != kept.grant));
            for Grant { key, life, epoch } in new.map(|kept| kept.grant.clone()) {
                link.record.fact(What::Granted { key, epoch, owner: Some(life), how: How::Claim });
            }
            Ok(kept)
        })
        .await
    }

    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
        self.read(self.model.claimable(limit)).await
    }

    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable> {
        let (me, from, keys) = (me.clone(), from.cloned(), keys.to_vec());
        self.write(async move |link| {
            let grants = link.model.claim(&me, from.as_ref(), &keys).await?;
            for Grant { key, life, epoch } in grants.iter().cloned() {
                let how = from.clone().map_or(How::Claim, How::TakeOver);
                link.record.fact(What::Granted { key, epoch, owner: Some(life), how });
            }
            Ok(grants)
        })
        .await
    }

    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
        self.read(self.model.mine(me)).await
    }

    async fn permit(&self, grants: &[Grant], margin: Duration) -> Result<Vec<Permit>, Unavailable> {
        let asked = async {
            for grant in grants {
                self.record.fact(What::AskedStanding(grant.clone()));
            }
            let permits = self.model.permit(grants, margin).await?;
            for permit in &permits {
                self.record.fact(What::Permitted(permit.grant.clone()));
            }
            Ok(permits)
        };
        self.read(asked).await
    }

    async fn give(&self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable> {
        let (grant, to) = (grant.clone(), to.clone());
        self.write(async move |link| {
            let given = link.model.give(&grant, &to).await?;
            if let Some(Grant { key, life, epoch }) = given.clone() {
                let how = How::Give(grant.life);
                link.record.fact(What::Granted { key, epoch, owner: Some(life), how });
            }
            Ok(given)
        })
        .await
    }

    async fn release(&self, grant: &Grant) -> Result<bool, Unavailable> {
        let grant = grant.clone();
        self.write(async move |link| {
            let done = link.model.release(&grant).await?;
            if done && let Some(row) = link.model.ownership(&grant.key).await? {
                let how = How::Release(grant.life);
                link.record.fact(What::Granted { key: grant.key, epoch: row.epoch, owner: None, how });
            }
            Ok(done)
        })
        .await
    }

    async fn survey(
        &self,
        of: Option<&Life>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Surveyed>, Unavailable> {
        self.read(self.model.survey(of, after, limit)).await
    }

    async fn ownership(&self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable> {
        self.read(self.model.ownership(key)).await
    }

    async fn history(&self, key: &DeviceKey, limit: usize) -> Result<Vec<Transition>, Unavailable> {
        self.read(self.model.history(key, limit)).await
    }
}
