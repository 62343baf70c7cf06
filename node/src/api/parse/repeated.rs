//! What makes two sends under one request id the same.

use roost_actors::device::Recipient;
use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::MessageContent;
use roost_proto::media::media_to_send_mut;
use roost_proto::prost::Message as _;
use sha2::{Digest as _, Sha256};

/// What tells a repetition from a reused key. Plain texts keep the hash that they had before there were
/// other kinds.
pub(super) fn request_hash(to: &Recipient, content: &MessageContent, whatsapp_id: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    if let Some(id) = whatsapp_id {
        hash.update(format!("roost send as {id}\0"));
    }
    let plain = content.context == api::Context::default();
    if let Recipient::Status(people) = to {
        for person in people {
            hash.update(person.to_string().as_bytes());
            hash.update(b"\0");
        }
    }
    match &content.kind {
        api::send_message_request::Content::Text(text) if plain => {
            hash.update(b"roost send text\0");
            hash.update(to.jid().as_bytes());
            hash.update(b"\0");
            hash.update(text.as_bytes());
        }
        kind => {
            let kind = api::SendMessageRequest { content: Some(by_its_bytes(kind)), ..Default::default() };
            let said = api::SendMessageRequest { context: Some(content.context.clone()), ..kind };
            hash.update(b"roost send\0");
            hash.update(to.jid().as_bytes());
            hash.update(b"\0");
            hash.update(said.encode_to_vec());
        }
    }
    hash.finalize().into()
}

/// The same, where an upload stands for the file that it is: whoever repeats a send may have uploaded it again, under another
/// handle. A caller who names the handle alone means that one.
fn by_its_bytes(content: &Content) -> Content {
    let mut content = content.clone();
    if let Some(media) = media_to_send_mut(&mut content)
        && media.sha256.len() == 32
        && !media.name.contains("/devices/")
    {
        let api::Media { kind, mime_type, file_name, sha256, .. } = std::mem::take(media);
        *media = api::Media { kind, mime_type, file_name, sha256, ..Default::default() };
    }
    content
}
