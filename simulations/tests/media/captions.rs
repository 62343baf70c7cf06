//! Captions that are edited.

use roost_proto::api::message_edited::Content as Edited;

use super::*;

impl World {
    /// Each side gives a picture another caption.
    pub(super) async fn captions(&mut self, client: usize, matrix: &mut Matrix) -> Result<(), Failure> {
        let (from, to) = ways(client);
        let (path, _) = self.file(&format!("reworded-{client}"), 5000)?;
        let (name, roost) = (self.clients[client].0.name().to_owned(), self.roost.number_jid());
        for (kind, word) in [(Kind::Image, "picture"), (Kind::Document, "document")] {
            let media = Some(self.uploads(kind, "application/x-test", &path).await?);
            let content = match kind {
                Kind::Image => Send::Image(api::Image { media, caption: look(), ..Default::default() }),
                _ => Send::Document(api::Document { media, ..Default::default() }),
            };
            let ours = self.gives(client, content, WaitFor::ServerAck).await?;
            self.clients[client].0.file(&ours).await?;
            let text = format!("another look at the {word}, to {name}");
            let edit =
                api::EditMessage { whatsapp_id: ours.clone(), text: text.clone(), ..Default::default() };
            self.gives(client, Send::Edit(edit), WaitFor::Accepted).await?;
            assert_eq!(self.clients[client].0.said("edit", &text).await?.about, ours);
        }
        matrix.row("caption edited").seen(to);

        let theirs = self.clients[client].0.send_file(&roost, "image", "image/jpeg", &path, "look").await?;
        let text = format!("another look, from {name}");
        self.clients[client].0.edit_caption(&roost, &path, &theirs, &text).await?;
        let told = |payload: &Payload| match payload {
            Payload::MessageEdited(edited) if edited.content == Some(Edited::Caption(text.clone())) => {
                edited.message.clone()
            }
            _ => None,
        };
        let edited = self.reader.wait(&format!("another caption of {name}"), told).await?;
        assert_eq!((edited.whatsapp_id, edited.from_me), (theirs, false));
        matrix.row("caption edited").seen(from);
        Ok(())
    }
}
