//! Polls and their votes, read from the database. Written once for both dialects; votes are written with the rest of
//! a batch (`fenced.rs`).

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{StateKey, Vote};
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;
use serde_json::{Value, json};

use super::Store;
use super::names::escape;
use super::prepared::{open_state, open_vote};
use super::rows::{SqlResult, unavailable};
use crate::polls::PollRows;

/// The statements of an adapter.
#[async_trait]
pub(super) trait Ballots: Send + Sync {
    /// Values by kind and name, given as a JSON array of pairs; one per pair, in order.
    async fn state_values(&self, b: &str, d: &str, names: &str) -> SqlResult<Vec<Option<Vec<u8>>>>;
    async fn vote_rows(&self, b: &str, d: &str, ballot: &[u8], limit: i64) -> SqlResult<Vec<VoteRow>>;
}

/// A vote; what it says is sealed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct VoteRow {
    pub(super) ballot: Vec<u8>,
    pub(super) voter: String,
    pub(super) cast_at: i64,
    pub(super) said: Vec<u8>,
}

macro_rules! ballots {
    ($adapter:ty, names: $names:literal) => {
        #[async_trait]
        impl $crate::store::polls::Ballots for $adapter {
            async fn state_values(&self, b: &str, d: &str, names: &str) -> SqlResult<Vec<Option<Vec<u8>>>> {
                let sql = concat!(
                    "SELECT s.value FROM ", $names, " q
                     LEFT JOIN device_state s ON s.business_id = $1 AND s.device_id = $2
                      AND s.kind = q.kind AND s.name = q.name
                     ORDER BY q.at"
                );
                sqlx::query_scalar(sql).bind(b).bind(d).bind(names).fetch_all(&self.read).await
            }

            async fn vote_rows(
                &self,
                b: &str,
                d: &str,
                ballot: &[u8],
                limit: i64,
            ) -> SqlResult<Vec<$crate::store::polls::VoteRow>> {
                let sql = "SELECT ballot, voter, cast_at, said FROM poll_vote
                           WHERE business_id = $1 AND device_id = $2 AND ballot = $3 ORDER BY voter LIMIT $4";
                let query = sqlx::query_as(sql).bind(b).bind(d).bind(ballot).bind(limit);
                query.fetch_all(&self.read).await
            }
        }
    };
}

pub(super) use ballots;

#[async_trait]
impl PollRows for Store {
    async fn state(&self, key: &DeviceKey, keys: &[StateKey]) -> Result<Vec<Option<Bytes>>, Unavailable> {
        let Some(seal) = self.seal_for(&key.business_id).await? else { return Ok(vec![None; keys.len()]) };
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let names: Vec<(&str, String)> =
            keys.iter().map(|key| (key.kind.as_str(), escape(&key.name).into_owned())).collect();
        let wanted = Value::Array(names.iter().map(|pair| json!(pair)).collect()).to_string();
        let values = self.sql(self.backend.state_values(b, d, &wanted)).await?;
        let open = |((kind, name), value): (&(&str, String), Option<Vec<u8>>)| {
            value.map(|value| open_state(key, &seal, kind, name, &value)).transpose()
        };
        names.iter().zip(values).map(open).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn votes(&self, key: &DeviceKey, ballot: [u8; 16], limit: usize) -> Result<Vec<Vote>, Unavailable> {
        let Some(seal) = self.seal_for(&key.business_id).await? else { return Ok(Vec::new()) };
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.sql(self.backend.vote_rows(b, d, &ballot, limit)).await?;
        let votes = rows.into_iter().map(|row| open_vote(key, &seal, row));
        votes.collect::<Result<_, _>>().map_err(unavailable)
    }
}
