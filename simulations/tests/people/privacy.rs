//! People who are left out of what an account shows: by a device, and by the one client that has such lists.

use roost_proto::api::set_privacy_request::Exceptions;
use roost_proto::api::*;
use roost_simulations::interop::{Failure, Matrix};
use serde_json::json;

use super::{World, ask, ways};

const ROW: &str = "what is hidden from some";

#[tokio::test]
async fn who_is_left_out_does_not_see_what_others_see() -> Result<(), Failure> {
    World::new().await?.some_left_out().await?.check()
}

#[tokio::test]
async fn who_is_left_out_stays_so_though_the_owner_is_killed_again_and_again() -> Result<(), Failure> {
    let mut world = World::mortal().await?;
    world.some_left_out().await?.check()?;
    assert!(world.cluster.outlived().await? > 1);
    Ok(())
}

impl World {
    async fn some_left_out(&mut self) -> Result<Matrix, Failure> {
        let World { cluster, device, roost, clients, .. } = self;
        let mut matrix = Matrix::new("5-people-privacy");
        let about = SetAboutRequest { device: device.clone(), text: "open from nine".to_owned() };
        cluster.ask(about, async |api, it| api.accounts().set_about(it).await).await?;
        let change = async |exceptions| {
            let change = SetPrivacyRequest {
                device: device.clone(),
                category: "status".to_owned(),
                value: "contact_blacklist".to_owned(),
                exceptions: Some(exceptions),
            };
            cluster.ask(change, async |api, it| api.accounts().set_privacy(it).await).await
        };
        let (mut out, mut hash) = (None::<String>, String::new());
        for place in 0..clients.len() {
            let number = clients[place].1.pn.to_string();
            let (add, remove) = (vec![number.clone()], out.replace(number).into_iter().collect());
            let privacy = change(Exceptions { add, remove, hash: String::new() }).await?;
            assert_eq!(privacy.settings["status"], "contact_blacklist");
            let changed = privacy.exception_hashes["status"].clone();
            assert_ne!(changed, std::mem::replace(&mut hash, changed.clone()));
            for (other, (client, _)) in clients.iter_mut().enumerate() {
                let seen = ask(client, json!({"cmd": "about", "to": roost.number_jid()})).await?;
                let expected = if other == place { "" } else { "open from nine" };
                assert_eq!(seen, json!(expected), "{} of {place}", client.name());
            }
            let (from, to) = ways(clients[place].0.name());
            matrix.row(ROW).seen(to);
            match clients[place].0.name() {
                "w" => _ = matrix.row(ROW).not_applicable(from, "whatsmeow has no lists of who is left out"),
                "b" => _ = matrix.row(ROW).not_applicable(from, "Baileys has no lists of who is left out"),
                _ => {}
            }
        }
        let old =
            Exceptions { add: vec!["4930999999".to_owned()], hash: "old".to_owned(), ..Default::default() };
        let refused = change(old).await.expect_err("nobody has this number");
        assert!(format!("{refused:?}").contains("does not exist"), "{refused:?}");
        let old =
            Exceptions { add: vec![roost.pn.to_string()], hash: "old".to_owned(), ..Default::default() };
        let refused = change(old).await.expect_err("it is not the hash of the present list");
        assert!(format!("{refused:?}").contains("409"), "{refused:?}");

        // whatsapp-rust leaves the device out, and then another client, too.
        let [(watching, other), .., (rust, account)] = clients.as_mut_slice() else { unreachable!("three") };
        ask(rust, json!({"cmd": "set_about", "text": "about r"})).await?;
        let first = ask(rust, json!({"cmd": "hide_about_from", "to": roost.lid_jid(), "text": ""})).await?;
        let look = GetUserInfoRequest { device: device.clone(), users: vec![account.pn.to_string()] };
        let shown = cluster.ask(look, async |api, it| api.contacts().get_user_info(it).await).await?;
        assert_eq!(shown.users[0].about, "");
        let seen = json!({"cmd": "about", "to": account.number_jid()});
        assert_eq!(ask(watching, seen.clone()).await?, json!("about r"));
        let hide = json!({"cmd": "hide_about_from", "to": other.lid_jid(), "text": first});
        assert_ne!(ask(rust, hide).await?, first);
        assert_eq!(ask(watching, seen).await?, json!(""));
        let (from, _) = ways("r");
        matrix.row(ROW).seen(from);
        Ok(matrix)
    }
}
