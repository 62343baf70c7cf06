//! The simulated WhatsApp, judged by unmodified whatsmeow and Baileys clients that talk to each other through it.
//!
//! Needs Go and Node.js, and fails without them: `.ci/test` installs both.

use std::path::Path;

use roost_simulations::interop::{Failure, Library, Person, RealClient, Stage};
use roost_simulations::wa::Fault;

const BOTH: [Library; 2] = [Library::Whatsmeow, Library::Baileys];

/// One client of each library, each with an account of its own.
struct Pair {
    stage: Stage,
    w: RealClient,
    b: RealClient,
    w_account: Person,
    b_account: Person,
}

impl Pair {
    async fn new() -> Result<Self, Failure> {
        let stage = Stage::set().await?;
        let w_account = stage.person("wanda");
        let b_account = stage.person("bruno");
        let w = stage.paired(Library::Whatsmeow, "w", &w_account).await?;
        let b = stage.paired(Library::Baileys, "b", &b_account).await?;
        Ok(Self { stage, w, b, w_account, b_account })
    }

    /// One text each way, so that both have ratchets with each other.
    async fn greet(&mut self) -> Result<(), Failure> {
        self.w.send(&self.b_account.number_jid(), "hello from w").await?;
        self.b.message("hello from w").await?;
        self.b.send(&self.w_account.number_jid(), "hello from b").await?;
        self.w.message("hello from b").await?;
        Ok(())
    }
}

/// Texts of all messages that a client received, in order.
fn texts(client: &RealClient) -> Vec<String> {
    client.messages().into_iter().map(|message| message.text).collect()
}

#[tokio::test]
async fn a_paired_device_logs_in_again_after_a_restart() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    for library in BOTH {
        let account = stage.person(&format!("{library:?}"));
        let name = format!("{library:?}");
        stage.paired(library, &name, &account).await?.quit().await?;
        let mut again = stage.client(library, &name).await?;
        let (pn, lid) = again.login().await?;
        assert_eq!(pn, format!("{}:1@s.whatsapp.net", account.pn));
        assert_eq!(lid, format!("{}:1@lid", account.lid));
    }
    Ok(())
}

#[tokio::test]
async fn texts_arrive_both_ways_by_phone_number_and_by_hidden_identity() -> Result<(), Failure> {
    let Pair { stage: _stage, mut w, mut b, w_account, b_account } = Pair::new().await?;
    for (number, address) in [Person::number_jid, Person::lid_jid].into_iter().enumerate() {
        for round in 0..3 {
            let text = format!("to b {number} {round}");
            let id = w.send(&address(&b_account), &text).await?;
            assert_eq!(b.message(&text).await?.id, id);
            let text = format!("to w {number} {round}");
            let id = b.send(&address(&w_account), &text).await?;
            assert_eq!(w.message(&text).await?.id, id);
        }
    }
    assert_eq!((texts(&w).len(), texts(&b).len()), (6, 6), "nothing came twice");
    Ok(())
}

#[tokio::test]
async fn the_sender_learns_that_its_message_arrived_and_was_read() -> Result<(), Failure> {
    let Pair { stage: _stage, mut w, mut b, w_account, b_account } = Pair::new().await?;
    let id = w.send(&b_account.number_jid(), "read me, b").await?;
    let received = b.message("read me, b").await?;
    b.read(&received).await?;
    w.receipt(&id, "read").await?;
    let id = b.send(&w_account.number_jid(), "read me, w").await?;
    let received = w.message("read me, w").await?;
    w.read(&received).await?;
    b.receipt(&id, "read").await?;
    Ok(())
}

#[tokio::test]
async fn the_backlog_arrives_in_order_and_once() -> Result<(), Failure> {
    let mut pair = Pair::new().await?;
    pair.greet().await?;
    let Pair { stage: _stage, mut w, mut b, w_account, b_account } = pair;
    let waiting: Vec<String> = (0..5).map(|number| format!("while away {number}")).collect();

    b.disconnect().await?;
    for text in &waiting {
        w.send(&b_account.number_jid(), text).await?;
    }
    b.login().await?;
    b.message(&waiting[4]).await?;
    assert_eq!(texts(&b)[1..], waiting);

    w.disconnect().await?;
    for text in &waiting {
        b.send(&w_account.number_jid(), text).await?;
    }
    w.login().await?;
    w.message(&waiting[4]).await?;
    assert_eq!(texts(&w)[1..], waiting);
    Ok(())
}

#[tokio::test]
async fn every_device_of_both_accounts_gets_the_message() -> Result<(), Failure> {
    let mut pair = Pair::new().await?;
    // Both know each other's device lists by now; the new devices must become known all the same.
    pair.greet().await?;
    let Pair { stage, mut w, mut b, w_account, b_account } = pair;
    let mut w2 = stage.paired(Library::Baileys, "w2", &w_account).await?;
    let mut b2 = stage.paired(Library::Whatsmeow, "b2", &b_account).await?;

    w.send(&b_account.number_jid(), "from the first w").await?;
    assert!(!b.message("from the first w").await?.from_me);
    assert!(!b2.message("from the first w").await?.from_me);
    assert!(w2.message("from the first w").await?.from_me);

    b.send(&w_account.lid_jid(), "from the first b").await?;
    assert!(!w.message("from the first b").await?.from_me);
    assert!(!w2.message("from the first b").await?.from_me);
    assert!(b2.message("from the first b").await?.from_me);

    w2.send(&b_account.number_jid(), "from the second w").await?;
    assert!(!b.message("from the second w").await?.from_me);
    assert!(w.message("from the second w").await?.from_me);
    Ok(())
}

#[tokio::test]
async fn a_damaged_message_is_asked_for_again_and_arrives() -> Result<(), Failure> {
    let mut pair = Pair::new().await?;
    pair.greet().await?;
    let Pair { stage, mut w, mut b, w_account, b_account } = pair;

    stage.sim.commit(&Fault::CorruptDeliveries { device: b_account.first_device(), count: 1 })?;
    let id = w.send(&b_account.number_jid(), "damaged on its way to b").await?;
    assert_eq!(b.message("damaged on its way to b").await?.id, id);

    stage.sim.commit(&Fault::CorruptDeliveries { device: w_account.first_device(), count: 1 })?;
    let id = b.send(&w_account.number_jid(), "damaged on its way to w").await?;
    assert_eq!(w.message("damaged on its way to w").await?.id, id);

    w.send(&b_account.number_jid(), "after that").await?;
    b.message("after that").await?;
    Ok(())
}

#[tokio::test]
async fn a_copy_that_a_sibling_cannot_read_comes_again_in_its_chat_and_is_settled() -> Result<(), Failure> {
    let mut pair = Pair::new().await?;
    pair.greet().await?;
    let Pair { stage, mut w, w_account, b_account, .. } = pair;
    let mut second = stage.paired(Library::Baileys, "sibling", &w_account).await?;
    // The first copy opens the ratchet, the second comes damaged. (Baileys sends a copy again without its chat.)
    let device = format!("{}:2", w_account.pn);
    for (text, count) in [("whole", 0), ("damaged", 1)] {
        stage.sim.commit(&Fault::CorruptDeliveries { device: device.clone(), count })?;
        let id = w.send(&b_account.number_jid(), text).await?;
        let copy = second.message(text).await?;
        assert!(copy.from_me && copy.id == id, "{copy:?}");
        assert!([b_account.lid_jid(), b_account.number_jid()].contains(&copy.chat), "{copy:?}");
        // What asks for a copy again settles it too, so the copy that came last has to be settled as well.
        w.receipt(&id, "sender").await?;
        let settled = || {
            stage.sim.look(|machine| {
                let companion = machine.accounts()[&w_account.pn].companions.get(&2);
                companion.is_some_and(|companion| companion.backlog.is_empty())
            })
        };
        stage.until("end of what waits for the sibling", settled).await?;
    }
    let asked = stage.sim.ledger(|ledger| ledger.of(&device).map(|record| record.retries));
    assert_eq!(asked, Some(1), "the damaged one was asked for again");
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_heals_and_loses_nothing() -> Result<(), Failure> {
    let mut pair = Pair::new().await?;
    pair.greet().await?;
    let Pair { stage, mut w, mut b, w_account, b_account } = pair;
    for account in [&w_account, &b_account] {
        stage.sim.commit(&Fault::DropConnection { device: Some(account.first_device()) })?;
    }
    w.disconnected("closed").await?;
    b.disconnected("closed").await?;
    w.logged_in().await?;
    b.logged_in().await?;
    w.send(&b_account.number_jid(), "after the break").await?;
    b.message("after the break").await?;
    b.send(&w_account.number_jid(), "after the break").await?;
    w.message("after the break").await?;
    Ok(())
}

#[tokio::test]
async fn a_second_login_of_a_device_replaces_the_first() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    for library in BOTH {
        let name = format!("{library:?}");
        let account = stage.person(&name);
        stage.paired(library, &name, &account).await?.quit().await?;
        copy_device(stage.folder(), &name, &format!("{name}-copy"))?;
        let mut first = stage.client(library, &name).await?;
        first.login().await?;
        let mut second = stage.client(library, &format!("{name}-copy")).await?;
        second.login().await?;
        first.disconnected("replaced").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_device_that_the_phone_unlinks_is_logged_out() -> Result<(), Failure> {
    let Pair { stage, mut w, mut b, w_account, b_account } = Pair::new().await?;
    for account in [&w_account, &b_account] {
        stage.sim.commit(&Fault::Unlink { device: account.first_device() })?;
    }
    w.disconnected("logged_out").await?;
    b.disconnected("logged_out").await?;
    Ok(())
}

#[tokio::test]
async fn a_device_that_logs_out_is_gone_for_its_peers() -> Result<(), Failure> {
    let mut pair = Pair::new().await?;
    pair.greet().await?;
    let Pair { stage, mut w, mut b, b_account, .. } = pair;
    let mut b2 = stage.paired(Library::Baileys, "b2", &b_account).await?;
    b.logout().await?;
    w.send(&b_account.number_jid(), "to who is left").await?;
    b2.message("to who is left").await?;
    assert!(!texts(&b).contains(&"to who is left".to_owned()));
    Ok(())
}

/// Copies what a driver stored: a file with its companions, or a folder of files.
fn copy_device(folder: &Path, from: &str, to: &str) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(&format!("{from}.device")) else { continue };
        let target = folder.join(format!("{to}.device{rest}"));
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            for file in std::fs::read_dir(entry.path())? {
                let file = file?;
                std::fs::copy(file.path(), target.join(file.file_name()))?;
            }
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
