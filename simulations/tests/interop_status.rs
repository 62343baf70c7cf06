//! Unmodified whatsmeow, Baileys and whatsapp-rust judge the status posts of a Roost device and what it says of messages that
//! were read; and they are no strangers to it when WhatsApp demands tokens. All of it once more while the owner of the
//! device is killed.
//!
//! Real processes as in `interop.rs`: one `roost serve`, or three of which one dies, and a driver of each library.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::group_changed::Change;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::upload_media_request::Header;
use roost_simulations::interop::{
    CLIENTS, Cast, ClientEvent, Cluster, Failure, Library, Matrix, Person, Reader, RealClient, Stage, Way,
    fetch, upload,
};
use roost_simulations::wa::{Audience, Fault};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Where posts are.
const STATUS: &str = "status@broadcast";

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
        let style = api::TextStyle { background_argb: 0xff1e_6e4f, font: 1 };
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

    /// A picture in a post.
    async fn picture_post(&mut self) -> Result<(), Failure> {
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

    /// Both have written to each other, so both have tokens.
    async fn tokens(&mut self) -> Result<(), Failure> {
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
        self.stage.sim.commit(&Fault::DemandTokens { demand: false })?;
        Ok(())
    }
}

#[tokio::test]
async fn posts_receipts_and_tokens_go_both_ways() -> Result<(), Failure> {
    let cast = Cast::new(env!("CARGO_BIN_EXE_roost"), 1).await?;
    everything(&cast).await?.check()
}

#[tokio::test]
async fn posts_receipts_and_tokens_go_both_ways_though_the_owner_is_killed_again_and_again()
-> Result<(), Failure> {
    let cast = Cast::mortal(env!("CARGO_BIN_EXE_roost"), 3).await?;
    everything(&cast).await?.check()?;
    assert!(cast.cluster.outlived().await? > 6);
    Ok(())
}

/// Each client in its turn. Returns what was seen.
async fn everything(cast: &Cast) -> Result<Matrix, Failure> {
    let Cast { stage, cluster, device, roost, reader } = cast;
    let mut matrix = Matrix::new("6-status");
    for (library, name) in CLIENTS {
        let (from, to) = (Way::From(library), Way::To(library));
        let person = stage.person(name);
        let mut client = stage.paired(library, name, &person).await?;
        client.send(&roost.number_jid(), &format!("hello from {name}")).await?;
        reader.received(&[format!("hello from {name}")]).await?;
        let (client, person, matrix) = (&mut client, &person, &mut matrix);
        let mut pair = Pair { stage, cluster, device, reader, roost, client, person, matrix, from, to };
        pair.tokens().await?;
        pair.status().await?;
        // The other drivers post texts only.
        if library == Library::Whatsmeow {
            pair.picture_post().await?;
        }
        pair.receipts().await?;
        pair.played().await?;
        assert_eq!(client.doubled(), Vec::<String>::new());
    }
    assert_eq!(reader.repeated(), Vec::<String>::new());
    assert_eq!(reader.faults(), Vec::<String>::new());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(matrix)
}
