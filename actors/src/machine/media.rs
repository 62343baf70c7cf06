//! Media: asking the phone for files that the servers have dropped.
//!
//! What must hold: every question is answered once: by the phone, by the end of its time, or by the
//! end of the link. Nothing of this is stored; who asked asks again.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng as _;
use roost_placement::lease::BootTime;
use roost_proto::media::{MediaKey, RetryAnswer, open_retry_answer, retry_request};
use roost_proto::stanza::{Builder, Jid, Read as _, Stanza};

use super::timer::Timer;
use super::{Effect, Machine, Reply};
use crate::device::{CommandError, LostMedia};

/// What WhatsApp says of a file that the phone does not have.
const NOT_ON_PHONE: u64 = 2;

/// Questions to the phone that are open, by the id of the message.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<String, Vec<Question>>,
}

#[derive(Debug)]
struct Question {
    token: u64,
    key: MediaKey,
    until: BootTime,
}

impl Machine {
    /// `<receipt type=server-error><encrypt><enc_p/><enc_iv/></encrypt><rmr/></receipt>` to the own phone.
    pub(super) fn ask_for_media(&mut self, token: u64, lost: LostMedia) {
        let own = self.account.as_ref().map(|account| account.pn.to_non_ad());
        let chat = lost.chat.parse::<Jid>().ok();
        let (refusal, own, chat) = match (self.cannot_ask(), own, chat) {
            (None, Some(own), Some(chat)) => (None, own, chat),
            (refusal, own, chat) => {
                let refusal = refusal.unwrap_or(CommandError::Refused(400));
                (Some(refusal), own.unwrap_or_default(), chat.unwrap_or_default())
            }
        };
        if let Some(refusal) = refusal {
            return self.reply_media(token, Err(refusal));
        }
        let mut iv = [0; 12];
        self.rng.fill_bytes(&mut iv);
        let sealed = retry_request(&lost.key, &lost.whatsapp_id, iv);
        let encrypt =
            [Builder::new("enc_p").bytes(sealed).build(), Builder::new("enc_iv").bytes(iv.to_vec()).build()];
        let from_me = if lost.from_me { "true" } else { "false" };
        let mut rmr = Builder::new("rmr").attr("jid", chat).attr("from_me", from_me);
        if let Some(participant) = lost.participant.as_deref().and_then(|jid| jid.parse::<Jid>().ok()) {
            rmr = rmr.attr("participant", participant);
        }
        let receipt = Builder::new("receipt")
            .attr("id", lost.whatsapp_id.clone())
            .attr("to", own)
            .attr("type", "server-error")
            .children([Builder::new("encrypt").children(encrypt).build(), rmr.build()]);
        let until = self.now.boot.plus(self.limits.request);
        let question = Question { token, key: lost.key, until };
        self.questions.open.entry(lost.whatsapp_id).or_default().push(question);
        self.set_timer_at_most(Timer::Media, self.limits.request);
        self.send(&receipt.build());
    }

    /// `<notification type=mediaretry id><encrypt/><rmr/></notification>`, or with `<error code/>`.
    pub(super) fn on_media_retry(&mut self, notification: &Stanza) {
        let Some(id) = notification.text("id") else { return };
        let Some(questions) = self.questions.open.remove(&*id) else { return };
        let error = notification.child("error").map(|error| error.number("code").unwrap_or(0));
        let part = |name| notification.child("encrypt").and_then(|e| e.child(name)?.leaf());
        for Question { token, key, .. } in questions {
            let answer = match error {
                Some(NOT_ON_PHONE) => Ok(RetryAnswer::NotFound),
                Some(code) => Ok(RetryAnswer::Failed(i32::try_from(code).unwrap_or(i32::MAX))),
                None => match (part("enc_p"), part("enc_iv")) {
                    (Some(sealed), Some(iv)) => open_retry_answer(&key, &id, iv, sealed),
                    _ => Err(roost_proto::media::RetryError::Encoding),
                },
            };
            self.reply_media(token, answer.map_err(|_| CommandError::Refused(500)));
        }
    }

    /// Phones that are switched off do not answer.
    pub(super) fn expire_questions(&mut self) {
        let now = self.now.boot;
        let mut late = Vec::new();
        let mut next: Option<Duration> = None;
        for questions in self.questions.open.values_mut() {
            questions.retain(|question| {
                let left = question.until.since(now);
                let open = question.until > now;
                match open {
                    true => next = Some(next.map_or(left, |next| next.min(left))),
                    false => late.push(question.token),
                }
                open
            });
        }
        self.questions.open.retain(|_, questions| !questions.is_empty());
        for token in late {
            self.reply_media(token, Err(CommandError::Silent));
        }
        if let Some(next) = next {
            self.set_timer(Timer::Media, next);
        }
    }

    /// The answer would come on a link that is gone.
    pub(super) fn forget_questions(&mut self) {
        let open = std::mem::take(&mut self.questions.open);
        for question in open.into_values().flatten() {
            self.reply_media(question.token, Err(CommandError::NotConnected));
        }
        self.clear_timer(Timer::Media);
    }

    /// Why nothing can be said on the link just now, if so.
    pub(super) fn cannot_ask(&self) -> Option<CommandError> {
        let unavailable = || (!self.may_act()).then_some(CommandError::Unavailable);
        self.unpaired().or_else(|| self.unconnected()).or_else(unavailable)
    }

    fn reply_media(&mut self, token: u64, result: Result<RetryAnswer, CommandError>) {
        self.effects.push(Effect::Reply { token, reply: Reply::Media(result) });
    }
}
