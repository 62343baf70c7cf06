//! whatsmeow's store, on SQLite or PostgreSQL: keys as bytes, ratchets as JSON.

use roost_proto::signal::foreign;
use roost_proto::{adv, api};

use super::database::{Cell, Database, Kind, choose};
use super::{APP_STATE, Found, From, ImportError, RETRIES, SECRETS, address};

const DEVICES: &str = "SELECT jid, lid, push_name, CAST(registration_id AS BIGINT), noise_key, identity_key, \
    signed_pre_key, CAST(signed_pre_key_id AS BIGINT), signed_pre_key_sig, adv_key, adv_details, \
    adv_account_sig, adv_account_sig_key, adv_device_sig FROM whatsmeow_device ORDER BY jid";
const PREKEYS: &str = "SELECT CAST(key_id AS BIGINT), key, CAST(CASE WHEN uploaded THEN 1 ELSE 0 END AS BIGINT) \
    FROM whatsmeow_pre_keys WHERE jid = $1 ORDER BY key_id";
const SESSIONS: &str =
    "SELECT their_id, session FROM whatsmeow_sessions WHERE our_jid = $1 ORDER BY their_id";
const IDENTITIES: &str =
    "SELECT their_id, identity FROM whatsmeow_identity_keys WHERE our_jid = $1 ORDER BY their_id";
const SENDER_KEYS: &str = "SELECT chat_id, sender_id, sender_key FROM whatsmeow_sender_keys WHERE our_jid = $1 ORDER BY chat_id, sender_id";
const LIDS: &str = "SELECT pn, lid FROM whatsmeow_lid_map ORDER BY pn";
const TOKENS: &str = "SELECT their_jid, token, CAST(timestamp AS BIGINT), CAST(sender_timestamp AS BIGINT) \
    FROM whatsmeow_privacy_tokens WHERE our_jid = $1 ORDER BY their_jid";
/// The same before it kept when it had given its own.
const EARLIER_TOKENS: &str = "SELECT their_jid, token, CAST(timestamp AS BIGINT), CAST(0 AS BIGINT) \
    FROM whatsmeow_privacy_tokens WHERE our_jid = $1 ORDER BY their_jid";
const SALT: &str = "SELECT salt FROM whatsmeow_nct_salt WHERE our_jid = $1";
/// What each version has that can be read here; what came later may be missing.
const TABLES: [(&str, &str); 5] = [
    ("whatsmeow_device", "lid"),
    ("whatsmeow_pre_keys", "jid"),
    ("whatsmeow_sessions", "our_jid"),
    ("whatsmeow_identity_keys", "our_jid"),
    ("whatsmeow_sender_keys", "our_jid"),
];
/// What stays behind, why, where it is, and how it is counted.
const LEFT: [(&str, &str, (&str, &str), &str); 6] = [
    (
        "app state keys",
        APP_STATE,
        ("whatsmeow_app_state_sync_keys", "jid"),
        "SELECT count(*) FROM whatsmeow_app_state_sync_keys WHERE jid = $1",
    ),
    (
        "contacts",
        "Roost keeps none yet; WhatsApp tells names again",
        ("whatsmeow_contacts", "our_jid"),
        "SELECT count(*) FROM whatsmeow_contacts WHERE our_jid = $1",
    ),
    (
        "settings of chats",
        "they come again with the app state",
        ("whatsmeow_chat_settings", "our_jid"),
        "SELECT count(*) FROM whatsmeow_chat_settings WHERE our_jid = $1",
    ),
    (
        "secrets of messages",
        SECRETS,
        ("whatsmeow_message_secrets", "our_jid"),
        "SELECT count(*) FROM whatsmeow_message_secrets WHERE our_jid = $1",
    ),
    (
        "messages that were sent lately",
        RETRIES,
        ("whatsmeow_retry_buffer", "our_jid"),
        "SELECT count(*) FROM whatsmeow_retry_buffer WHERE our_jid = $1",
    ),
    (
        "messages that were decrypted and not handed over",
        "they are the application's; let it finish first",
        ("whatsmeow_event_buffer", "our_jid"),
        "SELECT count(*) FROM whatsmeow_event_buffer WHERE our_jid = $1 AND plaintext IS NOT NULL",
    ),
];

pub(super) async fn read(from: &From) -> Result<Found, ImportError> {
    use Kind::{Bytes, Number, Text};
    let mut store = Database::open(from).await?;
    store.must_have(&TABLES).await?;
    let device =
        [Text, Text, Text, Number, Bytes, Bytes, Bytes, Number, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes];
    let devices = store.rows(DEVICES, None, &device).await?;
    let devices = devices.into_iter().map(|row| (row[0].text(), row)).collect();
    let row = choose(from, devices)?;
    let own = row[0].text();
    let mut found = Found { credentials: credentials(&row), ..Found::default() };

    for row in store.rows(PREKEYS, Some(&own), &[Number, Bytes, Number]).await? {
        let (id, private_key) = (row[0].number(), row[1].bytes());
        found.credentials.next_prekey_id = found.credentials.next_prekey_id.max(id + 1);
        if row[2] == Cell::Number(1) {
            found.credentials.prekeys.push(api::ImportedPrekey { id, private_key });
        } else {
            found.leave("prekeys", "WhatsApp does not have them", 1);
        }
    }
    for row in store.rows(SESSIONS, Some(&own), &[Text, Bytes]).await? {
        found.ratchet(address::agent(&row[0].text()), foreign::whatsmeow_ratchet(&row[1].bytes()));
    }
    for row in store.rows(IDENTITIES, Some(&own), &[Text, Bytes]).await? {
        found.identity(address::agent(&row[0].text()), row[1].bytes());
    }
    if store.has("whatsmeow_lid_map", "lid").await? {
        for row in store.rows(LIDS, None, &[Text, Text]).await? {
            found.lid(row[0].text(), row[1].text());
        }
    }
    for row in store.rows(SENDER_KEYS, Some(&own), &[Text, Text, Bytes]).await? {
        let chain = foreign::whatsmeow_chain(&row[2].bytes());
        found.sender_key(&row[0].text(), address::agent(&row[1].text()), chain);
    }
    if store.has("whatsmeow_privacy_tokens", "token").await? {
        let later = store.has("whatsmeow_privacy_tokens", "sender_timestamp").await?;
        let statement = if later { TOKENS } else { EARLIER_TOKENS };
        for row in store.rows(statement, Some(&own), &[Text, Bytes, Number, Number]).await? {
            found.token(&row[0].text(), row[1].bytes(), row[2].seconds(), row[3].seconds());
        }
    }
    if store.has("whatsmeow_nct_salt", "salt").await? {
        let rows = store.rows(SALT, Some(&own), &[Bytes]).await?;
        found.credentials.stranger_salt = rows.first().map(|row| row[0].bytes()).unwrap_or_default();
    }
    for (what, why, table, statement) in LEFT {
        let count = store.count(table, statement, &own).await?;
        found.leave(what, why, count);
    }
    store.close().await?;
    Ok(found)
}

fn credentials(row: &[Cell]) -> api::ImportedCredentials {
    let bytes = |at: usize| row[at].bytes();
    api::ImportedCredentials {
        source: super::Library::Whatsmeow.as_str().to_owned(),
        registration_id: row[3].number(),
        noise_key: bytes(4),
        identity_key: bytes(5),
        signed_prekey: Some(api::ImportedSignedPrekey {
            private_key: bytes(6),
            id: row[7].number(),
            signature: bytes(8),
        }),
        prekeys: Vec::new(),
        next_prekey_id: 1,
        adv_secret: bytes(9),
        device_identity: adv::signed_identity(bytes(10), bytes(12), bytes(11), bytes(13)),
        phone_number: row[0].text(),
        lid: row[1].text(),
        push_name: row[2].text(),
        ..Default::default()
    }
}
