//! What is asked of newsletters, read from requests.

use roost_actors::device::{Make, Recipient};
use roost_proto::api;
use roost_proto::api::change_newsletter_admin_request::Action;
use roost_proto::api::follow_newsletter_request::How;
use roost_proto::api::newsletter::Activity;
use roost_proto::ask::making::New;
use roost_proto::ask::newsletters::{
    AdminChange, CreateNewsletter, FollowNewsletter, Following, ListNewsletterUpdates, MuteActivity,
    UpdateNewsletter,
};

use crate::api::accounts::picture;
use crate::api::parse;
use crate::errors::ApiError;

/// Longest title, in characters.
const MAX_TITLE: usize = 100;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 2048;
/// Messages in one answer: the most, and when nothing is said.
pub(super) const MESSAGES: (u32, u32) = (100, 50);
/// The same of followers.
pub(super) const FOLLOWERS: (u32, u32) = (1000, 100);
/// What stands before the code in a link.
const LINK: &str = "https://whatsapp.com/channel/";

pub(super) fn admin_change(action: Action) -> Result<AdminChange, ApiError> {
    match action {
        Action::Invite => Ok(AdminChange::Invite),
        Action::RevokeInvite => Ok(AdminChange::RevokeInvite),
        Action::Demote => Ok(AdminChange::Demote),
        Action::MakeOwner => Ok(AdminChange::MakeOwner),
        Action::Unspecified => {
            Err(ApiError::field("action", "must be INVITE, REVOKE_INVITE, DEMOTE or MAKE_OWNER"))
        }
    }
}

/// Refuses what WhatsApp's own clients do not let be said in newsletters, beside kinds.
pub(in crate::api) fn fits(to: &Recipient, context: &api::Context) -> Result<(), ApiError> {
    match to {
        Recipient::Newsletter(_) if context.view_once => {
            Err(ApiError::field("context.view_once", "is not for newsletters, where everybody looks"))
        }
        _ => Ok(()),
    }
}

pub(super) fn create(request: &api::CreateNewsletterRequest) -> Result<Make, ApiError> {
    let title = length("title", request.title.clone(), 1, MAX_TITLE)?;
    let description = length("description", request.description.clone(), 0, MAX_DESCRIPTION)?;
    let said = api::CreateNewsletterRequest { request_id: String::new(), ..request.clone() };
    let picture = picture("picture", request.picture.clone())?.unwrap_or_default();
    let what = New::Newsletter(CreateNewsletter { title, description, picture });
    parse::make(what, &request.request_id, "newsletter", &said)
}

/// What a call of FollowNewsletter asks.
#[derive(Debug)]
pub(super) enum Follow {
    All(FollowNewsletter),
    Kind(MuteActivity),
}

pub(super) fn follow(request: &api::FollowNewsletterRequest) -> Result<Follow, ApiError> {
    let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
    let activity = Activity::try_from(request.activity)
        .map_err(|_| ApiError::field("activity", "must be OF_FOLLOWERS, OF_ADMINS or unspecified"))?;
    let how = match request.how() {
        How::Follow => Following::Begin,
        How::Unfollow => Following::End,
        How::Mute => Following::Mute,
        How::Unmute => Following::Unmute,
        How::Unspecified => {
            return Err(ApiError::field("how", "must be FOLLOW, UNFOLLOW, MUTE or UNMUTE"));
        }
    };
    match (activity, how) {
        (Activity::Unspecified, how) => Ok(Follow::All(FollowNewsletter { newsletter, how })),
        (activity, Following::Mute | Following::Unmute) => {
            Ok(Follow::Kind(MuteActivity { newsletter, activity, muted: how == Following::Mute }))
        }
        _ => Err(ApiError::field("activity", "goes with MUTE and UNMUTE alone")),
    }
}

pub(super) fn update(request: api::UpdateNewsletterRequest) -> Result<UpdateNewsletter, ApiError> {
    let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
    let title = request.title.map(|title| length("title", title, 1, MAX_TITLE)).transpose()?;
    let description = request.description.map(|text| length("description", text, 0, MAX_DESCRIPTION));
    let description = description.transpose()?;
    let picture = request.picture.map(|jpeg| picture("picture", jpeg).map(Option::unwrap_or_default));
    let picture = picture.transpose()?;
    if title.is_none() && description.is_none() && picture.is_none() {
        return Err(ApiError::field("title", "is required, or description or picture"));
    }
    Ok(UpdateNewsletter { newsletter, title, description, picture })
}

pub(super) fn updates(
    request: &api::ListNewsletterUpdatesRequest,
) -> Result<ListNewsletterUpdates, ApiError> {
    let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
    let (after, count) = (request.after, count(request.count, MESSAGES)?);
    let since = request.since.as_ref().map_or(Ok(0), |since| u64::try_from(since.seconds));
    let since = since.map_err(|_| ApiError::field("since", "must not be before 1970"))?;
    Ok(ListNewsletterUpdates { newsletter, count, after, since })
}

pub(in crate::api) fn length(
    field: &str,
    text: String,
    least: usize,
    most: usize,
) -> Result<String, ApiError> {
    match text.chars().count() {
        count if (least..=most).contains(&count) => Ok(text),
        _ => Err(ApiError::field(field, format!("must have {least} to {most} characters"))),
    }
}

pub(super) fn count(count: i32, (most, usual): (u32, u32)) -> Result<u32, ApiError> {
    match u32::try_from(count) {
        Ok(0) => Ok(usual),
        Ok(count) if count <= most => Ok(count),
        _ => Err(ApiError::field("count", format!("must be 1 to {most}, or 0 for {usual}"))),
    }
}

pub(super) fn code(invite: &str) -> Result<String, ApiError> {
    let code = invite.strip_prefix(LINK).unwrap_or(invite);
    let good = (1..=64).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if good { Ok(code.to_owned()) } else { Err(ApiError::field("invite", "must be a code or a link")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_names_its_field() {
        let refused = |result: Result<(), ApiError>| match result {
            Err(ApiError::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(length("title", String::new(), 1, MAX_TITLE).map(drop)), "title");
        let change = api::UpdateNewsletterRequest {
            newsletter: "1203631@newsletter".to_owned(),
            title: Some("Hens".to_owned()),
            ..Default::default()
        };
        let made = |id: &str, title: &str| {
            let (request_id, title) = (id.to_owned(), title.to_owned());
            create(&api::CreateNewsletterRequest { request_id, title, ..Default::default() })
        };
        assert_eq!(refused(made("1", "Hens").map(drop)), "request_id");
        assert_eq!(refused(made("", "").map(drop)), "title");
        let (title, picture) = ("Hens".to_owned(), b"GIF89a".to_vec());
        let bad = api::CreateNewsletterRequest { title, picture, ..Default::default() };
        assert_eq!(refused(create(&bad).map(drop)), "picture");
        let id = "0192a9f0-0000-7000-8000-0000000000ab";
        assert_eq!(made(id, "Hens").expect("good"), made(id, "Hens").expect("good"));
        let hash = |title| made(id, title).expect("good").request_hash;
        assert_ne!(hash("Hens"), hash("Geese"));
        assert!(update(change.clone()).is_ok());
        for (bad, field) in [
            (api::UpdateNewsletterRequest { newsletter: "1@g.us".into(), ..change.clone() }, "newsletter"),
            (api::UpdateNewsletterRequest { title: Some(String::new()), ..change.clone() }, "title"),
            (api::UpdateNewsletterRequest { title: None, ..change.clone() }, "title"),
            (
                api::UpdateNewsletterRequest { description: Some("x".repeat(2049)), ..change.clone() },
                "description",
            ),
            (api::UpdateNewsletterRequest { picture: Some(b"GIF89a".to_vec()), ..change.clone() }, "picture"),
        ] {
            assert_eq!(refused(update(bad).map(drop)), field);
        }
        let following = |how: How, activity: i32| {
            let newsletter = "1203631@newsletter".to_owned();
            follow(&api::FollowNewsletterRequest {
                newsletter,
                how: how.into(),
                activity,
                ..Default::default()
            })
        };
        assert!(matches!(following(How::Mute, 0), Ok(Follow::All(_))));
        assert!(matches!(following(How::Unmute, 2), Ok(Follow::Kind(kind)) if !kind.muted));
        for (how, activity, field) in
            [(How::Follow, 1, "activity"), (How::Mute, 3, "activity"), (How::Unspecified, 1, "how")]
        {
            assert_eq!(refused(following(how, activity).map(drop)), field);
        }
        let once = api::Context { view_once: true, ..Default::default() };
        let refusal = fits(&Recipient::Newsletter("1203631".to_owned()), &once);
        assert_eq!(refused(refusal), "context.view_once");
        assert!(fits(&Recipient::Phone("4915".to_owned()), &once).is_ok());
        assert_eq!(refused(admin_change(Action::Unspecified).map(drop)), "action");
        assert_eq!(refused(count(1001, FOLLOWERS).map(drop)), "count");
        assert_eq!(refused(count(101, MESSAGES).map(drop)), "count");
        assert_eq!(refused(count(-1, MESSAGES).map(drop)), "count");
        let list = |newsletter: &str, count, seconds| {
            let (newsletter, since) = (newsletter.to_owned(), Some(api::Timestamp { seconds, nanos: 0 }));
            updates(&api::ListNewsletterUpdatesRequest { newsletter, count, since, ..Default::default() })
        };
        let (news, good) = ("1203631@newsletter", list("1203631@newsletter", 0, 7).expect("good"));
        assert_eq!((good.count, good.since), (50, 7));
        for (bad, field) in [
            (list("1@g.us", 0, 7), "newsletter"),
            (list(news, 101, 7), "count"),
            (list(news, 0, -1), "since"),
        ] {
            assert_eq!(refused(bad.map(drop)), field);
        }
        assert_eq!(refused(code("no code!").map(drop)), "invite");
        assert_eq!(refused(parse::newsletter("newsletter", "1@g.us").map(drop)), "newsletter");
        assert_eq!(code("https://whatsapp.com/channel/0029VaX").expect("a link"), "0029VaX");
        assert_eq!(count(0, MESSAGES).expect("the usual"), 50);
    }
}
