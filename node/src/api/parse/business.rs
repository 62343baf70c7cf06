//! The edge of `BusinessService`: profiles, products and orders that callers name.

use roost_proto::api;
use roost_proto::api::business_hours::{Day, Mode, Weekday};
use roost_proto::ask::business::UpdateBusiness;
use roost_proto::ask::catalog::{ListCollections, ListProducts, ProductChange};
use roost_proto::ask::orders::GetOrder;

use super::user;
use crate::api::newsletters::length;
use crate::errors::ApiError;

/// Longest texts of a profile, in characters: description, address, mail address, one web site.
const PROFILE: [usize; 4] = [512, 256, 128, 256];
/// Most web sites: what WhatsApp Web sends.
const WEBSITES: usize = 2;
/// Most ranges of opening hours: four a day.
const RANGES: usize = 28;
const MINUTES_PER_DAY: u32 = 1440;
/// Longest texts of a product, in characters: title, description, the seller's own name.
const PRODUCT: [usize; 3] = [150, 5000, 100];
/// Most pictures of a product, and their size together in bytes.
const PICTURES: (usize, usize) = (10, 1 << 20);
/// Largest page, and when nothing is said.
const PAGE: (usize, usize) = (100, 10);
/// Most collections, and when nothing is said.
const COLLECTIONS: (usize, usize) = (100, 50);
/// Longest id, cursor or token, in bytes.
const OPAQUE: usize = 1024;

/// A change of a profile.
pub fn profile(request: api::UpdateBusinessProfileRequest) -> Result<UpdateBusiness, ApiError> {
    let text = |field, text: Option<String>, most| text.map(|text| length(field, text, 0, most)).transpose();
    let change = UpdateBusiness {
        description: text("description", request.description, PROFILE[0])?,
        address: text("address", request.address, PROFILE[1])?,
        email: text("email", request.email, PROFILE[2])?,
        websites: request.websites.map(|sites| websites(sites.urls)).transpose()?,
        hours: request.hours.map(hours).transpose()?,
    };
    if change == UpdateBusiness::default() {
        return Err(ApiError::field("description", "is required, or address, email, websites or hours"));
    }
    Ok(change)
}

fn websites(urls: Vec<String>) -> Result<Vec<String>, ApiError> {
    if urls.len() > WEBSITES {
        let why = format!("must be at most {WEBSITES}, not {}", urls.len());
        return Err(ApiError::field("websites.urls", why));
    }
    let each = urls.into_iter().enumerate().map(|(place, url)| {
        let field = format!("websites.urls[{place}]");
        match url.starts_with("https://") || url.starts_with("http://") {
            true => length(&field, url, 1, PROFILE[3]),
            false => Err(ApiError::field(field, "must begin with https:// or http://")),
        }
    });
    each.collect()
}

fn hours(hours: api::BusinessHours) -> Result<api::BusinessHours, ApiError> {
    let zone = &hours.time_zone;
    let is_zone = |b: u8| b.is_ascii_alphanumeric() || b"/_+-".contains(&b);
    if zone.is_empty() || zone.len() > 64 || !zone.bytes().all(is_zone) {
        return Err(ApiError::field("hours.time_zone", "must be a name as Europe/Berlin"));
    }
    if hours.days.len() > RANGES {
        let why = format!("must be at most {RANGES}, not {}", hours.days.len());
        return Err(ApiError::field("hours.days", why));
    }
    for (place, day) in hours.days.iter().enumerate() {
        range(day).map_err(|(field, why)| ApiError::field(format!("hours.days[{place}].{field}"), why))?;
    }
    Ok(hours)
}

/// Which field is wrong, and why.
fn range(day: &Day) -> Result<(), (&'static str, &'static str)> {
    if day.weekday() == Weekday::Unspecified {
        return Err(("weekday", "is required"));
    }
    match day.mode() {
        Mode::Unspecified => Err(("mode", "is required")),
        Mode::SpecificHours if day.open_minute >= MINUTES_PER_DAY => {
            Err(("open_minute", "must be 0 to 1439"))
        }
        Mode::SpecificHours if day.close_minute >= MINUTES_PER_DAY => {
            Err(("close_minute", "must be 0 to 1439"))
        }
        Mode::SpecificHours => Ok(()),
        _ if day.open_minute > 0 => Err(("open_minute", "goes with SPECIFIC_HOURS alone")),
        _ if day.close_minute > 0 => Err(("close_minute", "goes with SPECIFIC_HOURS alone")),
        _ => Ok(()),
    }
}

/// A page of a catalog.
pub fn products(request: &api::ListProductsRequest) -> Result<ListProducts, ApiError> {
    let limit = count("page_size", request.page_size, PAGE)?;
    let after = Some(request.page_token.clone()).filter(|token| !token.is_empty());
    let after = after.map(|token| opaque("page_token", token)).transpose()?;
    Ok(ListProducts { of: user("user", &request.user)?, limit, after })
}

/// Collections.
pub fn collections(request: &api::ListCollectionsRequest) -> Result<ListCollections, ApiError> {
    let limit = count("limit", request.limit, COLLECTIONS)?;
    Ok(ListCollections { of: user("user", &request.user)?, limit })
}

fn count(field: &str, asked: i32, (most, usual): (usize, usize)) -> Result<usize, ApiError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(usual),
        Ok(count) if count <= most => Ok(count),
        _ => Err(ApiError::field(field, format!("must be 0 to {most}"))),
    }
}

/// A product without its pictures, which are returned beside it, and where it comes from.
pub fn new_product(
    request: api::CreateProductRequest,
) -> Result<(ProductChange, Vec<Vec<u8>>, String), ApiError> {
    let priced = request.price_thousandths != 0 || !request.currency.is_empty();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let wanted = api::UpdateProductRequest {
        title: Some(request.title),
        description: some(request.description),
        price_thousandths: priced.then_some(request.price_thousandths),
        currency: priced.then_some(request.currency),
        retailer_id: some(request.retailer_id),
        hidden: Some(request.hidden),
        jpegs: request.jpegs,
        ..Default::default()
    };
    if wanted.jpegs.is_empty() {
        return Err(ApiError::field("jpegs", "must have at least one"));
    }
    let origin = request.origin_country;
    if !matches!(origin.len(), 0 | 2) || !origin.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(ApiError::field("origin_country", "must be two capital letters, or empty"));
    }
    let (product, pictures) = change(wanted)?;
    Ok((product, pictures, origin))
}

/// A change of a product, its id, and its pictures.
pub fn product_change(
    mut request: api::UpdateProductRequest,
) -> Result<(String, ProductChange, Vec<Vec<u8>>), ApiError> {
    let id = opaque("product_id", std::mem::take(&mut request.product_id))?;
    let (product, pictures) = change(request)?;
    if product == ProductChange::default() && pictures.is_empty() {
        return Err(ApiError::field("title", "is required, or another field that changes"));
    }
    Ok((id, product, pictures))
}

fn change(request: api::UpdateProductRequest) -> Result<(ProductChange, Vec<Vec<u8>>), ApiError> {
    let text = |field, text: Option<String>, least, most| {
        text.map(|text| length(field, text, least, most)).transpose()
    };
    if request.price_thousandths.is_some_and(|price| price < 0) {
        return Err(ApiError::field("price_thousandths", "must not be negative"));
    }
    let is_currency = |code: &String| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
    if request.currency.as_ref().is_some_and(|code| !is_currency(code)) {
        return Err(ApiError::field("currency", "must be three capital letters"));
    }
    let product = ProductChange {
        title: text("title", request.title, 1, PRODUCT[0])?,
        description: text("description", request.description, 0, PRODUCT[1])?,
        price: request.price_thousandths,
        currency: request.currency,
        retailer_id: text("retailer_id", request.retailer_id, 0, PRODUCT[2])?,
        hidden: request.hidden,
        images: Vec::new(),
    };
    Ok((product, pictures(request.jpegs)?))
}

fn pictures(jpegs: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, ApiError> {
    let (most, bytes) = PICTURES;
    if jpegs.len() > most || jpegs.iter().map(Vec::len).sum::<usize>() > bytes {
        return Err(ApiError::field("jpegs", format!("must be at most {most}, together {bytes} bytes")));
    }
    match jpegs.iter().position(|jpeg| !is_jpeg(jpeg)) {
        Some(place) => Err(ApiError::field(format!("jpegs[{place}]"), "must be a JPEG")),
        None => Ok(jpegs),
    }
}

/// A cover picture.
pub fn cover(jpeg: Vec<u8>) -> Result<Vec<u8>, ApiError> {
    match is_jpeg(&jpeg) && jpeg.len() <= PICTURES.1 {
        true => Ok(jpeg),
        false => Err(ApiError::field("jpeg", format!("must be a JPEG of at most {} bytes", PICTURES.1))),
    }
}

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Products that are to go.
pub fn product_ids(ids: Vec<String>) -> Result<Vec<String>, ApiError> {
    if ids.is_empty() || ids.len() > PAGE.0 {
        return Err(ApiError::field("product_ids", format!("must be 1 to {}, not {}", PAGE.0, ids.len())));
    }
    ids.into_iter().enumerate().map(|(place, id)| opaque(&format!("product_ids[{place}]"), id)).collect()
}

/// An order.
pub fn order(request: api::GetOrderRequest) -> Result<GetOrder, ApiError> {
    Ok(GetOrder { id: opaque("order_id", request.order_id)?, token: opaque("token", request.token)? })
}

/// What WhatsApp has given and understands alone.
pub fn opaque(field: &str, text: String) -> Result<String, ApiError> {
    match (1..=OPAQUE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(text),
        false => Err(ApiError::field(field, "must be as WhatsApp has given it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: [u8; 4] = [0xff, 0xd8, 0xff, 0xe0];

    fn refused<T: std::fmt::Debug>(read: Result<T, ApiError>) -> String {
        match read {
            Err(ApiError::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_profile_that_cannot_be_is_refused_by_its_field() {
        let empty = api::UpdateBusinessProfileRequest::default();
        assert_eq!(refused(profile(empty.clone())), "description");
        let long = api::UpdateBusinessProfileRequest { email: Some("x".repeat(129)), ..empty.clone() };
        assert_eq!(refused(profile(long)), "email");
        let sites = |urls: &[&str]| {
            let urls = urls.iter().map(|url| (*url).to_owned()).collect();
            let websites = Some(api::update_business_profile_request::Websites { urls });
            profile(api::UpdateBusinessProfileRequest { websites, ..Default::default() })
        };
        assert_eq!(refused(sites(&["https://a", "https://b", "https://c"])), "websites.urls");
        assert_eq!(refused(sites(&["https://a", "ftp://b"])), "websites.urls[1]");
        assert_eq!(sites(&[]).expect("none removes all").websites, Some(Vec::new()));
        let cleared = api::UpdateBusinessProfileRequest { address: Some(String::new()), ..empty };
        assert_eq!(profile(cleared).expect("it is said").address, Some(String::new()));
    }

    #[test]
    fn hours_that_cannot_be_are_refused_by_their_field() {
        let open = |weekday: Weekday, mode: Mode, (open_minute, close_minute)| {
            let day = Day { weekday: weekday.into(), mode: mode.into(), open_minute, close_minute };
            hours(api::BusinessHours { time_zone: "Europe/Berlin".to_owned(), days: vec![day] })
        };
        assert!(open(Weekday::Monday, Mode::SpecificHours, (0, 1439)).is_ok());
        for (day, mode, range, field) in [
            (Weekday::Unspecified, Mode::Open24h, (0, 0), "weekday"),
            (Weekday::Monday, Mode::Unspecified, (0, 0), "mode"),
            (Weekday::Monday, Mode::SpecificHours, (1440, 0), "open_minute"),
            (Weekday::Monday, Mode::SpecificHours, (0, 1440), "close_minute"),
            (Weekday::Monday, Mode::Open24h, (1, 0), "open_minute"),
            (Weekday::Monday, Mode::AppointmentOnly, (0, 1), "close_minute"),
        ] {
            assert_eq!(refused(open(day, mode, range)), format!("hours.days[0].{field}"));
        }
        assert_eq!(refused(hours(api::BusinessHours::default())), "hours.time_zone");
        let days = vec![Day::default(); 29];
        let many = api::BusinessHours { time_zone: "UTC".to_owned(), days };
        assert_eq!(refused(hours(many)), "hours.days");
    }

    #[test]
    fn a_product_that_cannot_be_is_refused_by_its_field() {
        let eggs = api::CreateProductRequest {
            title: "Eggs".to_owned(),
            price_thousandths: 1990,
            currency: "EUR".to_owned(),
            jpegs: vec![JPEG.to_vec()],
            ..Default::default()
        };
        let (product, pictures, origin) = new_product(eggs.clone()).expect("good");
        assert_eq!((product.price, pictures.len(), origin.as_str()), (Some(1990), 1, ""));
        for (bad, field) in [
            (api::CreateProductRequest { title: String::new(), ..eggs.clone() }, "title"),
            (api::CreateProductRequest { description: "x".repeat(5001), ..eggs.clone() }, "description"),
            (api::CreateProductRequest { price_thousandths: -1, ..eggs.clone() }, "price_thousandths"),
            (api::CreateProductRequest { currency: String::new(), ..eggs.clone() }, "currency"),
            (api::CreateProductRequest { retailer_id: "x".repeat(101), ..eggs.clone() }, "retailer_id"),
            (api::CreateProductRequest { origin_country: "de".to_owned(), ..eggs.clone() }, "origin_country"),
            (api::CreateProductRequest { jpegs: Vec::new(), ..eggs.clone() }, "jpegs"),
            (api::CreateProductRequest { jpegs: vec![JPEG.to_vec(); 11], ..eggs.clone() }, "jpegs"),
            (api::CreateProductRequest { jpegs: vec![b"GIF".to_vec()], ..eggs.clone() }, "jpegs[0]"),
        ] {
            assert_eq!(refused(new_product(bad)), field);
        }
        let change = api::UpdateProductRequest { product_id: "7".to_owned(), ..Default::default() };
        assert_eq!(refused(product_change(change.clone())), "title");
        assert_eq!(refused(product_change(api::UpdateProductRequest::default())), "product_id");
        assert!(product_change(api::UpdateProductRequest { hidden: Some(true), ..change }).is_ok());
    }

    #[test]
    fn lists_orders_and_covers_are_refused_by_their_field() {
        let list = api::ListProductsRequest { user: "4915100000001".to_owned(), ..Default::default() };
        assert_eq!(products(&list).expect("good").limit, 10);
        assert_eq!(refused(products(&api::ListProductsRequest::default())), "user");
        assert_eq!(
            refused(products(&api::ListProductsRequest { page_size: 101, ..list.clone() })),
            "page_size"
        );
        let token = "a b".to_owned();
        assert_eq!(refused(products(&api::ListProductsRequest { page_token: token, ..list })), "page_token");
        let some =
            api::ListCollectionsRequest { user: "4915100000001".to_owned(), limit: -1, ..Default::default() };
        assert_eq!(refused(collections(&some)), "limit");
        assert_eq!(refused(product_ids(Vec::new())), "product_ids");
        assert_eq!(refused(product_ids(vec!["7".to_owned(), String::new()])), "product_ids[1]");
        assert_eq!(refused(order(api::GetOrderRequest::default())), "order_id");
        let tokenless = api::GetOrderRequest { order_id: "1".to_owned(), ..Default::default() };
        assert_eq!(refused(order(tokenless)), "token");
        assert_eq!(refused(cover(b"GIF".to_vec())), "jpeg");
    }
}
