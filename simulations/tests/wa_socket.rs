//! The simulated WhatsApp over a real socket, with probes made from the client half of `proto`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use roost_proto::appstate::Action;
use roost_proto::login::{Failure, FailureReason, StreamError};
use roost_proto::stanza::{Builder, Jid, Read as _, Stanza, iq};
use roost_simulations::wa::probe::{Probe, ProbeError, SocketProbe, trust};
use roost_simulations::wa::{Fault, Scanner, SimOptions, SimServer};
use tokio_websockets::{ClientBuilder, Message};

/// How long a server may take to cut somebody off; busy machines are slow.
const LIMIT: Duration = Duration::from_secs(20);

async fn server() -> SimServer {
    SimServer::start(SimOptions { seed: Some(1), ..SimOptions::default() }).await.expect("starts")
}

async fn connect(server: &SimServer, probe: Probe) -> SocketProbe {
    let connected = SocketProbe::connect(probe, server.addr(), trust(server.ca_pem()), &server.root()).await;
    connected.expect("connects")
}

/// Pairs through the QR code and comes back online with published prekeys.
async fn linked(server: &SimServer, seed: u64, name: &str) -> SocketProbe {
    let mut device = connect(server, Probe::new(seed, name)).await;
    device.until("a QR code", |probe, _| probe.qr.is_some()).await.expect("shown");
    let code = device.probe.qr.clone().expect("shown");
    server.scan(&code, &Scanner::default()).expect("scanned");
    let end = device.until("the restart", |_, stanza| StreamError::of(stanza).is_some()).await.expect("told");
    assert_eq!(StreamError::of(&end), Some(StreamError::RestartRequired));
    online(server, device.leave()).await
}

async fn online(server: &SimServer, probe: Probe) -> SocketProbe {
    let mut device = connect(server, probe).await;
    let first = device.until("an answer", |_, stanza| matches!(&*stanza.tag, "success" | "failure")).await;
    assert_eq!(first.expect("answered").tag, "success");
    let upload = device.probe.upload();
    ask(&mut device, &upload).await;
    let active = device.probe.active();
    device.say(&active).await.expect("written");
    device
        .until("the end of the backlog", |_, stanza| stanza.child("offline").is_some())
        .await
        .expect("told");
    device
}

async fn ask(device: &mut SocketProbe, request: &Stanza) -> Stanza {
    device.say(request).await.expect("written");
    let id = request.text("id").expect("requests have ids").into_owned();
    let answered =
        |_: &Probe, stanza: &Stanza| stanza.tag == "iq" && stanza.text("id").as_deref() == Some(&id);
    device.until("an answer", answered).await.expect("answered")
}

async fn text(from: &mut SocketProbe, chat: &Jid, text: &str) {
    let own = from.probe.jid.clone().expect("paired");
    let query = from.probe.ask_devices(&[chat.clone(), own.to_non_ad()]);
    let mut devices = Probe::devices_in(&ask(from, &query).await);
    devices.retain(|device| *device != own);
    let query = from.probe.ask_bundles(&devices);
    let bundles = ask(from, &query).await;
    from.probe.take_bundles(&bundles);
    let stanza = from.probe.text(chat, &devices, text);
    from.say(&stanza).await.expect("written");
    from.until("the ack", |_, stanza| stanza.tag == "ack").await.expect("acknowledged");
}

fn account(device: &SocketProbe) -> Jid {
    device.probe.jid.as_ref().expect("paired").to_non_ad()
}

#[tokio::test]
async fn two_devices_pair_and_talk_both_ways() {
    let server = server().await;
    let (mut ada, mut bob) = (linked(&server, 1, "ada").await, linked(&server, 2, "bob").await);
    let (to_ada, to_bob) = (account(&ada), account(&bob));
    text(&mut ada, &to_bob, "hello bob").await;
    bob.until("the text", |probe, _| !probe.inbox.is_empty()).await.expect("received");
    text(&mut bob, &to_ada, "hello ada").await;
    ada.until("the answer", |probe, _| !probe.inbox.is_empty()).await.expect("received");
    assert_eq!(ada.probe.inbox[0].2, "hello ada");
    let (reuses, logins) = server.ledger(|ledger| (ledger.totals().key_reuses, ledger.totals().logins));
    assert_eq!((reuses, logins), (0, 2));
    server.stop().await;
}

#[tokio::test]
async fn a_phone_talks_and_a_delay_keeps_the_order() {
    let server = server().await;
    let mut bob = linked(&server, 2, "bob").await;
    let ada = server.account(None, Some("ada"));
    let device = account(&bob).user.to_string() + ":1";
    server.commit(&Fault::Delay { device: Some(device.clone()), ms: 300 }).expect("known");
    let to = account(&bob).to_string();
    for number in 0..5 {
        server.phone_sends(ada, &to, &number.to_string()).expect("sent");
    }
    bob.until("all texts", |probe, _| probe.inbox.len() == 5).await.expect("received");
    let texts: Vec<_> = bob.probe.inbox.iter().map(|(_, _, text)| text.as_str()).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_trusts_another_root_says_nothing_of_itself() {
    let server = server().await;
    let refused =
        SocketProbe::connect(Probe::new(1, "ada"), server.addr(), trust(server.ca_pem()), &[9; 32]).await;
    assert!(matches!(refused, Err(ProbeError::Handshake(_))));
    assert_eq!(server.look(|machine| machine.accounts().len()), 0);
    server.stop().await;
}

#[tokio::test]
async fn devices_log_in_after_a_restart_and_get_what_waited() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = |folder: &Path| SimOptions {
        state: Some(folder.join("state.json")),
        directory: Some(folder.to_owned()),
        phones_share: true,
        ..SimOptions::default()
    };
    let server = SimServer::start(options(folder.path())).await.expect("starts");
    let bob = linked(&server, 2, "bob").await;
    let to = account(&bob).to_string();
    let probe = bob.leave();
    let ada = server.account(None, Some("ada"));
    // The connection of a probe that left may still stand for a moment; the text waits either way.
    server.phone_sends(ada, &to, "kept").expect("sent");
    let name = |name: &str| [Action::PushName(name.to_owned())];
    server.phone_changes(ada, &name("Ada")).expect("changed");
    let root = server.root_hex();
    server.stop().await;
    assert_eq!(std::fs::read_to_string(folder.path().join("root.hex")).expect("written"), root);
    let server = SimServer::start(options(folder.path())).await.expect("starts again");
    assert_eq!(server.root_hex(), root);
    server.phone_changes(ada, &name("Ada L")).expect("its phone knows the key and follows what was kept");
    let mut bob = connect(&server, probe).await;
    let active = bob.probe.active();
    bob.say(&active).await.expect("written");
    bob.until("the text", |probe, _| probe.inbox.len() == 1).await.expect("received");
    assert_eq!(bob.probe.inbox[0].2, "kept");
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_is_refused_with_401() {
    let server = server().await;
    let mut probe = Probe::new(3, "nobody");
    probe.jid = Some(Jid::pn_device("4900000", 1));
    let mut stranger = connect(&server, probe).await;
    let failure = stranger.until("the failure", |_, stanza| stanza.tag == "failure").await.expect("told");
    assert_eq!(Failure::of(&failure).reason, FailureReason::LoggedOut);
    server.stop().await;
}

#[tokio::test]
async fn who_names_a_hosted_device_as_a_usual_one_is_refused_and_the_ledger_says_why() {
    let server = server().await;
    let mut ada = linked(&server, 1, "ada").await;
    let hosted = Jid::pn_device("4915", 99);
    let request = ada.probe.ask_bundles(std::slice::from_ref(&hosted));
    let refused = iq::outcome(ask(&mut ada, &request).await).expect_err("it is named wrongly");
    assert_eq!(refused.code, 400);
    let message = Builder::new("message").attr("id", "3EB0").attr("to", hosted).build();
    ada.say(&message).await.expect("written");
    let ack = ada.until("the ack", |_, stanza| stanza.tag == "ack").await.expect("answered");
    assert_eq!(ack.number("error"), Some(400));
    let device = format!("{}:1", account(&ada).user);
    for tag in ["iq", "message"] {
        let reason = "a hosted device is named as a usual one";
        assert!(
            refusals(&server).await.contains(&(Some(device.clone()), tag.into(), reason.into())),
            "{tag}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn who_writes_what_is_no_stanza_is_cut_off_and_the_ledger_says_why() {
    let server = server().await;
    let mut ada = linked(&server, 1, "ada").await;
    ada.say_text("hello").await.expect("written");
    let ended = ada.until("nothing", |_, _| false).await;
    assert!(matches!(ended, Err(ProbeError::Closed | ProbeError::WebSocket(_))), "{ended:?}");
    let device = Some(format!("{}:1", account(&ada).user));
    let text = "a WebSocket message was text";
    assert_eq!(refusals(&server).await.pop(), Some((device, "connection".into(), text.into())));
    let hello = [&b"WA\x06\x03"[..], &[0, 0, 2, 8, 1]].concat();
    for (message, why) in [
        (Message::text("WA"), text),
        (Message::binary(&b"XX\x06\x03"[..]), "a frame was malformed: "),
        (Message::binary(hello), "the handshake failed: "),
    ] {
        let uri = format!("ws://{}/ws/chat", server.addr()).parse().expect("a URI");
        let (mut socket, _) = ClientBuilder::from_uri(uri).connect().await.expect("upgraded");
        socket.send(message).await.expect("written");
        let until_closed = async { while let Some(Ok(_)) = socket.next().await {} };
        tokio::time::timeout(LIMIT, until_closed).await.expect(why);
        let (device, tag, reason) = refusals(&server).await.pop().expect("it is kept");
        assert_eq!((device, &*tag), (None, "connection"));
        assert!(reason.starts_with(why), "{reason}");
    }
    server.stop().await;
}

/// What `/admin/ledger` tells of refusals: whose, of what, and why.
async fn refusals(server: &SimServer) -> Vec<(Option<String>, String, String)> {
    let (_, ledger) = http(server.addr(), "GET", "/admin/ledger", "").await;
    let ledger: serde_json::Value = serde_json::from_str(&ledger).expect("JSON");
    let text = |one: &serde_json::Value, key: &str| one[key].as_str().map(str::to_owned);
    let refusals = ledger["refusals"].as_array().expect("a list").iter();
    let told = refusals.map(|one| {
        (text(one, "device"), text(one, "tag").expect("a tag"), text(one, "reason").expect("a reason"))
    });
    told.collect()
}

#[tokio::test]
async fn the_admin_calls_answer_over_plain_http() {
    let server = server().await;
    let (status, made) =
        http(server.addr(), "POST", "/admin/accounts", r#"{"pn":"4915","name":"ada"}"#).await;
    assert_eq!(status, 200, "{made}");
    assert!(made.contains(r#""pn":"4915""#) && made.contains(r#""lid":"10004915""#), "{made}");
    let (status, _) = http(server.addr(), "POST", "/admin/mock-phone/scan-qr", "nonsense").await;
    assert_eq!(status, 400);
    let (status, _) =
        http(server.addr(), "POST", "/admin/faults", r#"{"kind":"unlink","device":"1:1"}"#).await;
    assert_eq!(status, 404);
    let (status, ledger) = http(server.addr(), "GET", "/admin/ledger", "").await;
    assert_eq!(status, 200);
    assert!(ledger.contains(r#""key_reuses":0"#), "{ledger}");
    let (_, root) = http(server.addr(), "GET", "/admin/root.hex", "").await;
    assert_eq!(root, server.root_hex());
    server.stop().await;
}

/// One HTTP call, as plain as it can be.
async fn http(addr: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(addr).await.expect("connects");
    let length = body.len();
    let kind = "content-type: application/json\r\nconnection: close";
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let status = answer.get(9..12).and_then(|code| code.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}
