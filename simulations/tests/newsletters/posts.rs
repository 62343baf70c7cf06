//! Posts that are edited and taken back, both ways.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_simulations::interop::{Cast, Failure, Library, Matrix, RealClient, Way};
use serde_json::json;

/// Each asks what has changed of the last post of the other's newsletter.
pub(super) async fn counted(
    cast: &Cast,
    client: &mut RealClient,
    (library, ours, theirs): (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let Cast { cluster, device, .. } = cast;
    const ROW: &str = "changed counts of a newsletter";
    let list =
        async |newsletter: &str, after, since: Option<i64>| -> Result<Vec<api::NewsletterPost>, Failure> {
            let list = api::ListNewsletterUpdatesRequest {
                device: device.clone(),
                newsletter: newsletter.to_owned(),
                count: 100,
                after,
                since: since.map(|seconds| api::Timestamp { seconds, nanos: 0 }),
            };
            let list = cluster.ask(list, async |api, it| api.newsletters().list_newsletter_updates(it).await);
            Ok(list.await?.posts)
        };
    let all = list(theirs, 0, None).await?;
    let last = all.last().expect("it has said something");
    assert_eq!((last.reactions.get("🥚"), last.views, &last.message), (Some(&1), 1, &None));
    let at = last.time.as_ref().map(|time| time.seconds);
    assert_eq!(list(theirs, last.server_id - 1, at).await?.as_slice(), std::slice::from_ref(last));
    assert!(list(theirs, last.server_id, None).await?.is_empty());
    assert!(list(theirs, 0, at.map(|seconds| seconds + 86_400)).await?.is_empty());
    matrix.row(ROW).seen(Way::From(library));
    if library == Library::WhatsappRust {
        let reason = "whatsapp-rust does not ask what has changed";
        matrix.row(ROW).not_applicable(Way::To(library), reason);
        return Ok(());
    }
    let ours_said = list(ours, 0, None).await?;
    let last = ours_said.last().expect("Roost has said something");
    let about = (last.server_id - 1).to_string();
    let told = super::ask(client, json!({"cmd": "newsletter_updates", "to": ours, "about": about})).await?;
    let views = last.views;
    assert_eq!(told, json!([format!("{} {views} 🐓1", last.server_id)]));
    matrix.row(ROW).seen(Way::To(library));
    Ok(())
}

/// Each edits a post of its own newsletter and takes it back.
pub(super) async fn edited(
    cast: &Cast,
    client: &mut RealClient,
    (library, ours, theirs): (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let Cast { cluster, device, reader, .. } = cast;
    let name = library.name();
    let (first, second) = (format!("hens for {name}"), format!("ducks for {name}"));
    let say = async |content| -> Result<String, Failure> {
        let to = To::Newsletter(ours.to_owned());
        cluster.say(device, to, content, api::Context::default(), WaitFor::ServerAck).await
    };
    let id = say(Content::Text(first.clone())).await?;
    assert_eq!(client.message(&first).await?.id, id);
    let edit = api::EditMessage { whatsapp_id: id.clone(), text: second.clone(), ..Default::default() };
    say(Content::Edit(edit)).await?;
    match library {
        // It shows what a post says now, and does not tell it from a new one.
        Library::Baileys => assert_eq!(client.message(&second).await?.id, id),
        _ => assert_eq!(client.said("edit", &second).await?.about, id),
    }
    matrix.row("edit of a post").seen(Way::To(library));
    let message = Some(api::MessageRef { whatsapp_id: id.clone(), from_me: true, ..Default::default() });
    say(Content::Revoke(api::RevokeMessage { message })).await?;
    if library == Library::Baileys {
        let reason = "Baileys does not tell that a post was taken back";
        matrix.row("revoke of a post").not_applicable(Way::To(library), reason);
    } else {
        assert_eq!(client.said("revoke", "").await?.about, id);
        matrix.row("revoke of a post").seen(Way::To(library));
    }

    let (first, second) = (format!("geese of {name}"), format!("swans of {name}"));
    let id = client.send(theirs, &first).await?;
    let posted = async |what: &str, fits: &dyn Fn(&api::NewsletterPosted) -> bool| {
        let of_it = |payload: &Payload| {
            let Payload::NewsletterPosted(posted) = payload else { return None };
            let said = posted.post.as_ref()?.message.as_ref()?;
            (said.whatsapp_id == id && fits(posted)).then(|| said.content.clone())
        };
        reader.wait(what, of_it).await
    };
    posted("post", &|posted| !posted.edited && !posted.revoked).await?;
    client.say(theirs, "edit", &second, &id).await?;
    assert_eq!(posted("edit", &|posted| posted.edited).await?, Some(Received::Text(second)));
    matrix.row("edit of a post").seen(Way::From(library));
    client.say(theirs, "revoke", "", &id).await?;
    assert_eq!(posted("revocation", &|posted| posted.revoked).await?, None);
    matrix.row("revoke of a post").seen(Way::From(library));
    Ok(())
}
