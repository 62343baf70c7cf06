//! What an account shows, and what a device shows and watches: through any node.

use roost_proto::api::event::Payload;
use roost_proto::api::*;
use tonic::Code;

use crate::live::Live;
use crate::world::{bad_field, refusal, until};

async fn logged(live: &Live, device: &str, fits: impl Fn(&Payload) -> bool) -> Option<()> {
    let request = ReadEventsRequest { parent: device.into(), ..Default::default() };
    let mut events = live.at(0).events().read_events(request).await.ok()?.into_inner();
    while let Ok(Some(batch)) = events.message().await {
        if batch.events.iter().filter_map(|event| event.payload.as_ref()).any(&fits) {
            return Some(());
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_changed_through_any_node_and_shows_it() {
    let live = Live::new(2).await;
    let (name, owner, other, account) = live.online("shop").await;
    let number = account.pn.to_string();
    for (place, text) in [(owner, "from the owner"), (other, "from another node")] {
        let api = live.at(place);
        let about = SetAboutRequest { device: name.clone(), text: text.into() };
        api.accounts().set_about(about).await.expect("set");
        let jpeg = vec![0xff, 0xd8, 0xff, 0xe0, place as u8];
        let picture = SetProfilePictureRequest { device: name.clone(), jpeg };
        let id = api.accounts().set_profile_picture(picture).await.expect("set").into_inner().id;
        let info =
            GetUserInfoRequest { device: name.clone(), users: vec![number.clone(), format!("+{number}")] };
        let users = api.contacts().get_user_info(info).await.expect("answered").into_inner().users;
        assert_eq!(users.len(), 1, "both are one user");
        assert_eq!((users[0].about.as_str(), &users[0].picture_id), (text, &id));
        let timer = Some(Duration { seconds: 86_400, nanos: 0 });
        api.accounts()
            .set_default_timer(SetDefaultTimerRequest { device: name.clone(), timer })
            .await
            .expect("set");
        let wanted = |known: &str| GetProfilePictureRequest {
            device: name.clone(),
            user: number.clone(),
            preview: false,
            known_id: known.to_owned(),
        };
        let shown = api.contacts().get_profile_picture(wanted("")).await.expect("shown").into_inner();
        assert!(shown.id == id && !shown.unchanged && shown.url.starts_with("https://"), "{shown:?}");
        assert!(api.contacts().get_profile_picture(wanted(&id)).await.expect("known").into_inner().unchanged);
    }
    let api = live.at(other);
    let remove = SetProfilePictureRequest { device: name.clone(), jpeg: Vec::new() };
    api.accounts().set_profile_picture(remove).await.expect("removed");
    let wanted = GetProfilePictureRequest { device: name.clone(), user: number, ..Default::default() };
    let status = api.contacts().get_profile_picture(wanted).await;
    assert_eq!(refusal(status), (Code::NotFound, "UPSTREAM_REFUSED".to_owned()));
    let privacy = GetPrivacyRequest { device: name.clone() };
    let settings = api.accounts().get_privacy(privacy).await.expect("answered").into_inner().settings;
    assert_eq!(settings["last"], "all");
    let hide = SetPrivacyRequest {
        device: name.clone(),
        category: "last".into(),
        value: "none".into(),
        exceptions: None,
    };
    assert_eq!(api.accounts().set_privacy(hide).await.expect("set").into_inner().settings["last"], "none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_whatsapp_does_not_know_is_refused_before_it_is_asked() {
    let live = Live::new(1).await;
    let (name, owner, _) = live.device("new").await;
    let api = live.at(owner);
    let about = SetAboutRequest { device: name.clone(), text: "x".repeat(140) };
    assert_eq!(bad_field(api.accounts().set_about(about).await), "text");
    let gif = SetProfilePictureRequest { device: name.clone(), jpeg: b"GIF89a".to_vec() };
    assert_eq!(bad_field(api.accounts().set_profile_picture(gif).await), "jpeg");
    let mood = SetPrivacyRequest {
        device: name.clone(),
        category: "mood".into(),
        value: "all".into(),
        exceptions: None,
    };
    assert_eq!(bad_field(api.accounts().set_privacy(mood).await), "category");
    let hour = Some(Duration { seconds: 3600, nanos: 0 });
    let timer = SetDefaultTimerRequest { device: name.clone(), timer: hour };
    assert_eq!(bad_field(api.accounts().set_default_timer(timer).await), "timer");
    let users = GetUserInfoRequest { device: name.clone(), users: vec!["me".into()] };
    assert_eq!(bad_field(api.contacts().get_user_info(users).await), "users[0]");
    let nothing = SendChatStateRequest { device: name.clone(), chat: "4930999999".into(), state: 0 };
    assert_eq!(bad_field(api.presence().send_chat_state(nothing).await), "state");
    let blocked = ListBlockedRequest { device: name.clone() };
    let (code, reason) = refusal(api.contacts().list_blocked(blocked).await);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "DEVICE_NOT_PAIRED"));
    let known = ResolveIdentityRequest { device: name.clone(), user: "4930999999".into() };
    let (code, reason) = refusal(api.contacts().resolve_identity(known).await);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "DEVICE_NOT_PAIRED"));
    let show = SetPresenceRequest { device: name, available: true };
    let (code, reason) = refusal(api.presence().set_presence(show).await);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "DEVICE_NOT_PAIRED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_are_resolved_and_a_learned_pair_is_told_once() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    let friend = live.friend();
    let number = format!("{friend}@s.whatsapp.net");
    let lid = live.sim.look(|machine| machine.accounts()[&friend].lid.clone()) + "@lid";
    let resolve = |place: usize, user: &str| {
        let request = ResolveIdentityRequest { device: name.clone(), user: user.to_owned() };
        let api = live.at(place);
        async move { api.contacts().resolve_identity(request).await.map(tonic::Response::into_inner) }
    };
    let unknown = resolve(other, &lid).await.expect("it is on WhatsApp");
    assert_eq!((unknown.lid.as_str(), unknown.phone_number.as_str()), (lid.as_str(), ""));
    for place in [other, owner] {
        let found = resolve(place, &number).await.expect("found");
        assert_eq!((&found.lid, &found.phone_number), (&lid, &number));
    }
    until("the pair is durable", || async {
        let found = resolve(owner, &lid).await.ok()?;
        (found.phone_number == number).then_some(())
    })
    .await;
    let mapped = |payload: &Payload| {
        matches!(payload, Payload::IdentityMapped(mapped)
            if mapped.person.as_ref().is_some_and(|person| person.lid == lid && person.phone_number == number))
    };
    until("the pair is told", || logged(&live, &name, mapped)).await;
    let (code, reason) = refusal(resolve(other, "4930999999").await);
    assert_eq!((code, reason.as_str()), (Code::NotFound, "CONTACT_NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_whatsapp_answers_is_handed_on_by_another_node_however_large_it_is() {
    let live = Live::new(2).await;
    let (device, owner, other, _) = live.online("shop").await;
    let farm = live.friend();
    live.sim.change(|machine| {
        machine.make_business(farm, "Farm");
        for n in 0..6 {
            machine.collect(farm, &format!("{n}{}", "x".repeat(1 << 20)), &[]);
        }
    });
    for place in [owner, other] {
        let asked = ListCollectionsRequest { device: device.clone(), user: farm.to_string(), limit: 0 };
        let mut businesses = live.at(place).businesses().max_decoding_message_size(16 << 20);
        let found = businesses.list_collections(asked).await.expect("answered").into_inner().collections;
        let bytes: usize = found.iter().map(|collection| collection.title.len()).sum();
        assert!(bytes > 6 << 20, "{bytes}");
    }
}
