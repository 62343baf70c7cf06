//! Unmodified whatsmeow and Baileys clients and a Roost device send each other files, while hosts fail, files
//! expire and the owner dies.
//!
//! Real processes, as in `interop.rs`; needs Go and Node.js, which `.ci/test` installs.

use std::path::{Path, PathBuf};

use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content;
use roost_proto::api::{self, GetMediaRequest};
use roost_proto::media::media_of;
use roost_simulations::interop::{Cluster, Failure, Library, Person, Reader, RealClient, Stage, fetch};
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
    roost: Person,
    clients: Vec<(RealClient, Person)>,
    reader: Reader,
}

impl World {
    async fn new(nodes: usize) -> Result<Self, Failure> {
        let stage = Stage::set().await?;
        let store = format!("sqlite://{}", stage.folder().join("roost.db").display());
        let program = PathBuf::from(env!("CARGO_BIN_EXE_roost"));
        let cluster = Cluster::start(&stage, program, &store, nodes).await?;
        let roost = stage.person("roost");
        cluster.create_tenant("acme").await?;
        let device = cluster.create_device("acme", "shop").await?;
        cluster.pair(&stage, &device, &roost).await?;
        let reader = Reader::start(&cluster, &device);
        let mut clients = Vec::new();
        for (library, name) in [(Library::Whatsmeow, "w"), (Library::Baileys, "b")] {
            let account = stage.person(name);
            clients.push((stage.paired(library, name, &account).await?, account));
        }
        Ok(Self { stage, cluster, roost, clients, reader })
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
        let fetched = fetch(&self.cluster.callers.any(), &media.name).await?;
        Ok((media, fetched))
    }
}

#[tokio::test]
async fn files_of_real_clients_are_fetched_whole() -> Result<(), Failure> {
    let mut world = World::new(2).await?;
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
        }
    }
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_file_that_the_servers_have_dropped_is_asked_for_from_the_phone() -> Result<(), Failure> {
    let mut world = World::new(2).await?;
    let (path, hash) = world.file("dropped", 300_000)?;
    for (client, status) in [(0, 404), (1, 410)] {
        let content = world.sends(client, "document", "application/pdf", &path).await?;
        let before = media_of(&content).cloned().unwrap_or_default();
        world.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status })?;
        let (_, fetched) = world.fetched(&content).await?;
        assert_eq!(fetched, (300_000, hash.clone()));
        let asked = GetMediaRequest { name: before.name.clone() };
        let after = world.cluster.callers.any().media().get_media(asked).await?.into_inner();
        assert_ne!(after.file.unwrap_or_default().direct_path, before.file.unwrap_or_default().direct_path);
        // The new place is remembered: nobody is asked again.
        world.stage.sim.commit(&Fault::PhonesForgetMedia { forget: true })?;
        assert_eq!(world.fetched(&content).await?.1.1, hash);
        world.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status })?;
        let refused = fetch(&world.cluster.callers.any(), &before.name).await.expect_err("it is gone");
        let info = refused.get_details_error_info().expect("it says why");
        assert_eq!((refused.code(), info.reason.as_str()), (Code::FailedPrecondition, "MEDIA_EXPIRED"));
        world.stage.sim.commit(&Fault::PhonesForgetMedia { forget: false })?;
    }
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
