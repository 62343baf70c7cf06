//! The plaintext inside one-to-one ciphertexts: WhatsApp's `Message`, its padding, and the envelope for
//! copies to one's own devices.
//!
//! What must hold: a message that we do not understand is carried as the bytes that came. The envelope
//! is therefore put on and taken off by field numbers, without decoding what is inside. The generated
//! types of WhatsApp's schema do not leave this file.

use prost::Message as _;
use rand::Rng;
use waproto::buffa::Message as _;
use waproto::whatsapp::Message;

/// The deepest nesting of envelopes that is looked into.
const DEPTH: usize = 4;

/// Why a plaintext cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaintextError {
    /// The padding is not n bytes of value n.
    #[error("the plaintext is badly padded")]
    Padding,
    /// Not an encoding of a message.
    #[error("the plaintext is not a message")]
    Encoding,
}

/// What a message says, as far as we read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text, plain or extended.
    Text(String),
    /// Any other kind: the encoded message.
    Other(Vec<u8>),
    /// Nothing for the user: keys, synchronisation, receipts of the protocol itself.
    Protocol(Vec<u8>),
}

/// A copy of what another device of the same account sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSent {
    /// To whom it went: a JID.
    pub destination: String,
    /// The encoded message.
    pub message: Vec<u8>,
}

/// An encoded message that carries a text.
pub fn text(text: &str) -> Vec<u8> {
    TextMessage { conversation: text.to_owned() }.encode_to_vec()
}

/// Reads an encoded message, looking through the envelopes for disappearing and view-once messages.
pub fn content(message: &[u8]) -> Result<Content, PlaintextError> {
    let decoded = Message::decode_from_slice(message).map_err(|_| PlaintextError::Encoding)?;
    let mut inner = &decoded;
    for _ in 0..DEPTH {
        let envelopes =
            [&inner.ephemeral_message, &inner.view_once_message, &inner.document_with_caption_message];
        match envelopes.into_iter().find_map(|envelope| envelope.as_option()?.message.as_option()) {
            Some(next) => inner = next,
            None => break,
        }
    }
    if let Some(text) = &inner.conversation {
        return Ok(Content::Text(text.clone()));
    }
    if let Some(text) = inner.extended_text_message.as_option().and_then(|extended| extended.text.clone()) {
        return Ok(Content::Text(text));
    }
    let silent = inner.protocol_message.is_set() || is_only_a_sender_key(message);
    Ok(if silent { Content::Protocol(message.to_vec()) } else { Content::Other(message.to_vec()) })
}

/// Wraps an encoded message for one's own other devices.
pub fn wrap_device_sent(sent: &DeviceSent) -> Vec<u8> {
    let context = Slice::decode(sent.message.as_slice()).ok().and_then(|slice| slice.context);
    let inner =
        DeviceSentMessage { destination: sent.destination.clone(), message: Some(sent.message.clone()) };
    Slice { device_sent: Some(inner), context, sender_key: None }.encode_to_vec()
}

/// Takes the envelope off; `None` when the message has none.
pub fn unwrap_device_sent(message: &[u8]) -> Result<Option<DeviceSent>, PlaintextError> {
    let slice = Slice::decode(message).map_err(|_| PlaintextError::Encoding)?;
    Ok(slice
        .device_sent
        .and_then(|sent| Some(DeviceSent { destination: sent.destination, message: sent.message? })))
}

/// A message that gives its receiver our sender key in a group, named by its JID.
pub fn distribute(group: &str, distribution: &[u8]) -> Vec<u8> {
    let key = SenderKey { group: group.to_owned(), distribution: Some(distribution.to_vec()) };
    Slice { sender_key: Some(key.encode_to_vec()), device_sent: None, context: None }.encode_to_vec()
}

/// The sender key in a message: the JID of its group, and what was distributed.
pub fn sender_key(message: &[u8]) -> Option<(String, Vec<u8>)> {
    let key = SenderKey::decode(Slice::decode(message).ok()?.sender_key?.as_slice()).ok()?;
    Some((key.group, key.distribution?))
}

/// Appends 1 to 15 bytes of padding, each of their number.
pub fn pad<R: Rng>(message: &[u8], rng: &mut R) -> Vec<u8> {
    let count = u8::try_from(rng.next_u32() % 15 + 1).expect("at most 15");
    let mut padded = message.to_vec();
    padded.resize(message.len() + usize::from(count), count);
    padded
}

/// Takes 1 to 16 bytes of padding off; all of them are checked.
pub fn unpad(padded: &[u8]) -> Result<&[u8], PlaintextError> {
    let count = *padded.last().ok_or(PlaintextError::Padding)?;
    let length = padded.len().checked_sub(usize::from(count)).ok_or(PlaintextError::Padding)?;
    let (message, padding) = padded.split_at(length);
    let good = (1..=16).contains(&count) && padding.iter().all(|byte| *byte == count);
    if good { Ok(message) } else { Err(PlaintextError::Padding) }
}

fn is_only_a_sender_key(message: &[u8]) -> bool {
    let Ok(slice) = Slice::decode(message) else { return false };
    // Re-encoding the slice gives the whole message when it holds nothing else.
    slice.sender_key.is_some() && slice.encoded_len() == message.len()
}

// Slices of WhatsApp's `Message`: only the field numbers that we write, or must carry without decoding.
#[derive(Clone, PartialEq, prost::Message)]
struct TextMessage {
    #[prost(string, tag = "1")]
    conversation: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Slice {
    #[prost(bytes = "vec", optional, tag = "2")]
    sender_key: Option<Vec<u8>>,
    #[prost(message, optional, tag = "31")]
    device_sent: Option<DeviceSentMessage>,
    #[prost(bytes = "vec", optional, tag = "35")]
    context: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SenderKey {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    distribution: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeviceSentMessage {
    #[prost(string, tag = "1")]
    destination: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    message: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use waproto::buffa::MessageField;
    use waproto::whatsapp::message;

    #[test]
    fn a_text_is_what_the_full_schema_reads() {
        let bytes = text("Grüße 🐓");
        let message = Message::decode_from_slice(&bytes).expect("the full schema reads it");
        assert_eq!(message.conversation.as_deref(), Some("Grüße 🐓"));
        assert_eq!(content(&bytes), Ok(Content::Text("Grüße 🐓".to_owned())));
    }

    #[test]
    fn extended_and_disappearing_texts_are_texts() {
        let extended = Message {
            extended_text_message: MessageField::some(message::ExtendedTextMessage {
                text: Some("see this".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(content(&extended.encode_to_vec()), Ok(Content::Text("see this".to_owned())));
        let disappearing = Message {
            ephemeral_message: MessageField::some(message::FutureProofMessage {
                message: MessageField::some(extended),
            }),
            ..Default::default()
        };
        assert_eq!(content(&disappearing.encode_to_vec()), Ok(Content::Text("see this".to_owned())));
    }

    #[test]
    fn other_kinds_keep_their_bytes() {
        let image = Message {
            image_message: MessageField::some(message::ImageMessage {
                caption: Some("cat".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        }
        .encode_to_vec();
        assert_eq!(content(&image), Ok(Content::Other(image.clone())));
        let protocol = Message {
            protocol_message: MessageField::some(message::ProtocolMessage::default()),
            ..Default::default()
        }
        .encode_to_vec();
        assert_eq!(content(&protocol), Ok(Content::Protocol(protocol.clone())));
    }

    #[test]
    fn a_copy_for_own_devices_is_what_the_full_schema_reads() {
        let sent = DeviceSent { destination: "1@s.whatsapp.net".to_owned(), message: text("hi") };
        let wrapped = wrap_device_sent(&sent);
        let message = Message::decode_from_slice(&wrapped).expect("the full schema reads it");
        let inner = message.device_sent_message.as_option().expect("the envelope");
        assert_eq!(inner.destination_jid.as_deref(), Some("1@s.whatsapp.net"));
        assert_eq!(unwrap_device_sent(&wrapped), Ok(Some(sent)));
        assert_eq!(unwrap_device_sent(&text("hi")), Ok(None));
    }

    #[test]
    fn fields_that_we_do_not_know_survive_the_envelope() {
        // Field 4000, length-delimited, "x".
        let mut message = text("hi");
        message.extend([0x82, 0xfa, 0x01, 1, b'x']);
        let sent = DeviceSent { destination: "1@lid".to_owned(), message };
        assert_eq!(unwrap_device_sent(&wrap_device_sent(&sent)), Ok(Some(sent)));
    }

    #[test]
    fn a_distributed_sender_key_is_what_the_full_schema_reads() {
        let bytes = distribute("120363000000000001@g.us", b"key");
        let message = Message::decode_from_slice(&bytes).expect("the full schema reads it");
        let inner = message.sender_key_distribution_message.as_option().expect("a sender key");
        assert_eq!(inner.group_id.as_deref(), Some("120363000000000001@g.us"));
        assert_eq!(sender_key(&bytes), Some(("120363000000000001@g.us".to_owned(), b"key".to_vec())));
        assert_eq!(sender_key(&text("hi")), None);
        assert_eq!(content(&bytes), Ok(Content::Protocol(bytes.clone())));
    }

    #[test]
    fn bad_padding_is_refused() {
        for bad in [&b""[..], &[0], &[1, 2], &[9, 3, 3], &[17; 17], &[5; 4]] {
            assert_eq!(unpad(bad), Err(PlaintextError::Padding), "{bad:?}");
        }
        assert_eq!(unpad(&[7, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16]), Ok(&[7][..]));
    }

    proptest! {
        #[test]
        fn padding_comes_off_again(message: Vec<u8>, seed: u64) {
            let padded = pad(&message, &mut StdRng::seed_from_u64(seed));
            prop_assert!(padded.len() > message.len() && padded.len() <= message.len() + 15);
            prop_assert_eq!(unpad(&padded), Ok(message.as_slice()));
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
            let _ = content(&bytes);
            let _ = unwrap_device_sent(&bytes);
            let _ = unpad(&bytes);
        }
    }
}
