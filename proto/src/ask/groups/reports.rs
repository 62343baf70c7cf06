//! Messages that members report to the admins of their group. (Reports to WhatsApp are something else.)

use super::{get, set};
use crate::api::list_reported_messages_response::{Report, ReportedMessage};
use crate::ask::Question;
use crate::groups;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Reports messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportMessages {
    /// Of which group.
    pub group: Jid,
    /// WhatsApp's ids of the messages.
    pub messages: Vec<String>,
}

impl Question for ReportMessages {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let report = |id: &String| Builder::new("report").attr("message_id", id.clone()).build();
        let reports: Vec<Stanza> = self.messages.iter().map(report).collect();
        set(self.group.clone(), Builder::new("reports").children(reports))
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Asks what was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListReportedMessages {
    /// Of which group.
    pub group: Jid,
}

impl Question for ListReportedMessages {
    type Answer = Vec<ReportedMessage>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get(self.group.clone(), Builder::new("reports"))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let report = |reporter: &Stanza| Report {
            reporter: groups::participant(reporter).person,
            report_time: groups::time(reporter, "timestamp"),
        };
        let message = |message: &Stanza| {
            Ok(ReportedMessage {
                whatsapp_id: message.need_text("message_id")?.into_owned(),
                reports: message.all_named("reporter").map(report).collect(),
            })
        };
        answer.need_child("reports")?.all_named("report").map(message).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reported_is_told_with_by_whom_and_when() {
        let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
        let asked = ReportMessages { group: group.clone(), messages: vec!["3EB0".to_owned()] }.request();
        let reports = asked.child("reports").expect("one");
        assert_eq!(reports.all()[0].text("message_id").as_deref(), Some("3EB0"));
        let reporter = Builder::new("reporter").attr("jid", Jid::lid("1")).attr("timestamp", 7u8).build();
        let report = Builder::new("report").attr("message_id", "3EB0").children([reporter]).build();
        let reports = Builder::new("reports").children([report]).build();
        let question = ListReportedMessages { group };
        let read = question.read(&Builder::new("iq").children([reports]).build()).expect("complete");
        assert_eq!((read[0].whatsapp_id.as_str(), read[0].reports.len()), ("3EB0", 1));
        assert_eq!(read[0].reports[0].report_time.map(|time| time.seconds), Some(7));
        assert!(question.read(&Builder::new("iq").build()).is_err());
    }
}
