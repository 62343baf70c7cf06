//! Pairing with an account that has a passkey: the options go out as an event, the credential comes in as a command, and then
//! that the code on the phone is the same.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use whatsapp_rust::Client;
use whatsapp_rust::passkey::Assertion;

#[derive(Deserialize)]
struct Credential {
    #[serde(rename = "rawId")]
    raw_id: String,
}

/// Hands over what an authenticator answered; without that, says that the codes are the same.
///
/// # Errors
/// The answer is malformed, or WhatsApp refuses it.
pub async fn answer(client: &Client, credential: &str) -> anyhow::Result<()> {
    if credential.is_empty() {
        return Ok(client.send_passkey_confirmation().await?);
    }
    let Credential { raw_id } = serde_json::from_str(credential)?;
    let credential_id = URL_SAFE_NO_PAD.decode(raw_id).context("rawId")?;
    let assertion = Assertion { assertion_json: credential.as_bytes().to_vec(), credential_id };
    Ok(client.send_passkey_response(assertion).await?)
}
