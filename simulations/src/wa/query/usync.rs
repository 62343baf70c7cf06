//! Namespace `usync`: who has which devices, which hidden identity, and is on WhatsApp at all.
//!
//! What must hold: every user is answered under the JID that was asked for; the phone is listed without a
//! key index, companions with theirs, together with the list that the phone signed.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, HOSTED, Jid, Read as _, Server, Stanza};

use super::super::account::{Account, DeviceRef, Form};
use super::super::business::Business;
use super::super::machine::Machine;
use super::{Answer, bad, bots, refuse};

/// The most users in one request (a guess, and so is what is said beyond).
const MAX_USERS: usize = 5_000;

impl Machine {
    pub(super) fn usync(&mut self, now: UnixMillis, asking: DeviceRef, stanza: &Stanza) -> Answer {
        let usync = stanza.need_child("usync").map_err(bad)?;
        let query = usync.need_child("query").map_err(bad)?;
        let list = usync.need_child("list").map_err(bad)?;
        if list.all().len() > MAX_USERS {
            return Err(refuse(419, "too many users in one request"));
        }
        let mut users = Vec::new();
        for user in list.all_named("user") {
            if query.child("bot").is_some()
                && let Some(bot) = bots::profile(user)
            {
                users.push(bot);
                continue;
            }
            let asked = user.jid("jid");
            let number = user.child("contact").and_then(|contact| contact.leaf_text());
            let account = match &asked {
                Some(jid) => self.account_of(jid),
                None => number.and_then(|text| self.account_of(&Jid::pn(digits(text)))),
            };
            let Some(pn) = account.map(|account| account.pn) else {
                users.push(unknown(asked.as_ref(), number));
                continue;
            };
            if query.child("devices").is_some() {
                self.account_mut(pn).watch(asking.pn);
            }
            let account = self.account(pn);
            let jid = asked.clone().unwrap_or_else(|| account.jid(Form::Pn));
            let mut answered = Builder::new("user").attr("jid", jid.clone());
            if Form::of(&jid) == Form::Lid && number.is_some() {
                answered = answered.attr("pn_jid", account.jid(Form::Pn));
            }
            let to = self.account(asking.pn);
            // Bots have no hidden identity.
            let parts = query.all().iter().filter(|part| jid.server != Server::Bot || part.tag != "lid");
            let token = user.child("tctoken").and_then(|token| token.leaf());
            let looks = self.may_look(now, asking.pn, pn, token);
            let parts = parts.filter_map(|part| part_of(account, &part.tag, number, to, looks));
            users.push(answered.children(parts).build());
        }
        let attr = |key: &str, default: &str| usync.text(key).map_or(default.to_owned(), |v| v.into_owned());
        Ok(vec![
            Builder::new("usync")
                .attr("sid", attr("sid", ""))
                .attr("index", attr("index", "0"))
                .attr("last", attr("last", "true"))
                .attr("mode", attr("mode", "query"))
                .attr("context", attr("context", "interactive"))
                .children([Builder::new("result").build(), Builder::new("list").children(users).build()])
                .build(),
        ])
    }
}

/// What one protocol says of an account; protocols that may be left out are.
fn part_of(
    account: &Account,
    protocol: &str,
    number: Option<&str>,
    to: &Account,
    looks: bool,
) -> Option<Stanza> {
    Some(match protocol {
        "devices" => devices(account),
        "lid" => Builder::new("lid").attr("val", account.jid(Form::Lid)).build(),
        "contact" => {
            let text = number.map_or_else(|| account.pn.to_string(), str::to_owned);
            Builder::new("contact").attr("type", "in").bytes(text).build()
        }
        "status" => account.about(to, looks),
        "picture" => return account.picture_id(to).filter(|_| looks),
        "disappearing_mode" => account.default_timer(),
        "business" => {
            let name = account.profile.business.as_ref().map(Business::verified)?;
            return Some(Builder::new("business").children([name]).build());
        }
        // No business, no username, no bot: the element is left out.
        _ => return None,
    })
}

fn devices(account: &Account) -> Stanza {
    let phone = Builder::new("device").attr("id", 0u8).build();
    let companions = account.companions.iter().map(|(number, companion)| {
        let device = Builder::new("device").attr("id", *number).attr("key-index", companion.key_index);
        if *number == HOSTED { device.attr("is_hosted", "true").build() } else { device.build() }
    });
    let list = Builder::new("device-list").children(std::iter::once(phone).chain(companions)).build();
    let signed = Builder::new("key-index-list")
        .attr("ts", account.list_time_s)
        .bytes(account.signed_list.clone())
        .build();
    Builder::new("devices").children([list, signed]).build()
}

/// Somebody who is not on WhatsApp.
fn unknown(asked: Option<&Jid>, number: Option<&str>) -> Stanza {
    let jid = asked.cloned().unwrap_or_else(|| Jid::pn(digits(number.unwrap_or_default())));
    let contact = Builder::new("contact").attr("type", "out");
    let contact = contact.bytes(number.unwrap_or_default().as_bytes()).build();
    Builder::new("user").attr("jid", jid).children([contact]).build()
}

/// `+4915…@c.us` and `4915…` name the same number.
fn digits(text: &str) -> String {
    let user = text.split_once('@').map_or(text, |(user, _)| user);
    user.chars().filter(char::is_ascii_digit).take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_spelling() {
        for text in ["+4915", "4915@c.us", "49 15", "4915"] {
            assert_eq!(digits(text), "4915");
        }
    }
}
