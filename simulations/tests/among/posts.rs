//! Status posts, newsletters, and what businesses show and sell.

use std::convert::Infallible;

use roost_simulations::wa::Audience;

use super::*;

impl Pair<'_> {
    pub(super) async fn posts(&mut self) -> Result<(), Failure> {
        let (pn, people) = (self.from.person.pn, [self.to.person.number_jid()]);
        let only = vec![people[0].parse().expect("a JID")];
        self.stage.sim.act(|machine, _| {
            machine.set_audience(pn, Audience::Only(only));
            Ok::<_, Infallible>(((), Vec::new()))
        })?;
        let text = format!("posted, {}", self.names);
        let id = self.from.client.post(&text, &people).await?;
        let post = self.to.client.message(&text).await?;
        assert_eq!((&post.id, post.chat.as_str()), (&id, "status@broadcast"));
        self.seen("status post");
        self.to.client.read(&post).await?;
        self.from.client.receipt(&id, "read").await?;
        self.seen_back("status post seen");
        self.from.client.takes_back(&id, &people).await?;
        assert_eq!(self.to.client.said("revoke", "").await?.about, id);
        self.seen("status post taken back");
        Ok(())
    }

    pub(super) async fn newsletters(&mut self) -> Result<(), Failure> {
        let names = self.names.clone();
        let made = json!({ "cmd": "newsletter_create", "text": names });
        let newsletter = self.from.names(made).await?;
        self.to.does(json!({ "cmd": "newsletter_follow", "to": newsletter })).await?;
        let text = format!("news, {names}");
        let id = self.from.client.send(&newsletter, &text).await?;
        let heard = self.to.client.message(&text).await?;
        assert_eq!((heard.id, &heard.chat), (id, &newsletter));
        self.seen("newsletter");

        let id = newsletter.trim_end_matches("@newsletter").to_owned();
        let number =
            self.stage.sim.look(|machine| machine.newsletters().get(&id)?.posts.keys().max().copied());
        let number = number.ok_or_else(|| Failure::new("no post is kept"))?;
        let about = number.to_string();
        let reacts = json!({ "cmd": "newsletter_react", "to": newsletter, "about": about, "text": "🥚" });
        self.to.does(reacts).await?;
        // Baileys does not wait for the server.
        let reacted =
            || self.stage.sim.look(|machine| machine.newsletters()[&id].posts[&number].reactions.len() == 1);
        self.stage.until("a reaction", reacted).await?;
        let row = "view of a newsletter";
        let blind = |library: Library, does: &str| format!("{} {does}", library.name());
        let (reader, counter, back) = (self.to.library, self.from.library, self.way_back());
        let viewed = reader == Library::Whatsmeow;
        if viewed {
            self.to.does(json!({ "cmd": "newsletter_view", "to": newsletter, "about": about })).await?;
        }
        let counts = self.from.does(json!({ "cmd": "newsletter_posts", "to": newsletter })).await?;
        let views = match counter {
            Library::WhatsappRust => String::new(),
            _ => format!(" {}", u8::from(viewed)),
        };
        assert_eq!(counts, json!([format!("{number}{views} 🥚1")]));
        self.seen_back("reaction in a newsletter");
        match (viewed, counter) {
            (false, _) => {
                self.matrix.row(row).not_applicable(back, &blind(reader, "marks no post as viewed"))
            }
            (true, Library::WhatsappRust) => {
                self.matrix.row(row).not_applicable(back, &blind(counter, "counts no views of newsletters"))
            }
            (true, _) => self.matrix.row(row).seen(back),
        };

        let row = "name of a newsletter";
        if self.from.library == Library::Whatsmeow {
            self.cannot(row, "whatsmeow changes no newsletters");
            return Ok(());
        }
        let title = format!("Hens, {names}");
        self.from.does(json!({ "cmd": "newsletter_update", "to": newsletter, "text": title })).await?;
        assert_eq!(self.to.names(json!({ "cmd": "newsletter_title", "to": newsletter })).await?, title);
        self.seen(row);
        Ok(())
    }

    /// Baileys alone runs a business.
    pub(super) async fn businesses(&mut self) -> Result<(), Failure> {
        let (profile, catalog, order) = ("business profile", "catalog", "order");
        let (seller, buyer) = (self.from.library, self.to.library);
        if seller != Library::Baileys {
            let reason = match seller {
                Library::WhatsappRust => {
                    "whatsapp-rust does not know in which form the profile of a business is changed"
                }
                _ => "whatsmeow changes no profile of a business",
            };
            self.cannot(profile, reason);
            self.cannot(catalog, &format!("{} sells nothing", seller.name()));
            self.cannot(order, &format!("{} sells nothing", seller.name()));
            return Ok(());
        }
        let pn = self.from.person.pn;
        self.stage.sim.act(|machine, _| {
            machine.make_business(pn, "Bea's Eggs");
            Ok::<_, Infallible>(((), Vec::new()))
        })?;
        let street = format!("Henway, {}", self.names);
        self.from.does(json!({ "cmd": "business_update", "text": street })).await?;
        let shown = json!({ "cmd": "business_profile", "to": self.from.person.number_jid() });
        let shown = self.to.names(shown).await?;
        assert!(shown.starts_with(&street), "{shown}");
        self.seen(profile);

        let duck = self.from.names(json!({ "cmd": "product_create", "text": "Duck" })).await?;
        let items = [(duck.parse()?, 2)];
        let ordered = self
            .stage
            .sim
            .act(|machine, now| Ok::<_, Infallible>((machine.order(now, pn, &items), Vec::new())))?;
        let (id, token) = ordered.ok_or_else(|| Failure::new("it sells no ducks"))?;
        let seller = self.from.person.number_jid();
        let bill = json!({ "cmd": "order", "about": id, "text": token, "to": seller });
        let bill = self.to.names(bill).await?;
        assert_eq!(bill, "5000 EUR: Duck x2");
        self.seen(order);
        if buyer == Library::Whatsmeow {
            self.cannot(catalog, "whatsmeow reads no catalogs");
            return Ok(());
        }
        let shop = json!({ "cmd": "catalog", "to": self.from.person.number_jid() });
        assert_eq!(self.to.does(shop).await?, json!(["Duck 2500 EUR"]));
        self.seen(catalog);
        Ok(())
    }
}
