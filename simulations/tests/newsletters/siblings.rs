//! What another device of the account does with newsletters that it follows, Roost hears, and the other way around.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::follow_newsletter_request::How;
use roost_proto::api::get_newsletter_request::By;
use roost_proto::api::newsletter::Activity;
use roost_proto::api::newsletter_changed::Change;
use roost_simulations::interop::{Cast, ClientEvent, Failure, Library, Matrix, RealClient, Way};
use serde_json::json;

use super::ask;

const FOLLOWED: &str = "newsletter followed on another device";
const MUTED: &str = "newsletter muted on another device";

/// What is done, the driver's command for it, what a client tells of it, and what stands at WhatsApp then: whether the
/// account follows, and if so without a sound.
type Step = (How, &'static str, &'static str, Option<bool>);
const STEPS: [Step; 4] = [
    (How::Mute, "newsletter_mute", "mute on", Some(true)),
    (How::Unmute, "newsletter_unmute", "mute off", Some(false)),
    (How::Unfollow, "newsletter_unfollow", "unfollowed", None),
    (How::Follow, "newsletter_follow", "followed", Some(false)),
];

/// A client of Roost's own account and Roost silence a newsletter that both follow, leave it, and follow it again.
pub(super) async fn heard(
    cast: &Cast,
    (library, name): (Library, &str),
    theirs: &str,
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let mut sibling = cast.stage.paired(library, &format!("other-{name}"), &cast.roost).await?;
    for step in STEPS {
        from_roost(cast, (&mut sibling, library), theirs, step).await?;
    }
    for step in STEPS {
        from_sibling(cast, (&mut sibling, library), theirs, step).await?;
    }
    kinds(cast, (&mut sibling, library), theirs, matrix).await?;
    sibling.quit().await?;
    let (from, to) = (Way::From(library), Way::To(library));
    for row in [FOLLOWED, MUTED] {
        match library {
            Library::Baileys => matrix.row(row).not_applicable(to, "Baileys does not tell what is followed"),
            _ => matrix.row(row).seen(to),
        };
    }
    matrix.row(FOLLOWED).seen(from);
    match library {
        Library::WhatsappRust => {
            let reason = "whatsapp-rust silences kinds of activity alone, not newsletters";
            matrix.row(MUTED).not_applicable(from, reason);
        }
        _ => _ = matrix.row(MUTED).seen(from),
    }
    Ok(())
}

async fn from_roost(
    cast: &Cast,
    (sibling, library): (&mut RealClient, Library),
    theirs: &str,
    (how, _, told, stands): Step,
) -> Result<(), Failure> {
    let (device, newsletter) = (cast.device.clone(), theirs.to_owned());
    let follow = api::FollowNewsletterRequest { device, newsletter, how: how.into(), ..Default::default() };
    cast.cluster.ask(follow, async |api, it| api.newsletters().follow_newsletter(it).await).await?;
    let at_whatsapp = cast.stage.sim.look(|machine| {
        let newsletter = theirs.strip_suffix("@newsletter").and_then(|id| machine.newsletters().get(id));
        newsletter.and_then(|newsletter| newsletter.followers.get(&cast.roost.pn).copied())
    });
    assert_eq!(at_whatsapp, stands, "{how:?}");
    if library != Library::Baileys {
        let fits = |event: &ClientEvent| matches!(event, ClientEvent::Contact { from, what } if from == theirs && what == told);
        sibling.wait(told, fits).await?;
    }
    Ok(())
}

async fn from_sibling(
    cast: &Cast,
    (sibling, library): (&mut RealClient, Library),
    theirs: &str,
    (how, command, ..): Step,
) -> Result<(), Failure> {
    if library == Library::WhatsappRust && matches!(how, How::Mute | How::Unmute) {
        return Ok(());
    }
    ask(sibling, json!({"cmd": command, "to": theirs})).await?;
    let fits = |payload: &Payload| {
        let Payload::NewsletterChanged(changed) = payload else { return false };
        let fits = match (&changed.change, how) {
            (Some(Change::Muted(muted)), How::Mute) => *muted,
            (Some(Change::Muted(muted)), How::Unmute) => !*muted,
            (Some(Change::Unfollowed(left)), How::Unfollow) => *left,
            (Some(Change::Followed(it)), How::Follow) => it.newsletter == theirs,
            _ => false,
        };
        changed.newsletter == theirs && fits
    };
    cast.reader.sees(command, fits).await
}

/// A client of Roost's own account and Roost silence what followers do in a newsletter; what admins do there is not for
/// them.
async fn kinds(
    cast: &Cast,
    (sibling, library): (&mut RealClient, Library),
    theirs: &str,
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let row = matrix.row("kind of activity of a newsletter muted");
    let (from, to) = (Way::From(library), Way::To(library));
    if library != Library::WhatsappRust {
        let reason = format!("{} mutes newsletters as a whole", library.name());
        row.not_applicable(from, &reason).not_applicable(to, &reason);
        return Ok(());
    }
    let silence = async |how: How, activity: Activity| {
        let follow = api::FollowNewsletterRequest {
            device: cast.device.clone(),
            newsletter: theirs.to_owned(),
            how: how.into(),
            activity: activity.into(),
        };
        cast.cluster.ask(follow, async |api, it| api.newsletters().follow_newsletter(it).await).await
    };
    for (how, silent) in [(How::Mute, json!(["MUTE_FOLLOWER_ACTIVITY"])), (How::Unmute, json!([]))] {
        silence(how, Activity::OfFollowers).await?;
        assert_eq!(ask(sibling, json!({"cmd": "newsletter_silent", "to": theirs})).await?, silent);
    }
    row.seen(to);
    let refused = silence(How::Mute, Activity::OfAdmins).await.expect_err("it does not speak there");
    assert!(refused.says("403"), "{refused:?}");
    for on in [true, false] {
        let silence = json!({"cmd": "newsletter_silence", "to": theirs, "text": "followers", "on": on});
        ask(sibling, silence).await?;
        let by = Some(By::Newsletter(theirs.to_owned()));
        let get = api::GetNewsletterRequest { device: cast.device.clone(), by };
        let get = cast.cluster.ask(get, async |api, it| api.newsletters().get_newsletter(it).await).await?;
        let silent: Vec<Activity> = get.muted_activities().collect();
        assert_eq!(silent, if on { vec![Activity::OfFollowers] } else { Vec::new() });
    }
    row.seen(from);
    Ok(())
}
