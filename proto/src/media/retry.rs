//! The words between a device and its phone about media that the servers have dropped: the device asks, the
//! phone uploads again and says where. Both are sealed with a key that comes from the media key, so that
//! only who has the message can ask or answer.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use prost::Message as _;
use zeroize::Zeroizing;

use super::keys::MediaKey;

const INFO: &[u8] = b"WhatsApp Media Retry Notification";

/// What the phone answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryAnswer {
    /// It is there again, under this path.
    Uploaded {
        /// Begins with `/` and contains `?`.
        direct_path: String,
    },
    /// The phone does not have it any more.
    NotFound,
    /// The phone could not do it; the number is WhatsApp's.
    Failed(i32),
}

/// A request or an answer that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// Sealed with another key, or for another message.
    #[error("it was sealed for another message")]
    Seal,
    /// Not an encoding of what it should be.
    #[error("it is not what it should be")]
    Encoding,
}

/// What a device puts into `<enc_p>` to ask for the media of a message again. `iv` goes into `<enc_iv>`.
pub fn retry_request(key: &MediaKey, message_id: &str, iv: [u8; 12]) -> Vec<u8> {
    let receipt = ServerErrorReceipt { stanza_id: Some(message_id.to_owned()) };
    seal(key, message_id, iv, &receipt.encode_to_vec())
}

/// The phone's side of [`retry_request`]: whether it is a request for this message.
pub fn open_retry_request(
    key: &MediaKey,
    message_id: &str,
    iv: &[u8],
    sealed: &[u8],
) -> Result<(), RetryError> {
    let plain = open(key, message_id, iv, sealed)?;
    let receipt = ServerErrorReceipt::decode(plain.as_slice()).map_err(|_| RetryError::Encoding)?;
    (receipt.stanza_id.as_deref() == Some(message_id)).then_some(()).ok_or(RetryError::Encoding)
}

/// The phone's answer, sealed.
pub fn retry_answer(key: &MediaKey, message_id: &str, iv: [u8; 12], answer: &RetryAnswer) -> Vec<u8> {
    let (direct_path, result) = match answer {
        RetryAnswer::Uploaded { direct_path } => (Some(direct_path.clone()), SUCCESS),
        RetryAnswer::NotFound => (None, NOT_FOUND),
        RetryAnswer::Failed(code) => (None, *code),
    };
    let stanza_id = Some(message_id.to_owned());
    let notification = MediaRetryNotification { stanza_id, direct_path, result: Some(result) };
    seal(key, message_id, iv, &notification.encode_to_vec())
}

/// Opens what came in the `<enc_p>` of a `mediaretry` notification.
pub fn open_retry_answer(
    key: &MediaKey,
    message_id: &str,
    iv: &[u8],
    sealed: &[u8],
) -> Result<RetryAnswer, RetryError> {
    let plain = open(key, message_id, iv, sealed)?;
    let answer = MediaRetryNotification::decode(plain.as_slice()).map_err(|_| RetryError::Encoding)?;
    if answer.stanza_id.as_deref().is_some_and(|id| id != message_id) {
        return Err(RetryError::Seal);
    }
    match answer.result.unwrap_or_default() {
        SUCCESS => match answer.direct_path {
            Some(direct_path) if direct_path.starts_with('/') => Ok(RetryAnswer::Uploaded { direct_path }),
            _ => Err(RetryError::Encoding),
        },
        NOT_FOUND => Ok(RetryAnswer::NotFound),
        other => Ok(RetryAnswer::Failed(other)),
    }
}

fn cipher(key: &MediaKey) -> Aes256Gcm {
    let mut derived = Zeroizing::new([0; 32]);
    key.expand(INFO, &mut derived[..]);
    Aes256Gcm::new_from_slice(&derived[..]).expect("the key has 32 bytes")
}

fn seal(key: &MediaKey, message_id: &str, iv: [u8; 12], plain: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plain, aad: message_id.as_bytes() };
    cipher(key).encrypt(&Nonce::from(iv), payload).expect("a short text fits")
}

fn open(key: &MediaKey, message_id: &str, iv: &[u8], sealed: &[u8]) -> Result<Vec<u8>, RetryError> {
    let iv: [u8; 12] = iv.try_into().map_err(|_| RetryError::Seal)?;
    let payload = Payload { msg: sealed, aad: message_id.as_bytes() };
    cipher(key).decrypt(&Nonce::from(iv), payload).map_err(|_| RetryError::Seal)
}

const SUCCESS: i32 = 1;
const NOT_FOUND: i32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
struct ServerErrorReceipt {
    #[prost(string, optional, tag = "1")]
    stanza_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MediaRetryNotification {
    #[prost(string, optional, tag = "1")]
    stanza_id: Option<String>,
    #[prost(string, optional, tag = "2")]
    direct_path: Option<String>,
    #[prost(int32, optional, tag = "3")]
    result: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MediaKey {
        MediaKey::from_slice(&[byte; 32]).expect("32 bytes")
    }

    #[test]
    fn a_request_is_for_one_message_and_one_key() {
        let sealed = retry_request(&key(1), "3EB0AA", [5; 12]);
        assert_eq!(open_retry_request(&key(1), "3EB0AA", &[5; 12], &sealed), Ok(()));
        assert_eq!(open_retry_request(&key(2), "3EB0AA", &[5; 12], &sealed), Err(RetryError::Seal));
        assert_eq!(open_retry_request(&key(1), "3EB0AB", &[5; 12], &sealed), Err(RetryError::Seal));
        assert_eq!(open_retry_request(&key(1), "3EB0AA", &[6; 12], &sealed), Err(RetryError::Seal));
        assert_eq!(open_retry_request(&key(1), "3EB0AA", &[5; 11], &sealed), Err(RetryError::Seal));
    }

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let direct_path = "/v/t62.7118-24/1?ccb=11".to_owned();
        for answer in [RetryAnswer::Uploaded { direct_path }, RetryAnswer::NotFound, RetryAnswer::Failed(3)] {
            let sealed = retry_answer(&key(1), "3EB0AA", [9; 12], &answer);
            assert_eq!(open_retry_answer(&key(1), "3EB0AA", &[9; 12], &sealed), Ok(answer));
        }
    }

    #[test]
    fn success_without_a_path_is_refused() {
        let answer = RetryAnswer::Uploaded { direct_path: "no-slash".to_owned() };
        let sealed = retry_answer(&key(1), "3EB0AA", [9; 12], &answer);
        assert_eq!(open_retry_answer(&key(1), "3EB0AA", &[9; 12], &sealed), Err(RetryError::Encoding));
    }

    #[test]
    fn a_request_that_baileys_made_is_read() {
        let sealed = hex::decode("41a7b276322f4c92ba4989f840125a263fa9635bd0499cac32df34a1").expect("hex");
        let iv = hex::decode("12a22945f6b667f5fa7d1541").expect("hex");
        assert_eq!(open_retry_request(&key(7), "3EB0VECTOR", &iv, &sealed), Ok(()));
    }
}
