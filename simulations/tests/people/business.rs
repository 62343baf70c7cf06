//! Businesses: what a device shows and sells is what clients read, and the other way round.

use std::convert::Infallible;

use roost_node::client::Client;
use roost_proto::api::business_hours::{Day, Mode, Weekday};
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::set_cover_photo_request::Change;
use roost_proto::api::update_business_profile_request::Websites;
use roost_proto::api::*;
use roost_simulations::interop::{Failure, Matrix, Stage};
use roost_simulations::wa::Pn;
use serde_json::json;

use super::{JPEG, World, ask, ways};

fn make_business(stage: &Stage, pn: Pn, name: &str) -> Result<(), Failure> {
    let name = name.to_owned();
    Ok(stage.sim.act(|machine, _| {
        machine.make_business(pn, &name);
        Ok::<_, Infallible>(((), Vec::new()))
    })?)
}

fn order(stage: &Stage, pn: Pn, product: &str, count: u32) -> Result<(String, String), Failure> {
    let id = product.parse()?;
    let made = stage
        .sim
        .act(|machine, now| Ok::<_, Infallible>((machine.order(now, pn, &[(id, count)]), Vec::new())))?;
    made.ok_or_else(|| Failure::new("it sells no such thing"))
}

fn monday() -> BusinessHours {
    let monday = Day {
        weekday: Weekday::Monday.into(),
        mode: Mode::SpecificHours.into(),
        open_minute: 540,
        close_minute: 1020,
    };
    let sunday =
        Day { weekday: Weekday::Sunday.into(), mode: Mode::AppointmentOnly.into(), ..Default::default() };
    BusinessHours { time_zone: "Europe/Berlin".to_owned(), days: vec![monday, sunday] }
}

#[tokio::test]
async fn a_business_shows_and_sells_the_same_to_every_client() -> Result<(), Failure> {
    trade(&mut World::new().await?).await?.check()
}

#[tokio::test]
async fn a_business_sells_on_though_the_owner_is_killed_again_and_again() -> Result<(), Failure> {
    let mut world = World::mortal().await?;
    trade(&mut world).await?.check()?;
    world.survived(6).await
}

async fn trade(world: &mut World) -> Result<Matrix, Failure> {
    let mut matrix = Matrix::new("8-business");
    profiles(world, &mut matrix).await?;
    catalogs(world, &mut matrix).await?;
    names(world, &mut matrix).await?;
    Ok(matrix)
}

/// What a business says comes with its name.
async fn names(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let World { stage, cluster, device, roost, clients, reader, .. } = world;
    let row = "name of a business in what it says";
    for (client, account) in clients.iter_mut() {
        let (name, to) = (client.name().to_owned(), To::Lid(account.lid.clone()));
        let text = format!("open again, {name}");
        cluster.send(device, to, &text, WaitFor::ServerAck).await?;
        assert_eq!(client.message(&text).await?.verified, "Roost Hens", "{name}");
        make_business(stage, account.pn, &format!("Shop of {name}"))?;
        let text = format!("{name} is open");
        client.send(&roost.lid_jid(), &text).await?;
        let named = |payload: &Payload| match payload {
            Payload::MessageReceived(message) if message.content == Some(Received::Text(text.clone())) => {
                Some(message.verified_name.clone())
            }
            _ => None,
        };
        assert_eq!(reader.wait("what a business says", named).await?, format!("Shop of {name}"));
        let (from, to) = ways(&name);
        matrix.row(row).seen(from).seen(to);
    }
    Ok(())
}

async fn profiles(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let World { stage, cluster, device, roost, clients, .. } = world;
    let update = UpdateBusinessProfileRequest {
        device: device.clone(),
        description: Some("Hens and eggs".to_owned()),
        address: Some("Henway 1".to_owned()),
        email: Some("eggs@hens.example".to_owned()),
        websites: Some(Websites { urls: vec!["https://hens.example".to_owned()] }),
        hours: Some(monday()),
    };
    let update_profile = async |api: Client, it| api.businesses().update_business_profile(it).await;
    let before = stage.refused();
    let early = cluster.ask(update.clone(), update_profile).await;
    assert!(early.as_ref().is_err_and(|refused| refused.says("403")), "{early:?}");
    let why = "w:biz set <business_profile>: 403, the account is no business";
    stage.refuses((roost, before), early, why)?;
    make_business(stage, roost.pn, "Roost Hens")?;
    cluster.ask(update, update_profile).await?;
    let cover = SetCoverPhotoRequest { device: device.clone(), change: Some(Change::Jpeg(JPEG.to_vec())) };
    let cover = cluster.ask(cover, async |api, it| api.businesses().set_cover_photo(it).await).await?.id;
    let covers = |pn| {
        let business = stage.sim.look(|machine| machine.accounts()[&pn].profile.business.clone());
        business.and_then(|business| business.cover)
    };
    assert_eq!(covers(roost.pn), Some(cover.clone()));
    let remove = SetCoverPhotoRequest { device: device.clone(), change: Some(Change::Remove(cover)) };
    // Removed again it would be refused.
    cluster.ask_spared(remove, async |api, it| api.businesses().set_cover_photo(it).await).await?;
    assert_eq!(covers(roost.pn), None);
    for (client, account) in clients.iter_mut() {
        let name = client.name().to_owned();
        let (from, to) = ways(&name);
        let shown = ask(client, json!({"cmd": "business_profile", "to": roost.number_jid()})).await?;
        let day = "mon specific_hours 540-1020, sun appointment_only -";
        assert_eq!(shown, json!(format!("Henway 1, eggs@hens.example, Europe/Berlin, {day}")), "{name}");
        let row = matrix.row("business profile").seen(to);
        if name != "b" {
            let reason = match name.as_str() {
                "w" => "whatsmeow changes no profile of a business",
                _ => "whatsapp-rust does not know in which form the profile of a business is changed",
            };
            row.not_applicable(from, reason);
            continue;
        }
        make_business(stage, account.pn, "Bea's Eggs")?;
        ask(client, json!({"cmd": "business_update", "text": "Henway 2"})).await?;
        let get = GetBusinessProfileRequest { device: device.clone(), user: account.pn.to_string() };
        let shown = cluster.ask(get, async |api, it| api.contacts().get_business_profile(it).await).await?;
        assert_eq!((shown.address.as_str(), shown.hours), ("Henway 2", Some(monday())));
        assert_eq!(shown.websites, ["https://hens.example"]);
        row.seen(from);
        let cover = ask(client, json!({"cmd": "cover"})).await?;
        assert_eq!(covers(account.pn).map(|id| json!(id)), Some(cover));
        let users = vec![account.pn.to_string()];
        let info = GetUserInfoRequest { device: device.clone(), users };
        let info = cluster.ask(info, async |api, it| api.contacts().get_user_info(it).await).await?.users;
        assert_eq!((info[0].business, info[0].verified_name.as_str()), (true, "Bea's Eggs"));
    }
    Ok(())
}

async fn catalogs(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let World { stage, cluster, device, roost, clients, reader, .. } = world;
    let create = |title: &str, hidden| CreateProductRequest {
        device: device.clone(),
        title: title.to_owned(),
        description: "a dozen".to_owned(),
        price_thousandths: 1990,
        currency: "EUR".to_owned(),
        hidden,
        jpegs: vec![JPEG.to_vec()],
        ..Default::default()
    };
    // Not safe to repeat: nobody dies amid it.
    let made = async |product| {
        cluster.ask_spared(product, async |api, it| api.businesses().create_product(it).await).await
    };
    let eggs = made(create("Eggs", false)).await?;
    assert_eq!(
        (eggs.title.as_str(), eggs.price_thousandths, eggs.review.as_str()),
        ("Eggs", 1990, "APPROVED")
    );
    assert!(eggs.image_url.starts_with("https://mmg.whatsapp.net/"), "{}", eggs.image_url);
    let hen = made(create("Hen", true)).await?;
    let list = async |user: &str, page_token: String| {
        let list =
            ListProductsRequest { device: device.clone(), user: user.to_owned(), page_size: 1, page_token };
        cluster.ask(list, async |api, it| api.businesses().list_products(it).await).await
    };
    let number = roost.pn.to_string();
    let first = list(&number, String::new()).await?;
    let second = list(&number, first.next_page_token.clone()).await?;
    let titles = [&first.products[0].title, &second.products[0].title];
    assert_eq!((titles, second.next_page_token.as_str()), ([&eggs.title, &hen.title], ""));
    let bought = order(stage, roost.pn, &eggs.id, 2)?;
    let change = UpdateProductRequest {
        device: device.clone(),
        product_id: eggs.id.clone(),
        price_thousandths: Some(2190),
        ..Default::default()
    };
    let changed = cluster.ask(change, async |api, it| api.businesses().update_product(it).await).await?;
    assert_eq!((changed.price_thousandths, &changed.image_url), (2190, &eggs.image_url));
    let ids = [eggs.id.parse()?];
    stage.sim.act(|machine, _| {
        machine.collect(roost.pn, "Farm", &ids);
        Ok::<_, Infallible>(((), Vec::new()))
    })?;

    let reads = async |(id, token): &(String, String)| {
        let (order_id, token) = (id.clone(), token.clone());
        let get = GetOrderRequest { device: device.clone(), order_id, token };
        cluster.ask(get, async |api, it| api.businesses().get_order(it).await).await
    };
    let read = reads(&bought).await?;
    assert_eq!(
        (read.total_thousandths, read.items[0].quantity, read.items[0].title.as_str()),
        (3980, 2, "Eggs")
    );
    let closed = reads(&(bought.0.clone(), "another".to_owned())).await.expect_err("the token opens it");
    assert!(closed.says("401"), "{closed:?}");
    for (client, account) in clients.iter_mut() {
        let name = client.name().to_owned();
        let (from, to) = ways(&name);
        // The message that tells of it opens it, on either side.
        let said = format!("order for {name}");
        let told = Content::Order(OrderMessage {
            order_id: bought.0.clone(),
            token: bought.1.clone(),
            seller: roost.number_jid(),
            message: said.clone(),
            item_count: 2,
            total_thousandths: 3980,
            currency: "EUR".to_owned(),
            ..Default::default()
        });
        let them = To::PhoneNumber(account.pn.to_string());
        cluster.say(device, them, told, Context::default(), WaitFor::ServerAck).await?;
        let detail = client.said("order", &said).await?.detail;
        let mut words = detail.split(' ');
        let (id, token) = (words.next(), words.next());
        let bill = json!({"cmd": "order", "to": roost.number_jid(), "about": id, "text": token});
        assert_eq!(ask(client, bill).await?, json!("3980 EUR: Eggs x2"), "{name}");
        let opens = format!("{} {}", bought.0, bought.1);
        let theirs = client.say(&roost.number_jid(), "order", &format!("order of {name}"), &opens).await?;
        let heard = reader.wait("an order", |payload| match payload {
            Payload::MessageReceived(message) if message.whatsapp_id == theirs => match &message.content {
                Some(Received::Order(order)) => Some((order.order_id.clone(), order.token.clone())),
                _ => None,
            },
            _ => None,
        });
        let read = reads(&heard.await?).await?;
        assert_eq!((read.total_thousandths, read.items[0].title.as_str()), (3980, "Eggs"), "{name}");
        matrix.row("order").seen(to);
        if name == "w" {
            matrix.row("catalog").not_applicable(to, "whatsmeow reads no catalogs");
        } else {
            let jid = roost.number_jid();
            let shown = ask(client, json!({"cmd": "catalog", "to": jid})).await?;
            assert_eq!(shown, json!(["Eggs 2190 EUR"]), "what is hidden is not shown");
            let shown = ask(client, json!({"cmd": "collections", "to": jid})).await?;
            assert_eq!(shown, json!(["Farm: Eggs 2190 EUR"]), "{name}");
            matrix.row("catalog").seen(to);
        }
        if name != "b" {
            let reason = format!("{} sells nothing", if name == "w" { "whatsmeow" } else { "whatsapp-rust" });
            matrix.row("catalog").not_applicable(from, &reason);
            matrix.row("order").not_applicable(from, &reason);
            continue;
        }
        let duck = ask(client, json!({"cmd": "product_create", "text": "Duck"})).await?;
        let duck = duck.as_str().unwrap_or_default().to_owned();
        ask(client, json!({"cmd": "product_update", "about": duck, "text": "Drake"})).await?;
        let theirs = list(&account.lid_jid(), String::new()).await?.products;
        assert_eq!((theirs.len(), theirs[0].title.as_str()), (1, "Drake"));
        assert_eq!((theirs[0].price_thousandths, theirs[0].description.as_str()), (2500, "fresh"));
        let ids = [duck.parse()?];
        stage.sim.act(|machine, _| {
            machine.collect(account.pn, "Pond", &ids);
            Ok::<_, Infallible>(((), Vec::new()))
        })?;
        let user = account.pn.to_string();
        let collections = ListCollectionsRequest { device: device.clone(), user, limit: 0 };
        let ask_for = async |api: Client, it| api.businesses().list_collections(it).await;
        let collections = cluster.ask(collections, ask_for).await?.collections;
        assert_eq!((collections[0].title.as_str(), &collections[0].products), ("Pond", &theirs));
        matrix.row("catalog").seen(from);
        let read = reads(&order(stage, account.pn, &duck, 3)?).await?;
        assert_eq!((read.total_thousandths, read.items[0].title.as_str()), (7500, "Drake"));
        matrix.row("order").seen(from);
        let gone = ask(client, json!({"cmd": "product_delete", "about": duck})).await?;
        assert_eq!(gone, json!(1));
        assert!(list(&account.lid_jid(), String::new()).await?.products.is_empty());
    }
    let delete = DeleteProductsRequest { device: device.clone(), product_ids: vec![eggs.id, hen.id] };
    let gone = cluster.ask_spared(delete, async |api, it| api.businesses().delete_products(it).await).await?;
    assert_eq!((gone.deleted, list(&number, String::new()).await?.products.len()), (2, 0));
    Ok(())
}
