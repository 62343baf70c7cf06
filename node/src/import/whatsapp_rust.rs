//! whatsapp-rust's SQLite store: key pairs as private and public half, ratchets as records of the Signal library.

use std::collections::BTreeSet;

use roost_proto::api;
use roost_proto::signal::foreign;

use super::database::{Cell, Database, Kind, choose};
use super::{APP_STATE, Found, From, ImportError, RETRIES, SECRETS, address};

const DEVICES: &str = "SELECT CAST(id AS TEXT), pn, lid, push_name, CAST(registration_id AS BIGINT), noise_key, \
    identity_key, signed_pre_key, CAST(signed_pre_key_id AS BIGINT), signed_pre_key_signature, adv_secret_key, \
    account FROM device WHERE account IS NOT NULL ORDER BY id";
const NEXT_PREKEY: &str = "SELECT CAST(next_pre_key_id AS BIGINT) FROM device WHERE id = CAST($1 AS INTEGER)";
const SALT: &str = "SELECT nct_salt FROM device WHERE id = CAST($1 AS INTEGER)";
const TOKENS: &str = "SELECT jid, token, CAST(token_timestamp AS BIGINT), CAST(sender_timestamp AS BIGINT) \
    FROM tc_tokens WHERE device_id = CAST($1 AS INTEGER) ORDER BY jid";
const PREKEYS: &str = "SELECT CAST(id AS BIGINT), key, CAST(uploaded AS BIGINT) FROM prekeys \
    WHERE device_id = CAST($1 AS INTEGER) ORDER BY id";
const SESSIONS: &str =
    "SELECT address, record FROM sessions WHERE device_id = CAST($1 AS INTEGER) ORDER BY address";
const IDENTITIES: &str =
    "SELECT address, key FROM identities WHERE device_id = CAST($1 AS INTEGER) ORDER BY address";
const LIDS: &str = "SELECT phone_number, lid FROM lid_pn_mapping WHERE device_id = CAST($1 AS INTEGER) \
    ORDER BY updated_at";
const SENDER_KEYS: &str =
    "SELECT address, record FROM sender_keys WHERE device_id = CAST($1 AS INTEGER) ORDER BY address";
/// What each version has that can be read here; what came later may be missing.
const TABLES: [(&str, &str); 5] = [
    ("device", "account"),
    ("prekeys", "device_id"),
    ("sessions", "device_id"),
    ("identities", "device_id"),
    ("sender_keys", "device_id"),
];
/// What stays behind, why, where it is, and how it is counted.
const LEFT: [(&str, &str, (&str, &str), &str); 5] = [
    (
        "app state keys",
        APP_STATE,
        ("app_state_keys", "device_id"),
        "SELECT count(*) FROM app_state_keys WHERE device_id = CAST($1 AS INTEGER)",
    ),
    (
        "earlier signed prekeys",
        "Roost keeps one; a peer whose message needs an earlier one is asked to send it again",
        ("signed_prekeys", "device_id"),
        "SELECT count(*) FROM signed_prekeys s JOIN device d ON d.id = s.device_id \
         WHERE s.device_id = CAST($1 AS INTEGER) AND s.id <> d.signed_pre_key_id",
    ),
    (
        "messages that were received and not handed over",
        "they are the application's; let it finish first",
        ("pending_inbound_messages", "device_id"),
        "SELECT count(*) FROM pending_inbound_messages WHERE device_id = CAST($1 AS INTEGER)",
    ),
    (
        "secrets of messages",
        SECRETS,
        ("msg_secrets", "device_id"),
        "SELECT count(*) FROM msg_secrets WHERE device_id = CAST($1 AS INTEGER)",
    ),
    (
        "messages that were sent lately",
        RETRIES,
        ("sent_messages", "device_id"),
        "SELECT count(*) FROM sent_messages WHERE device_id = CAST($1 AS INTEGER)",
    ),
];

pub(super) async fn read(from: &From) -> Result<Found, ImportError> {
    use Kind::{Bytes, Number, Text};
    let mut store = Database::open(from).await?;
    store.must_have(&TABLES).await?;
    let device = [Text, Text, Text, Text, Number, Bytes, Bytes, Bytes, Number, Bytes, Bytes, Bytes];
    let devices = store.rows(DEVICES, None, &device).await?;
    let devices = devices.into_iter().map(|row| (row[1].text(), row)).collect();
    let row = choose(from, devices)?;
    let own = row[0].text();
    let mut found = Found { credentials: credentials(&row), ..Found::default() };

    if store.has("device", "next_pre_key_id").await? {
        let rows = store.rows(NEXT_PREKEY, Some(&own), &[Number]).await?;
        found.credentials.next_prekey_id = rows.first().map_or(0, |row| row[0].number());
    }
    if store.has("device", "nct_salt").await? {
        let rows = store.rows(SALT, Some(&own), &[Bytes]).await?;
        found.credentials.stranger_salt = rows.first().map(|row| row[0].bytes()).unwrap_or_default();
    }
    for row in store.rows(PREKEYS, Some(&own), &[Number, Bytes, Number]).await? {
        match foreign::record_prekey(&row[1].bytes()) {
            _ if row[2] != Cell::Number(1) => found.leave("prekeys", "WhatsApp does not have them", 1),
            Some(private_key) => {
                let private_key = private_key.to_vec();
                found.credentials.prekeys.push(api::ImportedPrekey { id: row[0].number(), private_key });
            }
            None => found.leave("prekeys", "they cannot be read", 1),
        }
    }
    for row in store.rows(SESSIONS, Some(&own), &[Text, Bytes]).await? {
        found.ratchet(address::protocol(&row[0].text()), foreign::record_ratchet(&row[1].bytes()));
    }
    for row in store.rows(IDENTITIES, Some(&own), &[Text, Bytes]).await? {
        found.identity(address::protocol(&row[0].text()), row[1].bytes());
    }
    if store.has("lid_pn_mapping", "lid").await? {
        for row in store.rows(LIDS, Some(&own), &[Text, Text]).await? {
            found.lid(row[0].text(), row[1].text());
        }
    }
    if store.has("tc_tokens", "token").await? {
        for row in store.rows(TOKENS, Some(&own), &[Text, Bytes, Number, Number]).await? {
            found.token(&row[0].text(), row[1].bytes(), row[2].seconds(), row[3].seconds());
        }
    }
    for row in store.rows(SENDER_KEYS, Some(&own), &[Text, Bytes]).await? {
        sender_key(&mut found, &row[0].text(), &row[1].bytes());
    }
    for (what, why, table, statement) in LEFT {
        let count = store.count(table, statement, &own).await?;
        found.leave(what, why, count);
    }
    store.close().await?;
    Ok(found)
}

/// `{group}:{sender}`, where the sender has no device: the chains of all devices of a user are in one record, and each
/// message names its chain. So each device of his with which there is a ratchet, as there is with all who have sent a
/// chain, gets them all.
fn sender_key(found: &mut Found, name: &str, record: &[u8]) {
    let (group, sender) = name.split_once(':').unwrap_or((name, ""));
    let sender = address::protocol(sender);
    let Some((user, server)) = sender.as_deref().and_then(|sender| sender.split_once('@')) else {
        return found.sender_key(group, None, foreign::record_chain(record));
    };
    if user.contains(':') {
        // With a device: our own, with which we send.
        return found.sender_key(group, sender.clone(), foreign::record_chain(record));
    }
    let numbers = found.lids.iter().filter(|pair| server == "lid" && pair.lid == user);
    let mut names: Vec<String> =
        numbers.map(|pair| format!("{}@s.whatsapp.net", pair.phone_number)).collect();
    names.push(format!("{user}@{server}"));
    let device = |peer: &str| {
        let (name, of) = peer.split_once('@')?;
        let (bare, device) = name.split_once(':').unwrap_or((name, ""));
        names.contains(&format!("{bare}@{of}")).then(|| device.to_owned())
    };
    let devices: BTreeSet<String> =
        found.ratchets.iter().filter_map(|ratchet| device(&ratchet.peer)).collect();
    if devices.is_empty() {
        found.leave("sender keys", "there is no ratchet with any device of their sender", 1);
    }
    for device in devices {
        let colon = if device.is_empty() { "" } else { ":" };
        let sender = format!("{user}{colon}{device}@{server}");
        found.sender_key(group, Some(sender), foreign::record_chain(record));
    }
}

fn credentials(row: &[Cell]) -> api::ImportedCredentials {
    // The private half is the first.
    let private = |at: usize| row[at].bytes().get(..32).map(<[u8]>::to_vec).unwrap_or_default();
    api::ImportedCredentials {
        source: super::Library::WhatsappRust.as_str().to_owned(),
        registration_id: row[4].number(),
        noise_key: private(5),
        identity_key: private(6),
        signed_prekey: Some(api::ImportedSignedPrekey {
            id: row[8].number(),
            private_key: private(7),
            signature: row[9].bytes(),
        }),
        prekeys: Vec::new(),
        adv_secret: row[10].bytes(),
        device_identity: row[11].bytes(),
        phone_number: row[1].text(),
        lid: row[2].text(),
        push_name: row[3].text(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use roost_proto::signal::{Chain, distribution};

    use super::*;

    #[test]
    fn a_sender_key_is_for_every_device_of_its_sender_that_is_known() {
        let mut chain = Chain::default();
        distribution(&mut chain, &mut StdRng::seed_from_u64(1)).expect("made");
        let record = chain.0.expect("a chain");
        let taken = |names: &[&str]| {
            let mut found = Found::default();
            found.credentials.lid = "555:1@lid".to_owned();
            let peers = ["777@lid", "777:3@lid", "4915:8@s.whatsapp.net", "7771:2@lid"];
            found
                .ratchets
                .extend(peers.map(|peer| api::ImportedRatchet { peer: peer.to_owned(), record: Vec::new() }));
            found.lid("4915".to_owned(), "777".to_owned());
            names.iter().for_each(|name| sender_key(&mut found, name, &record));
            let senders = found.sender_keys.into_iter().map(|key| key.sender).collect::<Vec<_>>();
            (senders, found.left.values().sum::<u64>())
        };
        let devices = ["777@lid", "777:3@lid", "777:8@lid"].map(str::to_owned).to_vec();
        assert_eq!(taken(&["1@g.us:777@lid.0"]), (devices, 0));
        assert_eq!(taken(&["1@g.us:4915@c.us.0"]), (vec!["4915:8@s.whatsapp.net".to_owned()], 0));
        let nobody = ["1@g.us:888@lid.0", "1@g.us:555:1@lid.0", "1@g.us", "1@g.us:nobody"];
        assert_eq!(taken(&nobody), (Vec::new(), 4), "unknown, our own, and no names");
        assert_eq!(taken(&["status@broadcast:7771@lid.0"]), (vec!["7771:2@lid".to_owned()], 0));
    }
}
