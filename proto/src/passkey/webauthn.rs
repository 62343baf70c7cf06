//! The two JSON documents of a WebAuthn assertion, as browsers write them: the options of the request and
//! the credential that answers it (W3C Web Authentication, section 5.5 and 5.1). Bytes in them are base64url.
//!
//! What must hold: nothing here verifies a signature; that is the server's work. What a document says is
//! never repaired: it fits, or it is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The longest document that is read; real ones have about 1000 bytes.
const LIMIT: usize = 16 * 1024;

/// What WhatsApp asks an authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionRequest {
    /// The options as WhatsApp wrote them, for `navigator.credentials.get` and its like.
    pub json: String,
    /// What the authenticator signs over.
    pub challenge: Vec<u8>,
}

/// Why options are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or of another shape.
    #[error("the options are no PublicKeyCredentialRequestOptions")]
    Shape,
    /// Nothing to sign.
    #[error("the options have no challenge")]
    Challenge,
}

#[derive(Deserialize)]
struct Options {
    challenge: String,
}

impl AssertionRequest {
    /// Reads the options.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn read(json: &[u8]) -> Result<AssertionRequest, RequestError> {
        let text = std::str::from_utf8(json).ok().filter(|text| text.len() <= LIMIT);
        let text = text.ok_or(RequestError::Shape)?;
        let options: Options = serde_json::from_str(text).map_err(|_| RequestError::Shape)?;
        let challenge = unpadded(&options.challenge).filter(|bytes| !bytes.is_empty());
        Ok(AssertionRequest { json: text.to_owned(), challenge: challenge.ok_or(RequestError::Challenge)? })
    }
}

/// What an authenticator answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The credential's id.
    pub credential: Vec<u8>,
    /// JSON that the browser made: what was asked, and by which page.
    pub client_data: Vec<u8>,
    /// Hash of the relying party, flags, counter.
    pub authenticator_data: Vec<u8>,
    /// Over the authenticator data and the hash of the client data.
    pub signature: Vec<u8>,
    /// Who the authenticator says has signed.
    pub user: Option<Vec<u8>>,
}

/// Why a text is not the answer of an authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Longer than 16 KiB, not JSON, or of another shape.
    #[error("must be the JSON of a PublicKeyCredential: id, rawId, type and response")]
    Shape,
    /// `type` is something else.
    #[error("must have the type public-key")]
    Type,
    /// A part is not base64url, or empty.
    #[error("must have {0} in base64url")]
    Bytes(&'static str),
    /// The client data is not what a browser writes for an assertion.
    #[error("must have client data of the type webauthn.get")]
    ClientData,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credential {
    id: String,
    raw_id: String,
    r#type: String,
    response: Response,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    authenticator_data: String,
    signature: String,
    #[serde(default)]
    user_handle: Option<String>,
}

#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
}

impl Assertion {
    /// Reads what a browser or a platform gives out. Members that WhatsApp does not ask for are left away.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub fn read(json: &[u8]) -> Result<Assertion, AssertionError> {
        if json.len() > LIMIT {
            return Err(AssertionError::Shape);
        }
        let credential: Credential = serde_json::from_slice(json).map_err(|_| AssertionError::Shape)?;
        if credential.r#type != "public-key" {
            return Err(AssertionError::Type);
        }
        let bytes = |what, text: &str| {
            unpadded(text).filter(|bytes| !bytes.is_empty()).ok_or(AssertionError::Bytes(what))
        };
        let Response { client_data_json, authenticator_data, signature, user_handle } = credential.response;
        let user = user_handle.filter(|handle| !handle.is_empty());
        let assertion = Assertion {
            credential: bytes("rawId", &credential.raw_id)?,
            client_data: bytes("clientDataJSON", &client_data_json)?,
            authenticator_data: bytes("authenticatorData", &authenticator_data)?,
            signature: bytes("signature", &signature)?,
            user: user.map(|handle| bytes("userHandle", &handle)).transpose()?,
        };
        assertion.said().ok_or(AssertionError::ClientData)?;
        Ok(assertion)
    }

    /// The JSON that goes to WhatsApp.
    pub fn json(&self) -> Vec<u8> {
        let text = |bytes: &Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let credential = Credential {
            id: text(&self.credential),
            raw_id: text(&self.credential),
            r#type: "public-key".to_owned(),
            response: Response {
                client_data_json: text(&self.client_data),
                authenticator_data: text(&self.authenticator_data),
                signature: text(&self.signature),
                user_handle: self.user.as_ref().map(text),
            },
        };
        serde_json::to_vec(&credential).expect("texts are JSON")
    }

    /// Which challenge the client data answers, and the origin of the page that asked.
    ///
    /// `None` when it is no client data of an assertion; never for what [`Assertion::read`] gave.
    pub fn said(&self) -> Option<(Vec<u8>, String)> {
        let said: ClientData = serde_json::from_slice(&self.client_data).ok()?;
        let challenge = unpadded(&said.challenge)?;
        (said.r#type == "webauthn.get").then_some((challenge, said.origin))
    }
}

/// Base64url, whether it is padded or not.
fn unpadded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        let said = r#"{"type":"webauthn.get","challenge":"_-8","origin":"https://web.whatsapp.com"}"#;
        json!({
            "id": "Y3JlZA", "rawId": "Y3JlZA==", "type": "public-key",
            "authenticatorAttachment": "cross-platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(said), "authenticatorData": "AQID",
                "signature": "BAU", "userHandle": null,
            },
        })
    }

    fn read(document: &Value) -> Result<Assertion, AssertionError> {
        Assertion::read(document.to_string().as_bytes())
    }

    #[test]
    fn what_a_browser_gives_out_reads_back_from_what_goes_to_whatsapp() {
        let assertion = read(&document()).expect("an assertion");
        assert_eq!(assertion.credential, b"cred");
        assert_eq!(assertion.said(), Some((vec![0xff, 0xef], "https://web.whatsapp.com".to_owned())));
        assert_eq!(Assertion::read(&assertion.json()), Ok(assertion.clone()));
        let sent: Value = serde_json::from_slice(&assertion.json()).expect("JSON");
        assert_eq!(sent["rawId"], "Y3JlZA");
        assert!(sent.get("clientExtensionResults").is_none() && sent["response"]["userHandle"].is_null());
    }

    #[test]
    fn a_text_that_is_no_assertion_is_refused_with_what_is_wrong() {
        type Spoil = fn(&mut Value);
        let cases: [(AssertionError, Spoil); 5] = [
            (AssertionError::Type, |it| it["type"] = json!("password")),
            (AssertionError::Bytes("rawId"), |it| it["rawId"] = json!("***")),
            (AssertionError::Bytes("signature"), |it| it["response"]["signature"] = json!("")),
            (AssertionError::ClientData, |it| it["response"]["clientDataJSON"] = json!("e30")),
            (AssertionError::Shape, |it| it["response"] = json!([])),
        ];
        for (expected, spoil) in cases {
            let mut document = document();
            spoil(&mut document);
            assert_eq!(read(&document), Err(expected));
        }
        assert_eq!(Assertion::read(&vec![b' '; LIMIT + 1]), Err(AssertionError::Shape));
    }

    #[test]
    fn options_without_a_challenge_are_refused() {
        let read = |text: &str| AssertionRequest::read(text.as_bytes()).map(|request| request.challenge);
        assert_eq!(read(r#"{"challenge":"_-8","rpId":"web.whatsapp.com"}"#), Ok(vec![0xff, 0xef]));
        assert_eq!(read(r#"{"challenge":""}"#), Err(RequestError::Challenge));
        assert_eq!(read(r#"{"rpId":"web.whatsapp.com"}"#), Err(RequestError::Shape));
        assert_eq!(read("no"), Err(RequestError::Shape));
    }
}
