//! What newsletters show: their names, what they are about, and their pictures; both ways, and as who hears of it.

use roost_node::client::Client;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::get_newsletter_request::By;
use roost_proto::api::newsletter_changed::Change;
use roost_simulations::interop::{Cast, ClientEvent, Failure, Library, Matrix, RealClient, Way};
use serde_json::json;
use uuid::Uuid;

use super::ask;

const NAME: &str = "name of a newsletter";
const ABOUT: &str = "description of a newsletter";
const PICTURE: &str = "picture of a newsletter";
const TOLD: &str = "followers hear what a newsletter shows";

/// Roost changes what its own shows, and the client what it has made, as far as the library can.
pub(super) async fn shown(
    cast: &Cast,
    client: &mut RealClient,
    both: (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    invited(cast, both.2).await?;
    made(cast, client, both, matrix).await?;
    to_client(cast, client, both, matrix).await?;
    from_client(cast, client, both, matrix).await
}

async fn get(cast: &Cast, by: By) -> Result<api::Newsletter, Failure> {
    let get = api::GetNewsletterRequest { device: cast.device.clone(), by: Some(by) };
    cast.cluster.ask(get, async |api, it| api.newsletters().get_newsletter(it).await).await
}

/// What a client has made is found by its invite, in both forms.
async fn invited(cast: &Cast, theirs: &str) -> Result<(), Failure> {
    let code = get(cast, By::Newsletter(theirs.to_owned())).await?.invite;
    for invite in [code.clone(), format!("https://whatsapp.com/channel/{code}")] {
        assert_eq!(get(cast, By::Invite(invite)).await?.newsletter, theirs);
    }
    assert!(get(cast, By::Invite("0029VaNowhere".to_owned())).await.is_err(), "nobody has this code");
    Ok(())
}

/// Roost makes one with a picture, which the client sees; the client's has one where the library can give it one.
async fn made(
    cast: &Cast,
    client: &mut RealClient,
    (library, _, theirs): (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let create = api::CreateNewsletterRequest {
        device: cast.device.clone(),
        title: format!("Feathers for {}", library.name()),
        description: "and down".to_owned(),
        request_id: Uuid::new_v4().to_string(),
        picture: [&[0xff, 0xd8, 0xff][..], b"feathers"].concat(),
    };
    let make = async |api: Client, it| api.newsletters().create_newsletter(it).await;
    let made = cast.cluster.ask(create, make).await?;
    assert!(!made.picture.is_empty(), "{made:?}");
    let shows = json!({"cmd": "newsletter_shows", "to": made.newsletter});
    assert_eq!(ask(client, shows).await?, json!("and down, pictured"));
    let row = matrix.row("newsletter made with a picture").seen(Way::To(library));
    let theirs = get(cast, By::Newsletter(theirs.to_owned())).await?;
    match library {
        Library::Whatsmeow => {
            assert!(!theirs.picture.is_empty(), "{theirs:?}");
            row.seen(Way::From(library));
        }
        Library::WhatsappRust => {
            let make = json!({"cmd": "newsletter_pictured", "text": "Down"});
            let made = ask(client, make).await?.as_str().unwrap_or_default().to_owned();
            let made = get(cast, By::Newsletter(made)).await?;
            assert!(made.title == "Down" && !made.picture.is_empty(), "{made:?}");
            row.seen(Way::From(library));
        }
        Library::Baileys => {
            assert_eq!(theirs.picture, "");
            row.not_applicable(Way::From(library), "Baileys makes newsletters without pictures");
        }
    }
    Ok(())
}

async fn to_client(
    cast: &Cast,
    client: &mut RealClient,
    (library, ours, _): (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let Cast { cluster, device, .. } = cast;
    let to = Way::To(library);
    let as_it_is = api::UpdateNewsletterRequest {
        device: device.clone(),
        newsletter: ours.to_owned(),
        ..Default::default()
    };
    let change = async |change| -> Result<api::Newsletter, Failure> {
        cluster.ask(change, async |api, it| api.newsletters().update_newsletter(it).await).await
    };
    let title = format!("Hens of {}", library.name());
    let before = get(cast, By::Newsletter(ours.to_owned())).await?;
    let changed =
        change(api::UpdateNewsletterRequest { title: Some(title.clone()), ..as_it_is.clone() }).await?;
    assert_eq!((&changed.title, &changed.description), (&title, &before.description));
    assert_eq!(ask(client, json!({"cmd": "newsletter_title", "to": ours})).await?, json!(title));
    matrix.row(NAME).seen(to);
    let about = format!("eggs for {}", library.name());
    let jpeg = [&[0xff, 0xd8, 0xff][..], b"hens"].concat();
    let (description, picture) = (Some(about.clone()), Some(jpeg));
    let changed = change(api::UpdateNewsletterRequest { description, picture, ..as_it_is.clone() }).await?;
    assert_eq!((&changed.title, &changed.description), (&title, &about));
    assert!(!changed.picture.is_empty());
    let shows = json!({"cmd": "newsletter_shows", "to": ours});
    assert_eq!(ask(client, shows.clone()).await?, json!(format!("{about}, pictured")));
    let bare = change(api::UpdateNewsletterRequest { picture: Some(Vec::new()), ..as_it_is }).await?;
    assert_eq!(bare.picture, "");
    assert_eq!(ask(client, shows).await?, json!(format!("{about}, bare")));
    matrix.row(ABOUT).seen(to);
    matrix.row(PICTURE).seen(to);
    match library {
        Library::Whatsmeow => {
            matrix.row(TOLD).not_applicable(to, "whatsmeow tells nothing of what newsletters show");
        }
        Library::Baileys => {
            let reason =
                "Baileys reads what is told of newsletters in another form, which no other client knows";
            matrix.row(TOLD).not_applicable(to, reason);
        }
        Library::WhatsappRust => {
            let called = format!("called {title}");
            let fits = |event: &ClientEvent| matches!(event, ClientEvent::Contact { from, what } if from == ours && *what == called);
            client.wait("the name of a newsletter that it follows", fits).await?;
            matrix.row(TOLD).seen(to);
        }
    }
    Ok(())
}

async fn from_client(
    cast: &Cast,
    client: &mut RealClient,
    (library, _, theirs): (Library, &str, &str),
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let from = Way::From(library);
    if library == Library::Whatsmeow {
        let reason = "whatsmeow changes no newsletters";
        for row in [NAME, ABOUT, PICTURE, TOLD] {
            matrix.row(row).not_applicable(from, reason);
        }
        return Ok(());
    }
    let hears = async |what: &str, fits: &dyn Fn(&api::NewsletterProfile) -> bool| {
        let told = |payload: &Payload| {
            let Payload::NewsletterChanged(changed) = payload else { return false };
            let Some(Change::Profile(profile)) = &changed.change else { return false };
            changed.newsletter == theirs && profile.actor.is_none() && fits(profile)
        };
        cast.reader.sees(what, told).await
    };
    let (title, about) = (format!("Geese of {}", library.name()), format!("swans of {}", library.name()));
    ask(client, json!({"cmd": "newsletter_update", "to": theirs, "text": title})).await?;
    hears("a new name", &|profile| profile.title.as_ref() == Some(&title) && profile.description.is_none())
        .await?;
    ask(client, json!({"cmd": "newsletter_describe", "to": theirs, "text": about})).await?;
    hears("a new description", &|profile| profile.description.as_ref() == Some(&about)).await?;
    matrix.row(NAME).seen(from);
    matrix.row(ABOUT).seen(from);
    matrix.row(TOLD).seen(from);
    let shown = get(cast, By::Newsletter(theirs.to_owned())).await?;
    assert_eq!((&shown.title, &shown.description, shown.picture.as_str()), (&title, &about, ""));
    ask(client, json!({"cmd": "newsletter_picture", "to": theirs})).await?;
    let shown = get(cast, By::Newsletter(theirs.to_owned())).await?.picture;
    assert!(!shown.is_empty());
    hears("a new picture", &|profile| profile.picture.as_ref() == Some(&shown)).await?;
    matrix.row(PICTURE).seen(from);
    Ok(())
}
