//! What goes with a message (mentions, a preview, a forward, a time after which it disappears), what keeps messages or
//! lets them disappear, and answers to messages that ask for one: with a device, and among the clients.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::{ClientEvent, Failure, Library, Matrix, RealClient, Way};

use super::{Pair, Speaker, about, cannot_hear, cannot_say, statements};

/// What clients make a preview of.
const LINK: &str = "https://hens.example";
/// How clients tell the look of a text: the colours behind it and of it, and its font.
const STYLE: &str = "ff1e6e4f ffffffff 2";
/// After which their messages disappear.
const DAY: i64 = 86_400;
const WEEK: i64 = 604_800;
const EVENT_ANSWER: &str = "answer to a calendar event";
const UNOPENED_ANSWER: &str = "Baileys opens answers to events under the number of who made the event and the other \
                               address than the one that the answer comes from, and others make them under his \
                               hidden identity";

fn lasting(seconds: i64) -> Option<api::Duration> {
    (seconds > 0).then_some(api::Duration { seconds, nanos: 0 })
}

impl Pair<'_> {
    pub(crate) async fn beside(&mut self) -> Result<(), Failure> {
        self.surroundings().await?;
        self.forwards().await?;
        self.timer().await?;
        self.kept().await?;
        self.answers().await?;
        self.event_answers().await
    }

    /// What goes with the message of this id.
    async fn context_of(&self, id: &str) -> Result<api::Context, Failure> {
        let context = self.received(id).await?.context;
        context.ok_or_else(|| Failure::new(format!("nothing goes with {id}")))
    }

    /// Says one of [`statements`]; its id.
    async fn state(&mut self, kind: &str, text: &str) -> Result<String, Failure> {
        let (_, content) = statements(text, self.roost)
            .into_iter()
            .find(|(known, _)| *known == kind)
            .ok_or_else(|| Failure::new(format!("{kind} is no statement")))?;
        let id = self.say(content).await?;
        self.speaker.client.said(kind, text).await?;
        Ok(id)
    }

    async fn surroundings(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let (whom, text) = (self.speaker.person.lid_jid(), format!("@{}, hello", self.speaker.person.lid));
        let context = api::Context { mentions: vec![whom.clone()], ..Default::default() };
        self.say_with(Content::Text(text.clone()), context).await?;
        assert_eq!(self.speaker.client.said("mention", &text).await?.about, whom);
        let (whom, text) = (self.roost.lid_jid(), format!("@{}, {name} says hello", self.roost.lid));
        let id = self.hear("mention", &text, &whom).await?;
        assert_eq!(self.context_of(&id).await?.mentions, [whom]);
        self.matrix.row("mention").seen(self.from).seen(self.to);

        let title = format!("Hens for {name}");
        let preview = api::LinkPreview { url: LINK.into(), title: title.clone(), ..Default::default() };
        let context = api::Context { link_preview: Some(preview), ..Default::default() };
        self.say_with(Content::Text(LINK.into()), context).await?;
        assert_eq!(self.speaker.client.said("link_preview", &title).await?.about, LINK);
        let title = format!("Hens of {name}");
        let id = self.hear("link_preview", &title, "").await?;
        let preview = self.context_of(&id).await?.link_preview.unwrap_or_default();
        assert_eq!((preview.url.as_str(), preview.title), (LINK, title));
        self.matrix.row("link preview").seen(self.from).seen(self.to);

        let text = format!("in colours, to {name}");
        let text_style =
            Some(api::TextStyle { background_argb: 0xff1e_6e4f, font: 2, text_argb: 0xffff_ffff });
        let context = api::Context { text_style, ..Default::default() };
        self.say_with(Content::Text(text.clone()), context).await?;
        assert_eq!(self.speaker.client.said("styled", &text).await?.detail, STYLE);
        let id = self.hear("styled", &format!("in colours, of {name}"), "").await?;
        assert_eq!(self.context_of(&id).await?.text_style, text_style);
        self.matrix.row("colours and font of a text").seen(self.from).seen(self.to);

        let text = format!("not for long, {name}");
        let context = api::Context { expires_after: lasting(DAY), ..Default::default() };
        self.say_with(Content::Text(text.clone()), context).await?;
        self.speaker.client.said("disappearing", &format!("{text}; {DAY}")).await?;
        let id = self.hear("disappearing", &format!("{name}: not for long"), "").await?;
        assert_eq!(self.context_of(&id).await?.expires_after, lasting(DAY));
        self.matrix.row("disappearing message").seen(self.from).seen(self.to);
        Ok(())
    }

    /// The first forward of a message, and one more of one that has gone a long way.
    async fn forwards(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let fresh = self.say(Content::Text(format!("news for {name}"))).await?;
        self.speaker.client.message(&format!("news for {name}")).await?;
        let old = format!("old news for {name}");
        let context = api::Context { forwarding_score: 3, ..Default::default() };
        let far = self.say_with(Content::Text(old.clone()), context).await?;
        assert_eq!(self.speaker.client.said("forward", &format!("{old}; 3")).await?.id, far);
        self.matrix.row("forward").seen(self.to);
        for (message, score) in [(fresh, 1), (far, 4)] {
            let id = self.hear("forward", "", &message).await?;
            assert_eq!(self.context_of(&id).await?.forwarding_score, score, "{name}");
        }
        self.matrix.row("forward").seen(self.from);
        Ok(())
    }

    async fn timer(&mut self) -> Result<(), Failure> {
        for (ours, theirs) in [(WEEK, DAY), (0, 0)] {
            let duration = lasting(ours);
            self.say(Content::DisappearingTimer(api::DisappearingTimer { duration })).await?;
            self.speaker.client.said("timer", &ours.to_string()).await?;
            let id = self.hear("timer", &theirs.to_string(), "").await?;
            let changed = |payload: &Payload| {
                matches!(payload, Payload::DisappearingTimerChanged(changed)
                    if changed.duration == lasting(theirs)
                    && changed.said.as_ref().is_some_and(|said| said.whatsapp_id == id))
            };
            self.reader.sees("the timer of a chat", changed).await?;
        }
        self.matrix.row("timer of a chat").seen(self.from).seen(self.to);
        Ok(())
    }

    async fn kept(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let ours = self.say(Content::Text(format!("to be kept by {name}"))).await?;
        self.speaker.client.message(&format!("to be kept by {name}")).await?;
        let theirs =
            self.speaker.client.send(&self.roost.lid_jid(), &format!("to be kept, of {name}")).await?;
        self.received(&theirs).await?;
        for (undo, word) in [(false, ""), (true, "undo")] {
            let message = about(&theirs, false);
            self.say(Content::Keep(api::KeepMessage { message, undo })).await?;
            assert_eq!(self.speaker.client.said("keep", word).await?.about, theirs);
            self.hear("keep", word, &ours).await?;
            let kept = |payload: &Payload| {
                matches!(payload, Payload::MessageKept(kept) if kept.undone == undo
                    && kept.message.as_ref().is_some_and(|it| it.whatsapp_id == ours && it.from_me))
            };
            self.reader.sees("a kept message", kept).await?;
        }
        self.matrix.row("kept message").seen(self.from).seen(self.to);
        Ok(())
    }

    /// Answers to lists and buttons.
    async fn answers(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let rows =
            [("answer to a list", "list", "list_answer"), ("answer to buttons", "buttons", "button_answer")];
        for (row, kind, answer) in rows {
            let (asked, text) = (format!("{kind} that {name} answers"), format!("{name} takes one"));
            let ours = self.state(kind, &asked).await?;
            let id = self.hear(answer, &text, &ours).await?;
            let told = self.received(&id).await?;
            let (taken, title) = match told.content {
                Some(Received::ListAnswer(answer)) => (answer.row_id, answer.title),
                Some(Received::ButtonAnswer(answer)) => (answer.id, answer.text),
                other => return Err(Failure::new(format!("{answer} came as {other:?}"))),
            };
            assert_eq!((taken, title), (first_of(kind, &asked), text), "{answer}");
            let quote = told.context.and_then(|context| context.quote).unwrap_or_default();
            assert_eq!(quote.message, about_ours(&ours, quote.message.as_ref()), "{answer}");
            self.matrix.row(row).seen(self.from);

            let asked = format!("{kind} of {name}");
            let theirs = self.hear(kind, &asked, "").await?;
            self.received(&theirs).await?;
            let (id, text) = (first_of(kind, &asked), format!("one of {name}"));
            let content = match kind {
                "list" => Content::ListAnswer(api::ListAnswer {
                    row_id: id.clone(),
                    title: text.clone(),
                    ..Default::default()
                }),
                _ => Content::ButtonAnswer(api::ButtonAnswer { id: id.clone(), text: text.clone() }),
            };
            let quote = api::Quote { message: about(&theirs, false), text: asked, ..Default::default() };
            self.say_with(content, api::Context { quote: Some(quote), ..Default::default() }).await?;
            let said = self.speaker.client.said(answer, &text).await?;
            assert_eq!((said.about, said.detail), (theirs, id), "{answer}");
            self.matrix.row(row).seen(self.to);
        }
        Ok(())
    }

    async fn event_answers(&mut self) -> Result<(), Failure> {
        let (library, name) = (self.speaker.library, self.name());
        if let Some(reason) = cannot_hear(library, EVENT_ANSWER) {
            self.matrix.row(EVENT_ANSWER).not_applicable(self.to, reason);
        } else {
            let theirs = self.hear("calendar_event", &format!("party of {name}"), "").await?;
            self.received(&theirs).await?;
            let mut response = api::EventResponse { event: about(&theirs, false), ..Default::default() };
            response.set_answer(api::event_response::Answer::Going);
            self.say(Content::EventResponse(response)).await?;
            if library == Library::Baileys {
                let next = format!("answered the party of {name}");
                self.say(Content::Text(next.clone())).await?;
                unopened(&mut self.speaker.client, &theirs, &next).await?;
                self.matrix.row(EVENT_ANSWER).no(self.to, UNOPENED_ANSWER);
            } else {
                assert_eq!(self.speaker.client.said("event_response", "going").await?.about, theirs);
                self.matrix.row(EVENT_ANSWER).seen(self.to);
            }
        }
        if let Some(reason) = cannot_say(library, EVENT_ANSWER) {
            self.matrix.row(EVENT_ANSWER).not_applicable(self.from, reason);
            return Ok(());
        }
        let ours = self.state("calendar_event", &format!("party for {name}")).await?;
        self.hear("event_response", "going", &ours).await?;
        let answered = |payload: &Payload| {
            matches!(payload, Payload::EventResponseReceived(told) if !told.unreadable
                && told.answer() == api::event_response::Answer::Going
                && told.event.as_ref().is_some_and(|event| event.whatsapp_id == ours && event.from_me))
        };
        self.reader.sees(EVENT_ANSWER, answered).await?;
        self.matrix.row(EVENT_ANSWER).seen(self.from);
        Ok(())
    }
}

/// An answer to this event came before the next text, and Baileys has not told what it says; its driver, which tries other
/// addresses, has.
async fn unopened(client: &mut RealClient, event: &str, next: &str) -> Result<(), Failure> {
    let control = |told: &ClientEvent| matches!(told, ClientEvent::Said(said) if (&*said.kind, &*said.text, &*said.about) == ("event_response_control", "going", event));
    client.wait("an answer that can be opened", control).await?;
    client.message(next).await?;
    let opened = |told: &ClientEvent| matches!(told, ClientEvent::Said(said) if said.kind == "event_response" && said.about == event);
    assert!(!client.events().iter().any(opened), "it opens answers to events: the cell can say yes");
    Ok(())
}

/// The id of what can be taken of such a list or of such buttons.
fn first_of(kind: &str, text: &str) -> String {
    format!("{}: {text}", if kind == "list" { "row" } else { "button" })
}

/// This message of ours, with whatever a client calls its sender.
fn about_ours(id: &str, named: Option<&api::MessageRef>) -> Option<api::MessageRef> {
    let sender = named.map(|named| named.sender.clone()).unwrap_or_default();
    Some(api::MessageRef { whatsapp_id: id.to_owned(), from_me: true, sender })
}

/// The same from one client to another.
pub(crate) async fn among(from: &mut Speaker, to: &mut Speaker, matrix: &mut Matrix) -> Result<(), Failure> {
    let way = Way::Between(from.library, to.library);
    let (here, there) = (from.person.lid_jid(), to.person.lid_jid());
    let names = format!("{} to {}", from.client.name(), to.client.name());
    let yours = to.client.send(&here, &format!("news, {names}")).await?;
    from.client.message(&format!("news, {names}")).await?;
    // whatsapp-rust gives the first forward a score of 0.
    let first = i32::from(from.library != Library::WhatsappRust);
    let (forwarded, brief) = (format!("news, {names}; {first}"), format!("{names}; {DAY}"));
    let kinds = [
        ("mention", "mention", names.as_str(), there.as_str(), names.as_str(), there.as_str()),
        ("link preview", "link_preview", &names, "", &names, LINK),
        ("colours and font of a text", "styled", &names, "", &names, ""),
        ("disappearing message", "disappearing", &names, "", &brief, ""),
        ("forward", "forward", "", &yours, &forwarded, ""),
        ("timer of a chat", "timer", "86400", "", "86400", ""),
        ("timer of a chat", "timer", "0", "", "0", ""),
        ("kept message", "keep", "", &yours, "", &yours),
        ("kept message", "keep", "undo", &yours, "undo", &yours),
    ];
    for (row, kind, text, about, heard, heard_about) in kinds {
        from.client.say(&there, kind, text, about).await?;
        assert_eq!(to.client.said(kind, heard).await?.about, heard_about, "{kind}, {names}");
        matrix.row(row).seen(way);
    }
    let rows = [
        ("answer to a list", "list", "list_answer", names.as_str()),
        ("answer to buttons", "buttons", "button_answer", &names),
        (EVENT_ANSWER, "calendar_event", "event_response", "going"),
    ];
    for (row, kind, answer, text) in rows {
        if let Some(reason) = cannot_say(from.library, row).or(cannot_hear(to.library, row)) {
            matrix.row(row).not_applicable(way, reason);
            continue;
        }
        let asked = format!("{kind} for an answer, {names}");
        let id = to.client.say(&here, kind, &asked, "").await?;
        from.client.said(kind, &asked).await?;
        from.client.say(&there, answer, text, &id).await?;
        if row == EVENT_ANSWER && to.library == Library::Baileys {
            let next = format!("answered an event, {names}");
            from.client.send(&there, &next).await?;
            unopened(&mut to.client, &id, &next).await?;
            matrix.row(row).no(way, UNOPENED_ANSWER);
            continue;
        }
        let said = to.client.said(answer, text).await?;
        assert_eq!(said.about, id, "{answer}, {names}");
        if kind != "calendar_event" {
            assert_eq!(said.detail, first_of(kind, &asked), "{answer}, {names}");
        }
        matrix.row(row).seen(way);
    }
    Ok(())
}
