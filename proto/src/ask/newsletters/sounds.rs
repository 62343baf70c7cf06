//! Which kinds of activity of a newsletter make sounds. The number of the query, its names and where a newsletter tells
//! them again: what whatsapp-rust has from WhatsApp Web.

use serde_json::{Value, json};

use crate::api::newsletter::Activity;
use crate::ask::Question;
use crate::ask::mex::{data, query};
use crate::stanza::{Jid, Missing, Stanza};

const SET: &str = "31938993655691868";
const NAMES: [(Activity, &str); 2] =
    [(Activity::OfFollowers, "MUTE_FOLLOWER_ACTIVITY"), (Activity::OfAdmins, "MUTE_ADMIN_ACTIVITY")];

/// Silences a kind of activity of a newsletter for the account, or ends that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuteActivity {
    /// Which newsletter.
    pub newsletter: Jid,
    /// Which kind; not `Unspecified`.
    pub activity: Activity,
    /// Whether it is silent.
    pub muted: bool,
}

impl Question for MuteActivity {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let name = NAMES.iter().find(|(known, _)| *known == self.activity).map(|(_, name)| *name);
        let value = if self.muted { "ON" } else { "OFF" };
        let input = json!({ "newsletter_id": self.newsletter.to_string(), "type": name, "value": value });
        query(SET, json!({ "input": input }))
    }

    fn read(&self, answer: &Stanza) -> Result<(), Missing> {
        data(answer, "xwa2_newsletter_update_user_setting").map(drop)
    }
}

/// The silent kinds, by what a newsletter tells of who looks at it.
pub(super) fn silent(viewer: &Value) -> Vec<i32> {
    let settings = viewer["settings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let on = |name: &str| {
        let on = |setting: &&Value| setting["type"] == name && setting["value"] == "ON";
        settings.iter().find(on).is_some()
    };
    NAMES.iter().filter(|(_, name)| on(name)).map(|(activity, _)| (*activity).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Read as _;

    #[test]
    fn a_kind_of_activity_is_named_as_whatsapp_names_it() {
        let newsletter: Jid = "12@newsletter".parse().expect("a JID");
        for ((activity, name), muted) in NAMES.into_iter().zip([true, false]) {
            let ask = MuteActivity { newsletter: newsletter.clone(), activity, muted }.request();
            let asked =
                ask.child("query").and_then(|query| query.leaf()).map(serde_json::from_slice::<Value>);
            let asked = asked.expect("a query").expect("JSON");
            let value = if muted { "ON" } else { "OFF" };
            let input = json!({ "newsletter_id": "12@newsletter", "type": name, "value": value });
            assert_eq!(asked["variables"]["input"], input);
        }
    }

    #[test]
    fn the_silent_kinds_are_read_where_they_are_told() {
        let setting = |name: &str, value: &str| json!({ "type": name, "value": value });
        let told = json!({ "settings": [
            setting("MUTE_ADMIN_ACTIVITY", "ON"),
            setting("MUTE_FOLLOWER_ACTIVITY", "OFF"),
            setting("SOMETHING_ELSE", "ON"),
        ] });
        assert_eq!(silent(&told), [i32::from(Activity::OfAdmins)]);
        for nothing in [json!({}), json!({ "settings": "none" }), Value::Null] {
            assert!(silent(&nothing).is_empty(), "{nothing}");
        }
    }
}
