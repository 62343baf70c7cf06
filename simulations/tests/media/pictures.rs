//! Pictures that can be looked at once, that are quoted, and that belong together in an album.

use super::*;

const JPEG: &str = "image/jpeg";

impl World {
    async fn heard(&self, id: &str) -> Result<api::MessageReceived, Failure> {
        let read = |payload: &Payload| match payload {
            Payload::MessageReceived(message) if message.whatsapp_id == id => Some(message.clone()),
            _ => None,
        };
        self.reader.wait(&format!("message {id}"), read).await
    }

    /// As [`Self::gives`], with what goes with it.
    pub(super) async fn gives_with(
        &self,
        to: usize,
        content: Send,
        context: api::Context,
    ) -> Result<String, Failure> {
        let to = To::PhoneNumber(self.clients[to].1.pn.to_string());
        self.cluster.say(&self.device, to, content, context, WaitFor::Accepted).await
    }

    /// A picture of Roost's, with its caption.
    async fn picture(&self, path: &Path, album: &str) -> Result<Send, Failure> {
        let media = Some(self.uploads(Kind::Image, JPEG, path).await?);
        Ok(Send::Image(api::Image { media, caption: look(), album: album.to_owned(), ..Default::default() }))
    }

    pub(super) async fn once(&mut self, client: usize, matrix: &mut Matrix) -> Result<(), Failure> {
        let (from, to) = ways(client);
        let (path, hash) = self.file(&format!("once-{client}"), 5000)?;
        let roost = self.roost.number_jid();
        let id = self.clients[client].0.send_file(&roost, "view_once", JPEG, &path, "look").await?;
        let told = self.heard(&id).await?;
        assert!(told.context.unwrap_or_default().view_once);
        let Some(content @ Content::Image(_)) = told.content else {
            return Err(Failure::new(format!("a picture came as {:?}", told.content)));
        };
        assert_eq!(self.fetched(&content).await?.1, (5000, hash.clone()));
        matrix.row("view_once").seen(from);

        let context = api::Context { view_once: true, ..Default::default() };
        let id = self.gives_with(client, self.picture(&path, "").await?, context).await?;
        let file = self.clients[client].0.file(&id).await?;
        assert_eq!((file.kind.as_str(), file.caption.as_str(), file.sha256), ("view_once", "look", hash));
        matrix.row("view_once").seen(to);
        Ok(())
    }

    pub(super) async fn quoted(&mut self, client: usize, matrix: &mut Matrix) -> Result<(), Failure> {
        let (from, to) = ways(client);
        let (path, _) = self.file(&format!("quoted-{client}"), 5000)?;
        let ours = self.gives(client, self.picture(&path, "").await?, WaitFor::Accepted).await?;
        let (speaker, _) = &mut self.clients[client];
        let (name, roost) = (speaker.name().to_owned(), self.roost.number_jid());
        speaker.file(&ours).await?;
        let id = speaker.say(&roost, "quote", &format!("{name} quotes it"), &ours).await?;
        let quote = self.heard(&id).await?.context.and_then(|context| context.quote).unwrap_or_default();
        let message = quote.message.unwrap_or_default();
        let told = (message.whatsapp_id.as_str(), message.from_me, quote.text.as_str());
        assert_eq!(told, (ours.as_str(), true, "look"), "{name}");
        matrix.row("quote of a picture").seen(from);

        let (speaker, _) = &mut self.clients[client];
        let theirs = speaker.send_file(&roost, "image", JPEG, &path, "look").await?;
        self.heard(&theirs).await?;
        let message = api::MessageRef { whatsapp_id: theirs.clone(), from_me: false, sender: String::new() };
        let quote = Some(api::Quote { message: Some(message), text: look(), ..Default::default() });
        let (text, context) = (format!("quoted for {name}"), api::Context { quote, ..Default::default() });
        self.gives_with(client, Send::Text(text.clone()), context).await?;
        assert_eq!(self.clients[client].0.said("quote", &text).await?.about, theirs);
        matrix.row("quote of a picture").seen(to);
        Ok(())
    }

    pub(super) async fn album(&mut self, client: usize, matrix: &mut Matrix) -> Result<(), Failure> {
        let (from, to) = ways(client);
        let (path, _) = self.file(&format!("album-{client}"), 5000)?;
        let album = api::Album { images: 2, videos: 0 };
        let ours = self.gives(client, Send::Album(album), WaitFor::Accepted).await?;
        assert_eq!(self.clients[client].0.said("album", "2").await?.id, ours);
        for _ in 0..2 {
            let id = self.gives(client, self.picture(&path, &ours).await?, WaitFor::Accepted).await?;
            assert_eq!(self.clients[client].0.file(&id).await?.about, ours);
        }
        matrix.row("album").seen(to);

        let roost = self.roost.number_jid();
        let theirs = self.clients[client].0.say(&roost, "album", "2", "").await?;
        assert_eq!(self.heard(&theirs).await?.content, Some(Content::Album(album)));
        for _ in 0..2 {
            let id = self.clients[client].0.send_into_album(&roost, &path, &theirs).await?;
            let content = self.heard(&id).await?.content;
            assert!(matches!(&content, Some(Content::Image(image)) if image.album == theirs), "{content:?}");
        }
        matrix.row("album").seen(from);
        Ok(())
    }

    /// What is sold, with its picture.
    pub(super) async fn products(&mut self, client: usize, matrix: &mut Matrix) -> Result<(), Failure> {
        let (from, to) = ways(client);
        let (path, hash) = self.file(&format!("sold-{client}"), 5000)?;
        let content = self.sends(client, "product", JPEG, &path).await?;
        let Content::Product(product) = &content else {
            return Err(Failure::new(format!("a product came as {content:?}")));
        };
        assert_eq!((&*product.product_id, &*product.title), ("1", "look"));
        assert_eq!(product.owner, self.clients[client].1.number_jid());
        assert_eq!(self.fetched(&content).await?.1, (5000, hash.clone()));
        matrix.row("picture of a product").seen(from);

        let picture = Some(self.uploads(Kind::Image, JPEG, &path).await?);
        let product = api::Product {
            product_id: "1".to_owned(),
            owner: self.roost.number_jid(),
            title: look(),
            picture,
            pictures: 1,
            ..Default::default()
        };
        let id = self.gives(client, Send::Product(product), WaitFor::Accepted).await?;
        let file = self.clients[client].0.file(&id).await?;
        assert_eq!((file.kind.as_str(), file.sha256), ("product", hash));
        matrix.row("picture of a product").seen(to);
        Ok(())
    }
}
