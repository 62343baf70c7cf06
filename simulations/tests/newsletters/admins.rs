//! Who speaks in a newsletter beside its owner, and who follows it, both ways.

use std::convert::Infallible;

use roost_proto::api;
use roost_proto::api::change_newsletter_admin_request::Action;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::newsletter::Role;
use roost_proto::api::newsletter_changed::Change;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_simulations::interop::{Cast, Failure, Library, Matrix, Person, RealClient, Way};
use roost_simulations::wa::Machine;
use serde_json::json;

use super::ask;

/// What clients say in Roost's newsletter as its admins.
pub(super) const SAID: usize = 1;

/// Each lets the other speak in its newsletter, as far as the library can.
pub(super) async fn speak(
    cast: &Cast,
    (client, person): (&mut RealClient, &Person),
    (library, ours, theirs): (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let Cast { cluster, device, .. } = cast;
    let (from, to) = (Way::From(library), Way::To(library));
    // Who follows Roost's is told, whatever the library.
    let list =
        api::ListNewsletterFollowersRequest { device: device.clone(), newsletter: ours.to_owned(), count: 0 };
    let list =
        cluster.ask(list, async |api, it| api.newsletters().list_newsletter_followers(it).await).await?;
    let lid = person.lid_jid();
    let follows = |follower: &&api::NewsletterFollower| {
        follower.person.as_ref().is_some_and(|person| person.lid == lid)
    };
    assert_eq!(list.followers.iter().find(follows).map(|it| it.role()), Some(Role::Subscriber), "{list:?}");
    matrix.row("followers of a newsletter").seen(to);
    match library {
        Library::Whatsmeow => {
            let reason = "whatsmeow knows no admins of newsletters";
            for row in ["admin of a newsletter", "newsletter given away"] {
                matrix.row(row).not_applicable(from, reason).not_applicable(to, reason);
            }
            let reason = "whatsmeow lists no followers";
            matrix.row("followers of a newsletter").not_applicable(from, reason);
            terms(cast, (client, person)).await?;
        }
        Library::Baileys => {
            matrix
                .row("admin of a newsletter")
                .not_applicable(from, "Baileys invites no admins")
                .not_applicable(to, "Baileys accepts no invites of admins");
            let reason = "Baileys asks for followers by a number that means invited admins now";
            matrix.row("followers of a newsletter").not_applicable(from, reason);
            given(cast, client, (library, &lid, theirs)).await?;
            matrix.row("newsletter given away").seen(from).seen(to);
        }
        Library::WhatsappRust => {
            to_client(cast, client, (&lid, ours)).await?;
            matrix.row("admin of a newsletter").seen(to);
            given(cast, client, (library, &lid, theirs)).await?;
            matrix.row("admin of a newsletter").seen(from);
            matrix.row("newsletter given away").seen(from).seen(to);
            matrix.row("followers of a newsletter").seen(from);
        }
    }
    Ok(())
}

/// Both accept the same terms.
async fn terms(cast: &Cast, (client, person): (&mut RealClient, &Person)) -> Result<(), Failure> {
    let Cast { stage, cluster, device, roost, .. } = cast;
    ask(client, json!({"cmd": "newsletter_terms"})).await?;
    let accept = api::AcceptNewsletterTermsRequest { device: device.clone() };
    cluster.ask(accept, async |api, it| api.newsletters().accept_newsletter_terms(it).await).await?;
    let accepted =
        |person: &Person| stage.sim.look(|machine| machine.accounts()[&person.pn].profile.notices.clone());
    assert_eq!(accepted(roost), accepted(person));
    assert_eq!(accepted(person).len(), 1);
    Ok(())
}

async fn change(cast: &Cast, newsletter: &str, user: &str, action: Action) -> Result<i64, Failure> {
    let change = api::ChangeNewsletterAdminRequest {
        device: cast.device.clone(),
        newsletter: newsletter.to_owned(),
        user: user.to_owned(),
        action: action.into(),
    };
    // Made already, most are refused when they come again: nobody dies amid them.
    let changed =
        cast.cluster.ask_spared(change, async |api, it| api.newsletters().change_newsletter_admin(it).await);
    Ok(changed.await?.expire_time.map_or(0, |time| time.seconds))
}

async fn admins(cast: &Cast, newsletter: &str) -> Result<(i32, usize), Failure> {
    let (device, newsletter) = (cast.device.clone(), newsletter.to_owned());
    let get = api::GetNewsletterAdminsRequest { device, newsletter };
    let admins =
        cast.cluster.ask(get, async |api, it| api.newsletters().get_newsletter_admins(it).await).await?;
    Ok((admins.count, admins.invited.len()))
}

/// Roost hears what somebody is now.
async fn becomes(cast: &Cast, newsletter: &str, lid: &str, role: Role) -> Result<(), Failure> {
    let fits = |payload: &Payload| {
        let Payload::NewsletterChanged(changed) = payload else { return false };
        let Some(Change::Role(now)) = &changed.change else { return false };
        let of_him = now.person.as_ref().is_some_and(|person| person.lid == lid);
        changed.newsletter == newsletter && of_him && now.role() == role
    };
    cast.reader.sees(&format!("{lid} as {role:?}"), fits).await
}

/// Roost asks the client, lets it speak, and lets it go.
async fn to_client(cast: &Cast, client: &mut RealClient, (lid, ours): (&str, &str)) -> Result<(), Failure> {
    let before = admins(cast, ours).await?;
    assert_eq!(before, (1, 0));
    assert!(change(cast, ours, lid, Action::Invite).await? > 0);
    assert_eq!(admins(cast, ours).await?, (1, 1));
    change(cast, ours, lid, Action::RevokeInvite).await?;
    assert_eq!(admins(cast, ours).await?, (1, 0));
    change(cast, ours, lid, Action::Invite).await?;
    ask(client, json!({"cmd": "newsletter_accept", "to": ours})).await?;
    becomes(cast, ours, lid, Role::Admin).await?;
    assert_eq!(admins(cast, ours).await?, (2, 0));
    let id = client.send(ours, "said by an admin").await?;
    let heard = |payload: &Payload| match payload {
        Payload::NewsletterPosted(posted) => {
            let said = posted.post.as_ref()?.message.as_ref().filter(|message| message.whatsapp_id == id)?;
            said.content.clone()
        }
        _ => None,
    };
    let said = cast.reader.wait("what an admin said", heard).await?;
    assert_eq!(said, Received::Text("said by an admin".to_owned()));
    change(cast, ours, lid, Action::Demote).await?;
    assert_eq!(admins(cast, ours).await?, (1, 0));
    Ok(())
}

/// The client, or for Baileys its phone, asks Roost; the client gives it its newsletter, gets it back, and lets it go.
async fn given(
    cast: &Cast,
    client: &mut RealClient,
    (library, lid, theirs): (Library, &str, &str),
) -> Result<(), Failure> {
    let Cast { stage, cluster, device, roost, .. } = cast;
    let own = roost.lid_jid();
    if library == Library::Baileys {
        let invites = |machine: &mut Machine, now| {
            Ok::<_, Infallible>((machine.phone_invites(now, theirs, roost.pn), Vec::new()))
        };
        assert!(stage.sim.act(invites)?);
    } else {
        ask(client, json!({"cmd": "newsletter_invite", "to": theirs, "sender": own})).await?;
    }
    let (device, newsletter) = (device.clone(), theirs.to_owned());
    let accept =
        api::AcceptNewsletterInviteRequest { device: device.clone(), newsletter: newsletter.clone() };
    cluster.ask_spared(accept, async |api, it| api.newsletters().accept_newsletter_invite(it).await).await?;
    let say = async |text: &str| -> Result<String, Failure> {
        let (to, said) = (To::Newsletter(newsletter.clone()), Content::Text(text.to_owned()));
        cluster.say(&device, to, said, api::Context::default(), WaitFor::ServerAck).await
    };
    let id = say("said as an admin").await?;
    assert_eq!(client.message("said as an admin").await?.id, id);
    if library == Library::Baileys {
        assert_eq!(ask(client, json!({"cmd": "newsletter_admins", "to": theirs})).await?, json!(2));
    } else {
        let followers = ask(client, json!({"cmd": "newsletter_followers", "to": theirs})).await?;
        assert!(followers.to_string().contains(&own), "{followers}");
    }
    let role = async || -> Result<Role, Failure> {
        let by = Some(api::get_newsletter_request::By::Newsletter(newsletter.clone()));
        let get = api::GetNewsletterRequest { device: device.clone(), by };
        Ok(cluster.ask(get, async |api, it| api.newsletters().get_newsletter(it).await).await?.role())
    };
    assert_eq!(role().await?, Role::Admin);
    ask(client, json!({"cmd": "newsletter_give", "to": theirs, "sender": own})).await?;
    assert_eq!(role().await?, Role::Owner);
    change(cast, theirs, lid, Action::MakeOwner).await?;
    assert_eq!(role().await?, Role::Admin);
    ask(client, json!({"cmd": "newsletter_demote", "to": theirs, "sender": own})).await?;
    becomes(cast, theirs, &own, Role::Subscriber).await?;
    assert_eq!(role().await?, Role::Subscriber);
    Ok(())
}
