//! What a bot answers in a chat of a device and a client: both read it, piece by piece, whoever of the two has asked.

use roost_proto::api;
use roost_proto::api::bot_answered::Content as Said;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, MessageContent, Surroundings};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;
use roost_simulations::interop::{Failure, Library, Stage};
use roost_simulations::wa::Question;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Pair, cannot_hear};

const BOT: &str = "867051314767696@bot";
const ROW: &str = "answer of a bot";

impl Pair<'_> {
    pub(crate) async fn bots(&mut self, stage: &Stage) -> Result<(), Failure> {
        let name = self.name();
        if let Some(reason) = cannot_hear(self.speaker.library, ROW) {
            self.matrix.row(ROW).not_applicable(self.from, reason).not_applicable(self.to, reason);
            return Ok(());
        }
        let (ours, theirs) = (self.roost.pn, self.speaker.person.pn);
        let asked = format!("{name} hears us ask");
        let secret: [u8; 32] = Sha256::digest(&asked).into();
        let around = Surroundings {
            chat: Jid::lid(self.speaker.person.lid.clone()),
            own: Jid::lid(self.roost.lid.clone()),
            now: UnixMillis(0),
            edited: None,
            secret,
        };
        let id = self.say(Content::Raw(content::encode(&MessageContent::text(&asked), &around))).await?;
        self.speaker.client.message(&asked).await?;
        let question = Question { asker: ours, chat: theirs, id, secret: secret.to_vec() };
        self.bot_answers(stage, &question, &format!("Roost asked before {name}")).await?;
        self.matrix.row(ROW).seen(self.to);

        let asked = format!("{name} asks");
        let id = self.hear("secret", &asked, "").await?;
        self.received(&id).await?;
        let secret = Sha256::digest(&asked).to_vec();
        let question = Question { asker: theirs, chat: ours, id, secret };
        self.bot_answers(stage, &question, &format!("{name} asked")).await?;
        self.matrix.row(ROW).seen(self.from);
        Ok(())
    }

    /// The device asks the bot in its own chat, and so does the client, where its library can.
    pub(crate) async fn ask_bots(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let text = format!("Roost, beside {name}");
        let (bot, context) = (To::Bot(BOT.to_owned()), api::Context::default());
        let id = self.say_to(bot, Content::Text(text.clone()), context).await?;
        let told = self.answered(&id).await?;
        assert_eq!(told.content, Some(Said::Text(format!("You said: {text}"))));
        assert_eq!((told.bot.as_str(), told.chat, told.group.as_str()), (BOT, None, ""));
        if self.speaker.library == Library::Whatsmeow {
            self.speaker.client.send(BOT, &name).await?;
            self.speaker.client.message(&format!("You said: {name}")).await?;
        }
        Ok(())
    }

    /// The bot is called into their chat and into a group, by the device and by a client that can. Both hear what it
    /// was asked and what it answers.
    pub(crate) async fn call_bots(&mut self) -> Result<(), Failure> {
        let (row, name) = ("bot called into a chat", self.name());
        if let Some(reason) = cannot_hear(self.speaker.library, ROW) {
            self.matrix.row(row).not_applicable(self.from, reason).not_applicable(self.to, reason);
            return Ok(());
        }
        let create = api::CreateGroupRequest {
            device: self.device.to_owned(),
            subject: format!("with a bot and {name}"),
            participants: vec![self.speaker.person.number_jid()],
            request_id: Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let group =
            self.cluster.ask(create, async |api, it| api.groups().create_group(it).await).await?.group;
        let chat = (To::Lid(self.speaker.person.lid.clone()), self.roost.lid_jid(), "");
        for (to, theirs, group) in [chat, (To::Group(group.clone()), group.clone(), &group)] {
            let text = format!("@867051314767696 {name}, how do hens sleep? {group}");
            let context = api::Context { mentions: vec![BOT.to_owned()], ..Default::default() };
            let said = Content::Text(text.clone());
            let id = self.say_to(to, said, context).await?;
            assert_eq!(self.speaker.client.message(&text).await?.id, id);
            self.speaker.client.message(&format!("You said: {text}")).await?;
            let told = self.answered(&id).await?;
            assert_eq!(told.content, Some(Said::Text(format!("You said: {text}"))));
            assert_eq!((told.group.as_str(), told.question.map(|asked| asked.from_me)), (group, Some(true)));
            self.matrix.row(row).seen(self.to);
            if self.speaker.library != Library::Whatsmeow {
                self.matrix.row(row).not_applicable(self.from, "whatsapp-rust calls no bots into chats");
                continue;
            }
            let text = format!("@867051314767696 what do hens eat, asks {name}? {group}");
            let id = self.speaker.client.say(&theirs, "call_bot", &text, "").await?;
            let asked = self.received(&id).await?;
            assert_eq!(asked.content, Some(Received::Text(text.clone())));
            assert_eq!(asked.context.unwrap_or_default().mentions, [BOT]);
            self.speaker.client.message(&format!("You said: {text}")).await?;
            let told = self.answered(&id).await?;
            assert_eq!(told.content, Some(Said::Text(format!("You said: {text}"))));
            self.matrix.row(row).seen(self.from);
        }
        Ok(())
    }

    /// The whole answer to a question with this id, as the device hears it.
    async fn answered(&self, id: &str) -> Result<api::BotAnswered, Failure> {
        let answered = |payload: &Payload| match payload {
            Payload::BotAnswered(told) if !told.unfinished => Some(told.clone())
                .filter(|told| told.question.as_ref().is_some_and(|question| question.whatsapp_id == id)),
            _ => None,
        };
        self.reader.wait("an answer of the bot", answered).await
    }

    /// Three pieces, each longer than the one before.
    async fn bot_answers(&mut self, stage: &Stage, question: &Question, text: &str) -> Result<(), Failure> {
        let pieces = [format!("{text}."), format!("{text}. Hens"), format!("{text}. Hens lay eggs.")];
        let texts = pieces.each_ref().map(String::as_str);
        let ids = stage.sim.act(|machine, now| machine.bot_answers(now, question, &texts))?;
        for (place, (id, piece)) in ids.iter().zip(&pieces).enumerate() {
            assert_eq!(self.speaker.client.message(piece).await?.id, *id, "{piece}");
            let answered = |payload: &Payload| match payload {
                Payload::BotAnswered(told) if told.whatsapp_id == *id => Some(told.clone()),
                _ => None,
            };
            let told: api::BotAnswered = self.reader.wait(&format!("piece {piece:?}"), answered).await?;
            assert_eq!(told.content, Some(Said::Text(piece.clone())), "{piece}");
            assert_eq!((&told.answer, told.unfinished), (&ids[0], place + 1 < ids.len()), "{piece}");
            let asked = told.question.expect("a question");
            assert_eq!((&asked.whatsapp_id, asked.from_me), (&question.id, question.asker == self.roost.pn));
        }
        Ok(())
    }
}
