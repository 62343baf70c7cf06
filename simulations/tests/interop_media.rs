//! Unmodified whatsmeow, Baileys and whatsapp-rust clients and a Roost device send each other files, while hosts fail,
//! files expire and the owner dies again and again.
//!
//! Real processes, as in `interop.rs`; needs Go and Node.js, which `.ci/test` installs.

#[path = "media/captions.rs"]
mod captions;
#[path = "media/dropped.rs"]
mod dropped;
#[path = "media/forwards.rs"]
mod forwards;
#[path = "media/packs.rs"]
mod packs;
#[path = "media/pictures.rs"]
mod pictures;
#[path = "media/shown.rs"]
mod shown;

use std::path::{Path, PathBuf};

use roost_proto::api::event::Payload;
use roost_proto::api::media::Kind;
use roost_proto::api::message_received::Content;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content as Send, WaitFor};
use roost_proto::api::upload_media_request::Header;
use roost_proto::api::{self, GetMediaRequest};
use roost_proto::media::media_of;
use roost_simulations::interop::{
    CLIENTS, Cast, ClientEvent, Cluster, Failure, Library, Matrix, Person, Reader, RealClient, Stage,
    Trouble, Victim, Way, fetch, upload,
};
use roost_simulations::wa::Fault;
use sha2::{Digest as _, Sha256};
use tonic::Code;
use tonic_types::StatusExt as _;

/// Several pieces of every stage on the way.
const LARGE: usize = 3 << 20;

/// A Roost device and one client of each library, each with an account of its own.
struct World {
    stage: Stage,
    cluster: Cluster,
    device: String,
    roost: Person,
    clients: Vec<(RealClient, Person)>,
    reader: Reader,
}

impl World {
    async fn new(nodes: usize) -> Result<Self, Failure> {
        World::of(Cast::new(env!("CARGO_BIN_EXE_roost"), nodes).await?).await
    }

    async fn of(cast: Cast) -> Result<Self, Failure> {
        let clients = cast.clients(&CLIENTS).await?;
        let Cast { stage, cluster, device, roost, reader } = cast;
        Ok(Self { stage, cluster, device, roost, clients, reader })
    }

    /// A file with this many bytes, and its SHA-256 in hex.
    fn file(&self, name: &str, length: usize) -> Result<(PathBuf, String), Failure> {
        let bytes: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8 ^ (name.len() as u8)).collect();
        let path = self.stage.folder().join(name);
        std::fs::write(&path, &bytes)?;
        Ok((path, hex::encode(Sha256::digest(&bytes))))
    }

    /// One client sends Roost a file; the content of the event comes back.
    async fn sends(
        &mut self,
        client: usize,
        kind: &str,
        mime: &str,
        path: &Path,
    ) -> Result<Content, Failure> {
        let (client, _) = &mut self.clients[client];
        let id = client.send_file(&self.roost.number_jid(), kind, mime, path, "look").await?;
        let read = |payload: &Payload| match payload {
            Payload::MessageReceived(message) if message.whatsapp_id == id => message.content.clone(),
            _ => None,
        };
        self.reader.wait(&format!("{kind} of {}", client.name()), read).await
    }

    /// Roost's description of what was sent, and what it is when it is fetched.
    async fn fetched(&self, content: &Content) -> Result<(api::Media, (u64, String)), Failure> {
        let media =
            media_of(content).cloned().ok_or_else(|| Failure::new(format!("no file: {content:?}")))?;
        let fetched = self.cluster.insist(async |api| fetch(&api, &media.name).await).await?;
        Ok((media, fetched))
    }
}

/// From one of the clients, and to it.
fn ways(client: usize) -> (Way, Way) {
    let (library, _) = CLIENTS[client];
    (Way::From(library), Way::To(library))
}

#[tokio::test]
async fn files_go_both_ways_whole() -> Result<(), Failure> {
    let mut world = World::new(2).await?;
    world.both_ways().await?.check()?;
    let clients = world.clients.iter().map(|(client, _)| client);
    assert_eq!(world.stage.trouble(&world.roost, &world.reader, clients), Trouble::default());
    Ok(())
}

#[tokio::test]
async fn files_go_both_ways_whole_though_the_owner_is_killed_again_and_again() -> Result<(), Failure> {
    let mut world = World::of(Cast::mortal(env!("CARGO_BIN_EXE_roost"), 4).await?).await?;
    world.both_ways().await?.check()?;
    assert!(world.cluster.outlived().await? > 6);
    Ok(())
}

impl World {
    async fn both_ways(&mut self) -> Result<Matrix, Failure> {
        let mut matrix = Matrix::new("3-media");
        self.hears(&mut matrix).await?;
        self.says(&mut matrix).await?;
        self.packs(&mut matrix).await?;
        self.public_pack().await?;
        self.shown().await?;
        self.places(&mut matrix).await?;
        for client in 0..self.clients.len() {
            self.once(client, &mut matrix).await?;
            self.quoted(client, &mut matrix).await?;
            self.captions(client, &mut matrix).await?;
            self.album(client, &mut matrix).await?;
            self.products(client, &mut matrix).await?;
        }
        assert_eq!(self.reader.repeated(), Vec::<String>::new());
        assert_eq!(self.reader.faults(), Vec::<String>::new());
        assert_eq!(self.stage.trouble_amid_deaths(&self.roost, &self.reader), Trouble::default());
        assert_eq!(self.stage.key_reuse(), Vec::<String>::new());
        Ok(matrix)
    }

    /// Packs of stickers, which Baileys does not know.
    async fn packs(&mut self, matrix: &mut Matrix) -> Result<(), Failure> {
        let world = self;
        for client in 0..world.clients.len() {
            let (from, to) = ways(client);
            if from == Way::From(Library::Baileys) {
                let reason = "Baileys has no packs of stickers";
                matrix.row("sticker pack").not_applicable(from, reason).not_applicable(to, reason);
                continue;
            }
            let (path, hash) = world.file(&format!("pack-{client}"), 5000)?;
            let content = world.sends(client, "sticker_pack", "application/zip", &path).await?;
            assert_eq!(world.fetched(&content).await?.1, (5000, hash.clone()));
            let Content::StickerPack(pack) = content else {
                return Err(Failure::new(format!("a pack came as {content:?}")));
            };
            let told = (pack.pack_id.as_str(), pack.stickers[0].file_name.as_str(), pack.caption.as_str());
            assert_eq!(told, ("hens", "hen.webp", "look"));
            matrix.row("sticker pack").seen(from);
            let media = Some(world.uploads(Kind::StickerPack, "application/zip", &path).await?);
            let pack = Send::StickerPack(api::StickerPack { media, ..pack });
            let id = world.gives(client, pack, WaitFor::Accepted).await?;
            let file = world.clients[client].0.file(&id).await?;
            assert_eq!(
                (file.kind.as_str(), file.caption.as_str(), file.sha256),
                ("sticker_pack", "look", hash)
            );
            matrix.row("sticker pack").seen(to);
        }
        Ok(())
    }

    /// Files of the clients, fetched through Roost.
    async fn hears(&mut self, matrix: &mut Matrix) -> Result<(), Failure> {
        let world = self;
        for client in 0..world.clients.len() {
            for (kind, mime, length) in [
                ("image", "image/jpeg", LARGE),
                ("document", "application/pdf", LARGE + 7),
                ("video", "video/mp4", 70_000),
                ("note", "video/mp4", 70_016),
                ("audio", "audio/mp4", 1),
                ("voice", "audio/ogg; codecs=opus", 4096),
                ("sticker", "image/webp", 16),
            ] {
                let (path, hash) = world.file(&format!("{kind}-{client}"), length)?;
                let content = world.sends(client, kind, mime, &path).await?;
                let (caption, is_kind) = match &content {
                    Content::Image(image) => (image.caption.as_str(), kind == "image"),
                    Content::Document(document) => (document.caption.as_str(), kind == "document"),
                    Content::Video(video) if video.note => ("look", kind == "note"),
                    Content::Video(video) => (video.caption.as_str(), kind == "video"),
                    Content::Audio(audio) => ("look", kind == if audio.voice { "voice" } else { "audio" }),
                    Content::Sticker(_) => ("look", kind == "sticker"),
                    other => return Err(Failure::new(format!("{kind} came as {other:?}"))),
                };
                assert!(is_kind && caption == "look", "{kind} came as {content:?}");
                let (media, fetched) = world.fetched(&content).await?;
                assert_eq!(fetched, (length as u64, hash.clone()), "{kind}");
                assert_eq!((media.size_bytes, hex::encode(&media.sha256)), (length as u64, hash), "{kind}");
                matrix.row(kind).seen(ways(client).0);
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_file_that_the_servers_have_dropped_is_asked_for_from_the_phone() -> Result<(), Failure> {
    World::new(2).await?.dropped().await?.check()
}

#[tokio::test]
async fn it_is_asked_for_though_the_owner_is_killed_again_and_again() -> Result<(), Failure> {
    let mut world = World::of(Cast::mortal(env!("CARGO_BIN_EXE_roost"), 3).await?).await?;
    world.dropped().await?.check()?;
    assert!(world.cluster.outlived().await? > 6);
    assert_eq!(world.reader.repeated(), Vec::<String>::new());
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_media_host_that_fails_is_left_for_the_next() -> Result<(), Failure> {
    let mut world = World::new(1).await?;
    let (path, hash) = world.file("elsewhere", 300_000)?;
    let content = world.sends(0, "document", "application/pdf", &path).await?;
    let hosts = world.stage.sim.look(|machine| machine.media_hosts().to_vec());
    world.stage.sim.commit(&Fault::MediaHost { host: hosts[0].clone(), status: Some(503) })?;
    let served = |world: &World| world.stage.sim.look(|machine| machine.media_served(&hosts[1]));
    let before = served(&world);
    assert_eq!(world.fetched(&content).await?.1, (300_000, hash.clone()));
    assert_eq!(served(&world), before + 1);
    world.stage.sim.commit(&Fault::MediaHost { host: hosts[0].clone(), status: None })?;
    world.stage.sim.commit(&Fault::RefuseMedia { count: 3, status: 429 })?;
    assert_eq!(world.fetched(&content).await?.1, (300_000, hash));
    Ok(())
}

/// The kinds of files, as the clients call them, and what Roost sends for each.
type Kinds = [(&'static str, Kind, fn(Option<api::Media>) -> Send); 7];
const KINDS: Kinds = [
    ("image", Kind::Image, |media| Send::Image(api::Image { media, caption: look(), ..Default::default() })),
    ("video", Kind::Video, |media| Send::Video(api::Video { media, caption: look(), ..Default::default() })),
    ("note", Kind::Video, |media| Send::Video(api::Video { media, note: true, ..Default::default() })),
    ("audio", Kind::Audio, |media| Send::Audio(api::Audio { media, voice: false })),
    ("voice", Kind::Audio, |media| Send::Audio(api::Audio { media, voice: true })),
    ("sticker", Kind::Sticker, |media| Send::Sticker(api::Sticker { media, animated: false })),
    ("document", Kind::Document, |media| {
        Send::Document(api::Document { media, caption: look(), ..Default::default() })
    }),
];

fn look() -> String {
    "look".to_owned()
}

impl World {
    /// Gives Roost a file through any node.
    async fn uploads(&self, kind: Kind, mime: &str, path: &Path) -> Result<api::Media, Failure> {
        let header = Header {
            parent: "tenants/acme".into(),
            kind: kind.into(),
            mime_type: mime.to_owned(),
            ..Default::default()
        };
        let bytes = std::fs::read(path)?;
        self.cluster.insist(async |api| upload(&api, header.clone(), &bytes).await).await
    }

    /// A client is away while the device sends it a file, and comes back when the servers have dropped that. Returns
    /// the id of the message, and the SHA-256 in hex.
    async fn misses(&mut self, client: usize, status: u16) -> Result<(String, String), Failure> {
        self.clients[client].0.disconnect().await?;
        let (path, hash) = self.file("late", 300_000 + client)?;
        let media = Some(self.uploads(Kind::Document, "application/pdf", &path).await?);
        let document = Send::Document(api::Document { media, ..Default::default() });
        let id = self.gives(client, document, WaitFor::ServerAck).await?;
        self.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status })?;
        self.clients[client].0.login().await?;
        Ok((id, hash))
    }

    /// Has the device send a content to one of the clients. Returns WhatsApp's id of it.
    async fn gives(&self, to: usize, content: Send, wait_for: WaitFor) -> Result<String, Failure> {
        let to = To::PhoneNumber(self.clients[to].1.pn.to_string());
        self.cluster.say(&self.device, to, content, api::Context::default(), wait_for).await
    }
}

impl World {
    /// Files of Roost, verified by the clients.
    async fn says(&mut self, matrix: &mut Matrix) -> Result<(), Failure> {
        let world = self;
        for (word, kind, content) in KINDS {
            let length = if matches!(word, "image" | "document") { LARGE } else { 5000 };
            let (path, hash) = world.file(word, length)?;
            let media = world.uploads(kind, "application/x-test", &path).await?;
            for client in 0..world.clients.len() {
                // After the first time the file is there already.
                let id = world.gives(client, content(Some(media.clone())), WaitFor::Accepted).await?;
                let file = world.clients[client].0.file(&id).await?;
                let caption = if matches!(word, "image" | "video" | "document") { "look" } else { "" };
                assert_eq!((file.kind.as_str(), file.caption.as_str()), (word, caption));
                assert_eq!(
                    (file.size, &file.sha256, file.mime.as_str()),
                    (length as u64, &hash, "application/x-test")
                );
                matrix.row(word).seen(ways(client).1);
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_file_is_sent_by_the_next_owner_when_the_first_dies_before_the_send() -> Result<(), Failure> {
    let mut world = World::new(3).await?;
    let (path, hash) = world.file("survivor", LARGE)?;
    let media = world.uploads(Kind::Document, "application/pdf", &path).await?;
    world.cluster.kill_owner(&world.device, Victim::Worker).await?;
    let document = Send::Document(api::Document { media: Some(media), ..Default::default() });
    let id = world.gives(0, document, WaitFor::Accepted).await?;
    assert_eq!(world.clients[0].0.file(&id).await?.sha256, hash);
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    Ok(())
}
