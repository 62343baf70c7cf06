//! Which kinds of what happens in a newsletter make sounds: a setting of each account that follows it or speaks in it.
//!
//! The number and the names are those that whatsapp-rust has from WhatsApp Web. Guesses, as no client shows them: who
//! neither follows nor speaks is refused, as is what admins do for who does not speak; other devices hear nothing of it.

use serde_json::{Value, json};

use super::super::account::Pn;
use super::super::machine::Machine;
use super::super::query::{Answer, told};
use super::super::refusals::refuse;
use super::Newsletter;

pub(super) const SET: &str = "31938993655691868";
const OF_ADMINS: &str = "MUTE_ADMIN_ACTIVITY";
const KINDS: [&str; 2] = ["MUTE_FOLLOWER_ACTIVITY", OF_ADMINS];

impl Newsletter {
    /// What makes no sound for somebody, as the newsletter tells it.
    pub(super) fn sounds(&self, viewer: Pn) -> Value {
        let silent = self.silent.get(&viewer);
        let on = |kind: &str| silent.is_some_and(|silent| silent.contains(kind));
        let setting = |kind: &str| json!({ "type": kind, "value": if on(kind) { "ON" } else { "OFF" } });
        KINDS.map(setting).to_vec().into()
    }
}

impl Machine {
    pub(super) fn set_sound(&mut self, pn: Pn, input: &Value) -> Answer {
        let id = input["newsletter_id"].as_str().and_then(|jid| jid.strip_suffix("@newsletter"));
        let id = self.named(id)?;
        let kind = KINDS.into_iter().find(|kind| input["type"] == *kind);
        let kind = kind.ok_or_else(|| refuse(400, "an unknown kind of activity"))?;
        let silent = match input["value"].as_str() {
            Some("ON") => true,
            Some("OFF") => false,
            _ => return Err(refuse(400, "neither ON nor OFF")),
        };
        let newsletter = self.newsletters.get_mut(id).expect("it was found");
        if !newsletter.speaks(pn) && (kind == OF_ADMINS || !newsletter.followers.contains_key(&pn)) {
            return Err(refuse(403, "the account has no part in that"));
        }
        let kinds = newsletter.silent.entry(pn).or_default();
        let _ = if silent { kinds.insert(kind) } else { kinds.remove(kind) };
        let answer = json!({ "id": input["newsletter_id"], "state": { "type": "ACTIVE" } });
        told("xwa2_newsletter_update_user_setting", &answer)
    }
}
