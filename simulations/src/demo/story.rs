//! What happens in the demo, scene by scene.
//!
//! A scene that does not come to its end is a complaint in the verdict, not a panic.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Scale;
use super::screen::Screen;
use super::verdict::Verdict;
use crate::percentiles::readable;
use crate::sightings;
use crate::talk::Talk;
use crate::trouble::{self, TakeOver};
use crate::world::{Failed, World};

/// The story in progress.
pub(super) struct Story {
    world: World,
    screen: Screen,
    scale: Scale,
    verdict: Verdict,
}

impl Story {
    pub(super) fn begin(world: World, screen: Screen, scale: Scale) -> Story {
        Story { world, screen, scale, verdict: Verdict::default() }
    }

    /// Plays all scenes and adds up.
    pub(super) async fn play(&mut self) -> Verdict {
        self.screen.say("conversations begin");
        let talk = self.world.talk(self.scale.senders, self.scale.pause);
        self.calm(self.scale.calm).await;
        if let Err(error) = self.scenes().await {
            self.complain(&error.to_string());
        }
        self.last_words(talk).await;
        self.verdict.balance = self.world.books.with(|tally| tally.balance());
        self.verdict.key_reuse = sightings::key_reuse(&self.world.sim);
        self.screen.look_at(&self.world).await;
        self.verdict.clone()
    }

    async fn scenes(&mut self) -> Result<(), Failed> {
        let killed = self.world.busiest(None).await?;
        self.kill(killed).await?;
        self.calm(self.scale.calm).await;
        let frozen = self.world.busiest(Some(killed)).await?;
        self.freeze(frozen).await?;
        self.calm(self.scale.calm).await;
        let third = (0..self.world.nodes.len()).find(|place| ![killed, frozen].contains(place));
        self.drain(third.unwrap_or(killed)).await?;
        self.calm(self.scale.calm).await;
        Ok(())
    }

    async fn kill(&mut self, place: usize) -> Result<(), Failed> {
        let id = self.world.nodes[place].id.clone();
        let orphans = trouble::orphans_of(&self.world, place).await?;
        let old = trouble::lives_of(&self.world, place).await?;
        self.screen.say(&format!("SIGKILL to the worker of {id}, owner of {} devices", orphans.len()));
        let cause = trouble::kill(&self.world, place)?;
        let patience = self.scale.patience;
        let follow = trouble::follow(&self.world, place, &orphans, &old, cause, patience);
        let taken = self.watching(follow).await?;
        self.tell(&taken);
        self.verdict.take_over = taken.logins;
        self.world.all_active(patience).await?;
        self.screen.say(&format!("{id} is back in a new life"));
        Ok(())
    }

    async fn freeze(&mut self, place: usize) -> Result<(), Failed> {
        let id = self.world.nodes[place].id.clone();
        let orphans = trouble::orphans_of(&self.world, place).await?;
        let old = trouble::lives_of(&self.world, place).await?;
        let began = Instant::now();
        let cause = trouble::freeze(&self.world, place).await?;
        self.screen.say(&format!("SIGSTOP to {id}, owner of {} devices", orphans.len()));
        let patience = self.scale.patience;
        let follow = trouble::follow(&self.world, place, &orphans, &old, cause, patience);
        let taken = self.watching(follow).await;
        self.calm(self.scale.freeze.saturating_sub(began.elapsed())).await;
        trouble::wake(&self.world, place)?;
        self.screen.say(&format!("SIGCONT to {id} after {}", readable(began.elapsed())));
        let taken = taken?;
        self.tell(&taken);
        self.verdict.take_over_frozen = taken.logins;
        self.world.all_active(patience).await?;
        self.screen.say(&format!("{id} found that it was buried, and is back in a new life"));
        Ok(())
    }

    async fn drain(&mut self, place: usize) -> Result<(), Failed> {
        let id = self.world.nodes[place].id.clone();
        let orphans = trouble::orphans_of(&self.world, place).await?;
        self.screen.say(&format!("draining {id}, owner of {} devices", orphans.len()));
        let began = Instant::now();
        self.verdict.hand_off = trouble::drain(&mut self.world, place, &orphans, self.scale.patience).await?;
        let (took, gaps) = (readable(began.elapsed()), self.verdict.hand_off.summary());
        self.screen
            .say(&format!("{id} gave everything away and left after {took}; hand-off p50 / p99 {gaps}"));
        self.calm(self.scale.calm).await;
        self.world.nodes[place].spawn()?;
        self.world.all_active(self.scale.patience).await?;
        self.screen.say(&format!("{id} is back"));
        Ok(())
    }

    fn tell(&self, taken: &TakeOver) {
        let TakeOver { detected, claimed, logins, first_message } = taken;
        self.screen.say(&format!(
            "detected after {}, claimed after {}, {} logins p50 / p99 {}, first new message after {}",
            readable(*detected),
            readable(*claimed),
            logins.len(),
            logins.summary(),
            readable(*first_message),
        ));
    }

    /// Ends the talk and waits for what is under way.
    async fn last_words(&mut self, mut talk: Talk) {
        self.screen.say("conversations end");
        let refused = talk.hush().await;
        if let Some(first) = refused.first() {
            self.complain(&format!("{} calls were refused, the first with {first}", refused.len()));
        }
        if !talk.all_arrived(&self.world.books, self.scale.patience).await {
            self.screen.say("some messages have not arrived in time");
        }
    }

    /// Lets them talk.
    async fn calm(&self, span: Duration) {
        self.watching(tokio::time::sleep(span)).await;
    }

    /// Draws the world until `work` is done.
    async fn watching<T>(&self, work: impl Future<Output = T>) -> T {
        let draw = async {
            loop {
                self.screen.look_at(&self.world).await;
                tokio::time::sleep(self.screen.pace()).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = draw => unreachable!("the picture is drawn until the work is done"),
        }
    }

    fn complain(&mut self, what: &str) {
        self.screen.say(what);
        self.verdict.complaints.push(what.to_owned());
    }

    /// Where the logs are.
    pub(super) fn folder(&self) -> &Path {
        &self.world.site.folder
    }

    /// Leaves the folder where it is when the story ends; returns where that is.
    pub(super) fn keep_folder(&mut self) -> PathBuf {
        self.world.keep_folder();
        self.folder().to_owned()
    }

    /// Prints what to try.
    pub(super) fn invite(&self) {
        let [first, second, ..] = &self.world.nodes[..] else { return };
        let [from, .., to] = &self.world.speakers[..] else { return };
        let roost = format!("{} --endpoint http://{}", self.world.site.program.display(), first.grpc);
        println!("\nThe cluster stays up until Ctrl-C. To try:\n");
        println!("  {roost} cluster status");
        println!("  {roost} device list tenants/-");
        println!("  {roost} send {} {} 'hello'", from.device, to.phone_number);
        println!("  {roost} events tail {}", to.device);
        println!("  grpcurl -plaintext {} list", second.grpc);
        println!(
            "  grpcurl -plaintext -d '{{\"name\":\"{}\"}}' {} roost.v1.DeviceService/GetDevice",
            to.device, second.grpc
        );
        println!("\nFolder: {}", self.folder().display());
    }

    /// Stops the nodes in order; whoever does not leave in time is killed with the world.
    pub(super) async fn end(mut self) {
        for node in &self.world.nodes {
            if let Err(error) = node.signal_parent(Signal::TERM) {
                tracing::debug!(node = node.id, %error, "no signal");
            }
        }
        for node in &mut self.world.nodes {
            if let Err(error) = node.ended(Duration::from_secs(5)).await {
                tracing::debug!(node = node.id, %error, "no end");
            }
        }
    }
}
