//! Whether a candidate's version of the protocol between nodes is near enough to everybody's who lives.
//!
//! What must hold: only those with a running lease count, so that a cluster that was killed at an old version
//! does not keep the new one out; the candidate's own slot is none of the others.

/// Adds `keep_near` to a backend.
macro_rules! near {
    ($backend:ty, now: $now:literal) => {
        impl $backend {
            async fn keep_near(
                &self,
                candidate: &roost_placement::ledger::Candidate,
            ) -> Result<(), roost_placement::ledger::JoinError> {
                use roost_placement::ledger::{JoinError, NEIGHBOURS};
                let sql = concat!(
                    "SELECT node_id, version FROM member WHERE node_id <> $1 AND state <> 'dead' AND lease_until > ",
                    $now,
                    " AND abs(version - $2) > $3 ORDER BY node_id LIMIT 1"
                );
                let [ours, near] = [candidate.version, NEIGHBOURS].map(|n| i32::try_from(n).unwrap_or(i32::MAX));
                let query = sqlx::query_as(sql).bind(candidate.node.as_str()).bind(ours).bind(near);
                let found: Option<(String, i32)> =
                    query.fetch_optional(&self.read).await.map_err($crate::store::rows::unavailable)?;
                let Some((member, theirs)) = found else { return Ok(()) };
                let member = $crate::store::rows::id("node_id", &member);
                let member = member.map_err($crate::store::rows::unavailable)?;
                let theirs = u32::try_from(theirs).unwrap_or(0);
                Err(JoinError::Apart { member, theirs, ours: candidate.version })
            }
        }
    };
}
pub(super) use near;
