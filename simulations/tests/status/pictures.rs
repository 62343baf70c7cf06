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

    /// While tokens are demanded, the picture and the about text of somebody are shown to who has a token of his.
    pub(super) async fn looks(&mut self, stranger: &Stranger) -> Result<(), Failure> {
        let (row, name) = ("picture shown to who has a token", self.client.name().to_owned());
        self.client.people(json!({"cmd": "set_picture", "text": "JPEG"})).await?;
        self.client.people(json!({"cmd": "set_about", "text": format!("about {name}")})).await?;
        let jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 0];
        let set = api::SetProfilePictureRequest { device: self.device.to_owned(), jpeg };
        let ours =
            self.cluster.ask(set, async |api, it| api.accounts().set_profile_picture(it).await).await?.id;
        let look = |device: &str| api::GetProfilePictureRequest {
            device: device.to_owned(),
            user: self.person.lid_jid(),
            ..Default::default()
        };
        let seen = async |device: &str| {
            self.cluster.ask(look(device), async |api, it| api.contacts().get_profile_picture(it).await).await
        };
        assert!(!seen(self.device).await?.id.is_empty(), "{name}");
        let hidden = seen(&stranger.device).await.expect_err("it has no token");
        assert!(format!("{hidden:?}").contains("401"), "{name}: {hidden:?}");
        let users = vec![self.person.number_jid()];
        let info = api::GetUserInfoRequest { device: self.device.to_owned(), users };
        let info = self.cluster.ask(info, async |api, it| api.contacts().get_user_info(it).await).await?;
        assert_eq!(info.users[0].about, format!("about {name}"));
        self.matrix.row(row).seen(self.from);
        let shown = self.client.people(json!({"cmd": "picture", "to": self.roost.lid_jid()})).await?;
        assert!(shown.as_str().is_some_and(|shown| shown.contains(&ours)), "{name}: {shown}");
        self.matrix.row(row).seen(self.to);
        Ok(())
    }
}
