//! How WhatsApp judges the own account: whether it may begin new chats now, and how many more.
//!
//! Both are asked as JSON (`w:mex`), and told in the same words by notifications. A field that is absent, or of
//! another type than it should be, counts as not said. Rules: what Baileys, whatsmeow and whatsapp-rust agree on.

use serde_json::Value;

use super::{Question, get};
use crate::id::UnixMillis;
use crate::stanza::{Builder, Missing, Read, Stanza};

/// What WhatsApp calls the two questions. It may rename them with any release of its own clients.
const TIME_LOCK: &str = "23983697327930364";
const CAPPING: &str = "27910975521856601";

/// An account that may not begin new chats for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLock {
    /// Until then, when WhatsApp says it.
    pub until: Option<UnixMillis>,
    /// WhatsApp's word for the reason; `DEFAULT` when it gives none.
    pub reason: String,
}

/// How near an account is to the end of its quota of new chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CappingStatus {
    /// Not near.
    None,
    /// WhatsApp has warned once.
    FirstWarning,
    /// WhatsApp has warned twice.
    SecondWarning,
    /// It is used up.
    Capped,
}

/// The quota of new chats of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capping {
    /// How near the end is.
    pub status: CappingStatus,
    /// New chats in a cycle; 0 when WhatsApp does not say.
    pub total: u32,
    /// Those that were begun in this one.
    pub used: u32,
    /// When the next cycle begins.
    pub cycle_end: Option<UnixMillis>,
}

/// Asks whether the account is locked. `None` is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetTimeLock;

impl Question for GetTimeLock {
    type Answer = Option<TimeLock>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        query(TIME_LOCK, "{}")
    }

    fn read(&self, answer: &Stanza) -> Result<Option<TimeLock>, Missing> {
        let data = data(answer.need_child("result")?);
        time_lock(&data["xwa2_fetch_account_reachout_timelock"])
            .ok_or_else(|| Missing { tag: "result".to_owned(), what: "content" })
    }
}

/// Asks how much of the quota is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetCapping;

impl Question for GetCapping {
    type Answer = Capping;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        query(CAPPING, r#"{"input":{"type":"INDIVIDUAL_NEW_CHAT_THREAD"}}"#)
    }

    fn read(&self, answer: &Stanza) -> Result<Capping, Missing> {
        let data = data(answer.need_child("result")?);
        capping(&data["xwa2_message_capping_info"])
            .ok_or_else(|| Missing { tag: "result".to_owned(), what: "content" })
    }
}

/// What a notification of type `mex` says of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is locked, or not any more.
    TimeLock(Option<TimeLock>),
    /// Its quota.
    Capping(Capping),
}

/// Reads a notification of type `mex`; `None` when it is about something else.
pub fn told(notification: &Stanza) -> Option<Told> {
    notification.all_named("update").find_map(|update| {
        let data = data(update);
        let lock = time_lock(&data["xwa2_notify_account_reachout_timelock"]).map(Told::TimeLock);
        let quota = &data["xwa2_notify_new_chat_messages_capping_info_update"];
        lock.or_else(|| capping(quota).map(Told::Capping))
    })
}

fn query(id: &'static str, variables: &str) -> Stanza {
    let body = format!(r#"{{"variables":{variables}}}"#);
    let query = Builder::new("query").attr("query_id", id).bytes(body.into_bytes()).build();
    get("w:mex").children([query]).build()
}

fn data(leaf: &Stanza) -> Value {
    let body: Value = serde_json::from_slice(leaf.leaf().unwrap_or_default()).unwrap_or_default();
    body["data"].clone()
}

/// The outer `None` when there is nothing to read.
fn time_lock(said: &Value) -> Option<Option<TimeLock>> {
    let active = said.as_object()?.get("is_active").and_then(Value::as_bool).unwrap_or(false);
    let reason = said["enforcement_type"].as_str().unwrap_or("DEFAULT").chars().take(64).collect();
    let until = seconds(&said["time_enforcement_ends"]);
    Some(active.then_some(TimeLock { until, reason }))
}

fn capping(said: &Value) -> Option<Capping> {
    let status = match said.as_object()?.get("capping_status").and_then(Value::as_str) {
        Some("FIRST_WARNING") => CappingStatus::FirstWarning,
        Some("SECOND_WARNING") => CappingStatus::SecondWarning,
        Some("CAPPED") => CappingStatus::Capped,
        _ => CappingStatus::None,
    };
    let number = |key: &str| said[key].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let cycle_end = seconds(&said["cycle_end_timestamp"]);
    Some(Capping { status, total: number("total_quota"), used: number("used_quota"), cycle_end })
}

/// Seconds as digits in a text; 0 is nothing.
fn seconds(said: &Value) -> Option<UnixMillis> {
    let seconds = said.as_str().and_then(|text| text.parse::<i64>().ok()).or_else(|| said.as_i64())?;
    seconds.checked_mul(1000).filter(|millis| *millis > 0).map(UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Stanza {
        let result = Builder::new("result").bytes(json.as_bytes()).build();
        Builder::new("iq").children([result]).build()
    }

    fn notification(json: &str) -> Stanza {
        let update = Builder::new("update").attr("op_name", "any").bytes(json.as_bytes()).build();
        Builder::new("notification").attr("type", "mex").children([update]).build()
    }

    #[test]
    fn a_lock_is_read_from_an_answer_and_from_a_notification() {
        let lock = TimeLock { until: Some(UnixMillis(1_700_000_000_000)), reason: "BIZ_QUALITY".to_owned() };
        let said =
            r#"{"is_active":true,"enforcement_type":"BIZ_QUALITY","time_enforcement_ends":"1700000000"}"#;
        let json = format!(r#"{{"data":{{"xwa2_fetch_account_reachout_timelock":{said}}}}}"#);
        assert_eq!(GetTimeLock.read(&answer(&json)).expect("an answer"), Some(lock.clone()));
        let json = format!(r#"{{"data":{{"xwa2_notify_account_reachout_timelock":{said}}}}}"#);
        assert_eq!(told(&notification(&json)), Some(Told::TimeLock(Some(lock))));
        let free = r#"{"data":{"xwa2_fetch_account_reachout_timelock":{"is_active":false}}}"#;
        assert_eq!(GetTimeLock.read(&answer(free)).expect("an answer"), None);
        let endless = r#"{"data":{"xwa2_notify_account_reachout_timelock":{"is_active":true}}}"#;
        let lock = TimeLock { until: None, reason: "DEFAULT".to_owned() };
        assert_eq!(told(&notification(endless)), Some(Told::TimeLock(Some(lock))));
    }

    #[test]
    fn a_quota_is_read_from_an_answer_and_from_a_notification() {
        let said = r#"{"total_quota":50,"used_quota":50,"cycle_end_timestamp":"1700000000","capping_status":"CAPPED"}"#;
        let wanted = Capping {
            status: CappingStatus::Capped,
            total: 50,
            used: 50,
            cycle_end: Some(UnixMillis(1_700_000_000_000)),
        };
        let json = format!(r#"{{"data":{{"xwa2_message_capping_info":{said}}}}}"#);
        assert_eq!(GetCapping.read(&answer(&json)).expect("an answer"), wanted);
        let json = format!(r#"{{"data":{{"xwa2_notify_new_chat_messages_capping_info_update":{said}}}}}"#);
        assert_eq!(told(&notification(&json)), Some(Told::Capping(wanted)));
    }

    #[test]
    fn other_words_say_nothing() {
        for json in ["", "[]", "null", r#"{"data":null}"#, r#"{"data":{"xwa2_message_capping_info":7}}"#] {
            assert!(GetTimeLock.read(&answer(json)).is_err(), "{json}");
            assert!(GetCapping.read(&answer(json)).is_err(), "{json}");
            assert_eq!(told(&notification(json)), None, "{json}");
        }
        let odd = r#"{"data":{"xwa2_message_capping_info":{"total_quota":-1,"cycle_end_timestamp":"soon"}}}"#;
        let read = GetCapping.read(&answer(odd)).expect("an answer");
        assert_eq!((read.status, read.total, read.cycle_end), (CappingStatus::None, 0, None));
    }

    #[test]
    fn questions_are_json_for_the_server() {
        for (question, id) in [(GetTimeLock.request(), TIME_LOCK), (GetCapping.request(), CAPPING)] {
            let query = question.child("query").expect("a query");
            assert_eq!(query.text("query_id").as_deref(), Some(id));
            let body: Value = serde_json::from_slice(query.leaf().expect("bytes")).expect("json");
            assert!(body["variables"].is_object());
        }
    }
}
