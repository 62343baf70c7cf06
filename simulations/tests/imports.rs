//! Devices that whatsmeow, Baileys and whatsapp-rust have paired move to Roost in the middle of conversations:
//! the same ratchets and sender keys go on, nobody asks for a message again.
//!
//! Needs PostgreSQL, Go and Node.js, and fails without them: `.ci/test` installs all three.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use roost_proto::api::event::Payload;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_simulations::interop::{Cluster, Failure, Library, Person, Reader, RealClient, Stage};
use roost_simulations::postgres::TempPostgres;
use roost_simulations::wa::DeviceRef;
use serde_json::Value;
use tokio::process::Command;

const DEVICE: &str = "tenants/acme/devices/shop";

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_roost"))
}

/// A client with a device that will move, and one of another library that talks with it.
struct Scene {
    stage: Stage,
    cluster: Cluster,
    mover: RealClient,
    account: Person,
    peer: RealClient,
    peer_account: Person,
    /// A group of both.
    group: String,
}

impl Scene {
    async fn set(mut stage: Stage, library: Library, database: Option<&str>) -> Result<Self, Failure> {
        if let Some(url) = database {
            stage.keep_device_in(url);
        }
        let store = stage.sqlite();
        let cluster = Cluster::start(&stage, program(), &store, 2).await?;
        cluster.create_tenant("acme").await?;
        cluster.create_device("acme", "shop").await?;
        let (account, peer_account) = (stage.person("mover"), stage.person("peer"));
        let other = if library == Library::Baileys { Library::WhatsappRust } else { Library::Baileys };
        let mut mover = stage.paired(library, "mover", &account).await?;
        let mut peer = stage.paired(other, "peer", &peer_account).await?;
        for round in 0..3 {
            let text = format!("to the mover {round}");
            peer.send(&account.number_jid(), &text).await?;
            mover.message(&text).await?;
            let text = format!("from the mover {round}");
            mover.send(&peer_account.number_jid(), &text).await?;
            peer.message(&text).await?;
        }
        let group = peer.group("Movers", &[account.number_jid()]).await?;
        for round in 0..2 {
            let text = format!("to the group {round}");
            peer.send(&group, &text).await?;
            mover.message(&text).await?;
        }
        Ok(Self { stage, cluster, mover, account, peer, peer_account, group })
    }

    /// The import, then the conversation goes on.
    async fn moves(self, library: &str, source: &str) -> Result<(), Failure> {
        let Self { stage, mut cluster, mover, account, mut peer, peer_account, group } = self;
        let node = cluster.bystander(DEVICE).await?;
        mover.quit().await?;
        let retries = |person: &Person| {
            let device = DeviceRef { pn: person.pn, device: 1 };
            stage.sim.ledger(|ledger| ledger.devices()[&device].retries)
        };
        let [before, of_peer] = [&account, &peer_account].map(retries);
        // Said while nobody is there: the backlog is for the new owner.
        peer.send(&account.number_jid(), "in between").await?;
        peer.send(&group, "in between in the group").await?;

        let report = succeeded(import(&node, library, source, &["--stopped", "--dry-run"]).await?)?;
        let account_of = format!("{}:1@s.whatsapp.net", account.pn);
        assert_eq!(report["account"]["phone_number"].as_str(), Some(&*account_of), "{report}");
        assert!(report["taken"]["ratchets"].as_u64() >= Some(2), "with phone and companion: {report}");
        assert!(report["taken"]["prekeys"].as_u64() > Some(100), "{report}");
        // whatsapp-rust does not say of which device a sender key is: phone and companion get it.
        let devices = if library == "whatsapp-rust" { 2 } else { 1 };
        assert_eq!(report["taken"]["sender keys"].as_u64(), Some(devices), "{report}");
        assert!(!report["left"].to_string().contains("ratchets"), "{report}");

        succeeded(import(&node, library, source, &["--stopped"]).await?)?;
        cluster.online(DEVICE).await?;
        let reader = Reader::start(&cluster, DEVICE);
        reader.received(&["in between".to_owned(), "in between in the group".to_owned()]).await?;
        peer.send(&group, "to roost in the group").await?;
        reader.received(&["to roost in the group".to_owned()]).await?;
        for round in 0..3 {
            let text = format!("to roost {round}");
            peer.send(&account.lid_jid(), &text).await?;
            reader.received(&[text]).await?;
            let text = format!("from roost {round}");
            let to = To::PhoneNumber(peer_account.pn.to_string());
            cluster.send(DEVICE, to, &text, WaitFor::ServerAck).await?;
            peer.message(&text).await?;
        }
        assert!(reader.events().iter().any(|event| matches!(&event.payload,
            Some(Payload::Paired(paired)) if paired.imported_from == library)));
        let after = [&account, &peer_account].map(retries);
        assert_eq!(after, [before, of_peer], "somebody asked for a message again");
        assert_eq!(stage.key_reuse(), Vec::<String>::new());
        assert_eq!(reader.faults(), Vec::<String>::new());

        // Once it lives here, nothing may bring old ratchets back.
        let again = import(&node, library, source, &["--stopped"]).await?;
        assert_eq!(again.status.code(), Some(19), "{again:?}");
        assert!(String::from_utf8_lossy(&again.stderr).contains("DEVICE_ALREADY_PAIRED"), "{again:?}");
        cluster.create_tenant("globex").await?;
        cluster.create_device("globex", "shop").await?;
        let elsewhere =
            import_as("tenants/globex/devices/shop", &node, library, source, &["--stopped"]).await?;
        assert_eq!(elsewhere.status.code(), Some(19), "{elsewhere:?}");
        let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
        assert!(said.contains("DEVICE_ALREADY_IMPORTED") && !said.contains("acme"), "{said}");
        Ok(())
    }
}

/// `roost device import`, with JSON as its answer.
async fn import(node: &str, library: &str, source: &str, more: &[&str]) -> Result<Output, Failure> {
    import_as(DEVICE, node, library, source, more).await
}

/// The same as another device.
async fn import_as(
    device: &str,
    node: &str,
    library: &str,
    source: &str,
    more: &[&str],
) -> Result<Output, Failure> {
    let mut command = Command::new(program());
    command.args(["-o", "json", "--endpoint", &format!("http://{node}"), "device", "import", device]);
    command.args(["--from", library, source]).args(more).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command.output().await?)
}

/// The report, which is the first line.
fn succeeded(output: Output) -> Result<Value, Failure> {
    if !output.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(serde_json::from_str(text.lines().next().unwrap_or_default())?)
}

fn device_of(stage: &Stage) -> String {
    stage.folder().join("mover.device").display().to_string()
}

#[tokio::test]
async fn a_device_of_whatsmeow_goes_on_with_its_ratchets() -> Result<(), Failure> {
    let scene = Scene::set(Stage::set().await?, Library::Whatsmeow, None).await?;
    let source = device_of(&scene.stage);
    scene.moves("whatsmeow", &source).await
}

#[tokio::test]
async fn a_device_of_whatsmeow_on_postgresql_goes_on_with_its_ratchets() -> Result<(), Failure> {
    let server = tokio::task::spawn_blocking(TempPostgres::start).await??;
    let url = server.database("whatsmeow")?;
    let local = format!("{url}{}sslmode=disable", if url.contains('?') { "&" } else { "?" });
    let scene = Scene::set(Stage::set().await?, Library::Whatsmeow, Some(&local)).await?;
    scene.moves("whatsmeow", &url).await
}

#[tokio::test]
async fn a_device_of_baileys_goes_on_with_its_ratchets() -> Result<(), Failure> {
    let scene = Scene::set(Stage::set().await?, Library::Baileys, None).await?;
    let source = device_of(&scene.stage);
    scene.moves("baileys", &source).await
}

#[tokio::test]
async fn a_device_of_whatsapp_rust_goes_on_with_its_ratchets() -> Result<(), Failure> {
    let scene = Scene::set(Stage::set().await?, Library::WhatsappRust, None).await?;
    let source = device_of(&scene.stage);
    scene.moves("whatsapp-rust", &source).await
}

#[tokio::test]
async fn a_source_that_is_in_use_is_refused() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let libraries = [
        (Library::Whatsmeow, "whatsmeow"),
        (Library::Baileys, "baileys"),
        (Library::WhatsappRust, "whatsapp-rust"),
    ];
    for (library, name) in libraries {
        let person = stage.person(name);
        let client = stage.paired(library, name, &person).await?;
        let source = stage.folder().join(format!("{name}.device"));
        // Baileys leaves no trace but what it wrote.
        if library == Library::Baileys {
            touch(&source.join("creds.json"))?;
        }
        let output = import("127.0.0.1:1", name, &source.display().to_string(), &["--dry-run"]).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(19), "{name}: {said}");
        assert!(said.contains("SOURCE_IN_USE"), "{name}: {said}");
        client.quit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_source_that_is_none_is_refused_with_what_is_wrong() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "")?;
    let cases = [
        ("whatsmeow", folder.path().join("missing.db"), 24, "SOURCE_UNREADABLE"),
        ("whatsmeow", empty.clone(), 19, "SOURCE_SCHEMA_UNKNOWN"),
        ("whatsapp-rust", empty, 19, "SOURCE_SCHEMA_UNKNOWN"),
        ("baileys", folder.path().join("missing"), 24, "SOURCE_UNREADABLE"),
        ("baileys", folder.path().to_owned(), 24, "SOURCE_UNREADABLE"),
    ];
    for (library, source, code, reason) in cases {
        let source = source.display().to_string();
        let output = import("127.0.0.1:1", library, &source, &["--dry-run"]).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{library} {source}: {said}");
        assert!(said.contains(reason), "{library} {source}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_running_source_is_noticed_also_by_a_role_that_may_not_look_at_sessions() -> Result<(), Failure> {
    let server = tokio::task::spawn_blocking(TempPostgres::start).await??;
    let url = server.database("whatsmeow")?;
    server.sql("postgres", "CREATE ROLE reader LOGIN")?;
    let reader = url.replacen("roost@", "reader@", 1);
    assert_ne!(reader, url);
    let import = || import("127.0.0.1:1", "whatsmeow", &reader, &["--dry-run"]);
    let said = |output: Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let alone = said(import().await?);
    assert!(alone.contains("SOURCE_SCHEMA_UNKNOWN"), "nobody uses it, and it is empty: {alone}");
    let mut session = server.session("whatsmeow", "whatsmeow")?;
    session.run("SELECT 1");
    let used = said(import().await?);
    assert!(used.contains("SOURCE_IN_USE"), "{used}");
    Ok(())
}

fn touch(path: &Path) -> std::io::Result<()> {
    std::fs::File::options().append(true).open(path)?.set_modified(std::time::SystemTime::now())
}
