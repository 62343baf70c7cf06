//! The port to the ownership rows: what placement asks of the database, and what it may believe.
//!
//! What must hold in every adapter (`simulations` runs one conformance suite on all of them): each
//! method is one atomic statement or transaction; a change of owner adds one to the epoch; the
//! predicate of a claim stands on the locked row itself; only the database's clock is compared with
//! a lease; while the database is on a time-line that no heartbeat has seen yet, nothing is granted and no
//! grant is judged. The port decides nothing about *who should* own what; that is the ring's and the plan's.

use std::time::Duration;

use async_trait::async_trait;
use roost_proto::id::{Age, DeviceKey, Epoch, Life, NodeId, Sequence};

use crate::egress::{Reach, Report};
use crate::wish::{Surveyed, Wish};

/// The store did not answer, or said no for reasons of its own. The outcome of a write is unknown.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable: {0}")]
pub struct Unavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a member is doing, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// Holds a lease and owns nothing yet.
    Joining,
    /// Claims and owns.
    Active,
    /// Gives everything away and takes nothing.
    Draining,
    /// Never acts again in this incarnation.
    Dead,
}

/// A node as placement sees it: one row of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which node, in which life.
    pub life: Life,
    /// `host:port` where peers reach its gRPC API.
    pub address: String,
    /// Failure domain; empty when the operator named none.
    pub zone: String,
    /// Share of the load, 100 is one unit. At least 1.
    pub weight: u32,
    /// What it is doing.
    pub state: MemberState,
    /// Version of the protocol between nodes.
    pub version: u32,
    /// Devices it said it owns with its last heartbeat.
    pub owned: u32,
    /// Lease left by the database's clock when the view was read; zero when it has run out.
    pub remaining: Duration,
    /// Counts its heartbeats; unchanged means that it has not beaten.
    pub beats: i64,
    /// An operator's mark on the node, whatever its life: it keeps what it has and takes nothing new.
    pub cordoned: bool,
    /// How its devices get through to WhatsApp, as it said with its last heartbeat.
    pub reach: Reach,
    /// It drains because its way to WhatsApp is broken, and comes back by itself.
    pub cut_off: bool,
}

/// What one heartbeat returns: everybody who is not dead, in order of node id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Grows with each change of membership or policy. Orders information, never ownership.
    pub view_epoch: i64,
    /// The living, ordered by node id; the asking node is among them.
    pub members: Vec<Member>,
    /// An operator has stopped all rebalancing.
    pub frozen: bool,
    /// The highest version that devices are given to while members of several versions are there; `None`: any.
    pub max_version: Option<u32>,
    /// Grows when the database itself may have lost a tail: it answers on another time-line.
    pub cluster_epoch: i64,
    /// For how long nobody is buried and nothing is claimed; zero in good times.
    pub blocked: Duration,
    /// By the database's clock the lease had run out before this heartbeat renewed it, as far as the database knows its
    /// time-lines.
    pub lapsed: bool,
}

/// Epochs of a cluster epoch begin above this: whatever a lost tail had minted is below.
pub fn epoch_floor(cluster_epoch: i64) -> Epoch {
    Epoch(cluster_epoch << 40)
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beaten {
    /// The lease runs anew.
    Renewed(View),
    /// The row of this life says dead, or belongs to a later life: close everything.
    Dead,
}

/// What a starting node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The slot it wants.
    pub node: NodeId,
    /// `host:port` for peers.
    pub address: String,
    /// Failure domain, may be empty.
    pub zone: String,
    /// Share of the load, 100 is one unit.
    pub weight: u32,
    /// Version of the protocol between nodes that it speaks.
    pub version: u32,
}

/// Who holds a slot, as one look at its row shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The life in the row.
    pub life: Life,
    /// Its heartbeats so far.
    pub beats: i64,
}

/// Versions of the protocol between nodes that share a cluster are at most this far apart, so that one release
/// and the next can.
pub const NEIGHBOURS: u32 = 1;

/// Why a node could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A living member's version of the protocol between nodes is too far from the candidate's. One that
    /// joins in the same moment is not seen; that would cost hints between nodes, never exclusivity.
    #[error(
        "node {member} speaks version {theirs} of the protocol between nodes and this program version {ours}: \
         upgrade by one version at a time"
    )]
    Apart {
        /// One of those members.
        member: NodeId,
        /// Its version.
        theirs: u32,
        /// The candidate's.
        ours: u32,
    },
    /// A living process holds this node id, or it has not been silent for long enough.
    #[error("node id {} is in use; its lease can be taken over in {wait:?} at the earliest", holder.life)]
    InUse {
        /// Who holds the slot.
        holder: Holder,
        /// How long the holder's lease and what must be waited for after it still take by the database's clock,
        /// if it does not renew.
        wait: Duration,
    },
    /// No answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Proof that this life was given this device at this epoch. It does not prove that it still is:
/// only the fence, inside a transaction, does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// The device.
    pub key: DeviceKey,
    /// Who was given it.
    pub life: Life,
    /// The fencing token.
    pub epoch: Epoch,
}

/// What a node says of a device that it runs, after the database has lost a tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Under which grant it runs.
    pub grant: Grant,
    /// Its last event that is known to have been committed under this grant; 0 when none is.
    pub head: Sequence,
    /// The place in the order of acceptance of its last message that is known the same way; 0 when none is.
    pub accepted: i64,
}

/// A posted device that its poster keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The posted grant, or a newer one where the row knew nothing of it.
    pub grant: Grant,
    /// The event log or the messages end before what was posted: what was written since is lost.
    pub behind: bool,
}

/// What the tenant wants of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Desired {
    /// To be owned and, once paired, connected.
    Online,
    /// To be left alone.
    Offline,
    /// Gone; the row stays so that its epoch is never used again.
    Deleted,
}

/// The ownership row of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The device.
    pub key: DeviceKey,
    /// Who holds it; `None` when free.
    pub owner: Option<Life>,
    /// Its present epoch.
    pub epoch: Epoch,
    /// What the tenant wants.
    pub desired: Desired,
    /// What operators wish of its place.
    pub wish: Wish,
}

impl Ownership {
    /// Whether this row still gives the device to the grant's life at its epoch, and wants it online.
    pub fn stands(&self, grant: &Grant) -> bool {
        self.key == grant.key
            && self.owner.as_ref() == Some(&grant.life)
            && self.epoch == grant.epoch
            && self.desired == Desired::Online
    }
}

/// One line of a device's history of owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The epoch that began with it.
    pub epoch: Epoch,
    /// The new owner; `None` for a release.
    pub owner: Option<Life>,
    /// `claim`, `take-over`, `give`, `release` or `re-attach`.
    pub reason: String,
    /// By the database's clock.
    pub at: roost_proto::id::UnixMillis,
}

impl Transition {
    /// Whether it took the device from the holder of this grant, who had neither given nor freed it: the very next epoch,
    /// by a claim, for another life. After a lost tail epochs go on elsewhere, and a deleted device has no history.
    pub fn takes_from(&self, grant: &Grant) -> bool {
        let claimed = matches!(self.reason.as_str(), "claim" | "take-over");
        claimed
            && self.epoch.0 == grant.epoch.0 + 1
            && self.owner.as_ref().is_some_and(|owner| *owner != grant.life)
    }
}

/// A dial permit: this grant stood, and the lease had this long to run, when the database answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// What it is for.
    pub grant: Grant,
    /// Lease left by the database's clock, margin not yet taken off.
    pub remaining: Duration,
}

/// Lease times of a cluster. All nodes use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between heartbeats.
    pub beat: Duration,
    /// What a heartbeat grants.
    pub ttl: Duration,
    /// How long before its end a node stops acting.
    pub margin: Duration,
    /// How long after its end others wait.
    pub grace: Duration,
}

impl Timing {
    /// 0.4 s, 2.0 s, 0.3 s, 0.2 s: a database within 20 ms.
    pub const FAST: Timing = Timing::millis(400, 2000, 300, 200);
    /// 1 s, 5 s, 0.5 s, 0.5 s.
    pub const NORMAL: Timing = Timing::millis(1000, 5000, 500, 500);
    /// 3 s, 15 s, 1 s, 1 s: a remote database.
    pub const PATIENT: Timing = Timing::millis(3000, 15000, 1000, 1000);

    const fn millis(beat: u64, ttl: u64, margin: u64, grace: u64) -> Timing {
        Timing {
            beat: Duration::from_millis(beat),
            ttl: Duration::from_millis(ttl),
            margin: Duration::from_millis(margin),
            grace: Duration::from_millis(grace),
        }
    }

    /// How long a node's own renewals must have been unbroken before it may bury another.
    pub fn quarantine(&self) -> Duration {
        self.ttl + self.grace
    }
}

/// The ownership rows. Cloneable by `Arc`; every method may be called from several tasks.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Takes the slot for a new life, in state joining with a full lease. Succeeds over a row that is dead, and over
    /// the row of `silent` if it has not beaten since and its lease has been over for `grace + quarantine`; the old
    /// life is dead from then on. `silent` is whom the candidate has seen stand still on its own clock
    /// ([`Standstill`](crate::slot::Standstill)): the database's alone may have jumped over a lease that runs.
    async fn join(
        &self,
        candidate: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> Result<Life, JoinError>;

    /// Renews the lease, writes what the node says of itself, returns the view; an unbroken run of renewals starts anew when
    /// the lease had lapsed. Three rarities are dealt with here, by whoever meets them first. The lease had
    /// lapsed and so have all others: nobody is buried for ten seconds, or until all have beaten. Leases
    /// run for more than twice what was granted, because the clock went back: they are cut. The database
    /// answers on another time-line: the cluster epoch grows, and for the quarantine nobody is buried and
    /// nothing is claimed.
    async fn beat(&self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable>;

    /// Changes the caller's own state. `false` when the row says dead, or that life is over.
    async fn set_state(&self, life: &Life, state: MemberState) -> Result<bool, Unavailable>;

    /// Buries `victim` when its lease and the grace are over by the database's clock and `me` is alive
    /// with renewals unbroken for the quarantine. `true` for exactly one caller.
    async fn bury(&self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable>;

    /// The death certificate: only for whoever has seen the process exit. `true` for exactly one caller.
    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable>;

    /// What `me` keeps of the devices that it runs, after the cluster epoch has grown: those whose grant
    /// stands, and, while take-overs are blocked, those whose row is older than the posted grant, under a
    /// new one. The highest posted epoch wins. At most 500.
    async fn reattach(&self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable>;

    /// Devices wanted online that nobody living holds, with the dead life that the row names, in key
    /// order, at most `limit`; without those whose required node cannot take them now. A hint to claim
    /// by, nothing more.
    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable>;

    /// Claims those of `keys` whose row still names exactly `from`, for `me`, if `me` is active with a
    /// running lease and not cordoned. At most 500 keys; rows that another transaction holds, and rows
    /// that require another node, are skipped.
    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable>;

    /// Everything whose row names `me`, in key order, wanted online or not.
    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable>;

    /// Dial permits for those grants that stand, are wanted online, and whose lease runs for more than
    /// `margin`. Unavailable while the database is not in this age: who knows of another one has not said yet what
    /// it owns.
    async fn permit(&self, grants: &[Grant], age: Age, margin: Duration) -> Result<Vec<Permit>, Unavailable>;

    /// Gives the device to `to`, if the grant stands, `to` is active with at least 500 ms of lease and not
    /// cordoned, and the device does not require another node.
    async fn give(&self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable>;

    /// Frees the device, if the grant stands. The epoch grows.
    async fn release(&self, grant: &Grant) -> Result<bool, Unavailable>;

    /// What a plan looks at: the rows that are wanted online, of one owner (and with them all rows of
    /// strictly spread tenants) or of everybody, in key order, those after `after`.
    async fn survey(
        &self,
        of: Option<&Life>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Surveyed>, Unavailable>;

    /// The row of one device; `None` when there is no such device.
    async fn ownership(&self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable>;

    /// The latest changes of owner, newest first, at most `limit`.
    async fn history(&self, key: &DeviceKey, limit: usize) -> Result<Vec<Transition>, Unavailable>;
}
