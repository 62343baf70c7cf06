//! Packs of stickers that everybody may take.

use roost_proto::api::GetStickerPackRequest;
use roost_simulations::wa::PublicPack;
use serde_json::json;

use super::*;

impl World {
    /// Roost and the clients find the same in a pack, and Roost sends what it has found.
    pub(super) async fn public_pack(&mut self) -> Result<(), Failure> {
        let files: Vec<Vec<u8>> = (0..3u8).map(|n| vec![n; 3000 + usize::from(n)]).collect();
        let hashes: Vec<String> = files.iter().map(|file| hex::encode(Sha256::digest(file))).collect();
        let pack = PublicPack {
            id: "Hens_of-2026".to_owned(),
            name: "Hens".to_owned(),
            publisher: "The shop".to_owned(),
            stickers: files
                .into_iter()
                .zip(["\u{1f414}", "\u{1f413}", "\u{1f423}"].map(String::from))
                .collect(),
        };
        self.stage.sim.act(|machine, _| {
            machine.offer_stickers(&pack);
            Ok::<_, Failure>(((), Vec::new()))
        })?;
        let wanted = |pack_id: &str| GetStickerPackRequest {
            device: self.device.clone(),
            pack_id: pack_id.to_owned(),
            language: String::new(),
        };
        let ask = |wanted: GetStickerPackRequest| {
            self.cluster.ask(wanted, async |api, wanted| api.media().get_sticker_pack(wanted).await)
        };
        let found = ask(wanted(&pack.id)).await?;
        let mut words = vec![found.name.clone(), found.publisher.clone()];
        for sticker in &found.stickers {
            let media = sticker.media.clone().unwrap_or_default();
            let fetched = self.cluster.insist(async |api| fetch(&api, &media.name).await).await?;
            assert_eq!(fetched, (media.size_bytes, hex::encode(&media.sha256)));
            assert_eq!((media.kind(), media.mime_type.as_str()), (Kind::Sticker, "image/webp"));
            words.push(format!("{} {}", sticker.emojis.concat(), fetched.1));
        }
        assert_eq!(words.len(), 5);
        for (pack_id, why) in [("geese", "sticker pack geese does not exist"), ("../hens", "pack_id must be")]
        {
            let refused = ask(wanted(pack_id)).await.expect_err("there is no such pack");
            assert!(format!("{refused:?}").contains(why), "{refused:?}");
        }
        let unknown = format!("{}/stickers/{}/media/{}", self.device, pack.id, "0".repeat(64));
        let refused = self.cluster.insist(async |api| fetch(&api, &unknown).await).await;
        let refused = refused.expect_err("it is not in the pack");
        assert!(format!("{refused:?}").contains("does not exist"), "{refused:?}");

        for client in 0..self.clients.len() {
            // Baileys has no packs of stickers.
            if CLIENTS[client].0 != Library::Baileys {
                let asked = json!({ "cmd": "sticker_pack", "text": pack.id });
                assert_eq!(self.clients[client].0.people(asked).await?, json!(words));
            }
            let media = found.stickers[client].media.clone();
            let media = media.map(|media| api::Media { name: media.name, ..Default::default() });
            let sticker = Send::Sticker(api::Sticker { media, animated: false });
            let id = self.gives(client, sticker, WaitFor::Accepted).await?;
            let file = self.clients[client].0.file(&id).await?;
            assert_eq!((file.kind.as_str(), &file.sha256), ("sticker", &hashes[client]));
        }
        Ok(())
    }
}
