//! Several pictures and films as one album: a message that announces them, and one for each.
//!
//! What must hold: the same request id is the same album, as far as it has come, so a repetition finishes it.

use std::path::Path;

use clap::Args;
use roost_proto::api;
use roost_proto::api::media::Kind;
use roost_proto::api::send_message_request::Content;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Globals, Whereto, bad_input, content};
use crate::client::Problem;

/// The files, and where they go.
#[derive(Debug, Clone, Args)]
pub(super) struct AlbumArgs {
    #[command(flatten)]
    whereto: Whereto,
    /// Files of this machine: pictures, and films (mp4); at least two.
    #[arg(required = true, num_args = 2..)]
    files: Vec<String>,
    /// What is said with the first.
    #[arg(long, default_value = "")]
    caption: String,
}

/// Sends all of it, in order. Returns the messages, that which announces them first; the first that fails is the last.
pub(super) async fn send(args: AlbumArgs, globals: &Globals) -> Result<Vec<api::Message>, Problem> {
    let AlbumArgs { whereto, files, mut caption } = args;
    let request_id = match &whereto.request_id {
        Some(id) => Uuid::try_parse(id).map_err(|_| bad_input("--request-id must be a UUID"))?,
        None => Uuid::new_v4(),
    };
    let client = globals.connect().await?;
    let with = |place| Whereto {
        request_id: Some(part(request_id, place).to_string()),
        whatsapp_id: whereto.whatsapp_id.clone().filter(|_| place == 0),
        ..whereto.clone()
    };
    let announced = Content::Album(announcement(&files)?);
    let mut sent = vec![super::send(&client, globals, &with(0), (announced, None)).await?];
    let album = sent[0].whatsapp_id.clone();
    for (place, file) in files.into_iter().enumerate() {
        if sent.last().is_some_and(|last| last.state() == api::message::State::Failed) {
            break;
        }
        let (kind, caption) = (kind_of(&file)?, std::mem::take(&mut caption));
        let (media, album) = (content::named(file, kind), album.clone());
        let content = match kind {
            Kind::Video => Content::Video(api::Video { media, caption, album, ..Default::default() }),
            _ => Content::Image(api::Image { media, caption, album, ..Default::default() }),
        };
        sent.push(super::send(&client, globals, &with(place + 1), (content, None)).await?);
    }
    Ok(sent)
}

fn announcement(files: &[String]) -> Result<api::Album, Problem> {
    let mut album = api::Album::default();
    for file in files {
        match kind_of(file)? {
            Kind::Video => album.videos += 1,
            _ => album.images += 1,
        }
    }
    Ok(album)
}

fn kind_of(file: &str) -> Result<Kind, Problem> {
    let extension = Path::new(file).extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match &*extension {
        "jpg" | "jpeg" | "png" | "webp" => Ok(Kind::Image),
        "mp4" => Ok(Kind::Video),
        _ => Err(bad_input(&format!("{file}: an album has pictures (jpg, png, webp) and films (mp4)"))),
    }
}

/// The request id of one message of an album, always the same.
fn part(album: Uuid, place: usize) -> Uuid {
    if place == 0 {
        return album;
    }
    let digest = Sha256::new().chain_update(album.as_bytes()).chain_update(place.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_album_says_how_many_pictures_and_films_follow_and_takes_nothing_else() {
        let files = ["a.jpg", "B.MP4", "c.png"].map(str::to_owned);
        assert_eq!(announcement(&files).expect("good"), api::Album { images: 2, videos: 1 });
        let refused = announcement(&["a.jpg".to_owned(), "b.pdf".to_owned()]).expect_err("no picture");
        assert!(refused.message.contains("b.pdf"));
    }

    #[test]
    fn a_repeated_album_has_the_same_parts_and_each_another_id() {
        let album = Uuid::from_u128(7);
        let ids: Vec<Uuid> = (0..3).map(|place| part(album, place)).collect();
        assert_eq!(ids, (0..3).map(|place| part(album, place)).collect::<Vec<_>>());
        assert!(ids[0] == album && ids[1] != ids[2] && ids[1] != album);
        assert_ne!(part(Uuid::from_u128(8), 1), ids[1]);
    }
}
