//! Ids of messages that their senders choose.

use roost_proto::api;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_simulations::interop::Failure;
use uuid::Uuid;

use super::Pair;

/// An id that nobody has.
fn fresh() -> String {
    format!("3EB0{}", &Uuid::new_v4().simple().to_string().to_uppercase()[..16])
}

impl Pair<'_> {
    /// A text of the device under this id.
    fn under(&self, id: &str, text: &str) -> api::SendMessageRequest {
        api::SendMessageRequest {
            parent: self.device.to_owned(),
            to: Some(api::Recipient { to: Some(To::Lid(self.speaker.person.lid.clone())) }),
            content: Some(Content::Text(text.to_owned())),
            request_id: Uuid::new_v4().to_string(),
            whatsapp_id: id.to_owned(),
            wait_for: WaitFor::ServerAck.into(),
            ..Default::default()
        }
    }

    /// The request is refused, for its id.
    async fn is_taken(&self, request: &api::SendMessageRequest) {
        match self.cluster.submit(request).await {
            Err(refused) => {
                let refused = format!("{refused:?}");
                assert!(refused.contains("WhatsApp id") && refused.contains("exists already"), "{refused}");
            }
            Ok(id) => panic!("{id} was sent again"),
        }
    }

    /// Both sides choose an id; one that the device has used or heard in the chat is not used again.
    pub(crate) async fn chosen_ids(&mut self) -> Result<(), Failure> {
        let (name, ours, theirs) = (self.name(), fresh(), fresh());
        let text = format!("by an id of our own, {name}");
        let request = self.under(&ours, &text);
        assert_eq!(self.cluster.submit(&request).await?, ours);
        self.said.borrow_mut().insert(ours.clone());
        assert_eq!(self.speaker.client.message(&text).await?.id, ours);
        assert_eq!(self.cluster.submit(&request).await?, ours, "the same request is the same message");
        self.is_taken(&self.under(&ours, "something else")).await;

        let text = format!("by an id of {name}");
        assert_eq!(self.hear("text_as", &text, &theirs).await?, theirs);
        self.received(&theirs).await?;
        self.is_taken(&self.under(&theirs, "under an id of somebody else")).await;
        self.matrix.row("id that the sender chooses").seen(self.from).seen(self.to);
        Ok(())
    }
}
