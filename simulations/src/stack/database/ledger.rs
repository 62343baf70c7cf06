//! The ledger's port of a link.

use std::time::Duration;

use async_trait::async_trait;
use roost_placement::egress::Report;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Grant, Holder, JoinError, Ledger, MemberState, Ownership, Permit, Posted,
    Timing, Transition, Unavailable,
};
use roost_placement::wish::Surveyed;
use roost_proto::id::{Age, DeviceKey, Life};

use super::Link;

#[async_trait]
impl Ledger for Link {
    async fn join(
        &self,
        candidate: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> Result<Life, JoinError> {
        let (candidate, silent, timing) = (candidate.clone(), silent.cloned(), *timing);
        self.write(async move |link| link.database.join(&candidate, silent.as_ref(), &timing).await).await
    }

    async fn beat(&self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable> {
        let (asked, said, timing) = (life.clone(), *said, *timing);
        let answer = self.write(async move |link| link.database.beat(&asked, &said, &timing).await).await?;
        self.database.told(life, &answer);
        Ok(answer)
    }

    async fn set_state(&self, life: &Life, state: MemberState) -> Result<bool, Unavailable> {
        let life = life.clone();
        self.write(async move |link| link.database.set_state(&life, state).await).await
    }

    async fn bury(&self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
        let (me, victim, timing) = (me.clone(), victim.clone(), *timing);
        self.write(async move |link| link.database.bury(&me, &victim, &timing).await).await
    }

    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable> {
        let life = life.clone();
        self.write(async move |link| link.database.certify_death(&life).await).await
    }

    async fn reattach(&self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
        let (me, posts) = (me.clone(), posts.to_vec());
        self.write(async move |link| link.database.reattach(&me, &posts).await).await
    }

    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
        self.read(self.database.claimable(limit)).await
    }

    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable> {
        let (me, from, keys) = (me.clone(), from.cloned(), keys.to_vec());
        self.write(async move |link| link.database.claim(&me, from.as_ref(), &keys).await).await
    }

    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
        self.read(self.database.mine(me)).await
    }

    async fn permit(&self, grants: &[Grant], age: Age, margin: Duration) -> Result<Vec<Permit>, Unavailable> {
        self.read(self.database.permit(grants, age, margin)).await
    }

    async fn give(&self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable> {
        let (grant, to) = (grant.clone(), to.clone());
        self.write(async move |link| link.database.give(&grant, &to).await).await
    }

    async fn release(&self, grant: &Grant) -> Result<bool, Unavailable> {
        let grant = grant.clone();
        self.write(async move |link| link.database.release(&grant).await).await
    }

    async fn survey(
        &self,
        of: Option<&Life>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Surveyed>, Unavailable> {
        self.read(self.database.survey(of, after, limit)).await
    }

    async fn ownership(&self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable> {
        self.read(self.database.ownership(key)).await
    }

    async fn history(&self, key: &DeviceKey, limit: usize) -> Result<Vec<Transition>, Unavailable> {
        self.read(self.database.history(key, limit)).await
    }
}
