//! Unmodified whatsmeow, Baileys and whatsapp-rust judge the status posts of a Roost device and what it says of messages that
//! were read; and they are no strangers to it when WhatsApp demands tokens, or strangers with a token of their phone. All of
//! it once more while the owner of the device is killed.
//!
//! Real processes as in `interop.rs`: one `roost serve`, or three of which one dies, and a driver of each library.

#[path = "status/pictures.rs"]
mod pictures;
#[path = "status/remarks.rs"]
mod remarks;

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::group_changed::Change;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::update_participants_request::Action;
use roost_proto::api::upload_media_request::Header;
use roost_proto::appstate::{Action as Changed, Mute};
use roost_proto::stanza::Jid;
use roost_simulations::interop::{
    CLIENTS, Cast, ClientEvent, Cluster, Failure, Library, Matrix, Person, Reader, RealClient, Stage,
    Trouble, Way, upload,
};
use roost_simulations::wa::{Audience, Fault};
use serde_json::json;
use uuid::Uuid;

/// Where posts are.
const STATUS: &str = "status@broadcast";

/// A device of somebody whom no client knows, and whose phone has made a salt.
struct Stranger {
    device: String,
    person: Person,
    reader: Reader,
}

impl Stranger {
    /// Linked, and told by its phone.
    async fn new(cast: &Cast) -> Result<Stranger, Failure> {
        let person = cast.stage.person("stranger");
        cast.stage.sim.phone_remembers(person.pn, Vec::new())?;
        cast.stage.sim.phone_makes_salt(person.pn)?;
        let device = cast.cluster.create_device("acme", "stranger").await?;
        cast.cluster.pair(&cast.stage, &device, &person).await?;
        let reader = Reader::start(&cast.cluster, &device);
        let told = |payload: &Payload| matches!(payload, Payload::HistoryChunk(_));
        reader.sees("the salt, with what the phone has told", told).await?;
        Ok(Stranger { device, person, reader })
    }
}

/// A Roost device, and one client that it knows.
struct Pair<'a> {
    stage: &'a Stage,
    cluster: &'a Cluster,
    device: &'a str,
    reader: &'a Reader,
    roost: &'a Person,
    client: &'a mut RealClient,
    person: &'a Person,
    matrix: &'a mut Matrix,
    from: Way,
    to: Way,
}

impl Pair<'_> {
    /// Roost says something; its id.
    async fn say(&self, to: To, content: Content) -> Result<String, Failure> {
        let style = api::TextStyle { background_argb: 0xff1e_6e4f, font: 1, ..Default::default() };
        let text_style = (matches!((&to, &content), (To::Status(_), Content::Text(_)))).then_some(style);
        let context = api::Context { text_style, ..Default::default() };
        self.cluster.say(self.device, to, content, context, WaitFor::ServerAck).await
    }

    fn audience(&self) -> To {
        To::Status(api::StatusAudience { people: vec![self.person.lid_jid()] })
    }

    /// The client posts; its id. whatsmeow asks who shall see it, Baileys must be told.
    async fn posts(&mut self, text: &str) -> Result<String, Failure> {
        let people = [self.roost.number_jid()];
        let only = vec![people[0].parse().expect("a JID")];
        let pn = self.person.pn;
        self.stage.sim.act(|machine, _| {
            machine.set_audience(pn, Audience::Only(only));
            Ok::<_, Failure>(((), Vec::new()))
        })?;
        Ok(self.client.post(text, &people).await?)
    }

    /// Roost says that something was read.
    async fn reads(&self, chat: &str, sender: &str, id: &str, played: bool) -> Result<(), Failure> {
        let request = api::MarkReadRequest {
            device: self.device.to_owned(),
            chat: chat.to_owned(),
            sender: sender.to_owned(),
            whatsapp_ids: vec![id.to_owned()],
            played,
            privately: false,
        };
        self.cluster.ask(request, async |api, it| api.messages().mark_read(it).await).await?;
        Ok(())
    }

    async fn post_of(&self, id: &str) -> Result<api::MessageReceived, Failure> {
        self.reader
            .wait(&format!("status post {id}"), |payload| match payload {
                Payload::StatusReceived(post) => {
                    post.message.clone().filter(|message| message.whatsapp_id == id)
                }
                _ => None,
            })
            .await
    }

    async fn status(&mut self) -> Result<(), Failure> {
        let name = self.client.name().to_owned();
        let text = format!("posted to {name}");
        let ours = self.say(self.audience(), Content::Text(text.clone())).await?;
        let seen = self.client.message(&text).await?;
        assert_eq!((seen.id.as_str(), seen.chat.as_str()), (ours.as_str(), STATUS));
        let theirs = self.posts(&format!("posted by {name}")).await?;
        let post = self.post_of(&theirs).await?;
        assert_eq!(post.content, Some(Received::Text(format!("posted by {name}"))));
        assert_eq!(post.sender.unwrap_or_default().lid, self.person.lid_jid());
        self.matrix.row("status post").seen(self.from).seen(self.to);

        self.client.read(&seen).await?;
        let viewed = |payload: &Payload| {
            matches!(payload, Payload::StatusViewed(viewed) if viewed.whatsapp_id == ours
                && viewed.state() == api::message::State::Read
                && viewed.viewer.as_ref().is_some_and(|viewer| viewer.lid == self.person.lid_jid()))
        };
        self.reader.sees("the post was seen", viewed).await?;
        self.reads(STATUS, &self.person.lid_jid(), &theirs, false).await?;
        self.client.receipt(&theirs, "read").await?;
        self.matrix.row("status post seen").seen(self.from).seen(self.to);
        self.remarks(&ours, &theirs).await?;

        let about = api::MessageRef { whatsapp_id: ours.clone(), from_me: true, sender: String::new() };
        let revoke = Content::Revoke(api::RevokeMessage { message: Some(about) });
        self.say(To::Status(api::StatusAudience::default()), revoke).await?;
        assert_eq!(self.client.said("revoke", "").await?.about, ours);
        self.client.takes_back(&theirs, &[self.roost.number_jid()]).await?;
        let gone = |payload: &Payload| matches!(payload, Payload::StatusRevoked(revoked) if revoked.whatsapp_id == theirs && !revoked.from_me);
        self.reader.sees("the post was taken back", gone).await?;
        self.matrix.row("status post taken back").seen(self.from).seen(self.to);
        Ok(())
    }

    /// Read in a group.
    async fn receipts(&mut self) -> Result<(), Failure> {
        let name = self.client.name().to_owned();
        let group = self.client.group(&format!("with {name}"), &[self.roost.number_jid()]).await?;
        let theirs = self.client.send(&group, &format!("in a group, by {name}")).await?;
        self.reader.received(&[format!("in a group, by {name}")]).await?;
        self.reads(&group, &self.person.lid_jid(), &theirs, false).await?;
        self.client.receipt(&theirs, "read").await?;
        self.matrix.row("read in a group").seen(self.to);
        let text = format!("in the group, to {name}");
        let ours = self.say(To::Group(group.clone()), Content::Text(text.clone())).await?;
        let heard = self.client.message(&text).await?;
        self.client.read(&heard).await?;
        let read = |payload: &Payload| {
            matches!(payload, Payload::ParticipantReceipt(receipt) if receipt.whatsapp_id == ours
                && receipt.state() == api::message::State::Read)
        };
        self.reader.sees("read in a group", read).await?;
        self.matrix.row("read in a group").seen(self.from);
        self.picture(&group).await
    }

    /// Voice messages that were played.
    async fn played(&mut self) -> Result<(), Failure> {
        let name = self.client.name().to_owned();
        let theirs = self.client.send(&self.roost.lid_jid(), &format!("to be heard, by {name}")).await?;
        self.reader.received(&[format!("to be heard, by {name}")]).await?;
        self.reads(&self.person.lid_jid(), "", &theirs, true).await?;
        self.client.receipt(&theirs, "played").await?;
        self.matrix.row("played").seen(self.to);
        let header = Header {
            parent: "tenants/acme".into(),
            kind: api::media::Kind::Audio.into(),
            mime_type: "audio/ogg; codecs=opus".into(),
            ..Default::default()
        };
        let media = self.cluster.insist(async |api| upload(&api, header.clone(), b"OggS").await).await?;
        let voice = Content::Audio(api::Audio { media: Some(media), voice: true });
        let ours = self.say(To::Lid(self.person.lid.clone()), voice).await?;
        let heard = self.client.file(&ours).await?;
        self.client.played(&heard).await?;
        let played = |payload: &Payload| {
            matches!(payload, Payload::MessageStateChanged(changed) if changed.whatsapp_id == ours
                && changed.state() == api::message::State::Played)
        };
        self.reader.sees("our voice message was played", played).await?;
        self.matrix.row("played").seen(self.from);
        Ok(())
    }

    /// The picture of a group.
    async fn picture(&mut self, group: &str) -> Result<(), Failure> {
        let set = async |jpeg: &[u8]| {
            let (device, group, jpeg) = (self.device.to_owned(), group.to_owned(), jpeg.to_owned());
            let set = api::SetGroupPictureRequest { device, group, jpeg };
            let set = self.cluster.ask(set, async |api, it| api.groups().set_group_picture(it).await);
            Ok::<_, Failure>(set.await?.id)
        };
        let id = set(&[0xff, 0xd8, 0xff, 0xe0, 0, 0]).await?;
        let told = |event: &ClientEvent| matches!(event, ClientEvent::Contact { from, what } if *from == group && what == "picture");
        self.client.wait("the new picture", told).await?;
        let shown = self.client.people(json!({"cmd": "picture", "to": group})).await?;
        assert!(shown.as_str().is_some_and(|shown| shown.contains(&id)), "{shown}");
        let row = "picture of a group";
        self.matrix.row(row).seen(self.to);
        self.client.people(json!({"cmd": "set_picture", "to": group, "text": "JPEG"})).await?;
        let changed = |payload: &Payload| {
            matches!(payload, Payload::GroupChanged(changed) if changed.group == group
                && matches!(&changed.change, Some(Change::Picture(new)) if !new.is_empty() && *new != id))
        };
        self.reader.sees("another picture", changed).await?;
        self.matrix.row(row).seen(self.from);
        assert_eq!(set(&[]).await?, "");
        Ok(())
    }

    /// Who has never heard of each other writes all the same, with a token of the salt of the own phone: somebody else
    /// whose device Roost hosts to the client, and the client to our device.
    async fn strangers(&mut self, stranger: &Stranger) -> Result<(), Failure> {
        let (name, row) = (self.client.name().to_owned(), "tokens for strangers");
        let (library, person) = (self.library(), self.person.pn);
        let strange = |one, other| {
            let given = |by, to| self.stage.sim.look(|machine| machine.trust().token(by, to).is_some());
            !given(one, other) && !given(other, one)
        };
        assert!(strange(stranger.person.pn, person) && strange(self.roost.pn, person));
        self.stage.sim.commit(&Fault::DemandTokens { demand: true })?;
        let text = format!("a stranger to {name}");
        let (to, said) = (To::Lid(self.person.lid.clone()), Content::Text(text.clone()));
        self.cluster.say(&stranger.device, to, said, api::Context::default(), WaitFor::ServerAck).await?;
        self.client.message(&text).await?;
        self.matrix.row(row).seen(self.to);
        if library == Library::Baileys {
            self.matrix.row(row).not_applicable(self.from, "Baileys makes no tokens for strangers");
        } else {
            let salt = self.stage.sim.look(|machine| machine.salt(person).map(<[u8]>::to_vec));
            // Behind the salt, so that the salt is known when this is.
            let marker = Changed::Mute { chat: Jid::lid("77"), mute: Mute::Forever };
            self.stage.sim.phone_changes(person, &[Changed::Salt(salt), marker])?;
            let marked =
                |event: &ClientEvent| matches!(event, ClientEvent::Chat { what, .. } if what == "mute");
            self.client.wait("the salt of its phone", marked).await?;
            let text = format!("{name}, a stranger");
            self.client.send(&self.roost.lid_jid(), &text).await?;
            self.reader.received(&[text]).await?;
            self.matrix.row(row).seen(self.from);
            // Of which it hears nothing: from now on only a token of the other counts.
            self.stage.sim.phone_makes_salt(person)?;
        }
        self.stage.sim.commit(&Fault::DemandTokens { demand: false })?;
        Ok(())
    }

    /// While tokens are demanded, who has given one can be brought into a group; who has not gets an invite.
    async fn newcomers(&mut self) -> Result<(), Failure> {
        let (name, row) = (self.client.name().to_owned(), "token of who is added to a group");
        let loner = self.stage.person("loner").number_jid();
        let create = api::CreateGroupRequest {
            device: self.device.to_owned(),
            subject: format!("by a token, with {name}"),
            participants: vec![self.person.number_jid(), loner.clone()],
            request_id: Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let deaths = self.cluster.outlived().await?;
        let group = self.cluster.ask(create, async |api, it| api.groups().create_group(it).await).await?;
        assert_eq!(group.participants.len(), 2, "the loner has given no token");
        // An owner that died with the answer took the invite with it.
        if self.cluster.outlived().await? == deaths {
            assert_eq!(group.left_out.len(), 1);
        }
        assert!(group.left_out.iter().all(|one| one.code == 403 && !one.invite_code.is_empty()));
        let members = async |action: Action, who: &str| {
            let change = api::UpdateParticipantsRequest {
                device: self.device.to_owned(),
                group: group.group.clone(),
                action: action.into(),
                participants: vec![who.to_owned()],
                ..Default::default()
            };
            let done =
                self.cluster.ask(change, async |api, it| api.groups().update_participants(it).await).await?;
            Ok::<_, Failure>((done.outcomes[0].code, !done.outcomes[0].invite_code.is_empty()))
        };
        assert_eq!(members(Action::Add, &loner).await?, (403, true));
        // Whose answer was lost asks twice, and hears that it was done before.
        assert!(matches!(members(Action::Remove, &self.person.number_jid()).await?, (200 | 404, false)));
        assert!(matches!(members(Action::Add, &self.person.number_jid()).await?, (200 | 409, false)));
        self.matrix.row(row).seen(self.to);

        let theirs = self.client.group(&format!("by a token, of {name}"), &[self.roost.number_jid()]).await?;
        let (id, roost) = (theirs.trim_end_matches("@g.us").to_owned(), self.roost.pn);
        let is_in = self.stage.sim.look(|sim| sim.groups()[&id].members.contains_key(&roost));
        assert_eq!(is_in, self.library() != Library::Baileys, "{name}");
        match is_in {
            true => self.matrix.row(row).seen(self.from),
            false => {
                self.matrix.row(row).not_applicable(self.from, "Baileys adds people without their tokens")
            }
        };
        Ok(())
    }

    fn library(&self) -> Library {
        match self.from {
            Way::From(library) | Way::To(library) | Way::Between(library, _) => library,
        }
    }

    /// Both have written to each other, so both have tokens.
    async fn tokens(&mut self, stranger: &Stranger) -> Result<(), Failure> {
        let name = self.client.name().to_owned();
        let (roost, person) = (self.roost.pn, self.person.pn);
        let text = format!("a word for {name}");
        self.say(To::Lid(self.person.lid.clone()), Content::Text(text.clone())).await?;
        self.client.message(&text).await?;
        let given = |by, to| self.stage.sim.look(|machine| machine.trust().token(by, to).is_some());
        self.cluster.until("tokens", || given(roost, person) && given(person, roost)).await?;
        self.stage.sim.commit(&Fault::DemandTokens { demand: true })?;
        let text = format!("no stranger to {name}");
        self.say(To::Lid(self.person.lid.clone()), Content::Text(text.clone())).await?;
        self.client.message(&text).await?;
        self.matrix.row("trusted-contact tokens").seen(self.to);
        let text = format!("{name} is no stranger");
        self.client.send(&self.roost.lid_jid(), &text).await?;
        self.reader.received(&[text]).await?;
        self.matrix.row("trusted-contact tokens").seen(self.from);
        self.newcomers().await?;
        self.looks(stranger).await?;
        self.stage.sim.commit(&Fault::DemandTokens { demand: false })?;
        Ok(())
    }
}

#[tokio::test]
async fn posts_receipts_and_tokens_go_both_ways() -> Result<(), Failure> {
    let cast = Cast::new(env!("CARGO_BIN_EXE_roost"), 1).await?;
    let (matrix, troubles) = everything(&cast).await?;
    assert_eq!(troubles, vec![Trouble::default(); CLIENTS.len()]);
    matrix.check()
}

#[tokio::test]
async fn posts_receipts_and_tokens_go_both_ways_though_the_owner_is_killed_again_and_again()
-> Result<(), Failure> {
    let cast = Cast::mortal(env!("CARGO_BIN_EXE_roost"), 3).await?;
    everything(&cast).await?.0.check()?;
    assert_eq!(cast.stage.trouble_amid_deaths(&cast.roost, &cast.reader).but_refusals(), Trouble::default());
    assert!(cast.cluster.outlived().await? > 6);
    Ok(())
}

/// Each client in its turn. Returns what was seen, and what was amiss after each turn.
async fn everything(cast: &Cast) -> Result<(Matrix, Vec<Trouble>), Failure> {
    let Cast { stage, cluster, device, roost, reader } = cast;
    let (mut matrix, mut troubles) = (Matrix::new("6-status"), Vec::new());
    let stranger = Stranger::new(cast).await?;
    for (library, name) in CLIENTS {
        let (from, to) = (Way::From(library), Way::To(library));
        let person = stage.person(name);
        if library != Library::Baileys {
            stage.sim.phone_remembers(person.pn, Vec::new())?;
            stage.sim.phone_makes_salt(person.pn)?;
        }
        let mut client = stage.paired(library, name, &person).await?;
        let (client, person, matrix) = (&mut client, &person, &mut matrix);
        let mut pair = Pair { stage, cluster, device, reader, roost, client, person, matrix, from, to };
        pair.strangers(&stranger).await?;
        pair.client.send(&roost.number_jid(), &format!("hello from {name}")).await?;
        reader.received(&[format!("hello from {name}")]).await?;
        pair.tokens(&stranger).await?;
        pair.status().await?;
        // The other drivers post texts only.
        if library == Library::Whatsmeow {
            pair.picture_post().await?;
        }
        pair.receipts().await?;
        pair.played().await?;
        assert_eq!(client.doubled(), Vec::<String>::new());
        troubles.push(stage.trouble(roost, reader, [&*client]).but_refusals());
    }
    for reader in [reader, &stranger.reader] {
        assert_eq!((reader.repeated(), reader.faults()), (vec![], vec![]));
    }
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok((matrix, troubles))
}
