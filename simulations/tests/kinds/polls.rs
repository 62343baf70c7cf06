//! Polls, votes in them, and how they stand.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::{ClientEvent, Failure, Library};

use super::{Pair, about, cannot_say, hash, poll};

/// Ends of polls, in seconds: in 2030, and in 2017.
const SOME_DAY: i64 = 1_900_000_000;
const LONG_AGO: i64 = 1_500_000_000;
const ADDED: &str = "option added to a poll";

impl Pair<'_> {
    /// Polls of both sides, and votes of both in them.
    pub(crate) async fn polls(&mut self) -> Result<(), Failure> {
        let name = self.name();
        let question = format!("to {name}?");
        let ours = self.say(Content::Poll(poll(&question, ""))).await?;
        self.speaker.client.said("poll", &format!("{question}: yes, no")).await?;
        self.matrix.row("poll").seen(self.to);
        if let Some(reason) = cannot_say(self.speaker.library, "vote in a poll") {
            self.matrix.row("vote in a poll").not_applicable(self.from, reason);
            self.matrix.row("tally of a poll").not_applicable(self.from, reason);
        } else {
            for option in ["yes", "no"] {
                self.hears_a_vote(&ours, option).await?;
            }
            self.matrix.row("vote in a poll").seen(self.from);
            let standing = self.tally(&ours, true).await?;
            assert_eq!(counts(&standing), [("yes".into(), 0), ("no".into(), 1)], "the last vote stands");
            let [vote] = &standing.votes[..] else { return Err(Failure::new("there is more than one vote")) };
            let voter = vote.voter.clone().unwrap_or_default();
            assert_eq!((voter.lid, vote.from_me), (self.speaker.person.lid_jid(), false));
            assert!(standing.last_vote_time.is_some() && !standing.partial);
            self.matrix.row("tally of a poll").seen(self.from);
        }
        let theirs = self.hear("poll", &format!("from {name}?"), "").await?;
        match self.received(&theirs).await?.content {
            Some(Received::Poll(poll)) => assert_eq!(poll.options, ["yes", "no"]),
            other => return Err(Failure::new(format!("a poll came as {other:?}"))),
        }
        self.matrix.row("poll").seen(self.from);
        let nobody = self.tally(&theirs, false).await?;
        assert_eq!(
            (counts(&nobody), nobody.last_vote_time),
            (vec![("yes".into(), 0), ("no".into(), 0)], None)
        );
        let vote = api::PollVote { poll: about(&theirs, false), options: vec!["yes".into()] };
        self.say(Content::PollVote(vote)).await?;
        assert_eq!(self.speaker.client.said("vote", &hash("yes")).await?.about, theirs);
        self.matrix.row("vote in a poll").seen(self.to);
        let standing = self.tally(&theirs, false).await?;
        assert_eq!(counts(&standing), [("yes".into(), 1), ("no".into(), 0)]);
        assert!(standing.votes.iter().any(|vote| vote.from_me && vote.options == [0]), "ours is in it");
        self.matrix.row("tally of a poll").seen(self.to);
        self.ends().await?;
        self.options().await
    }

    /// Polls of both sides that hide who votes, and end: one in time to vote, one before.
    async fn ends(&mut self) -> Result<(), Failure> {
        const ROW: &str = "poll that ends and hides who votes";
        if self.speaker.library == Library::Baileys {
            let reason = "Baileys knows neither ends of polls nor voters that are hidden";
            self.matrix.row(ROW).not_applicable(self.from, reason).not_applicable(self.to, reason);
            return Ok(());
        }
        let name = self.name();
        let at = |seconds| Some(api::Timestamp { seconds, nanos: 0 });
        let ending = |question: &str, seconds| {
            let (end_time, hide_voters) = (at(seconds), true);
            api::Poll { end_time, hide_voters, open: false, ..poll(question, "") }
        };
        let question = format!("to {name}, until 2030?");
        self.say(Content::Poll(ending(&question, SOME_DAY))).await?;
        let said = self.speaker.client.said("poll", &format!("{question}: yes, no")).await?;
        assert_eq!(said.detail, format!("{SOME_DAY}000 true"));
        let ended = self.say(Content::Poll(ending(&format!("to {name}, too late?"), LONG_AGO))).await?;
        self.speaker.client.said("poll", &format!("to {name}, too late?: yes, no")).await?;
        let id = self.hear("vote", "yes", &ended).await?;
        let late = |payload: &Payload| {
            matches!(payload, Payload::PollVoteReceived(vote) if vote.late && vote.options == ["yes"]
                && vote.said.as_ref().is_some_and(|said| said.whatsapp_id == id))
        };
        self.reader.sees("a late vote", late).await?;
        assert_eq!(counts(&self.tally(&ended, true).await?), [("yes".into(), 0), ("no".into(), 0)]);
        self.matrix.row(ROW).seen(self.to);

        let question = format!("of {name}, until 2030?");
        let theirs = self.hear("ending_poll", &question, &format!("{SOME_DAY}000")).await?;
        assert_eq!(self.received(&theirs).await?.content, Some(Received::Poll(ending(&question, SOME_DAY))));
        let question = format!("of {name}, too late?");
        let theirs = self.hear("ending_poll", &question, &format!("{LONG_AGO}000")).await?;
        self.received(&theirs).await?;
        let vote = api::PollVote { poll: about(&theirs, false), options: vec!["yes".into()] };
        let refused = self.say(Content::PollVote(vote)).await.expect_err("it has ended");
        assert!(refused.says("has ended"), "{refused:?}");
        self.matrix.row(ROW).seen(self.from);
        Ok(())
    }

    /// Options that are added to polls of the other side, and chosen.
    async fn options(&mut self) -> Result<(), Failure> {
        match self.speaker.library {
            Library::WhatsappRust => {}
            Library::Whatsmeow => return self.unopened_option().await,
            Library::Baileys => {
                let reason = "Baileys knows no options that are added";
                self.matrix.row(ADDED).not_applicable(self.from, reason).not_applicable(self.to, reason);
                return Ok(());
            }
        }
        let name = self.name();
        let question = format!("open to {name}?");
        let ours = self.say(Content::Poll(poll(&question, ""))).await?;
        self.speaker.client.said("poll", &format!("{question}: yes, no")).await?;
        self.hears_an_option(&ours).await?;
        self.matrix.row(ADDED).seen(self.from);

        let theirs = self.hear("open_poll", &format!("open, from {name}?"), "").await?;
        self.received(&theirs).await?;
        let option = format!("later, {name}");
        let added = api::AddPollOption { poll: about(&theirs, false), option: option.clone() };
        self.say(Content::PollOption(added)).await?;
        assert_eq!(self.speaker.client.said("poll_option", &option).await?.about, theirs);
        let vote = api::PollVote { poll: about(&theirs, false), options: vec![option.clone()] };
        self.say(Content::PollVote(vote)).await?;
        assert_eq!(self.speaker.client.said("vote", &hash(&option)).await?.about, theirs);
        let standing = self.tally(&theirs, false).await?;
        assert_eq!(counts(&standing), [("yes".into(), 0), ("no".into(), 0), (option, 1)]);
        self.matrix.row(ADDED).seen(self.to);
        Ok(())
    }

    /// whatsmeow opens votes in a poll, and not what is added to it.
    async fn unopened_option(&mut self) -> Result<(), Failure> {
        self.matrix.row(ADDED).not_applicable(self.from, "whatsmeow adds no options to polls");
        let theirs = self.hear("open_poll", "open, from whatsmeow?", "").await?;
        self.received(&theirs).await?;
        let vote = api::PollVote { poll: about(&theirs, false), options: vec!["no".into()] };
        self.say(Content::PollVote(vote)).await?;
        assert_eq!(self.speaker.client.said("vote", &hash("no")).await?.about, theirs);
        let option = "later, whatsmeow".to_owned();
        self.say(Content::PollOption(api::AddPollOption { poll: about(&theirs, false), option })).await?;
        let is = |event: &ClientEvent| matches!(event, ClientEvent::Said(said) if said.kind == "poll_option" && said.about == theirs);
        let ClientEvent::Said(said) = self.speaker.client.wait("an option, opened or not", is).await? else {
            unreachable!("the wait took what was said")
        };
        let why = said.text.strip_prefix("unreadable: ").unwrap_or_default();
        assert!(why.contains("authentication failed"), "the cell can say yes: {said:?}");
        let reason = "whatsmeow opens options that are added with the keys of edits of polls, and others make keys of \
                      their own for them";
        self.matrix.row(ADDED).no(self.to, reason);
        Ok(())
    }

    /// The client votes for this option of a poll of ours, and the device hears it.
    async fn hears_a_vote(&mut self, of: &str, option: &str) -> Result<(), Failure> {
        let id = self.hear("vote", option, of).await?;
        let vote = self
            .reader
            .wait("vote", |payload| match payload {
                Payload::PollVoteReceived(vote) => Some(vote.clone())
                    .filter(|vote| vote.said.as_ref().is_some_and(|said| said.whatsapp_id == id)),
                _ => None,
            })
            .await?;
        assert_eq!(vote.options, [option]);
        assert!(!vote.unreadable);
        let poll = vote.poll.unwrap_or_default();
        assert_eq!((&*poll.whatsapp_id, poll.from_me), (of, true));
        Ok(())
    }

    /// The client adds an option to a poll of ours and chooses it.
    async fn hears_an_option(&mut self, of: &str) -> Result<(), Failure> {
        let id = self.hear("poll_option", "later", of).await?;
        let added = self
            .reader
            .wait("an option", |payload| match payload {
                Payload::PollOptionAdded(added) => Some(added.clone())
                    .filter(|added| added.said.as_ref().is_some_and(|said| said.whatsapp_id == id)),
                _ => None,
            })
            .await?;
        let poll = added.poll.clone().unwrap_or_default();
        assert_eq!((&*added.option, added.ignored, added.unreadable), ("later", false, false));
        assert_eq!((&*poll.whatsapp_id, poll.from_me), (of, true));
        self.hears_a_vote(of, "later").await?;
        let standing = self.tally(of, true).await?;
        assert_eq!(counts(&standing), [("yes".into(), 0), ("no".into(), 0), ("later".into(), 1)]);
        assert_eq!(standing.poll.unwrap_or_default().added_options, ["later"]);
        Ok(())
    }

    /// How a poll stands, by the word of any node.
    async fn tally(&self, id: &str, from_me: bool) -> Result<api::PollResults, Failure> {
        let sender = if from_me { String::new() } else { self.speaker.person.number_jid() };
        let poll = Some(api::MessageRef { whatsapp_id: id.to_owned(), from_me, sender });
        let wanted = api::GetPollResultsRequest { device: self.device.to_owned(), poll };
        self.cluster.ask(wanted, async |api, it| api.polls().get_poll_results(it).await).await
    }
}

fn counts(results: &api::PollResults) -> Vec<(String, u32)> {
    results.options.iter().map(|option| (option.name.clone(), option.votes)).collect()
}
