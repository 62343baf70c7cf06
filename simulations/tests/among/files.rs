//! Files: of every kind, played, and fetched after the servers have dropped them.

use std::path::PathBuf;

use roost_simulations::wa::Fault;
use sha2::{Digest as _, Sha256};

use super::*;

const KINDS: [(&str, &str, usize); 8] = [
    ("image", "image/jpeg", 300_000),
    ("document", "application/pdf", 70_000),
    ("video", "video/mp4", 70_000),
    ("note", "video/mp4", 70_016),
    ("audio", "audio/mp4", 1),
    ("voice", "audio/ogg; codecs=opus", 4096),
    ("sticker", "image/webp", 16),
    ("view_once", "image/jpeg", 5000),
];

impl Pair<'_> {
    /// A file with this many bytes that nobody has sent yet, and its SHA-256 in hex.
    fn file(&self, name: &str, length: usize) -> Result<(PathBuf, String), Failure> {
        let seed = Sha256::digest(format!("{name}, {}", self.names));
        let bytes: Vec<u8> = seed.iter().copied().cycle().take(length).collect();
        let path = self.stage.folder().join("a file");
        std::fs::write(&path, &bytes)?;
        Ok((path, hex::encode(Sha256::digest(&bytes))))
    }

    pub(super) async fn files(&mut self) -> Result<(), Failure> {
        let (here, there) = (self.from.person.lid_jid(), self.to.person.lid_jid());
        for (kind, mime, length) in KINDS {
            let (path, hash) = self.file(kind, length)?;
            let id = self.from.client.send_file(&there, kind, mime, &path, "look").await?;
            let file = self.to.client.file(&id).await?;
            assert_eq!((file.kind.as_str(), file.size, file.sha256), (kind, length as u64, hash), "{kind}");
            self.seen(kind);
        }
        let (path, _) = self.file("quoted", 3000)?;
        let id = self.to.client.send_file(&here, "image", "image/jpeg", &path, "look").await?;
        self.from.client.file(&id).await?;
        let text = format!("quoting a picture, {}", self.names);
        self.from.client.say(&there, "quote", &text, &id).await?;
        assert_eq!(self.to.client.said("quote", &text).await?.about, id);
        self.seen("quote of a picture");
        let album = self.from.client.say(&there, "album", "2", "").await?;
        assert_eq!(self.to.client.said("album", "2").await?.id, album);
        for _ in 0..2 {
            let id = self.from.client.send_into_album(&there, &path, &album).await?;
            assert_eq!(self.to.client.file(&id).await?.about, album);
        }
        self.seen("album");
        let row = "sticker pack";
        if [self.from.library, self.to.library].contains(&Library::Baileys) {
            self.cannot(row, "Baileys has no packs of stickers");
        } else {
            let (path, hash) = self.file(row, 5000)?;
            let id =
                self.from.client.send_file(&there, "sticker_pack", "application/zip", &path, "look").await?;
            let file = self.to.client.file(&id).await?;
            assert_eq!((file.kind.as_str(), file.sha256), ("sticker_pack", hash));
            self.seen(row);
        }

        let (path, _) = self.file("to be heard", 2000)?;
        let id = self.to.client.send_file(&here, "voice", "audio/ogg; codecs=opus", &path, "").await?;
        let heard = self.from.client.file(&id).await?;
        self.from.client.played(&heard).await?;
        self.to.client.receipt(&id, "played").await?;
        self.seen("played");

        self.to.client.disconnect().await?;
        let (path, hash) = self.file("late", 50_000)?;
        let id = self.from.client.send_file(&there, "document", "application/pdf", &path, "late").await?;
        // Two of the libraries do not wait for the server.
        self.from.client.send(&here, "it has come so far").await?;
        self.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status: 404 })?;
        self.to.client.login().await?;
        assert_eq!(self.to.client.file(&id).await?.sha256, hash);
        self.seen("file that expired, uploaded again by the phone");
        Ok(())
    }
}
