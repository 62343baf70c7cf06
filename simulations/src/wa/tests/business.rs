//! Businesses: what they change, and what others see of it.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;

/// The numbers of `w:mex`.
const CATALOG: &str = "9916553288394782";
const COLLECTIONS: &str = "9430970660362540";
const ORDER: &str = "26593811266898374";

fn business(world: &mut World, name: &str) -> usize {
    let probe = world.linked(name);
    let pn = world.device(probe).pn;
    world.machine.make_business(pn, name);
    probe
}

fn request(kind: &'static str, xmlns: &'static str, child: Builder) -> Stanza {
    iq::request("b", kind, xmlns, server_jid()).children([child.build()]).build()
}

fn leaf(tag: &'static str, text: &str) -> Stanza {
    Builder::new(tag).bytes(text.as_bytes()).build()
}

fn delta(parts: Vec<Stanza>) -> Stanza {
    let change = Builder::new("business_profile").attr("v", "3").attr("mutation_type", "delta");
    request("set", "w:biz", change.children(parts))
}

fn refused(answer: &Stanza) -> Option<u64> {
    answer.child("error").and_then(|error| error.number("code"))
}

/// A product with a picture that was uploaded.
fn eggs(world: &mut World, id: Option<&str>, hidden: &'static str) -> Stanza {
    let mut rng = StdRng::seed_from_u64(9);
    let path = world.machine.media.keep(&mut rng, [7; 32], bytes::Bytes::from_static(b"jpeg"));
    let image = Builder::new("image").children([leaf("url", &format!("https://mmg.whatsapp.net{path}"))]);
    let media = Builder::new("media").children([image.build()]).build();
    let parts =
        id.map(|id| leaf("id", id)).into_iter().chain([leaf("name", "Eggs"), leaf("price", "1990"), media]);
    let product = Builder::new("product").attr("is_hidden", hidden).children(parts).build();
    let tag = if id.is_some() { "product_catalog_edit" } else { "product_catalog_add" };
    request("set", "w:biz:catalog", Builder::new(tag).attr("v", "1").children([product]))
}

fn catalog(world: &mut World, asking: usize, of: usize, limit: &str, after: Option<&str>) -> Stanza {
    let jid = world.account(of);
    let parts = [leaf("limit", limit)].into_iter().chain(after.map(|after| leaf("after", after)));
    let asked = Builder::new("product_catalog").attr("jid", jid).children(parts);
    world.ask(asking, request("get", "w:biz:catalog", asked))
}

fn ids(answer: &Stanza) -> Vec<String> {
    let catalog = answer.child("product_catalog").expect("a catalog");
    let id = |product: &Stanza| product.child("id").and_then(|id| id.leaf_text()).map(str::to_owned);
    catalog.all_named("product").filter_map(id).collect()
}

#[test]
fn a_business_changes_what_it_names_and_nobody_else_changes_anything() {
    let mut world = World::new();
    let (shop, bob) = (business(&mut world, "shop"), world.linked("bob"));
    let text = |world: &mut World, tag| {
        let asked = Builder::new("profile").attr("jid", world.lid(shop)).build();
        let asked = Builder::new("business_profile").attr("v", "244").children([asked]);
        let answer = world.ask(bob, request("get", "w:biz", asked));
        let profile = answer.child("business_profile").and_then(|profile| profile.child("profile"));
        profile.and_then(|profile| profile.child(tag)).and_then(|text| text.leaf_text()).map(str::to_owned)
    };
    world.ask(shop, delta(vec![leaf("address", "Henway 1"), leaf("email", "a@b.example")]));
    world.ask(shop, delta(vec![leaf("email", "")]));
    assert_eq!(text(&mut world, "address").as_deref(), Some("Henway 1"));
    assert_eq!(text(&mut world, "email").as_deref().unwrap_or_default(), "");
    let site = || leaf("website", "https://a.example");
    let range = |open: u32| {
        let range =
            Builder::new("business_hours_config").attr("day_of_week", "mon").attr("mode", "specific_hours");
        let range = range.attr("open_time", open).attr("close_time", 5u32).build();
        Builder::new("business_hours").children([range]).build()
    };
    let cover =
        Builder::new("cover_photo").attr("op", "update").attr("id", "1").attr("token", "x").attr("ts", 1u32);
    for (parts, code) in [
        (vec![site(), site(), site()], 406),
        (vec![range(1440)], 406),
        (vec![leaf("mood", "good")], 400),
        (vec![cover.build()], 406),
    ] {
        let answer = world.ask(shop, delta(parts));
        assert_eq!(refused(&answer), Some(code));
    }
    let answer = world.ask(bob, delta(vec![leaf("address", "mine")]));
    assert_eq!(refused(&answer), Some(403));
    assert_eq!(text(&mut world, "address").as_deref(), Some("Henway 1"));
}

#[test]
fn a_catalog_comes_in_pages_and_what_is_hidden_is_shown_to_its_owner_alone() {
    let mut world = World::new();
    let (shop, bob) = (business(&mut world, "shop"), world.linked("bob"));
    for hidden in ["false", "true", "false"] {
        let add = eggs(&mut world, None, hidden);
        assert_eq!(refused(&world.ask(shop, add)), None);
    }
    let add = eggs(&mut world, None, "false");
    assert_eq!(refused(&world.ask(bob, add)), Some(403), "bob is no business");
    assert_eq!(ids(&catalog(&mut world, shop, shop, "10", None)), ["1", "2", "3"]);
    let page = catalog(&mut world, bob, shop, "1", None);
    let next = page.child("product_catalog").and_then(|catalog| catalog.child("paging"));
    let next = next.and_then(|paging| paging.child("after")).and_then(|after| after.leaf_text());
    let next = next.expect("there is more").to_owned();
    assert_eq!(ids(&page), ["1"]);
    assert_eq!(ids(&catalog(&mut world, bob, shop, "1", Some(&next))), ["3"]);
    assert_eq!(refused(&catalog(&mut world, bob, shop, "1", Some("nonsense"))), Some(400));
    assert_eq!(refused(&catalog(&mut world, shop, bob, "1", None)), Some(404));
    let edit = eggs(&mut world, Some("2"), "false");
    assert_eq!(refused(&world.ask(shop, edit)), None);
    assert_eq!(ids(&catalog(&mut world, bob, shop, "10", None)), ["1", "2", "3"]);
    let gone = Builder::new("product").children([leaf("id", "1")]).build();
    let gone = Builder::new("product_catalog_delete").attr("v", "1").children([gone.clone(), gone]);
    let answer = world.ask(shop, request("set", "w:biz:catalog", gone));
    let deleted = answer.child("product_catalog_delete").and_then(|told| told.number("deleted_count"));
    assert_eq!(deleted, Some(1));
    let edit = eggs(&mut world, Some("1"), "false");
    assert_eq!(refused(&world.ask(shop, edit)), Some(404));
}

#[test]
fn a_product_has_a_name_and_a_picture_that_was_uploaded() {
    let mut world = World::new();
    let shop = business(&mut world, "shop");
    let add = |parts: Vec<Stanza>| {
        let product = Builder::new("product").children(parts).build();
        request("set", "w:biz:catalog", Builder::new("product_catalog_add").children([product]))
    };
    let image = Builder::new("image").children([leaf("url", "https://elsewhere.example/a.jpg")]).build();
    let media = Builder::new("media").children([image]).build();
    for parts in [vec![leaf("name", "Eggs")], vec![leaf("name", "Eggs"), media]] {
        assert_eq!(refused(&world.ask(shop, add(parts))), Some(406));
    }
}

#[test]
fn an_order_is_opened_by_its_token_and_keeps_its_price() {
    let mut world = World::new();
    let (shop, bob) = (business(&mut world, "shop"), world.linked("bob"));
    let add = eggs(&mut world, None, "false");
    world.ask(shop, add);
    let (pn, now) = (world.device(shop).pn, world.now);
    assert_eq!(world.machine.order(now, pn, &[(9, 1)]), None, "it sells no such thing");
    let (id, token) = world.machine.order(now, pn, &[(1, 2)]).expect("it sells that");
    let gone = Builder::new("product").children([leaf("id", "1")]).build();
    let gone = Builder::new("product_catalog_delete").attr("v", "1").children([gone]);
    world.ask(shop, request("set", "w:biz:catalog", gone));
    let get = |id: &str, token: &str| {
        let order = Builder::new("order").attr("op", "get").attr("id", id.to_owned());
        request("get", "fb:thrift_iq", order.children([leaf("token", token)]))
    };
    let answer = world.ask(bob, get(&id, &token));
    let price = answer.child("order").and_then(|order| order.child("price")).expect("a price").clone();
    assert_eq!(price.child("total").and_then(|total| total.leaf_text()), Some("3980"));
    assert_eq!(refused(&world.ask(bob, get(&id, "another"))), Some(401));
    assert_eq!(refused(&world.ask(bob, get("1", &token))), Some(404));
}

#[test]
fn catalogs_collections_and_orders_are_told_as_json_too_and_are_refused_alike() {
    let mut world = World::new();
    let (shop, bob) = (business(&mut world, "shop"), world.linked("bob"));
    for hidden in ["false", "true", "false"] {
        let add = eggs(&mut world, None, hidden);
        world.ask(shop, add);
    }
    let (pn, now) = (world.device(shop).pn, world.now);
    world.machine.collect(pn, "Farm", &[2, 3]);
    let (id, token) = world.machine.order(now, pn, &[(1, 2)]).expect("it sells that");
    let jid = world.account(shop).to_string();
    let other = business(&mut world, "other");
    let other = world.account(other).to_string();
    let mut ask = |number: &str, asked: Value| {
        let body = json!({ "variables": { "request": asked } }).to_string().into_bytes();
        let query = Builder::new("query").attr("query_id", number.to_owned()).bytes(body);
        let answer = world.ask(bob, request("get", "w:mex", query));
        match answer.child("result").and_then(|result| result.leaf()) {
            Some(result) => Ok(serde_json::from_slice::<Value>(result).expect("JSON")["data"].take()),
            None => Err(refused(&answer)),
        }
    };
    let catalog =
        |limit, after: Value| json!({ "product_catalog": { "jid": jid, "limit": limit, "after": after } });
    let shown = ask(CATALOG, catalog(1, Value::Null)).expect("a page");
    let shown = &shown["xwa_product_catalog_get_product_catalog"]["product_catalog"];
    let (first, next) = (&shown["products"][0], &shown["paging"]["after"]);
    assert_eq!(
        (&first["id"], &first["price"], &first["is_hidden"]),
        (&json!("1"), &json!("1990"), &json!(false))
    );
    let shown = ask(CATALOG, catalog(1, next.clone())).expect("the next page");
    let shown = &shown["xwa_product_catalog_get_product_catalog"]["product_catalog"];
    assert_eq!((&shown["products"][0]["id"], &shown["paging"]["after"]), (&json!("3"), &Value::Null));
    assert_eq!(ask(CATALOG, catalog(0, Value::Null)), Err(Some(400)));
    assert_eq!(ask(CATALOG, catalog(1, json!("nonsense"))), Err(Some(400)));
    assert_eq!(
        ask(CATALOG, json!({ "product_catalog": { "limit": 1 } })),
        Err(Some(400)),
        "no business is named"
    );

    let collections =
        |most| json!({ "collections": { "biz_jid": jid, "collection_limit": most, "item_limit": "9" } });
    let shown = ask(COLLECTIONS, collections("9")).expect("collections");
    let shown = &shown["xwa_product_catalog_get_collections"]["collections"];
    assert_eq!((&shown[0]["name"], &shown[0]["products"][0]["id"]), (&json!("Farm"), &json!("3")));
    assert_eq!(ask(COLLECTIONS, collections("0")), Err(Some(400)));

    let order = |id: &str, token: &str| json!({ "order": { "id": id, "token": { "sensitive_string_value": token } } });
    let shown = ask(ORDER, order(&id, &token)).expect("an order");
    let shown = &shown["xwa_checkout_get_order_info"]["order"];
    assert_eq!(shown["price_details"]["total_amount"], json!("3980"));
    assert_eq!(shown["products"][0]["quantity"], json!("2"));
    assert_eq!(ask(ORDER, order(&id, "another")), Err(Some(401)));
    assert_eq!(ask(ORDER, order("1", &token)), Err(Some(404)));
    assert_eq!(ask(ORDER, json!({ "order": { "id": id } })), Err(Some(400)), "no token");
    let sold_by = |seller: &str| {
        let mut asked = order(&id, &token);
        asked["order"]["jid"] = json!(seller);
        asked
    };
    assert!(ask(ORDER, sold_by(&jid)).is_ok());
    assert_eq!(ask(ORDER, sold_by(&other)), Err(Some(404)), "another has sold it");
    assert_eq!(ask(ORDER, sold_by("nonsense")), Err(Some(400)));
}
