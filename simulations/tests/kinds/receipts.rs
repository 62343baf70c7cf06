//! How far a message came: both sides hear from each other that it arrived, and that it was read.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message::State;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::Failure;

use super::Pair;

impl Pair<'_> {
    pub(crate) async fn receipts(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let text = format!("how far does it come, {name}?");
        let ours = self.say(Content::Text(text.clone())).await?;
        let heard = self.speaker.client.message(&text).await?;
        self.has_come(&ours, State::Delivered).await?;
        self.matrix.row("delivered").seen(self.from);
        self.speaker.client.read(&heard).await?;
        self.has_come(&ours, State::Read).await?;
        self.matrix.row("read").seen(self.from);

        let text = format!("how far does it come, asks {name}");
        let theirs = self.speaker.client.send(&self.roost.lid_jid(), &text).await?;
        self.received(&theirs).await?;
        self.speaker.client.receipt(&theirs, "delivered").await?;
        self.matrix.row("delivered").seen(self.to);
        let read = api::MarkReadRequest {
            device: self.device.to_owned(),
            chat: self.speaker.person.lid_jid(),
            whatsapp_ids: vec![theirs.clone()],
            ..Default::default()
        };
        self.cluster.ask(read, async |api, it| api.messages().mark_read(it).await).await?;
        self.speaker.client.receipt(&theirs, "read").await?;
        self.matrix.row("read").seen(self.to);
        Ok(())
    }

    /// Waits until the device tells that this message of it has come so far.
    async fn has_come(&self, id: &str, state: State) -> Result<(), Failure> {
        let told = |payload: &Payload| {
            matches!(payload, Payload::MessageStateChanged(changed)
                if changed.whatsapp_id == id && changed.state() == state)
        };
        self.reader.sees(&format!("{state:?} of {id}"), told).await
    }
}
