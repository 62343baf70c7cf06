//! Pictures in status posts.

use roost_simulations::interop::fetch;
use sha2::{Digest as _, Sha256};

use super::*;

impl Pair<'_> {
    /// A picture in a post.
    pub(super) async fn picture_post(&mut self) -> Result<(), Failure> {
        let header = Header {
            parent: "tenants/acme".into(),
            kind: api::media::Kind::Image.into(),
            mime_type: "image/jpeg".into(),
            ..Default::default()
        };
        let media = self.cluster.insist(async |api| upload(&api, header.clone(), b"an egg").await).await?;
        let picture = Content::Image(api::Image { media: Some(media), ..Default::default() });
        let ours = self.say(self.audience(), picture).await?;
        assert_eq!(self.client.file(&ours).await?.sha256, hex::encode(Sha256::digest(b"an egg")));

        let path = self.stage.folder().join("a hen");
        std::fs::write(&path, b"a hen")?;
        let theirs = self.client.send_file(STATUS, "image", "image/jpeg", &path, "look").await?;
        let Some(Received::Image(image)) = self.post_of(&theirs).await?.content else {
            return Err(Failure::new("the post is no picture"));
        };
        let name = image.media.unwrap_or_default().name;
        let whole = (5, hex::encode(Sha256::digest(b"a hen")));
        assert_eq!(self.cluster.insist(async |api| fetch(&api, &name).await).await?, whole);
        Ok(())
    }
}
