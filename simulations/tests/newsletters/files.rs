//! Files in posts, which are not encrypted, both ways.

use std::path::PathBuf;

use roost_node::errors::reason_of;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::media::Kind;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::upload_media_request::Header;
use roost_proto::media::media_of;
use roost_simulations::callers::within;
use roost_simulations::interop::{Cast, Failure, Library, Matrix, Person, RealClient, Way, fetch, upload};
use sha2::{Digest as _, Sha256};
use tonic_types::StatusExt as _;

use super::CALL;

const ROW: &str = "file in a newsletter";
/// How many files Roost shows all clients together.
pub(super) const SHOWN: usize = 2 * KINDS.len() + 1;

/// The kinds of files, as the clients call them, how large they are, and what Roost sends for each. The first has several
/// pieces of every stage on the way.
type Kinds = [(&'static str, Kind, usize, fn(Option<api::Media>) -> Content); 5];
const KINDS: Kinds = [
    ("image", Kind::Image, (3 << 20) + 7, |media| {
        Content::Image(api::Image { media, caption: "look".to_owned(), ..Default::default() })
    }),
    ("video", Kind::Video, 70_000, |media| Content::Video(api::Video { media, ..Default::default() })),
    ("audio", Kind::Audio, 1, |media| Content::Audio(api::Audio { media, voice: false })),
    ("document", Kind::Document, 70_016, |media| {
        Content::Document(api::Document { media, ..Default::default() })
    }),
    ("sticker", Kind::Sticker, 16, |media| Content::Sticker(api::Sticker { media, animated: false })),
];

/// Each shows files in its own newsletter, and the other fetches them.
pub(super) async fn shown(
    cast: &Cast,
    (client, person): (&mut RealClient, &Person),
    (library, ours, theirs): (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let row = matrix.row(ROW);
    match library {
        Library::WhatsappRust => {
            row.not_applicable(Way::From(library), "whatsapp-rust uploads no files that are not encrypted");
        }
        _ => {
            from_client(cast, client, theirs).await?;
            row.seen(Way::From(library));
        }
    }
    match library {
        Library::Baileys => {
            row.not_applicable(Way::To(library), "Baileys fetches no files that are not encrypted");
        }
        _ => {
            to_client(cast, client, ours).await?;
            row.seen(Way::To(library));
        }
    }
    if library == Library::Whatsmeow {
        refused(cast, (client, person), (ours, theirs)).await?;
    }
    Ok(())
}

/// A file of the stage with so many bytes, and its SHA-256 in hex.
fn file(cast: &Cast, name: &str, length: usize) -> Result<(PathBuf, String), Failure> {
    let bytes: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8 ^ (name.len() as u8)).collect();
    let path = cast.stage.folder().join(name);
    std::fs::write(&path, &bytes)?;
    Ok((path, hex::encode(Sha256::digest(&bytes))))
}

async fn from_client(cast: &Cast, client: &mut RealClient, theirs: &str) -> Result<(), Failure> {
    let Cast { cluster, device, .. } = cast;
    let mut last = String::new();
    for (kind, _, length, _) in KINDS {
        let (path, hash) = file(cast, &format!("{kind} of {}", client.name()), length)?;
        let id = client.send_file(theirs, kind, "application/x-test", &path, "look").await?;
        let (media, caption) = posted(cast, &id).await?;
        assert!(media.file.as_ref().is_some_and(|file| file.media_key.is_empty()), "{media:?}");
        let fetched = cluster.insist(async |api| fetch(&api, &media.name).await).await?;
        assert_eq!(fetched, (length as u64, hash.clone()), "{kind}");
        assert_eq!((media.size_bytes, hex::encode(&media.sha256)), (length as u64, hash.clone()), "{kind}");
        assert!(caption.is_none_or(|caption| caption == "look"), "{kind}");
        last = hash;
    }
    // What was said before somebody has followed is fetched by where it is listed.
    let list = api::ListNewsletterMessagesRequest {
        device: device.clone(),
        newsletter: theirs.to_owned(),
        count: 1,
        before: 0,
    };
    let list =
        cluster.ask(list, async |api, it| api.newsletters().list_newsletter_messages(it).await).await?;
    let content = list.posts[0].message.as_ref().and_then(|message| message.content.as_ref());
    let name = content.and_then(media_of).map(|media| media.name.clone()).unwrap_or_default();
    assert!(name.contains("/newsletters/"), "{name:?}");
    let fetched = cluster.insist(async |api| fetch(&api, &name).await).await?;
    assert_eq!(fetched.1, last);
    Ok(())
}

/// The file of a post, with its caption where it has one.
async fn posted(cast: &Cast, id: &str) -> Result<(api::Media, Option<String>), Failure> {
    let read = |payload: &Payload| {
        let Payload::NewsletterPosted(posted) = payload else { return None };
        let message = posted.post.as_ref()?.message.as_ref().filter(|message| message.whatsapp_id == id)?;
        let content = message.content.as_ref()?;
        let caption = match content {
            Received::Image(image) => Some(image.caption.clone()),
            _ => None,
        };
        Some((media_of(content)?.clone(), caption))
    };
    cast.reader.wait("a post with a file", read).await
}

async fn to_client(cast: &Cast, client: &mut RealClient, ours: &str) -> Result<(), Failure> {
    for (word, kind, length, content) in KINDS {
        let (path, hash) = file(cast, word, length)?;
        let media = uploaded(cast, kind, &path).await?;
        let id = said(cast, To::Newsletter(ours.to_owned()), content(Some(media.clone()))).await?;
        let file = client.file(&id).await?;
        let told = (file.kind.as_str(), file.size, file.sha256.as_str(), file.mime.as_str());
        assert_eq!(told, (word, length as u64, hash.as_str(), "application/x-test"));
    }
    Ok(())
}

async fn uploaded(cast: &Cast, kind: Kind, path: &PathBuf) -> Result<api::Media, Failure> {
    let header = Header {
        parent: "tenants/acme".into(),
        kind: kind.into(),
        mime_type: "application/x-test".to_owned(),
        ..Default::default()
    };
    let bytes = std::fs::read(path)?;
    cast.cluster.insist(async |api| upload(&api, header.clone(), &bytes).await).await
}

async fn said(cast: &Cast, to: To, content: Content) -> Result<String, Failure> {
    cast.cluster.say(&cast.device, to, content, api::Context::default(), WaitFor::ServerAck).await
}

/// An upload goes into both, but a file that came from a newsletter into no chat, and one from a chat into no newsletter.
async fn refused(
    cast: &Cast,
    (client, person): (&mut RealClient, &Person),
    (ours, theirs): (&str, &str),
) -> Result<(), Failure> {
    let Cast { cluster, device, roost, reader, .. } = cast;
    let (path, hash) = file(cast, "both", 5000)?;
    let document = |media| Content::Document(api::Document { media: Some(media), ..Default::default() });
    let media = uploaded(cast, Kind::Document, &path).await?;
    let id = said(cast, To::Newsletter(ours.to_owned()), document(media.clone())).await?;
    assert_eq!(client.file(&id).await?.sha256, hash);
    let id = client.send_file(&roost.number_jid(), "document", "application/x-test", &path, "").await?;
    let of_chat = |payload: &Payload| match payload {
        Payload::MessageReceived(message) if message.whatsapp_id == id => {
            media_of(message.content.as_ref()?).cloned()
        }
        _ => None,
    };
    let sealed = reader.wait("a file in a chat", of_chat).await?;
    let digits = person.pn.to_string();
    let id = said(cast, To::PhoneNumber(digits.clone()), document(media)).await?;
    assert_eq!(client.file(&id).await?.sha256, hash);
    let id = client.send_file(theirs, "document", "application/x-test", &path, "").await?;
    let (plain, _) = posted(cast, &id).await?;
    for (to, media) in [(To::Newsletter(ours.to_owned()), sealed), (To::PhoneNumber(digits), plain)] {
        let wanted = api::SendMessageRequest {
            parent: device.clone(),
            to: Some(api::Recipient { to: Some(to) }),
            content: Some(document(media)),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let refused = async |api: roost_node::client::Client| {
            let answer = api.messages().send_message(within(wanted.clone(), CALL)).await;
            match answer {
                Err(status) if reason_of(&status).as_deref() == Some("INVALID_FIELD") => Ok(status),
                Err(status) => Err(status),
                Ok(_) => Err(tonic::Status::internal("it was sent")),
            }
        };
        let status = cluster.insist(refused).await?;
        let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        assert_eq!(fields.first().map(|bad| bad.field.as_str()), Some("document.media.name"), "{status:?}");
    }
    Ok(())
}
