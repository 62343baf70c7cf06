//! `roost business …`: what a business shows and sells, and what was ordered from it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use roost_proto::api;
use roost_proto::api::set_cover_photo_request::Change;

use super::{Globals, Output, device_name, media, render};
use crate::client::{Problem, request};

mod words;

/// What can be asked and changed.
#[derive(Debug, Clone, Subcommand)]
pub enum BusinessCommand {
    /// Shows the profile of a business.
    Show(Of),
    /// Changes what is named of the profile of the account; the rest stays as it is.
    Set(Profile),
    /// Sets the wide picture above the profile and prints its id, or removes the one with this id.
    Cover {
        /// `acme/shop` or its whole name.
        device: String,
        /// A JPEG of at most 1 MiB.
        #[arg(required_unless_present = "remove")]
        picture: Option<PathBuf>,
        /// The id of the present one, as it was printed when it was set.
        #[arg(long, value_name = "ID", conflicts_with = "picture")]
        remove: Option<String>,
    },
    /// Lists what a business sells.
    Products(Of),
    /// Lists the collections that a business has put its products in.
    Collections(Of),
    /// Puts a product into the catalog of the account. Called again, it makes another.
    Create {
        /// `acme/shop` or its whole name.
        device: String,
        /// What it is called.
        title: String,
        /// JPEGs: 1 to 10, together at most 1 MiB.
        #[arg(long = "picture", value_name = "FILE", required = true)]
        pictures: Vec<PathBuf>,
        /// Where it comes from: two capital letters.
        #[arg(long, default_value = "")]
        origin: String,
        #[command(flatten)]
        product: Product,
    },
    /// Changes what is named of a product; the rest stays as it is.
    Update {
        /// `acme/shop` or its whole name.
        device: String,
        /// Which.
        product_id: String,
        /// What it shall be called.
        #[arg(long)]
        title: Option<String>,
        /// JPEGs that take the place of those that it has.
        #[arg(long = "picture", value_name = "FILE")]
        pictures: Vec<PathBuf>,
        #[command(flatten)]
        product: Product,
    },
    /// Takes products out of the catalog of the account.
    Delete {
        /// `acme/shop` or its whole name.
        device: String,
        /// Which.
        #[arg(required = true)]
        product_ids: Vec<String>,
    },
    /// Shows what a customer has ordered.
    Order {
        /// `acme/shop` or its whole name.
        device: String,
        /// As in the order message.
        order_id: String,
        /// As in the order message.
        token: String,
    },
}

/// A business, as one device sees it.
#[derive(Debug, Clone, Args)]
pub struct Of {
    /// The device that asks: `acme/shop` or its whole name.
    device: String,
    /// The business: a phone number, or `{digits}@lid`; the number of the account for its own.
    user: String,
}

/// A change of a profile.
#[derive(Debug, Clone, Args)]
pub struct Profile {
    /// `acme/shop` or its whole name.
    device: String,
    /// Empty for none, here and below.
    #[arg(long)]
    description: Option<String>,
    /// Where it is.
    #[arg(long)]
    address: Option<String>,
    /// Its mail address.
    #[arg(long)]
    email: Option<String>,
    /// A web site; may be given twice.
    #[arg(long = "website", value_name = "URL")]
    websites: Vec<String>,
    /// Removes the web sites.
    #[arg(long, conflicts_with = "websites")]
    no_websites: bool,
    /// When it is open, in the order of the week: `mon=09:00-18:00`, `sat=all-day`, `sun=appointment`. May be given
    /// more than once; on other days it is closed.
    #[arg(long = "open", value_name = "WHEN", value_parser = words::day, requires = "time_zone")]
    open: Vec<api::business_hours::Day>,
    /// Where these hours are counted, as `Europe/Berlin`.
    #[arg(long)]
    time_zone: Option<String>,
}

impl Profile {
    fn request(self) -> api::UpdateBusinessProfileRequest {
        let websites = (self.no_websites || !self.websites.is_empty())
            .then_some(api::update_business_profile_request::Websites { urls: self.websites });
        api::UpdateBusinessProfileRequest {
            device: device_name(&self.device),
            description: self.description,
            address: self.address,
            email: self.email,
            websites,
            hours: self.time_zone.map(|time_zone| api::BusinessHours { time_zone, days: self.open }),
        }
    }
}

/// What can be said of a product.
#[derive(Debug, Clone, Args)]
pub struct Product {
    /// In a few sentences.
    #[arg(long)]
    description: Option<String>,
    /// With at most three decimals, as 19.90.
    #[arg(long, value_parser = words::thousandths)]
    price: Option<i64>,
    /// Of the price: three capital letters.
    #[arg(long)]
    currency: Option<String>,
    /// What the seller calls it.
    #[arg(long)]
    retailer_id: Option<String>,
    /// Whether customers do not see it: `true` or `false`.
    #[arg(long)]
    hidden: Option<bool>,
}

pub(super) async fn run(command: BusinessCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    match command {
        BusinessCommand::Show(Of { device, user }) => {
            let wanted = api::GetBusinessProfileRequest { device: device_name(&device), user };
            show_profile(&repeat!(client.contacts.get_business_profile, wanted, deadline), globals.output);
        }
        BusinessCommand::Set(profile) => {
            repeat!(client.businesses.update_business_profile, profile.request(), deadline);
        }
        BusinessCommand::Cover { device, picture, remove } => {
            let change = match (picture, remove) {
                (Some(picture), _) => Change::Jpeg(read(&picture).await?),
                (None, remove) => Change::Remove(remove.unwrap_or_default()),
            };
            let wanted = api::SetCoverPhotoRequest { device: device_name(&device), change: Some(change) };
            let set = repeat!(client.businesses.set_cover_photo, wanted, deadline);
            if !set.id.is_empty() {
                println!("{}", render::clean(&set.id));
            }
        }
        BusinessCommand::Products(Of { device, user }) => {
            let (device, mut page_token, mut found) = (device_name(&device), String::new(), Vec::new());
            loop {
                let (device, user) = (device.clone(), user.clone());
                let wanted = api::ListProductsRequest { device, user, page_size: 100, page_token };
                let page = repeat!(client.businesses.list_products, wanted, deadline);
                found.extend(page.products);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            show_products(&found, globals.output);
        }
        BusinessCommand::Collections(Of { device, user }) => {
            let wanted = api::ListCollectionsRequest { device: device_name(&device), user, limit: 100 };
            let found = repeat!(client.businesses.list_collections, wanted, deadline);
            show_collections(&found, globals.output);
        }
        BusinessCommand::Create { device, title, pictures, origin, product } => {
            let wanted = api::CreateProductRequest {
                device: device_name(&device),
                title,
                description: product.description.unwrap_or_default(),
                price_thousandths: product.price.unwrap_or_default(),
                currency: product.currency.unwrap_or_default(),
                retailer_id: product.retailer_id.unwrap_or_default(),
                hidden: product.hidden.unwrap_or_default(),
                jpegs: read_all(&pictures).await?,
                origin_country: origin,
            };
            // Tried again, it could make another.
            let made = client.businesses().create_product(request(wanted, deadline)).await?.into_inner();
            show_products(&[made], globals.output);
        }
        BusinessCommand::Update { device, product_id, title, pictures, product } => {
            let wanted = api::UpdateProductRequest {
                device: device_name(&device),
                product_id,
                title,
                description: product.description,
                price_thousandths: product.price,
                currency: product.currency,
                retailer_id: product.retailer_id,
                hidden: product.hidden,
                jpegs: read_all(&pictures).await?,
            };
            let changed = repeat!(client.businesses.update_product, wanted, deadline);
            show_products(&[changed], globals.output);
        }
        BusinessCommand::Delete { device, product_ids } => {
            let wanted = api::DeleteProductsRequest { device: device_name(&device), product_ids };
            let done = repeat!(client.businesses.delete_products, wanted, deadline);
            println!("{}", done.deleted);
        }
        BusinessCommand::Order { device, order_id, token } => {
            let wanted = api::GetOrderRequest { device: device_name(&device), order_id, token };
            show_order(&repeat!(client.businesses.get_order, wanted, deadline), globals.output);
        }
    }
    Ok(())
}

async fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    tokio::fs::read(path).await.map_err(|error| media::on_disk(path, &error))
}

async fn read_all(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Problem> {
    let mut pictures = Vec::new();
    for path in paths {
        pictures.push(read(path).await?);
    }
    Ok(pictures)
}

fn show_profile(profile: &api::BusinessProfile, output: Output) {
    if output == Output::Json {
        return println!("{}", roost_proto::json::of("BusinessProfile", profile).unwrap_or_default());
    }
    let lists = [profile.categories.join(", "), profile.websites.join(" ")];
    let texts = [&profile.description, &profile.address, &profile.email];
    for text in texts.into_iter().chain(&lists).filter(|text| !text.is_empty()) {
        println!("{}", render::clean(text));
    }
    if let Some(hours) = &profile.hours {
        println!("open, in the time of {}:", render::clean(&hours.time_zone));
        hours.days.iter().for_each(|day| println!("  {}", words::of_day(day)));
    }
}

fn show_products(products: &[api::CatalogProduct], output: Output) {
    if output == Output::Json {
        let json = |product| roost_proto::json::of("CatalogProduct", product).unwrap_or_default();
        return products.iter().for_each(|product| println!("{}", json(product)));
    }
    let row = |product: &api::CatalogProduct| {
        let price = match product.price_thousandths {
            0 => "-".to_owned(),
            price => format!("{} {}", words::decimal(price), render::clean(&product.currency)),
        };
        let shown = if product.hidden { "hidden" } else { "shown" };
        let [id, review, title] =
            [&product.id, &product.review, &product.title].map(|text| render::clean(text));
        vec![id, price, shown.to_owned(), review, title]
    };
    let rows: Vec<_> = products.iter().map(row).collect();
    print!("{}", render::columns(&["PRODUCT", "PRICE", "", "REVIEW", "TITLE"], &rows));
}

fn show_collections(found: &api::ListCollectionsResponse, output: Output) {
    if output == Output::Json {
        let json = roost_proto::json::of("ListCollectionsResponse", found).unwrap_or_default();
        let each = json["collections"].as_array().map(Vec::as_slice).unwrap_or_default();
        return each.iter().for_each(|collection| println!("{collection}"));
    }
    let row = |collection: &api::list_collections_response::Collection| {
        let [id, title] = [&collection.id, &collection.title].map(|text| render::clean(text));
        let products: Vec<_> =
            collection.products.iter().map(|product| render::clean(&product.title)).collect();
        vec![id, title, products.join(", ")]
    };
    let rows: Vec<_> = found.collections.iter().map(row).collect();
    print!("{}", render::columns(&["COLLECTION", "TITLE", "FIRST PRODUCTS"], &rows));
}

fn show_order(order: &api::Order, output: Output) {
    if output == Output::Json {
        return println!("{}", roost_proto::json::of("Order", order).unwrap_or_default());
    }
    let price =
        |thousandths, currency: &str| format!("{} {}", words::decimal(thousandths), render::clean(currency));
    let row = |item: &api::order::Item| {
        let each = price(item.price_thousandths, &item.currency);
        vec![render::clean(&item.product_id), item.quantity.to_string(), each, render::clean(&item.title)]
    };
    let rows: Vec<_> = order.items.iter().map(row).collect();
    print!("{}", render::columns(&["PRODUCT", "QUANTITY", "EACH", "TITLE"], &rows));
    println!(
        "{} in all, ordered {}",
        price(order.total_thousandths, &order.currency),
        render::time(order.create_time.as_ref())
    );
}

#[cfg(test)]
mod tests {
    use api::business_hours::{Mode, Weekday};
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: BusinessCommand,
    }

    fn profile(line: &[&str]) -> Result<api::UpdateBusinessProfileRequest, String> {
        match Line::try_parse_from([&["business", "set", "acme/shop"], line].concat()) {
            Ok(Line { command: BusinessCommand::Set(profile) }) => Ok(profile.request()),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_is_not_named_of_a_profile_is_not_asked_for() {
        let wanted = profile(&["--email", ""]).expect("good");
        assert_eq!((wanted.email.as_deref(), wanted.description), (Some(""), None));
        assert_eq!((wanted.websites, wanted.hours), (None, None));
        let none = profile(&["--no-websites"]).expect("good").websites.expect("said");
        assert_eq!(none.urls, Vec::<String>::new());
        assert!(profile(&["--no-websites", "--website", "https://a"]).is_err());
    }

    #[test]
    fn hours_are_said_with_their_time_zone() {
        let line = ["--time-zone", "Europe/Berlin", "--open", "mon=09:00-18:30", "--open", "sun=all-day"];
        let hours = profile(&line).expect("good").hours.expect("said");
        assert_eq!(hours.days.len(), 2);
        assert_eq!((hours.days[0].weekday(), hours.days[0].close_minute), (Weekday::Monday, 1110));
        assert_eq!((hours.days[1].weekday(), hours.days[1].mode()), (Weekday::Sunday, Mode::Open24h));
        assert!(profile(&["--open", "mon=09:00-18:30"]).is_err());
        assert!(profile(&["--time-zone", "UTC", "--open", "someday=all-day"]).is_err());
    }

    #[test]
    fn a_product_needs_a_picture_and_a_price_that_is_one() {
        let create = |line: &[&str]| {
            Line::try_parse_from([&["business", "create", "acme/shop", "Eggs"], line].concat()).is_ok()
        };
        assert!(create(&["--picture", "eggs.jpg", "--price", "1.99", "--currency", "EUR"]));
        assert!(!create(&["--price", "1.99"]));
        assert!(!create(&["--picture", "eggs.jpg", "--price", "cheap"]));
    }

    #[test]
    fn a_cover_is_set_or_removed() {
        let cover = |line: &[&str]| {
            Line::try_parse_from([&["business", "cover", "acme/shop"], line].concat()).is_ok()
        };
        assert!(cover(&["wide.jpg"]) && cover(&["--remove", "7"]));
        assert!(!cover(&[]) && !cover(&["wide.jpg", "--remove", "7"]));
    }
}
