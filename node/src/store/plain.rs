//! The statements whose text is the same in both dialects, written once.
//!
//! What must hold: `business_id` stands in every predicate but those for the operator; reads for a
//! device happen under its grant, in the statement or in one snapshot. SQLite understands `$1`, upserts
//! and `RETURNING` like PostgreSQL, so only clocks, locks and lists differ; the adapters pass those
//! pieces in. What locks or changes owners (the ledger) and what is hot (the fenced writes) is written
//! out for each dialect elsewhere.

macro_rules! plain_backend {
    (
        $adapter:ty,
        now_millis: $now_millis:literal,
        now: $now:literal,
        later: $later:literal,
        share: $share:literal,
        epoch: $epoch:literal,
        positions: $positions:literal,
        names: $names:literal,
        ids: $ids:literal,
        age: $age:literal,
        in_age: $in_age:literal,
    ) => {
        #[async_trait]
        impl $crate::store::backend::Backend for $adapter {
            async fn begin(&self) -> SqlResult<Box<dyn $crate::store::fenced::Rows>> {
                self.begin_rows().await
            }

            async fn load(&self, grant: &Grant) -> SqlResult<Option<LoadedRows>> {
                let mut tx = self.begin_snapshot().await?;
                let (b, d) = (grant.key.business_id.as_str(), grant.key.device_id.as_str());
                let sql = "SELECT v.status_state, v.status_reason, v.status_code, v.status_pn, v.status_lid, v.status_at,
                       v.status_health, v.status_push_name, v.proxy
                           FROM ownership o JOIN device v ON v.business_id = o.business_id AND v.device_id = o.device_id
                           WHERE o.business_id = $1 AND o.device_id = $2
                             AND o.epoch = $3 AND o.owner_node = $4 AND o.owner_inc = $5";
                let query = sqlx::query_as(sql).bind(b).bind(d).bind(grant.epoch.0);
                let query = query.bind(grant.life.node.as_str()).bind(grant.life.incarnation.0);
                let Some(found) = query.fetch_optional(&mut *tx).await? else { return Ok(None) };
                let $crate::store::rows::LoadedRow { status, proxy } = found;
                let age = sqlx::query_scalar($age).fetch_optional(&mut *tx).await?.ok_or_else(|| {
                    sqlx::Error::Protocol("the cluster has not seen this time-line of the database yet".into())
                })?;
                let sql = "SELECT kind, name, value FROM device_state WHERE business_id = $1 AND device_id = $2
                             AND kind IN ('credentials', 'account', 'prekeys', 'retry',
                               'app-state-key', 'app-state-head', 'history', 'history-piece', 'history-file',
                               'history-range', 'history-nonce', 'presence', 'status-post',
                               'making', 'secret-head', 'pacing', 'salt', 'tenure', 'leftovers')
                           ORDER BY kind, name";
                let state = sqlx::query_as(sql).bind(b).bind(d).fetch_all(&mut *tx).await?;
                let sql = $crate::store::rows::select_messages!(
"FROM message m WHERE business_id = $1 AND device_id = $2 AND state IN (1, 2, 3)
                           ORDER BY ordinal");
                let outbox = sqlx::query_as(sql).bind(b).bind(d).fetch_all(&mut *tx).await?;
                // What Roost makes itself (3) and the past (4) say nothing about use; beyond the end nobody looks.
                let sql = "SELECT max(committed) FROM (SELECT committed, origin FROM event
                             WHERE business_id = $1 AND device_id = $2 ORDER BY seq DESC LIMIT 32) e
                           WHERE origin NOT IN (3, 4)";
                let active = sqlx::query_scalar(sql).bind(b).bind(d).fetch_one(&mut *tx).await?;
                let sql = "SELECT last_seq, last_ordinal FROM event_head WHERE business_id = $1 AND device_id = $2";
                let heads = sqlx::query_as(sql).bind(b).bind(d).fetch_optional(&mut *tx).await?.unwrap_or_default();
                Ok(Some(LoadedRows { status, proxy, state, outbox, active, age, heads }))
            }

            async fn read(&self, grant: &Grant, age: i64, names: &str) -> SqlResult<Vec<Option<Vec<u8>>>> {
                let sql = concat!(
                    "SELECT s.value FROM ownership o CROSS JOIN ", $names, " q
                     LEFT JOIN device_state s ON s.business_id = o.business_id AND s.device_id = o.device_id
                      AND s.kind = q.kind AND s.name = q.name
                     WHERE o.business_id = $1 AND o.device_id = $2
                       AND o.epoch = $3 AND o.owner_node = $4 AND o.owner_inc = $5 AND ", $in_age, "
                     ORDER BY q.at"
                );
                let query = sqlx::query_scalar(sql)
                    .bind(grant.key.business_id.as_str())
                    .bind(grant.key.device_id.as_str())
                    .bind(grant.epoch.0)
                    .bind(grant.life.node.as_str())
                    .bind(grant.life.incarnation.0);
                query.bind(names).bind(age).fetch_all(&self.read).await
            }

            async fn sent(&self, grant: &Grant, ids: &str) -> SqlResult<Option<Vec<MessageRow>>> {
                let mut tx = self.begin_snapshot().await?;
                let (b, d) = (grant.key.business_id.as_str(), grant.key.device_id.as_str());
                let sql = "SELECT epoch FROM ownership WHERE business_id = $1 AND device_id = $2
                           AND epoch = $3 AND owner_node = $4 AND owner_inc = $5";
                let query = sqlx::query(sql).bind(b).bind(d).bind(grant.epoch.0);
                let query = query.bind(grant.life.node.as_str()).bind(grant.life.incarnation.0);
                if query.fetch_optional(&mut *tx).await?.is_none() {
                    return Ok(None);
                }
                let sql = $crate::store::rows::select_messages!(
"FROM message m WHERE business_id = $1 AND device_id = $2 AND whatsapp_id IN ", $ids, "
                           ORDER BY ordinal");
                let query = sqlx::query_as(sql).bind(b).bind(d).bind(ids);
                Ok(Some(query.fetch_all(&mut *tx).await?))
            }

            async fn key_check(&self, fresh: &[u8]) -> SqlResult<Vec<u8>> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE cluster_control SET key_check = $1 WHERE key_check IS NULL";
                sqlx::query(sql).bind(fresh).execute(&mut *tx).await?;
                let sql = "SELECT key_check FROM cluster_control";
                let stored = sqlx::query_scalar(sql).fetch_one(&mut *tx).await?;
                tx.commit().await?;
                Ok(stored)
            }

            async fn data_key(&self, tenant: &str) -> SqlResult<Option<Vec<u8>>> {
                let sql = "SELECT data_key FROM tenant WHERE business_id = $1";
                sqlx::query_scalar(sql).bind(tenant).fetch_optional(&self.read).await
            }

            async fn insert_tenant(
                &self,
                id: &str,
                name: &str,
                data_key: &[u8],
            ) -> SqlResult<Option<TenantRow>> {
                let mut tx = self.begin_write().await?;
                let sql = concat!(
                    "INSERT INTO tenant (business_id, display_name, data_key, created)
                     VALUES ($1, $2, $3, ", $now_millis, ") ON CONFLICT (business_id) DO NOTHING
                     RETURNING business_id, display_name, created, spread"
                );
                let query = sqlx::query_as(sql).bind(id).bind(name).bind(data_key);
                let row = query.fetch_optional(&mut *tx).await?;
                tx.commit().await?;
                Ok(row)
            }

            async fn tenant_row(&self, id: &str) -> SqlResult<Option<TenantRow>> {
                let sql = "SELECT business_id, display_name, created, spread FROM tenant WHERE business_id = $1";
                sqlx::query_as(sql).bind(id).fetch_optional(&self.read).await
            }

            async fn tenant_rows(&self, after: &str, limit: i64) -> SqlResult<Vec<TenantRow>> {
                let sql = "SELECT business_id, display_name, created, spread FROM tenant
                           WHERE business_id > $1 ORDER BY business_id LIMIT $2";
                sqlx::query_as(sql).bind(after).bind(limit).fetch_all(&self.read).await
            }

            async fn insert_device(
                &self,
                b: &str,
                d: &str,
                name: &str,
                proxy: Option<&[u8]>,
            ) -> SqlResult<Creation> {
                let mut tx = self.begin_write().await?;
                let sql = "SELECT business_id FROM tenant WHERE business_id = $1";
                if sqlx::query(sql).bind(b).fetch_optional(&mut *tx).await?.is_none() {
                    return Ok(Creation::NoTenant);
                }
                // A row that deletion left goes on with its epoch.
                let sql = "INSERT INTO ownership (business_id, device_id, desired) VALUES ($1, $2, 'online')
                           ON CONFLICT (business_id, device_id) DO UPDATE SET desired = 'online'
                           WHERE ownership.desired = 'deleted'";
                if sqlx::query(sql).bind(b).bind(d).execute(&mut *tx).await?.rows_affected() == 0 {
                    return Ok(Creation::Exists);
                }
                if sqlx::query_scalar($crate::store::leftovers::ANY).bind(b).bind(d).fetch_one(&mut *tx).await? {
                    return Ok(Creation::Leftovers);
                }
                let sql = concat!(
                    "INSERT INTO device (business_id, device_id, display_name, proxy, created)
                     VALUES ($1, $2, $3, $4, ", $now_millis, ")"
                );
                sqlx::query(sql).bind(b).bind(d).bind(name).bind(proxy).execute(&mut *tx).await?;
                // So does the head of its log: no two events of one name ever have the same number.
                let sql = "INSERT INTO event_head (business_id, device_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                sqlx::query(sql).bind(b).bind(d).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok(Creation::Made)
            }

            async fn change_device(
                &self,
                b: &str,
                d: &str,
                name: Option<&str>,
                proxy: Option<Option<&[u8]>>,
            ) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE device SET display_name = coalesce($3, display_name),
                             proxy = CASE WHEN $4 THEN $5 ELSE proxy END
                           WHERE business_id = $1 AND device_id = $2";
                let query = sqlx::query(sql).bind(b).bind(d).bind(name);
                let query = query.bind(proxy.is_some()).bind(proxy.flatten());
                let done = query.execute(&mut *tx).await?.rows_affected() == 1;
                tx.commit().await?;
                Ok(done)
            }

            async fn device_row(&self, b: &str, d: &str) -> SqlResult<Option<DeviceRow>> {
                let sql = concat!(
                    "SELECT ", $crate::store::wishes::wished!(), ", v.display_name, v.created,
                       v.status_state, v.status_reason, v.status_code, v.status_pn, v.status_lid, v.status_at,
                       v.status_health, v.status_push_name, v.proxy
                     FROM device v JOIN ownership o ON o.business_id = v.business_id AND o.device_id = v.device_id
                     JOIN tenant t ON t.business_id = v.business_id
                     WHERE v.business_id = $1 AND v.device_id = $2"
                );
                sqlx::query_as(sql).bind(b).bind(d).fetch_optional(&self.read).await
            }

            async fn device_rows(
                &self,
                tenant: &str,
                after: (&str, &str),
                limit: i64,
            ) -> SqlResult<Vec<DeviceRow>> {
                let sql = concat!(
                    "SELECT ", $crate::store::wishes::wished!(), ", v.display_name, v.created,
                       v.status_state, v.status_reason, v.status_code, v.status_pn, v.status_lid, v.status_at,
                       v.status_health, v.status_push_name, v.proxy
                     FROM device v JOIN ownership o ON o.business_id = v.business_id AND o.device_id = v.device_id
                     JOIN tenant t ON t.business_id = v.business_id
                     WHERE (v.business_id, v.device_id) > ($1, $2) AND ($3 = '' OR v.business_id = $3)
                     ORDER BY v.business_id, v.device_id LIMIT $4"
                );
                let query = sqlx::query_as(sql).bind(after.0).bind(after.1).bind(tenant).bind(limit);
                query.fetch_all(&self.read).await
            }

            async fn set_desired(&self, b: &str, d: &str, desired: &str) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE ownership SET desired = $3
                           WHERE business_id = $1 AND device_id = $2 AND desired <> 'deleted'";
                let done = sqlx::query(sql).bind(b).bind(d).bind(desired).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok(done.rows_affected() == 1)
            }

            async fn remove_device(&self, b: &str, d: &str) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                // First the row that the fence stands on: every writer of this device is out from here.
                let sql = concat!(
                    "UPDATE ownership
                     SET desired = 'deleted', owner_node = NULL, owner_inc = NULL, owned_since = NULL,
                         pin_node = NULL, pin_mode = NULL, epoch = ", $epoch, "
                     WHERE business_id = $1 AND device_id = $2 AND desired <> 'deleted'"
                );
                if sqlx::query(sql).bind(b).bind(d).execute(&mut *tx).await?.rows_affected() == 0 {
                    return Ok(false);
                }
                for sql in [
                    "DELETE FROM device WHERE business_id = $1 AND device_id = $2",
                    "DELETE FROM consumer_position WHERE business_id = $1 AND device_id = $2",
                    "UPDATE imported_device SET business_id = '', device_id = '' WHERE business_id = $1 AND device_id = $2",
                    "UPDATE event_head SET earliest = last_seq + 1, began = last_seq WHERE business_id = $1 AND device_id = $2",
                ] {
                    sqlx::query(sql).bind(b).bind(d).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok(true)
            }

            async fn message_row(&self, b: &str, d: &str, message_id: &str) -> SqlResult<Option<MessageRow>> {
                let sql = $crate::store::rows::select_messages!(
"FROM message m WHERE business_id = $1 AND device_id = $2 AND message_id = $3");
                sqlx::query_as(sql).bind(b).bind(d).bind(message_id).fetch_optional(&self.read).await
            }

            async fn requested_row(&self, b: &str, d: &str, request: &str) -> SqlResult<Option<MessageRow>> {
                let sql = $crate::store::rows::select_messages!(
"FROM message m WHERE business_id = $1 AND device_id = $2 AND request_id = $3");
                sqlx::query_as(sql).bind(b).bind(d).bind(request).fetch_optional(&self.read).await
            }

            async fn event_rows(&self, b: &str, d: &str, after: i64, limit: i64) -> SqlResult<Vec<EventRow>> {
                let sql = "SELECT seq, epoch, occurred, committed, origin, payload, age FROM event
                           WHERE business_id = $1 AND device_id = $2 AND seq > $3 ORDER BY seq LIMIT $4";
                let query = sqlx::query_as(sql).bind(b).bind(d).bind(after).bind(limit);
                query.fetch_all(&self.read).await
            }

            async fn log_heads(&self, tenant: &str, device: &str) -> SqlResult<Vec<LogHeadRow>> {
                let sql = "SELECT h.device_id, h.began, h.earliest, h.last_seq, coalesce(e.age, 0) AS age FROM event_head h
                           JOIN device d ON d.business_id = h.business_id AND d.device_id = h.device_id
                           LEFT JOIN event e ON e.business_id = h.business_id AND e.device_id = h.device_id
                             AND e.seq = h.last_seq
                           WHERE h.business_id = $1 AND ($2 = '' OR h.device_id = $2) ORDER BY h.device_id";
                sqlx::query_as(sql).bind(tenant).bind(device).fetch_all(&self.read).await
            }

            async fn expire(&self, retention: i64, from: i64, limit: i64) -> SqlResult<Option<ExpiredRow>> {
                self.expire_log(retention, from, limit).await
            }

            async fn expire_quarantine(&self, retention: i64, limit: i64) -> SqlResult<u64> {
                self.clear_quarantine(retention, limit).await
            }

            async fn hold(&self, tenant: &str, consumer: &str, holder: &str, lasting: i64) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = concat!(
                    "INSERT INTO consumer (business_id, consumer_id, holder, until, cluster_epoch)
                     SELECT $1, $2, $3, ", $later, ", (", $age, ") FROM tenant WHERE business_id = $1
                     ON CONFLICT (business_id, consumer_id) DO UPDATE SET
                       holder = excluded.holder, until = excluded.until, cluster_epoch = excluded.cluster_epoch
                     WHERE consumer.holder IS NULL OR consumer.holder = excluded.holder
                       OR consumer.cluster_epoch < excluded.cluster_epoch OR consumer.until < ", $now
                );
                let query = sqlx::query(sql).bind(tenant).bind(consumer).bind(holder).bind(lasting);
                let held = query.execute(&mut *tx).await?.rows_affected() == 1;
                tx.commit().await?;
                Ok(held)
            }

            async fn keep(&self, tenant: &str, consumer: &str, holder: &str, lasting: i64) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = concat!(
                    "UPDATE consumer SET until = ", $later, "
                     WHERE business_id = $1 AND consumer_id = $2 AND holder = $3 AND cluster_epoch = (", $age, ")"
                );
                let query = sqlx::query(sql).bind(tenant).bind(consumer).bind(holder).bind(lasting);
                let kept = query.execute(&mut *tx).await?.rows_affected() == 1;
                tx.commit().await?;
                Ok(kept)
            }

            async fn let_go(&self, tenant: &str, consumer: &str, holder: &str) -> SqlResult<()> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE consumer SET holder = NULL
                           WHERE business_id = $1 AND consumer_id = $2 AND holder = $3";
                sqlx::query(sql).bind(tenant).bind(consumer).bind(holder).execute(&mut *tx).await?;
                tx.commit().await
            }

            async fn position_rows(&self, tenant: &str, consumer: &str) -> SqlResult<Vec<(String, i64)>> {
                let sql = "SELECT device_id, seq FROM consumer_position
                           WHERE business_id = $1 AND consumer_id = $2 ORDER BY device_id";
                sqlx::query_as(sql).bind(tenant).bind(consumer).fetch_all(&self.read).await
            }

            async fn move_positions(
                &self,
                tenant: &str,
                consumer: &str,
                holder: &str,
                positions: &str,
            ) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = concat!(
                    "SELECT holder FROM consumer WHERE business_id = $1 AND consumer_id = $2 AND holder = $3
                       AND cluster_epoch = (", $age, ") AND until > ", $now, $share
                );
                let query = sqlx::query(sql).bind(tenant).bind(consumer).bind(holder);
                if query.fetch_optional(&mut *tx).await?.is_none() {
                    return Ok(false);
                }
                // Nobody can acknowledge what was not written yet, and no position goes back.
                let sql = concat!(
                    "INSERT INTO consumer_position (business_id, consumer_id, device_id, seq)
                     SELECT $1, $3, h.device_id, CASE WHEN q.s < h.last_seq THEN q.s ELSE h.last_seq END
                     FROM ", $positions, " q
                     JOIN event_head h ON h.business_id = $1 AND h.device_id = q.d WHERE true
                     ON CONFLICT (business_id, consumer_id, device_id) DO UPDATE SET seq =
                       CASE WHEN excluded.seq > consumer_position.seq THEN excluded.seq
                            ELSE consumer_position.seq END"
                );
                sqlx::query(sql).bind(tenant).bind(positions).bind(consumer).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok(true)
            }
        }
    };
}

pub(super) use plain_backend;
