//! `roost media …`: files in and out, in pieces, whatever their size.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use futures_util::Stream;
use roost_proto::api;
use roost_proto::api::download_media_response::Part as Down;
use roost_proto::api::message_received::Content;
use roost_proto::api::upload_media_request::{Header, Part as Up};
use roost_proto::media::media_of;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tonic::Code;

use super::{Globals, Output, device_name, render, tenant_name};
use crate::client::{Client, Problem, request, retrying};

/// Bytes of a piece.
const PIECE: usize = 256 << 10;

/// What can be done with files.
#[derive(Debug, Clone, Subcommand)]
pub enum MediaCommand {
    /// Takes a file and prints its handle.
    Upload {
        /// `acme` or `tenants/acme`.
        tenant: String,
        /// Which file.
        file: PathBuf,
        /// What it is.
        #[arg(long, value_enum)]
        kind: Kind,
        /// Such as image/jpeg; guessed from the name of the file when it is missing.
        #[arg(long)]
        mime_type: Option<String>,
    },
    /// Gets a file. It appears under its name only when it is whole and verified.
    Download {
        /// The handle, as events and uploads tell it.
        name: String,
        /// Where to write it.
        to: PathBuf,
    },
    /// Describes a file.
    Show {
        /// The handle.
        name: String,
    },
    /// Asks the phone to send a file again that WhatsApp has dropped.
    Refresh {
        /// The handle.
        name: String,
    },
    /// Forgets an uploaded file.
    Delete {
        /// The handle.
        name: String,
    },
    /// Shows a pack of stickers that WhatsApp has for everybody to take, with the handle of each.
    Stickers {
        /// Through which device its files are fetched: `acme/shop` or `tenants/acme/devices/shop`.
        device: String,
        /// WhatsApp's id of the pack.
        pack: String,
        /// In which language it is described.
        #[arg(long, default_value = "en")]
        language: String,
    },
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Anything.
    Document,
    /// A sticker: WebP.
    Sticker,
    /// A pack of stickers: ZIP.
    StickerPack,
}

impl From<Kind> for api::media::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Image => Self::Image,
            Kind::Video => Self::Video,
            Kind::Audio => Self::Audio,
            Kind::Document => Self::Document,
            Kind::Sticker => Self::Sticker,
            Kind::StickerPack => Self::StickerPack,
        }
    }
}

pub(super) async fn run(command: MediaCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    let media = match command {
        MediaCommand::Upload { tenant, file, kind, mime_type } => {
            let header = header(tenant_name(&tenant), &file, kind.into(), mime_type);
            upload(&client, globals, header, &file).await?
        }
        MediaCommand::Download { name, to } => return download(&client, name, &to).await,
        MediaCommand::Show { name } => {
            retrying(deadline, || {
                let (mut media, wanted) = (client.media(), api::GetMediaRequest { name: name.clone() });
                async move { media.get_media(request(wanted, deadline)).await }
            })
            .await?
        }
        MediaCommand::Refresh { name } => {
            retrying(deadline, || {
                let (mut media, wanted) = (client.media(), api::RefreshMediaRequest { name: name.clone() });
                async move { media.refresh_media(request(wanted, deadline)).await }
            })
            .await?
        }
        MediaCommand::Stickers { device, pack, language } => {
            let wanted = api::GetStickerPackRequest { device: device_name(&device), pack_id: pack, language };
            let pack = retrying(deadline, || {
                let (mut media, wanted) = (client.media(), wanted.clone());
                async move { media.get_sticker_pack(request(wanted, deadline)).await }
            });
            show_pack(&pack.await?, globals.output);
            return Ok(());
        }
        MediaCommand::Delete { name } => {
            let deleted = retrying(deadline, || {
                let (mut media, wanted) = (client.media(), api::DeleteMediaRequest { name: name.clone() });
                async move { media.delete_media(request(wanted, deadline)).await }
            });
            return deleted.await.map(drop);
        }
    };
    match globals.output {
        Output::Json => println!("{}", roost_proto::json::of("Media", &media).unwrap_or_default()),
        Output::Table => {
            let row = vec![
                media.name.clone(),
                media.kind().as_str_name().to_owned(),
                render::clean(&media.mime_type),
                media.size_bytes.to_string(),
                looks(&media),
            ];
            print!("{}", render::columns(&["MEDIA", "KIND", "TYPE", "BYTES", "LOOKS"], &[row]));
        }
    }
    Ok(())
}

fn show_pack(pack: &api::PublicStickerPack, output: Output) {
    if let Output::Json = output {
        return println!("{}", roost_proto::json::of("PublicStickerPack", pack).unwrap_or_default());
    }
    println!("{}, by {}", render::clean(&pack.name), render::clean(&pack.publisher));
    let rows: Vec<Vec<String>> = pack
        .stickers
        .iter()
        .map(|sticker| {
            let media = sticker.media.clone().unwrap_or_default();
            let emojis = render::clean(&sticker.emojis.join(" "));
            vec![media.name.clone(), render::clean(&media.mime_type), media.size_bytes.to_string(), emojis]
        })
        .collect();
    print!("{}", render::columns(&["MEDIA", "TYPE", "BYTES", "EMOJIS"], &rows));
}

/// What is known of how a file looks and sounds, in few words.
fn looks(media: &api::Media) -> String {
    let size = (media.width > 0 && media.height > 0).then(|| format!("{}x{}", media.width, media.height));
    let lasting = media.duration.map(|lasting| format!("{} s", lasting.seconds));
    let with = |there: bool, what: &str| there.then(|| what.to_owned());
    let thumbnail = with(!media.thumbnail.is_empty(), "thumbnail");
    let waveform = with(!media.waveform.is_empty(), "waveform");
    [size, lasting, thumbnail, waveform].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// How a file is announced.
pub(super) fn header(
    parent: String,
    file: &Path,
    kind: api::media::Kind,
    mime_type: Option<String>,
) -> Header {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let extension = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    Header {
        parent,
        kind: kind.into(),
        mime_type: mime_type.unwrap_or_else(|| mime_type_of(&extension).to_owned()),
        file_name: name,
        ..Default::default()
    }
}

fn mime_type_of(extension: &str) -> &'static str {
    match extension {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "mp4" | "m4v" => "video/mp4",
        "3gp" => "video/3gpp",
        "mov" => "video/quicktime",
        "ogg" | "opus" => "audio/ogg; codecs=opus",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Uploads a file in pieces. Not tried again: it may be large, and nothing is left of a try that failed.
pub(super) async fn upload(
    client: &Client,
    globals: &Globals,
    header: Header,
    path: &Path,
) -> Result<api::Media, Problem> {
    let file = File::open(path).await.map_err(|error| on_disk(path, &error))?;
    let first = api::UploadMediaRequest { part: Some(Up::Header(header)) };
    let (pieces, broken) = pieces(file);
    let parts = futures_util::StreamExt::chain(tokio_stream::once(first), pieces);
    let mut media = client.media();
    let uploaded = tokio::select! {
        uploaded = media.upload_media(request(parts, globals.deadline())) => uploaded,
        Ok(error) = broken => return Err(on_disk(path, &error)),
    };
    Ok(uploaded.map_err(Problem::from)?.into_inner())
}

/// A file in pieces, and what comes when it cannot be read to its end: then the pieces have none either, because that would
/// make an upload of what came until there.
fn pieces(
    file: File,
) -> (impl Stream<Item = api::UploadMediaRequest> + Send, oneshot::Receiver<std::io::Error>) {
    let (failed, broken) = oneshot::channel();
    let pieces = futures_util::stream::unfold((file, failed), |(mut file, failed)| async move {
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((api::UploadMediaRequest { part: Some(Up::Data(piece)) }, (file, failed)))
            }
            Err(error) => {
                // Who waits for the answer waits for this, too.
                let _ = failed.send(error);
                std::future::pending().await
            }
        }
    });
    (pieces, broken)
}

async fn download(client: &Client, name: String, to: &Path) -> Result<(), Problem> {
    let wanted = api::DownloadMediaRequest { name, offset: 0, limit: 0 };
    let mut parts = client.media().download_media(wanted).await.map_err(Problem::from)?.into_inner();
    let mut beside = to.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside).await.map_err(|error| on_disk(&beside, &error))?;
    let received = async {
        while let Some(answer) = parts.message().await.map_err(Problem::from)? {
            if let Some(Down::Data(data)) = answer.part {
                file.write_all(&data).await.map_err(|error| on_disk(&beside, &error))?;
            }
        }
        file.flush().await.map_err(|error| on_disk(&beside, &error))
    };
    let done = match received.await {
        Ok(()) => tokio::fs::rename(&beside, to).await.map_err(|error| on_disk(to, &error)),
        Err(problem) => Err(problem),
    };
    if done.is_err() {
        // What is not verified must not be taken for the file.
        let _ = tokio::fs::remove_file(&beside).await;
    }
    done
}

pub(super) fn on_disk(path: &Path, error: &std::io::Error) -> Problem {
    Problem {
        code: Code::InvalidArgument,
        reason: None,
        message: format!("{}: {error}", path.display()),
        fields: Vec::new(),
        retry: None,
    }
}

/// A content with a file, or an album, in one line for people; empty for other contents.
pub(super) fn line(content: &Content) -> String {
    let file = media_of(content).map(|media| format!("{} bytes, {}", media.size_bytes, media.name));
    let file = file.unwrap_or_default();
    match content {
        Content::Image(image) => format!("[image: {file}] {}", image.caption),
        Content::Video(video) if video.note => format!("[video note: {file}]"),
        Content::Video(video) => format!("[video: {file}] {}", video.caption),
        Content::Audio(audio) if audio.voice => format!("[voice: {file}]"),
        Content::Audio(_) => format!("[audio: {file}]"),
        Content::Document(document) => {
            format!("[document {}: {file}] {}", document.file_name, document.caption)
        }
        Content::Sticker(_) => format!("[sticker: {file}]"),
        Content::StickerPack(pack) => format!("[stickers {}: {file}] {}", pack.name, pack.caption),
        Content::Album(album) => format!("[album: {} images, {} videos]", album.images, album.videos),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_in_few_words() {
        let duration = Some(api::Duration { seconds: 3, nanos: 0 });
        let film = api::Media { width: 64, height: 48, duration, ..Default::default() };
        assert_eq!(looks(&film), "64x48, 3 s");
        let voice = api::Media { duration, waveform: vec![0; 64], ..Default::default() };
        assert_eq!(looks(&voice), "3 s, waveform");
        assert_eq!(looks(&api::Media { width: 64, thumbnail: vec![1], ..Default::default() }), "thumbnail");
        assert_eq!(looks(&api::Media::default()), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_read_to_its_end_is_no_whole_upload() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("whole");
        std::fs::write(&path, vec![7; PIECE + 1]).expect("written");
        let (whole, broken) = pieces(File::open(&path).await.expect("opened"));
        assert_eq!(futures_util::StreamExt::collect::<Vec<_>>(whole).await.len(), 2);
        assert!(broken.await.is_err(), "nothing was wrong");

        // A folder can be opened, and not be read.
        let (folder, broken) = pieces(File::open(folder.path()).await.expect("opened"));
        let all = futures_util::StreamExt::collect::<Vec<_>>(folder);
        assert!(
            tokio::time::timeout(std::time::Duration::from_secs(60), all).await.is_err(),
            "it has no end"
        );
        assert_eq!(broken.await.expect("why").kind(), std::io::ErrorKind::IsADirectory);
    }
}
