//! Unmodified whatsmeow, Baileys and whatsapp-rust and a Roost device follow each other's newsletters, and once more
//! while the owner of the device is killed.
//!
//! Real processes as in `interop.rs`: one `roost serve`, or three of which one dies, and a driver of each library.

#[path = "newsletters/admins.rs"]
mod admins;
#[path = "newsletters/files.rs"]
mod files;
#[path = "newsletters/posts.rs"]
mod posts;
#[path = "newsletters/profiles.rs"]
mod profiles;
#[path = "newsletters/siblings.rs"]
mod siblings;

use std::time::Duration;

use roost_node::client::Client;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_simulations::interop::{CLIENTS, Cast, Failure, Library, Matrix, RealClient, Way};
use serde_json::{Value, json};
use uuid::Uuid;

/// Bound of one call.
const CALL: Duration = Duration::from_secs(30);

async fn ask(client: &mut RealClient, command: Value) -> Result<Value, Failure> {
    Ok(client.people(command).await?)
}

#[tokio::test]
async fn newsletters_are_followed_both_ways() -> Result<(), Failure> {
    let cast = Cast::new(env!("CARGO_BIN_EXE_roost"), 1).await?;
    followed(&cast).await?.check()
}

#[tokio::test]
async fn newsletters_are_followed_both_ways_though_the_owner_is_killed_again_and_again() -> Result<(), Failure>
{
    let cast = Cast::mortal(env!("CARGO_BIN_EXE_roost"), 3).await?;
    followed(&cast).await?.check()?;
    assert!(cast.cluster.outlived().await? > 6);
    Ok(())
}

/// Each client in its turn. Returns what was seen.
async fn followed(cast: &Cast) -> Result<Matrix, Failure> {
    let Cast { stage, cluster, device, reader, .. } = cast;
    let mut matrix = Matrix::new("7-newsletters");
    let create = api::CreateNewsletterRequest {
        device: device.clone(),
        title: "Hens".to_owned(),
        description: "and eggs".to_owned(),
        request_id: Uuid::new_v4().to_string(),
        picture: Vec::new(),
    };
    let make = async |api: Client, it| api.newsletters().create_newsletter(it).await;
    let ours = cluster.ask(create.clone(), make).await?;
    // The same request makes no second one.
    assert_eq!(cluster.ask(create, make).await?.newsletter, ours.newsletter);
    assert_eq!((ours.title.as_str(), ours.role()), ("Hens", api::newsletter::Role::Owner));
    let say = async |to: &str, content| -> Result<String, Failure> {
        let to = To::Newsletter(to.to_owned());
        cluster.say(device, to, content, api::Context::default(), WaitFor::ServerAck).await
    };
    let posts_of = async |newsletter: &str| -> Result<Vec<api::NewsletterPost>, Failure> {
        let (device, newsletter) = (device.clone(), newsletter.to_owned());
        let list = api::ListNewsletterMessagesRequest { device, newsletter, count: 100, before: 0 };
        let list = cluster.ask(list, async |api, it| api.newsletters().list_newsletter_messages(it).await);
        Ok(list.await?.posts)
    };
    for (library, name) in CLIENTS {
        let (from, to) = (Way::From(library), Way::To(library));
        let person = stage.person(name);
        let mut client = stage.paired(library, name, &person).await?;
        // The client follows Roost's.
        ask(&mut client, json!({"cmd": "newsletter_follow", "to": ours.newsletter})).await?;
        let before = ask(&mut client, json!({"cmd": "newsletter_title", "to": ours.newsletter})).await?;
        assert!(before.as_str().is_some_and(|title| title.starts_with("Hens")), "{before}");
        let text = format!("said to {name}");
        let id = say(&ours.newsletter, Content::Text(text.clone())).await?;
        let heard = client.message(&text).await?;
        assert_eq!((heard.id, &heard.chat), (id.clone(), &ours.newsletter));
        matrix.row("newsletter").seen(to);
        let mine = posts_of(&ours.newsletter).await?;
        let ours_said = mine.iter().find(|post| post.message.as_ref().is_some_and(|m| m.whatsapp_id == id));
        let number = ours_said.map(|post| post.server_id).expect("it is kept");
        let watch =
            api::WatchNewsletterRequest { device: device.clone(), newsletter: ours.newsletter.clone() };
        let watched =
            cluster.ask(watch, async |api, it| api.newsletters().watch_newsletter(it).await).await?;
        assert!(watched.duration.is_some_and(|duration| duration.seconds > 0));
        let about = number.to_string();
        let newsletter = &ours.newsletter;
        ask(&mut client, json!({"cmd": "newsletter_react", "to": newsletter, "about": about, "text": "🐓"}))
            .await?;
        let counted = |payload: &Payload| {
            matches!(payload, Payload::NewsletterUpdated(updated) if updated.posts.iter().any(
                |post| post.server_id == number && post.reactions.get("🐓") == Some(&1)))
        };
        reader.sees("a reaction", counted).await?;
        matrix.row("reaction in a newsletter").seen(from);
        if library == Library::Whatsmeow {
            ask(&mut client, json!({"cmd": "newsletter_view", "to": newsletter, "about": about})).await?;
            let viewed = |payload: &Payload| {
                matches!(payload, Payload::NewsletterUpdated(updated) if updated.posts.iter().any(
                    |post| post.server_id == number && post.views == 1))
            };
            reader.sees("a view", viewed).await?;
            matrix.row("view of a newsletter").seen(from);
        } else {
            let reason = format!("{} marks no post as viewed", library.name());
            matrix.row("view of a newsletter").not_applicable(from, &reason);
        }

        // Roost follows the client's.
        let theirs =
            ask(&mut client, json!({"cmd": "newsletter_create", "text": format!("by {name}")})).await?;
        let theirs = theirs.as_str().unwrap_or_default().to_owned();
        let how = api::follow_newsletter_request::How::Follow.into();
        let newsletter = theirs.clone();
        let follow =
            api::FollowNewsletterRequest { device: device.clone(), newsletter, how, ..Default::default() };
        cluster.ask(follow, async |api, it| api.newsletters().follow_newsletter(it).await).await?;
        let list = api::ListNewslettersRequest { device: device.clone() };
        let list = cluster.ask(list, async |api, it| api.newsletters().list_newsletters(it).await).await?;
        assert_eq!(
            list.newsletters.iter().filter(|one| one.description.contains("eggs")).count(),
            1,
            "{list:?}"
        );
        assert!(
            list.newsletters.iter().any(|one| one.newsletter == theirs && one.title == format!("by {name}"))
        );
        profiles::shown(cast, &mut client, (library, &ours.newsletter, &theirs), &mut matrix).await?;
        let id = client.send(&theirs, &format!("said by {name}")).await?;
        let post = reader
            .wait("what was said in a newsletter", |payload| match payload {
                Payload::NewsletterPosted(posted) if posted.newsletter == theirs => posted.post.clone(),
                _ => None,
            })
            .await?;
        let said = post.message.unwrap_or_default();
        assert_eq!((said.whatsapp_id, said.content), (id, Some(Received::Text(format!("said by {name}")))));
        matrix.row("newsletter").seen(from);
        let number = post.server_id;
        let message = Some(api::MessageRef { whatsapp_id: number.to_string(), ..Default::default() });
        let reaction = api::Reaction { message, emoji: "🥚".to_owned(), ..Default::default() };
        say(&theirs, Content::Reaction(reaction)).await?;
        let seen = api::MarkReadRequest {
            device: device.clone(),
            chat: theirs.clone(),
            whatsapp_ids: vec![number.to_string()],
            ..Default::default()
        };
        cluster.ask(seen, async |api, it| api.messages().mark_read(it).await).await?;
        let viewed = || {
            stage.sim.look(|machine| {
                let newsletter =
                    theirs.strip_suffix("@newsletter").and_then(|id| machine.newsletters().get(id));
                let post = newsletter.and_then(|newsletter| newsletter.posts.get(&number));
                post.is_some_and(|post| post.views.len() == 1)
            })
        };
        cluster.until("a view of Roost", viewed).await?;
        let counts = ask(&mut client, json!({"cmd": "newsletter_posts", "to": theirs})).await?;
        let seen = if library == Library::WhatsappRust { "" } else { " 1" };
        assert_eq!(counts, json!([format!("{number}{seen} 🥚1")]), "{name}");
        matrix.row("reaction in a newsletter").seen(to);
        if library == Library::WhatsappRust {
            let reason = "whatsapp-rust counts no views of newsletters";
            matrix.row("view of a newsletter").not_applicable(to, reason);
        } else {
            matrix.row("view of a newsletter").seen(to);
        }
        let both = (library, &*ours.newsletter, &*theirs);
        posts::counted(cast, &mut client, both, &mut matrix).await?;
        siblings::heard(cast, (library, name), &theirs, &mut matrix).await?;
        posts::edited(cast, &mut client, both, &mut matrix).await?;
        files::shown(cast, (&mut client, &person), both, &mut matrix).await?;
        admins::speak(cast, (&mut client, &person), both, &mut matrix).await?;
        assert_eq!(client.doubled(), Vec::<String>::new());
    }
    let said = posts_of(&ours.newsletter).await?;
    assert_eq!(said.len(), 2 * CLIENTS.len() + files::SHOWN + admins::SAID, "each once: {said:?}");
    assert_eq!(reader.repeated(), Vec::<String>::new());
    assert_eq!(reader.faults(), Vec::<String>::new());
    // Repeated after it was done, it would be refused, as what it names is gone: nobody dies amid it.
    let delete = api::DeleteNewsletterRequest { device: device.clone(), newsletter: ours.newsletter.clone() };
    cluster.ask_spared(delete, async |api, it| api.newsletters().delete_newsletter(it).await).await?;
    let gone = posts_of(&ours.newsletter).await.expect_err("there is no such newsletter");
    assert!(gone.says("404"), "{gone:?}");
    Ok(matrix)
}
