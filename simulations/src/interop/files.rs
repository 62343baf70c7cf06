//! Files between real clients and Roost: what the clients send and receive, and what Roost takes and gives.

use std::path::Path;
use std::time::Duration;

use roost_node::client::Client;
use roost_proto::api;
use roost_proto::api::download_media_response::Part as Down;
use roost_proto::api::upload_media_request::{Header, Part as Up};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::event::{ClientEvent, ReceivedFile};
use super::{InteropError, RealClient};
use crate::callers::within;

/// Bound of one transfer.
const TRANSFER: Duration = Duration::from_secs(60);
/// Bytes of a piece.
const PIECE: usize = 256 << 10;

impl RealClient {
    /// Sends the file at a path, as one of the kinds of [`ReceivedFile::kind`]. Returns the id of its message.
    ///
    /// # Errors
    /// `Refused` with the library's words, or as [`Self::wait`].
    pub async fn send_file(
        &mut self,
        to: &str,
        kind: &str,
        mime: &str,
        path: &Path,
        caption: &str,
    ) -> Result<String, InteropError> {
        let file = json!({ "kind": kind, "mime": mime, "path": path, "text": caption });
        self.give_file(to, file).await
    }

    /// Sends the picture at a path into this album. Returns the id of its message.
    ///
    /// # Errors
    /// As [`Self::send_file`].
    pub async fn send_into_album(
        &mut self,
        to: &str,
        path: &Path,
        album: &str,
    ) -> Result<String, InteropError> {
        let file = json!({ "kind": "image", "mime": "image/jpeg", "path": path, "about": album });
        self.give_file(to, file).await
    }

    /// Gives the picture of a message of this client another caption; each library sends the whole picture again, the
    /// one at this path. Returns the id of the edit.
    ///
    /// # Errors
    /// As [`Self::send_file`].
    pub async fn edit_caption(
        &mut self,
        to: &str,
        path: &Path,
        of: &str,
        caption: &str,
    ) -> Result<String, InteropError> {
        let file = json!({
            "kind": "edited_caption", "mime": "image/jpeg", "path": path, "text": caption, "about": of
        });
        self.give_file(to, file).await
    }

    async fn give_file(&mut self, to: &str, mut file: serde_json::Value) -> Result<String, InteropError> {
        file["cmd"] = json!("file");
        file["to"] = json!(to);
        match self.ask(&format!("send {file}"), file).await? {
            ClientEvent::Sent { id, .. } => Ok(id),
            other => unreachable!("only a send is answered with the ref of a send: {other:?}"),
        }
    }

    /// Waits for the file of a message, fetched by the library.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn file(&mut self, id: &str) -> Result<ReceivedFile, InteropError> {
        let fits = |event: &ClientEvent| matches!(event, ClientEvent::File(file) if file.id == id);
        match self.wait(&format!("the file of {id}"), fits).await? {
            ClientEvent::File(file) => Ok(file),
            _ => unreachable!("the wait took a file"),
        }
    }

    /// Says that a voice message in a chat of two was played.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn played(&mut self, voice: &ReceivedFile) -> Result<(), InteropError> {
        let (chat, ids) = (&voice.chat, [&voice.id]);
        self.command(json!({ "cmd": "played", "chat": chat, "sender": chat, "ids": ids })).await
    }
}

/// Gives a file to Roost.
///
/// # Errors
/// Roost's refusal.
pub async fn upload(client: &Client, header: Header, file: &[u8]) -> Result<api::Media, Status> {
    let part = |part| api::UploadMediaRequest { part: Some(part) };
    let mut parts = vec![part(Up::Header(header))];
    parts.extend(file.chunks(PIECE).map(|piece| part(Up::Data(piece.to_vec()))));
    let uploaded = client.media().upload_media(within(tokio_stream::iter(parts), TRANSFER)).await?;
    Ok(uploaded.into_inner())
}

/// Gets a file from Roost: its length and SHA-256 in hex.
///
/// # Errors
/// Roost's refusal.
pub async fn fetch(client: &Client, name: &str) -> Result<(u64, String), Status> {
    let wanted = api::DownloadMediaRequest { name: name.to_owned(), offset: 0, limit: 0 };
    let mut parts = client.media().download_media(within(wanted, TRANSFER)).await?.into_inner();
    let (mut length, mut hash) = (0, Sha256::new());
    while let Some(answer) = parts.message().await? {
        if let Some(Down::Data(data)) = answer.part {
            length += data.len() as u64;
            hash.update(&data);
        }
    }
    Ok((length, hex::encode(hash.finalize())))
}
