//! whatsapp-rust's SQLite store: key pairs as private and public half, ratchets as records of the Signal library.

use roost_proto::api;
use roost_proto::signal::foreign;

use super::database::{Cell, Database, Kind, choose};
use super::{APP_STATE, Found, From, ImportError, address};

const DEVICES: &str = "SELECT CAST(id AS TEXT), pn, lid, push_name, CAST(registration_id AS BIGINT), noise_key, \
    identity_key, signed_pre_key, CAST(signed_pre_key_id AS BIGINT), signed_pre_key_signature, adv_secret_key, \
    account, CAST(next_pre_key_id AS BIGINT) FROM device WHERE account IS NOT NULL ORDER BY id";
const PREKEYS: &str = "SELECT CAST(id AS BIGINT), key, CAST(uploaded AS BIGINT) FROM prekeys \
    WHERE device_id = CAST($1 AS INTEGER) ORDER BY id";
const SESSIONS: &str =
    "SELECT address, record FROM sessions WHERE device_id = CAST($1 AS INTEGER) ORDER BY address";
const IDENTITIES: &str =
    "SELECT address, key FROM identities WHERE device_id = CAST($1 AS INTEGER) ORDER BY address";
const LIDS: &str = "SELECT phone_number, lid FROM lid_pn_mapping WHERE device_id = CAST($1 AS INTEGER) \
    ORDER BY updated_at";
/// What stays behind, and why.
const LEFT: [(&str, &str, &str); 4] = [
    (
        "sender keys",
        "it is not said of which device they are; members send theirs again when they are asked",
        "SELECT count(*) FROM sender_keys WHERE device_id = CAST($1 AS INTEGER)",
    ),
    (
        "app state keys",
        APP_STATE,
        "SELECT count(*) FROM app_state_keys WHERE device_id = CAST($1 AS INTEGER)",
    ),
    (
        "earlier signed prekeys",
        "Roost keeps one; a peer whose message needs an earlier one is asked to send it again",
        "SELECT count(*) FROM signed_prekeys s JOIN device d ON d.id = s.device_id \
         WHERE s.device_id = CAST($1 AS INTEGER) AND s.id <> d.signed_pre_key_id",
    ),
    (
        "messages that were received and not handed over",
        "they are the application's; let it finish first",
        "SELECT count(*) FROM pending_inbound_messages WHERE device_id = CAST($1 AS INTEGER)",
    ),
];

pub(super) async fn read(from: &From) -> Result<Found, ImportError> {
    use Kind::{Bytes, Number, Text};
    let mut store = Database::open(from).await?;
    let device = [Text, Text, Text, Text, Number, Bytes, Bytes, Bytes, Number, Bytes, Bytes, Bytes, Number];
    let devices = store.rows(DEVICES, None, &device).await?;
    let phone = |jid: String| jid.split([':', '@']).next().unwrap_or_default().to_owned();
    let devices = devices.into_iter().map(|row| (phone(row[1].text()), row)).collect();
    let row = choose(from, devices)?;
    let own = row[0].text();
    let mut found = Found { credentials: credentials(&row), ..Found::default() };

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
    for row in store.rows(LIDS, Some(&own), &[Text, Text]).await? {
        found.lid(row[0].text(), row[1].text());
    }
    for (what, why, statement) in LEFT {
        let count = store.count(statement, &own).await?;
        found.leave(what, why, count);
    }
    store.close().await?;
    Ok(found)
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
        next_prekey_id: row[12].number(),
        adv_secret: row[10].bytes(),
        device_identity: row[11].bytes(),
        phone_number: row[1].text(),
        lid: row[2].text(),
        push_name: row[3].text(),
    }
}
