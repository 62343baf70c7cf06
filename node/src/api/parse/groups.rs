//! Groups and what is asked about them, as typed values. What must hold: every refusal names its field.

use roost_actors::device::{Make, Recipient};
use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::ask::groups::{CreateGroup, Door, Personal, Setting};
use roost_proto::ask::making::New;
use roost_proto::stanza::{Jid, Server};

use super::make;
use crate::errors::ApiError;

/// Most people in one call.
const MAX_PEOPLE: usize = 1_023;
/// Longest subject, in characters.
const MAX_SUBJECT: usize = 100;
/// Most messages in one report.
const MAX_REPORTED: usize = 100;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 2_048;

/// A group or a community to make, once for its request id. Without one the request is like no other.
pub fn create(request: &api::CreateGroupRequest) -> Result<Make, ApiError> {
    let parent = match &*request.parent {
        "" => None,
        _ if request.community => return Err(ApiError::field("parent", "must be empty for a community")),
        parent => Some(group("parent", parent)?),
    };
    let create = CreateGroup {
        subject: subject("subject", &request.subject)?,
        members: people("participants", &request.participants, 0)?,
        community: request.community,
        parent,
        general_chat: request.general_chat,
        members_create_subgroups: request.members_create_subgroups,
    };
    let of_communities = [
        ("general_chat", request.general_chat),
        ("members_create_subgroups", request.members_create_subgroups),
    ];
    if let Some((field, _)) = of_communities.iter().find(|(_, given)| *given && !request.community) {
        return Err(ApiError::field(*field, "is for communities"));
    }
    let said = api::CreateGroupRequest { request_id: String::new(), ..request.clone() };
    make(New::Group(create), &request.request_id, "group", &said)
}

/// Refuses what is for groups alone.
pub fn fits(to: &Recipient, kind: &Content) -> Result<(), ApiError> {
    match (to, kind) {
        (Recipient::Group(_), _) => Ok(()),
        (_, Content::MemberLabel(_)) => Err(ApiError::field("member_label", "is for groups")),
        _ => Ok(()),
    }
}

/// JID of a group.
pub fn group(field: &str, text: &str) -> Result<Jid, ApiError> {
    match text.parse::<Jid>() {
        Ok(jid) if jid.server == Server::Group && !jid.user.is_empty() && text.len() < 64 => Ok(jid),
        _ => Err(ApiError::field(field, "must be the JID of a group: {digits}@g.us")),
    }
}

/// JIDs of people, at least so many.
pub fn people(field: &str, texts: &[String], least: usize) -> Result<Vec<Jid>, ApiError> {
    if texts.len() < least || texts.len() > MAX_PEOPLE {
        let why = format!("must be {least} to {MAX_PEOPLE} JIDs, not {}", texts.len());
        return Err(ApiError::field(field, why));
    }
    let read = |(place, text): (usize, &String)| match text.parse::<Jid>() {
        Ok(jid) if (jid.is_pn() || jid.is_lid()) && !jid.user.is_empty() && text.len() < 64 => {
            Ok(jid.to_non_ad())
        }
        _ => {
            let why = "must be a JID: {digits}@s.whatsapp.net or {digits}@lid";
            Err(ApiError::field(format!("{field}[{place}]"), why))
        }
    };
    texts.iter().enumerate().map(read).collect()
}

/// A way into a group: the code of a link, or an invite for one person.
pub fn door(link: &str, personal: Option<&api::PersonalInvite>) -> Result<Door, ApiError> {
    match personal {
        Some(_) if !link.is_empty() => {
            Err(ApiError::field("personal", "must be absent when there is a code"))
        }
        Some(invite) => Ok(Door::Personal(self::personal(invite)?)),
        None => Ok(Door::Code(code(link)?)),
    }
}

fn personal(invite: &api::PersonalInvite) -> Result<Personal, ApiError> {
    let whose = people("personal.inviter", std::slice::from_ref(&invite.inviter), 1);
    let inviter = whose.map_err(|_| {
        let why = "must be a JID: {digits}@s.whatsapp.net or {digits}@lid";
        ApiError::field("personal.inviter", why)
    })?;
    if !(1..=64).contains(&invite.code.len()) || !invite.code.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::field("personal.code", "must be 1 to 64 visible ASCII characters"));
    }
    let expires = invite.expire_time.and_then(|time| u64::try_from(time.seconds).ok());
    let expires =
        expires.ok_or_else(|| ApiError::field("personal.expire_time", "is required, after 1970"))?;
    Ok(Personal {
        group: group("personal.group", &invite.group)?,
        code: invite.code.clone(),
        inviter: inviter.into_iter().next().expect("one was read"),
        expires,
    })
}

/// WhatsApp's ids of messages.
pub fn whatsapp_ids(field: &str, ids: Vec<String>) -> Result<Vec<String>, ApiError> {
    if !(1..=MAX_REPORTED).contains(&ids.len()) {
        return Err(ApiError::field(field, format!("must be 1 to {MAX_REPORTED} ids")));
    }
    let good = |id: &String| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    match ids.iter().position(|id| !good(id)) {
        Some(place) => {
            let why = "must be 1 to 128 visible ASCII characters";
            Err(ApiError::field(format!("{field}[{place}]"), why))
        }
        None => Ok(ids),
    }
}

fn subject(field: &str, text: &str) -> Result<String, ApiError> {
    if (1..=MAX_SUBJECT).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err(ApiError::field(field, format!("must be 1 to {MAX_SUBJECT} characters long")))
}

fn code(text: &str) -> Result<String, ApiError> {
    let code = text.strip_prefix("https://chat.whatsapp.com/").unwrap_or(text);
    let good = (8..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if good {
        Ok(code.to_owned())
    } else {
        Err(ApiError::field("code", "must be an invite code or its link"))
    }
}

/// The new description, if there is one; empty removes it.
pub fn description(request: &api::UpdateGroupRequest) -> Result<Option<String>, ApiError> {
    match &request.description {
        Some(text) if text.chars().count() > MAX_DESCRIPTION => {
            let why = format!("must be at most {MAX_DESCRIPTION} characters long");
            Err(ApiError::field("description", why))
        }
        description => Ok(description.clone()),
    }
}

/// What is to be set, but for the description, which needs to know the present one.
pub fn settings(request: &api::UpdateGroupRequest) -> Result<Vec<Setting>, ApiError> {
    let subject = request.subject.as_ref().map(|text| subject("subject", text)).transpose()?;
    let timer = request.disappearing.as_ref();
    let timer = timer.map(|timer| super::timer("disappearing", Some(timer))).transpose()?;
    let settings = [
        subject.map(Setting::Subject),
        request.announce.map(Setting::Announce),
        request.locked.map(Setting::Locked),
        timer.map(Setting::Disappearing),
        request.members_add.map(Setting::MembersAdd),
        request.approval.map(Setting::Approval),
        request.members_link.map(Setting::MembersLink),
        request.history.map(Setting::History),
        request.members_share_history.map(Setting::MembersShareHistory),
        request.admin_reports.map(Setting::AdminReports),
        request.no_frequently_forwarded.map(Setting::NoFrequentlyForwarded),
        request.limit_sharing.map(Setting::LimitSharing),
    ];
    Ok(settings.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(result: Result<T, ApiError>) -> String {
        match result {
            Err(ApiError::InvalidField { field, .. }) => field,
            _ => panic!("it was not refused for its form"),
        }
    }

    #[test]
    fn bad_input_names_its_field() {
        assert_eq!(refused(group("group", "4915112345678@s.whatsapp.net")), "group");
        assert_eq!(refused(group("community", "@g.us")), "community");
        assert_eq!(refused(people("participants", &[], 1)), "participants");
        assert_eq!(
            refused(people("participants", &["1234567@lid".into(), "you".into()], 1)),
            "participants[1]"
        );
        assert_eq!(refused(subject("subject", "")), "subject");
        assert_eq!(refused(subject("subject", &"x".repeat(101))), "subject");
        assert_eq!(refused(code("no code!")), "code");
        let long = api::UpdateGroupRequest { description: Some("x".repeat(2_049)), ..Default::default() };
        assert_eq!(refused(description(&long)), "description");
        for (seconds, nanos) in [(3_600, 0), (86_400, 1), (-86_400, 0)] {
            let timer = Some(api::Duration { seconds, nanos });
            let request = api::UpdateGroupRequest { disappearing: timer, ..Default::default() };
            assert_eq!(refused(settings(&request)), "disappearing", "{seconds}");
        }
    }

    #[test]
    fn a_request_to_make_a_group_is_known_by_its_id_and_its_content() {
        let request = |id: &str, subject: &str| api::CreateGroupRequest {
            request_id: id.into(),
            subject: subject.into(),
            ..Default::default()
        };
        let (id, upper) = ("0192a9f0-0000-7000-8000-0000000000ab", "0192A9F0-0000-7000-8000-0000000000AB");
        let read = |id, subject| create(&request(id, subject)).expect("good");
        assert_eq!(read(id, "Hens"), read(upper, "Hens"));
        assert_ne!(read(id, "Hens").request_hash, read(id, "Geese").request_hash);
        assert_ne!(read("", "Hens").request_id, read("", "Hens").request_id);
        assert_eq!(refused(create(&request("1", "Hens"))), "request_id");
        let both =
            api::CreateGroupRequest { parent: "1@g.us".into(), community: true, ..request(id, "Hens") };
        assert_eq!(refused(create(&both)), "parent");
        let chat = api::CreateGroupRequest { general_chat: true, ..request(id, "Hens") };
        assert_eq!(refused(create(&chat)), "general_chat");
    }

    #[test]
    fn a_label_is_for_groups() {
        let label = Content::MemberLabel(api::MemberLabel { label: "cock".into() });
        assert_eq!(refused(fits(&Recipient::Lid("1234567".into()), &label)), "member_label");
        assert!(fits(&Recipient::Group("120363000000000001".into()), &label).is_ok());
    }

    #[test]
    fn only_what_is_given_is_set() {
        let request = api::UpdateGroupRequest {
            announce: Some(false),
            disappearing: Some(api::Duration::default()),
            ..Default::default()
        };
        let settings = settings(&request).expect("good");
        assert_eq!(settings, [Setting::Announce(false), Setting::Disappearing(0)]);
    }

    #[test]
    fn a_personal_invite_is_whole_and_alone() {
        let good = api::PersonalInvite {
            group: "1@g.us".into(),
            code: "abc".into(),
            inviter: "1234567@lid".into(),
            expire_time: Some(api::Timestamp { seconds: 1, nanos: 0 }),
        };
        assert!(matches!(door("", Some(&good)), Ok(Door::Personal(_))));
        assert_eq!(refused(door("AbCdEfGhIjK", Some(&good))), "personal");
        let bad = |change: fn(&mut api::PersonalInvite)| {
            let mut invite = good.clone();
            change(&mut invite);
            refused(door("", Some(&invite)))
        };
        assert_eq!(bad(|invite| invite.group.clear()), "personal.group");
        assert_eq!(bad(|invite| invite.code.clear()), "personal.code");
        assert_eq!(bad(|invite| invite.inviter = "you".into()), "personal.inviter");
        assert_eq!(bad(|invite| invite.expire_time = None), "personal.expire_time");
        assert_eq!(refused(whatsapp_ids("whatsapp_ids", vec![])), "whatsapp_ids");
        let ids = vec!["3EB0".into(), "".into()];
        assert_eq!(refused(whatsapp_ids("whatsapp_ids", ids)), "whatsapp_ids[1]");
    }

    #[test]
    fn an_invite_link_is_an_invite_code() {
        let read = code("https://chat.whatsapp.com/AbCdEfGhIjK").expect("good");
        assert_eq!(read, "AbCdEfGhIjK");
    }
}
