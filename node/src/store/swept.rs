//! Rows that are numbered otherwise than they would be now, in the database. Written once for both dialects.

/// Removes some of them. `$1` and `$2` name the device; the others are a pattern of each number and whether names like it
/// stay.
pub(super) const SQL: &str =
    "DELETE FROM device_state WHERE business_id = $1 AND device_id = $2 AND (kind, name) IN
    (SELECT kind, name FROM device_state WHERE business_id = $1 AND device_id = $2
       AND ((kind IN ('session', 'sender-key', 'identity', 'contact-token') AND (name LIKE $3) <> $4)
         OR (kind = 'known-chat' AND (name LIKE $5) <> $6))
     LIMIT 500)";

/// Names that have this number, and whether they stay. The first number is in no name.
pub(super) fn like(number: u32) -> (String, bool) {
    match number {
        0 => ("%#%".to_owned(), false),
        number => (format!("%#{number}"), true),
    }
}

/// The statement of an adapter whose open transaction this is.
macro_rules! sweep {
    ($tx:expr, $key:expr, $sweep:expr) => {{
        let ((keys, keys_stay), (chats, chats_stay)) =
            ($crate::store::swept::like($sweep.keys), $crate::store::swept::like($sweep.chats));
        let query = sqlx::query($crate::store::swept::SQL)
            .bind($key.business_id.as_str())
            .bind($key.device_id.as_str())
            .bind(keys)
            .bind(keys_stay)
            .bind(chats)
            .bind(chats_stay);
        Ok(query.execute($tx).await?.rows_affected())
    }};
}
pub(super) use sweep;

#[cfg(test)]
mod tests {
    use roost_actors::port::Sweep;

    use super::*;

    #[test]
    fn the_statement_takes_as_many_and_those_that_the_port_names() {
        assert!(SQL.contains(&format!("LIMIT {}", Sweep::ROWS)));
        for kind in Sweep::OF_KEYS {
            assert!(SQL.contains(&format!("'{}'", kind.as_str())), "{kind:?} stays");
        }
    }
}
