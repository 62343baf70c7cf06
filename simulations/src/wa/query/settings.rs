//! The small requests around messaging: settings, profiles, properties. Most accounts here have none, so
//! most answers are empty in the form that clients accept.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Read as _, Stanza};

use super::super::account::DeviceRef;
use super::super::machine::Machine;
use super::{Answer, bots, refuse};

/// The property that makes clients which ask for it send their trusted-contact tokens with every message.
const TOKENS_WITH_MESSAGES: u32 = 10518;
/// Those that make them show the tokens of people whom they bring into a group: a new one, and one that there is.
const TOKENS_IN_NEW_GROUPS: u32 = 11261;
const TOKENS_IN_GROUPS: u32 = 11262;
/// Those that make them show the tokens of people whose picture or about text they ask for.
const TOKENS_FOR_PICTURES: u32 = 9666;
const TOKENS_FOR_ABOUT_TEXTS: u32 = 20798;
/// The one that makes them send those for strangers.
const TOKENS_FOR_STRANGERS: u32 = 24941;
/// The one that tells them that one-to-one chats are named by hidden identities
/// (`lid_one_on_one_migration_enabled`).
const CHATS_BY_LID: u32 = 9435;

const PROPERTIES: [u32; 7] = [
    TOKENS_WITH_MESSAGES,
    TOKENS_IN_NEW_GROUPS,
    TOKENS_IN_GROUPS,
    TOKENS_FOR_PICTURES,
    TOKENS_FOR_ABOUT_TEXTS,
    TOKENS_FOR_STRANGERS,
    CHATS_BY_LID,
];

/// The most blocked contacts of one account, and reports (a guess, and so is what is said beyond).
const MAX_BLOCKED: usize = 10_000;
/// The most notices that one account is remembered to have accepted.
const MAX_NOTICES: usize = 100;

impl Machine {
    pub(super) fn setting(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        xmlns: &str,
        tag: &str,
        set: bool,
        stanza: &Stanza,
    ) -> Answer {
        match (xmlns, tag, set) {
            ("abt", "props", false) => Ok(vec![
                Builder::new("props")
                    .attr("protocol", 1u8)
                    .attr("ab_key", "simulation")
                    .attr("hash", "1")
                    .attr("refresh", 86_400u32)
                    .attr("refresh_id", 1u8)
                    .children(PROPERTIES.map(prop))
                    .build(),
            ]),
            ("blocklist", _, false) => Ok(vec![self.block_list(device)]),
            ("blocklist", "item", true) => self.block(now, device, stanza),
            ("privacy", "privacy", false) => Ok(vec![self.account(device.pn).privacy.element(None)]),
            ("privacy", "privacy", true) => self.set_privacy(now, device, stanza),
            ("privacy", "tokens", true) => self.give_token(now, device, stanza),
            ("w:m", "media_conn", true) => Ok(vec![self.media_conn(now, device)]),
            ("w:profile:picture", "picture", false) => self.get_picture(now, device, stanza),
            ("w:profile:picture", _, true) => self.set_picture(now, device, stanza),
            ("w:mex", "query", _) => self.mex(now, device, stanza),
            ("w:biz" | "w:biz:catalog" | "fb:thrift_iq", _, set) => self.business(device, set, stanza),
            ("bot", "bot", false) => Ok(vec![bots::list()]),
            ("spam", "spam_list", true) => self.report_spam(device, stanza),
            ("w:qr", "qr", set) => self.links(device, set, stanza),
            ("status", "privacy", false) => {
                let audience = self.account(device.pn).profile.audience.as_ref();
                Ok(vec![audience.ok_or_else(|| refuse(404, "it never chose who sees its status"))?.element()])
            }
            ("status", "status", true) => self.set_about(now, device, stanza),
            ("disappearing_mode", "disappearing_mode", true) => self.set_timer(now, device, stanza),
            ("tos", "notice", true) => self.accept_notice(device, stanza),
            ("urn:xmpp:whatsapp:push", "config", true) => self.register_push(device, stanza),
            ("urn:xmpp:whatsapp:push", "settings", false)
            | ("urn:xmpp:whatsapp:dirty", "clean", true)
            | ("tos", _, _) => Ok(vec![]),
            _ => {
                let kind = if set { "set" } else { "get" };
                Err(refuse(501, format!("an unknown request: {kind} {xmlns} <{tag}>")))
            }
        }
    }

    /// `<notice id stage/>`
    fn accept_notice(&mut self, device: DeviceRef, stanza: &Stanza) -> Answer {
        let notice = stanza.child("notice").ok_or_else(|| refuse(400, "no notice"))?;
        let (Some(id), Some(stage)) = (notice.number("id"), notice.number("stage")) else {
            return Err(refuse(400, "a notice without a numeric id and stage"));
        };
        let notices = &mut self.account_mut(device.pn).profile.notices;
        if notices.len() >= MAX_NOTICES {
            notices.pop_first();
        }
        notices.insert(id, stage);
        Ok(vec![])
    }

    /// Kept by the message that it is about. How a report is called is a guess.
    fn report_spam(&mut self, device: DeviceRef, stanza: &Stanza) -> Answer {
        let message = stanza.child("spam_list").and_then(|list| list.child("message"));
        let (id, from) = message.map(|message| (message.text("id"), message.jid("from"))).unwrap_or_default();
        let (Some(id), Some(_)) = (id, from) else {
            return Err(refuse(400, "a report names its message and who sent it"));
        };
        let reports = &mut self.account_mut(device.pn).profile.reports;
        if reports.len() >= MAX_BLOCKED {
            return Err(refuse(429, "too many reports"));
        }
        reports.push(id.into_owned());
        let number = format!("report-{}", reports.len());
        Ok(vec![Builder::new("report_id").bytes(number.into_bytes()).build()])
    }

    fn block_list(&self, device: DeviceRef) -> Stanza {
        let account = self.account(device.pn);
        let items = account.blocked.iter().filter_map(|jid| {
            let jid: roost_proto::stanza::Jid = jid.parse().ok()?;
            Some(Builder::new("item").attr("jid", jid).build())
        });
        Builder::new("list").attr("dhash", account.blocked.len()).children(items).build()
    }

    fn block(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        for item in stanza.all_named("item") {
            // That today's server refuses a number alone is what whatsapp-rust says; that it wants the number beside the hidden
            // identity only of whom one blocks, and the code, are guesses.
            let blocks = item.text("action").as_deref() == Some("block");
            let jid = item
                .jid("jid")
                .filter(|jid| jid.is_lid())
                .ok_or_else(|| refuse(400, "who is to be blocked is not named by a hidden identity"))?
                .to_string();
            if blocks && item.jid("pn_jid").is_none() {
                return Err(refuse(400, "the number of who is to be blocked is not named"));
            }
            let blocked = &mut self.account_mut(device.pn).blocked;
            match item.text("action").as_deref() {
                Some("block") if blocked.len() >= MAX_BLOCKED => {
                    return Err(refuse(419, "too many are blocked"));
                }
                Some("block") => _ = blocked.insert(jid),
                Some("unblock") => _ = blocked.remove(&jid),
                _ => return Err(refuse(400, "neither block nor unblock")),
            }
        }
        let items = stanza.all_named("item").cloned();
        let hash = self.account(device.pn).blocked.len();
        let told = Builder::new("blocklist").attr("dhash", hash).children(items).build();
        self.tell_siblings(now, device, &told);
        Ok(vec![self.block_list(device)])
    }

    fn set_privacy(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        let privacy = &mut self.account_mut(device.pn).privacy;
        let change = stanza.child("privacy").ok_or_else(|| refuse(400, "no setting"))?;
        privacy.change(change)?;
        // What was changed alone: whatsapp-rust looks at the first that is told.
        let changed = privacy.element(Some(change));
        self.tell_siblings(now, device, &changed);
        Ok(vec![changed])
    }
}

/// A property that is on.
fn prop(code: u32) -> Stanza {
    Builder::new("prop").attr("config_code", code).attr("config_value", "1").build()
}

/// Requests to addresses other than the server and groups.
pub(super) fn elsewhere(xmlns: &str, tag: &str) -> Answer {
    match (xmlns, tag) {
        ("w:profile:picture", "picture") => Err(refuse(404, "nobody there has a picture")),
        _ => Err(refuse(
            501,
            format!("an unknown request to another address than the server: {xmlns} <{tag}>"),
        )),
    }
}
