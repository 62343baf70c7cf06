//! The device machine: what a device does and when. Pure: events and the time go in, effects come out;
//! no runtime, no I/O, no clock, randomness from a seed.
//!
//! What must hold, whatever the order of events (`tests/machine.rs` tries them at random):
//! - an inbound stanza is settled (receipt or acknowledgement) only after the commit that holds what came
//!   of it; a message goes on the wire only after the commit that holds its bytes and the ratchet;
//! - one commit is in flight at a time; what crypto changed is committed in the order in which it changed;
//! - while the node may not act (`Now::may_act`, or quiesced) nothing is sent and nothing is committed;
//! - after [`Effect::Finish`] nothing is asked for any more.
//!
//! Each file of `machine/` is one concern of the same state; they call each other directly.

mod account;
mod appstate;
mod ask;
mod awaited;
mod backlog;
mod behind;
mod bots;
mod calls;
mod codec;
mod commit;
mod connect;
mod crypto;
mod elsewhere;
mod files;
mod groups;
mod health;
mod heard;
mod history;
mod identities;
mod import;
mod inbound;
mod interface;
mod known;
mod lane;
mod leftovers;
mod login;
mod making;
mod media;
mod newsletters;
mod notify;
mod outbound;
mod pacing;
mod pair_code;
mod pairing;
mod passkey;
mod peer;
mod placeholders;
mod polls;
mod posts;
mod prekeys;
mod presence;
mod profiles;
mod receipts;
mod requests;
mod resolve;
mod retry;
mod rotation;
mod secrets;
mod status;
mod tenure;
mod timer;
mod tokens;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use roost_placement::lease::BootTime;
use roost_proto::id::UnixMillis;

use crate::device::{Command, CommandError, Finished, Limits, Opening};

pub use account::Account;
pub use appstate::{AppliedPatches, Work, Worked};
pub use crypto::{
    Changed, DecryptFailure, Decrypted, Encryption, GroupCiphertext, GroupEncryption, KeysCompared, PeerName,
    Request as CryptoRequest, RetryKeys, Target,
};
pub use files::{Fetched, Fetching};
pub use interface::{DialAs, DialLogin, Effect, Event, Loaded, Now, Reply};
pub use pair_code::{PairFinish, PairHello};
pub use passkey::{Made as PasskeyMade, Step as PasskeyStep};
pub use prekeys::PrekeyUpload;
pub use rotation::Rotation;
pub use secrets::{secret_from, secret_name};
pub use timer::Timer;
pub use tokens::Token;

/// One device.
pub struct Machine {
    opening: Opening,
    limits: Limits,
    rng: StdRng,
    now: Now,
    effects: Vec<Effect>,
    loaded: bool,
    ended: bool,
    quiesced: bool,
    keys: bool,
    account: Option<Account>,
    tenure: Option<tenure::Tenure>,
    leftovers: leftovers::Leftovers,
    status: status::Status,
    commits: commit::Commits,
    connection: connect::Connection,
    backlog: Option<backlog::Backlog>,
    lane: lane::Lane,
    requests: requests::Requests,
    outbox: outbound::Outbox,
    directory: resolve::Directory,
    groups: groups::Groups,
    sent: receipts::SentMessages,
    resends: retry::Resends,
    awaited: awaited::Messages,
    secrets: secrets::Secrets,
    prekeys: prekeys::Prekeys,
    rotation: rotation::State,
    health: health::Health,
    known_chats: known::KnownChats,
    pacing: pacing::Pacing,
    app_state: appstate::AppState,
    history: history::Pieces,
    files: files::Files,
    questions: media::Questions,
    presence: presence::Presence,
    issued: tokens::Issued,
    /// What tokens for strangers are made with; empty while the phone has given none.
    salt: Bytes,
    posts: posts::Posts,
    makings: making::Makings,
    attempt: Option<pairing::Attempt>,
    /// What the answer to each crypto request is for.
    purposes: BTreeMap<u64, crypto::Purpose>,
    lookups: BTreeMap<u64, receipts::Lookup>,
    timers: BTreeMap<Timer, BootTime>,
    /// When it last took part in a conversation.
    active: Option<UnixMillis>,
    /// Encoded stanzas that wait for permission to act.
    wire: VecDeque<(u64, Bytes)>,
    last_token: u64,
}

impl Machine {
    /// A device that has not been loaded.
    pub fn new(opening: Opening, limits: Limits, seed: [u8; 32], now: Now) -> Machine {
        let mut rng = StdRng::from_seed(seed);
        Machine {
            requests: requests::Requests::new(&mut rng),
            status: status::Status::new(now.wall),
            opening,
            limits,
            rng,
            now,
            effects: Vec::new(),
            loaded: false,
            ended: false,
            quiesced: false,
            keys: false,
            account: None,
            tenure: None,
            leftovers: leftovers::Leftovers::default(),
            commits: commit::Commits::default(),
            connection: connect::Connection::default(),
            backlog: None,
            lane: lane::Lane::default(),
            outbox: outbound::Outbox::default(),
            directory: resolve::Directory::default(),
            groups: groups::Groups::default(),
            sent: receipts::SentMessages::default(),
            resends: retry::Resends::default(),
            awaited: awaited::Messages::default(),
            secrets: secrets::Secrets::default(),
            prekeys: prekeys::Prekeys::default(),
            rotation: rotation::State::default(),
            health: health::Health::default(),
            known_chats: known::KnownChats::default(),
            pacing: pacing::Pacing::default(),
            app_state: appstate::AppState::default(),
            history: history::Pieces::default(),
            files: files::Files::default(),
            questions: media::Questions::default(),
            presence: presence::Presence::default(),
            issued: tokens::Issued::default(),
            salt: Bytes::new(),
            posts: posts::Posts::default(),
            makings: making::Makings::default(),
            attempt: None,
            purposes: BTreeMap::new(),
            lookups: BTreeMap::new(),
            timers: BTreeMap::new(),
            active: None,
            wire: VecDeque::new(),
            last_token: 0,
        }
    }

    /// Handles one event. Effects are to be carried out in order.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        if self.ended {
            return Vec::new();
        }
        let believed = std::mem::replace(&mut self.now, now).trusted;
        if believed < now.trusted && self.has_made_more_than_is_durable() {
            self.finish(Finished::Stale);
            return std::mem::take(&mut self.effects);
        }
        match event {
            Event::Loaded(loaded) => self.on_loaded(*loaded),
            Event::LinkUp { link } => self.on_link_up(link),
            Event::LinkDown { link, why, unreached } => {
                if unreached {
                    self.unreached(link);
                }
                self.on_link_down(link, &why);
            }
            Event::Stale => self.finish(Finished::Stale),
            Event::PermitAnswered(stands) => self.on_permit(stands),
            Event::Stanza { link, raw, stanza, poisonous } => self.on_stanza(link, raw, stanza, poisonous),
            Event::Crypto { token, changed } => self.on_crypto(token, changed),
            Event::Committed(committed) => self.on_committed(committed),
            Event::CommitFailed => self.on_commit_failed(),
            Event::Fenced => self.finish(Finished::Fenced),
            Event::Found { token, mut messages } => {
                messages.retain(|message| self.is_of_this_tenure(message));
                self.on_found(token, messages);
            }
            Event::Fetched { token, outcome } => self.on_fetched(token, outcome),
            Event::Tick => self.on_tick(),
            Event::Version(version) => self.on_version(version),
            Event::Command { token, command } => self.on_command(token, command),
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// When the machine wants the next [`Event::Tick`].
    pub fn deadline(&self) -> Option<BootTime> {
        self.timers.values().min().copied()
    }

    /// Whether there may be keys in memory, or bytes made with them, that are in no row yet.
    fn has_made_more_than_is_durable(&self) -> bool {
        !(self.commits.are_done() && self.lane.is_empty() && self.purposes.is_empty())
    }

    /// Whether sends and commits may happen now.
    fn may_act(&self) -> bool {
        self.now.may_act && !self.quiesced && !self.ended
    }

    /// Why a command cannot be carried out for want of an account, if so. Before its state is read nobody knows.
    fn unpaired(&self) -> Option<CommandError> {
        match &self.account {
            Some(account) => account.logged_out.then_some(CommandError::NotPaired),
            None if self.loaded => Some(CommandError::NotPaired),
            None => Some(CommandError::Unavailable),
        }
    }

    /// Whatever has become possible by the event: release what was waiting, in order.
    fn settle(&mut self) {
        if self.ended {
            return;
        }
        self.lane_advance();
        self.part_pump();
        self.outbox_pump();
        self.app_state_pump();
        self.history_pump();
        self.sweep_pump();
        self.commit_pump();
        if self.may_act() {
            let current = self.connection.up();
            while let Some((link, bytes)) = self.wire.pop_front() {
                if Some(link) == current {
                    self.effects.push(Effect::Send { link, bytes });
                }
            }
            self.commits_begin();
        } else {
            self.tell_waiting();
        }
        self.poll_while_held();
    }

    fn on_loaded(&mut self, loaded: Loaded) {
        if self.loaded {
            return;
        }
        self.loaded = true;
        self.account = loaded.account;
        let tenure = loaded.tenure.as_deref().and_then(tenure::Tenure::from_bytes);
        self.tenure = tenure.or_else(|| self.account.as_ref().map(tenure::Tenure::unwritten));
        self.keys = loaded.keys;
        self.leftovers_load(loaded.leftovers);
        self.status.adopt(loaded.status);
        self.connection.choose(loaded.version);
        self.health_load();
        self.pacing = loaded.pacing.as_deref().and_then(pacing::Pacing::from_bytes).unwrap_or_default();
        self.salt = loaded.salt.unwrap_or_default();
        self.active = loaded.active;
        self.note_new_owner();
        self.outbox_load(loaded.outbox);
        self.awaited_load(loaded.awaited);
        self.app_state_load(&loaded.app_state, loaded.app_state_keys);
        self.history_load(loaded.history);
        self.posts_load(loaded.posts);
        self.secrets = secrets::Secrets::behind(loaded.secret_head.as_ref());
        self.makings_load(loaded.makings);
        let presence = loaded.presence.as_deref().and_then(presence::Presence::from_bytes);
        self.presence = presence.unwrap_or_default();
        self.begin();
    }

    fn on_command(&mut self, token: u64, command: Command) {
        match command {
            Command::Send(request) => self.accept(token, *request),
            Command::Cancel { message_id } => self.cancel(token, &message_id),
            Command::MarkRead(request) => self.mark_read(token, &request),
            Command::Pair(wanted) => self.pair(token, *wanted),
            Command::AnswerPasskey(answer) => self.answer_passkey(token, *answer),
            Command::Import(part) => self.import(token, *part),
            Command::AskForMedia(lost) => self.ask_for_media(token, *lost),
            Command::Logout => self.log_out(token),
            Command::Ask { request, patience } => self.ask(token, *request, patience),
            Command::Make { make, patience } => self.make(token, *make, patience),
            Command::Change(actions) => self.change(token, actions),
            Command::Contents(collections) => self.read_app_state(token, collections),
            Command::WantHistory { wanted, since } => self.want_history(token, wanted, since),
            Command::Identities { user } => self.identities(token, &user),
            Command::SetPresence { available } => self.set_presence(token, available),
            Command::WatchPresence { user, watch } => self.watch_presence(token, &user, watch),
            Command::Typing { to, typing } => self.send_typing(token, to, typing),
            Command::SetPacing(policy) => self.set_pacing(token, policy),
            Command::Pace => self.tell_pace(token),
            Command::RefreshHealth => self.refresh_health(token),
            Command::Quiesce => {
                self.quiesced = true;
                self.done(token, Ok(()));
            }
            Command::Resume => {
                self.quiesced = false;
                self.keepalive_begin();
                self.done(token, Ok(()));
            }
        }
    }

    fn done(&mut self, token: u64, result: Result<(), CommandError>) {
        self.effects.push(Effect::Reply { token, reply: Reply::Done(result) });
    }

    /// Ends: nothing is asked for after this.
    fn finish(&mut self, why: Finished) {
        self.effects.clear();
        if let Some(link) = self.connection.link() {
            self.effects.push(Effect::Close { link });
        }
        self.effects.push(Effect::Finish(why));
        self.timers.clear();
        self.ended = true;
    }

    fn token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machine({} at epoch {})", self.opening.grant.key, self.opening.grant.epoch)
    }
}

#[cfg(test)]
mod tests;
