//! What is said in chats of two alone, and quizzes.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::Failure;

use super::{Pair, poll};

impl Pair<'_> {
    /// Quizzes, phone numbers that are asked for and given, and the end of sharing.
    pub(crate) async fn between_two(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let question = format!("quiz to {name}?");
        self.say(Content::Poll(poll(&question, "yes"))).await?;
        self.speaker.client.said("quiz", &format!("{question}: yes, no; yes")).await?;
        let theirs = self.hear("quiz", &format!("quiz from {name}?"), "").await?;
        let quiz = self.received(&theirs).await?.content;
        assert_eq!(quiz, Some(Received::Poll(poll(&format!("quiz from {name}?"), "no"))));
        self.matrix.row("quiz").seen(self.from).seen(self.to);

        self.say(Content::RequestPhoneNumber(api::RequestPhoneNumber {})).await?;
        self.speaker.client.said("request_phone_number", "").await?;
        let theirs = self.hear("request_phone_number", "", "").await?;
        let asked = self.received(&theirs).await?.content;
        assert_eq!(asked, Some(Received::RequestPhoneNumber(api::RequestPhoneNumber {})));
        self.matrix.row("phone number asked for").seen(self.from).seen(self.to);
        self.say(Content::SharePhoneNumber(api::SharePhoneNumber {})).await?;
        self.speaker.client.said("share_phone_number", "").await?;
        let theirs = self.hear("share_phone_number", "", "").await?;
        let given = self.received(&theirs).await?;
        assert_eq!(given.content, Some(Received::SharePhoneNumber(api::SharePhoneNumber {})));
        assert_eq!(given.sender.unwrap_or_default().phone_number, self.speaker.person.number_jid());
        self.matrix.row("phone number given").seen(self.from).seen(self.to);

        for (limited, word) in [(true, "on"), (false, "off")] {
            self.say(Content::LimitSharing(api::LimitSharing { limited })).await?;
            self.speaker.client.said("limit_sharing", word).await?;
            let theirs = self.hear("limit_sharing", word, "").await?;
            let told = |payload: &Payload| {
                matches!(payload, Payload::SharingLimited(told) if told.limited == limited
                    && told.said.as_ref().is_some_and(|said| said.whatsapp_id == theirs))
            };
            self.reader.sees("sharing is limited", told).await?;
        }
        self.matrix.row("sharing limited").seen(self.from).seen(self.to);
        Ok(())
    }
}
