//! Files that came are sent on, also when the servers have dropped them meanwhile.

use super::*;

impl World {
    /// A document of this client goes back to it. It can be fetched, though the servers had dropped it; when the phone does not
    /// have it either, nothing is sent.
    pub(super) async fn forwards(&mut self, client: usize, status: u16) -> Result<(), Failure> {
        let (path, hash) = self.file(&format!("forwarded-{client}"), 200_000 + client)?;
        let content = self.sends(client, "document", "application/pdf", &path).await?;
        let media = media_of(&content).cloned().unwrap_or_default();
        let named = api::Media { name: media.name.clone(), ..Default::default() };
        let document = || Send::Document(api::Document { media: Some(named.clone()), ..Default::default() });
        let context = || api::Context { forwarding_score: 1, ..Default::default() };
        self.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status })?;
        self.stage.sim.commit(&Fault::PhonesForgetMedia { forget: true })?;
        let refused = self.gives_with(client, document(), context()).await.expect_err("nobody has it");
        assert!(format!("{refused:?}").contains("the phone does not have it any more"), "{refused:?}");
        self.stage.sim.commit(&Fault::PhonesForgetMedia { forget: false })?;
        let id = self.gives_with(client, document(), context()).await?;
        assert_eq!(self.clients[client].0.file(&id).await?.sha256, hash);
        Ok(())
    }
}
