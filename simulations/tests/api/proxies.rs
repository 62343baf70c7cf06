//! Devices that connect to WhatsApp through a proxy of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roost_node::api::port::Cluster as _;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::*;
use roost_simulations::wa::PublicPack;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::Code;

use crate::live::{Live, TENANT, send, text};
use crate::world::{World, bad_field, by, refusal, until};

/// An HTTP proxy that lets `user` with `hunter2` through, and counts.
struct Proxy {
    at: SocketAddr,
    through: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    async fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let (through, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (passed, turned_away) = (through.clone(), refused.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("it listens");
                let (passed, turned_away) = (passed.clone(), turned_away.clone());
                tokio::spawn(async move {
                    let done = serve(client, &passed, &turned_away).await;
                    // Either side may end it.
                    drop(done);
                });
            }
        });
        Proxy { at, through, refused, serving }
    }

    fn uri(&self, password: &str) -> String {
        format!("http://user:{password}@{}", self.at)
    }

    fn through(&self) -> usize {
        self.through.load(Ordering::SeqCst)
    }

    async fn more_than(&self, count: usize) {
        until("more go through the proxy", || async { (self.through() > count).then_some(()) }).await;
    }
}

async fn serve(mut client: TcpStream, through: &AtomicUsize, refused: &AtomicUsize) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if !head.contains(&format!("Basic {}", STANDARD.encode("user:hunter2"))) {
        refused.fetch_add(1, Ordering::SeqCst);
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    }
    let mut server = TcpStream::connect(head.split_whitespace().nth(1).unwrap_or_default()).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    through.fetch_add(1, Ordering::SeqCst);
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn with_proxy(live: &Live, id: &str, proxy_uri: String) -> String {
    let (device_id, parent) = (id.to_owned(), TENANT.to_owned());
    let request = CreateDeviceRequest { parent, device_id, proxy_uri, ..Default::default() };
    live.at(0).devices().create_device(request).await.expect("new").into_inner().name
}

async fn choose(live: &Live, place: usize, name: &str, proxy_uri: &str) -> Device {
    let (name, proxy_uri) = (name.to_owned(), Some(proxy_uri.to_owned()));
    let request = UpdateDeviceRequest { name, proxy_uri, display_name: None };
    live.at(place).devices().update_device(request).await.expect("changed").into_inner()
}

async fn shown(live: &Live, name: &str) -> Device {
    let request = GetDeviceRequest { name: name.to_owned() };
    live.at(0).devices().get_device(request).await.expect("a device").into_inner()
}

#[tokio::test]
async fn a_device_goes_through_its_own_proxy_whichever_node_holds_it_and_another_does_not() {
    let live = Live::new(2).await;
    let proxy = Proxy::start().await;
    let name = with_proxy(&live, "shop", proxy.uri("hunter2")).await;
    live.pair(1, &name, "the phone").await;
    live.until_state(&name, device::State::Online).await;
    assert_eq!(shown(&live, &name).await.proxy_uri, format!("http://user@{}", proxy.at));
    let paired = proxy.through();
    assert!(paired >= 2, "the pairing and the login: {paired}");
    live.online("other").await;
    assert_eq!(proxy.through(), paired, "the other device goes its node's way");

    let owner = live.owner(&name).await.expect("it has an owner");
    let target = format!("n{}", (owner + 1) % 2 + 1);
    let there = MoveDeviceRequest { name: name.clone(), target, ..Default::default() };
    live.at(owner).cluster().move_device(there).await.expect("moved");
    live.until_state(&name, device::State::Online).await;
    assert_ne!(live.owner(&name).await, Some(owner));
    assert!(proxy.through() > paired, "its next owner goes through the proxy too");
    assert_eq!(proxy.refused.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn files_of_a_device_go_through_its_proxy_at_every_node_and_those_of_others_do_not() {
    let live = Live::new(2).await;
    let proxy = Proxy::start().await;
    let shop = with_proxy(&live, "shop", proxy.uri("hunter2")).await;
    let pn = live.sim.account(None, Some("the phone"));
    live.sim.phone_remembers(pn, Vec::new()).expect("it has a phone");
    live.pair(0, &shop, "the phone").await;
    live.until_state(&shop, device::State::Online).await;
    let files = || live.sim.look(|machine| machine.history_files(pn));
    until("the names are read", || async { (files() == (1, 0)).then_some(()) }).await;
    assert_eq!(proxy.through(), 4, "two sockets, a file of history, and its deletion");
    let (other, ..) = live.online("other").await;
    for place in 0..2 {
        let document = upload(&live, place, &[7; 5000]).await;
        let before = proxy.through();
        give(&live, place, &other, &document).await;
        assert_eq!(proxy.through(), before, "the file of the other device goes the way of its node");
        // What is at WhatsApp is not uploaded again for another device.
        let document = upload(&live, place, &[8; 5000]).await;
        give(&live, place, &shop, &document).await;
        assert_eq!(proxy.through(), before + 1, "one upload");
    }
    let pack = PublicPack {
        id: "hens".to_owned(),
        name: "Hens".to_owned(),
        publisher: "The shop".to_owned(),
        stickers: vec![(vec![1; 3000], "hen".to_owned())],
    };
    live.sim.act(|machine, _| Ok::<_, ()>((machine.offer_stickers(&pack), Vec::new()))).expect("offered");
    let file = |device: &str| {
        let hash = hex::encode(Sha256::digest(vec![1; 3000]));
        DownloadMediaRequest { name: format!("{device}/stickers/hens/media/{hash}"), offset: 0, limit: 0 }
    };
    for (device, more) in [(&other, 0), (&shop, 1)] {
        let before = proxy.through();
        let mut parts = live.at(1).media().download_media(file(device)).await.expect("begun").into_inner();
        while parts.message().await.expect("whole").is_some() {}
        // The pack was asked for by the first, and is remembered.
        assert_eq!(proxy.through(), before + more, "{device}");
    }
    assert_eq!(proxy.refused.load(Ordering::SeqCst), 0);
}

/// Gives a node a file.
async fn upload(live: &Live, place: usize, bytes: &[u8]) -> Media {
    let header = upload_media_request::Header {
        parent: TENANT.into(),
        kind: media::Kind::Document.into(),
        mime_type: "application/pdf".into(),
        ..Default::default()
    };
    let header = upload_media_request::Part::Header(header);
    let data = upload_media_request::Part::Data(bytes.to_vec());
    let parts = [header, data].map(|part| UploadMediaRequest { part: Some(part) });
    live.at(place).media().upload_media(tokio_stream::iter(parts)).await.expect("taken").into_inner()
}

/// Has a device send a document through a node.
async fn give(live: &Live, place: usize, device: &str, file: &Media) {
    let document = Document { media: Some(file.clone()), ..Default::default() };
    let text = text(device, live.friend(), "", WaitFor::ServerAck);
    let request =
        SendMessageRequest { content: Some(send_message_request::Content::Document(document)), ..text };
    send(live.at(place), request, Duration::from_secs(60)).await.expect("sent");
}

#[tokio::test]
async fn another_proxy_reconnects_a_device_and_one_that_refuses_is_named_as_the_cause() {
    let live = Live::new(2).await;
    let (first, second) = (Proxy::start().await, Proxy::start().await);
    let (name, owner, other, _) = live.online("shop").await;
    choose(&live, other, &name, &first.uri("hunter2")).await;
    first.more_than(0).await;
    live.until_state(&name, device::State::Online).await;

    let before = first.through();
    choose(&live, owner, &name, &second.uri("hunter2")).await;
    second.more_than(0).await;
    live.until_state(&name, device::State::Online).await;
    choose(&live, other, &name, &second.uri("hunter2")).await;
    live.until_state(&name, device::State::Online).await;
    assert_eq!((first.through(), second.through()), (before, 1), "the same again changes nothing");

    choose(&live, other, &name, &second.uri("wrong-secret")).await;
    live.until_state(&name, device::State::Backoff).await;
    let refused = shown(&live, &name).await;
    let cause = format!("its proxy http://user@{} let nothing through", second.at);
    assert!(refused.state_reason.contains(&cause), "{}", refused.state_reason);
    assert!(!refused.state_reason.contains("wrong-secret"), "{}", refused.state_reason);
    assert!(second.refused.load(Ordering::SeqCst) > 0);

    choose(&live, other, &name, "").await;
    live.until_state(&name, device::State::Online).await;
    assert_eq!((shown(&live, &name).await.proxy_uri, second.through()), (String::new(), 1));
}

#[tokio::test]
async fn a_device_with_a_proxy_of_its_own_says_nothing_of_its_nodes_way() {
    let live = Live::new(1).await;
    let proxy = Proxy::start().await;
    let name = with_proxy(&live, "apart", proxy.uri("hunter2")).await;
    live.pair(0, &name, "the phone").await;
    live.until_state(&name, device::State::Online).await;
    live.online("beside").await;
    let node = || {
        let seen = live.nodes[0].cluster.views().borrow().clone();
        seen.view.members.first().map(|member| (member.beats, member.reach))
    };
    let (beats, _) = node().expect("it is a member");
    let reach = until("two more heartbeats", || async {
        node().filter(|(now, _)| *now >= beats + 2).map(|(_, reach)| reach)
    });
    assert_eq!(reach.await.connected, 1, "both are connected, and one goes this node's way");
}

#[tokio::test]
async fn what_is_no_proxy_is_refused_by_its_field_and_a_password_is_on_no_page() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let mut devices = world.at(0).devices();
    let name = "tenants/acme/devices/shop";
    let create = |proxy_uri: &str| CreateDeviceRequest {
        parent: "tenants/acme".into(),
        device_id: "shop".into(),
        display_name: "Shop".into(),
        proxy_uri: proxy_uri.into(),
    };
    let update = |proxy_uri: Option<&str>| UpdateDeviceRequest {
        name: name.into(),
        proxy_uri: proxy_uri.map(str::to_owned),
        display_name: None,
    };
    assert_eq!(bad_field(devices.create_device(create("https://proxy:443")).await), "proxy_uri");
    let secret = "socks5://user:hunter2@proxy.example:1080";
    let made = devices.create_device(create(secret)).await.expect("new").into_inner();
    assert_eq!(made.proxy_uri, "socks5://user@proxy.example:1080");
    assert_eq!(bad_field(devices.update_device(update(Some("proxy:1080"))).await), "proxy_uri");
    let back = devices.update_device(update(Some(&made.proxy_uri))).await;
    assert_eq!(bad_field(back), "proxy_uri", "what was shown is not the whole of it");
    let long = UpdateDeviceRequest { display_name: Some("x".repeat(201)), ..update(None) };
    assert_eq!(bad_field(devices.update_device(long).await), "display_name");
    let nobody = UpdateDeviceRequest { name: "tenants/acme/devices/none".into(), ..update(Some("")) };
    assert_eq!(refusal(devices.update_device(nobody).await), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
    let foreign = by("globex", update(Some("")));
    let forbidden = (Code::PermissionDenied, "TENANT_FORBIDDEN".to_owned());
    assert_eq!(refusal(devices.update_device(foreign).await), forbidden);

    let named = UpdateDeviceRequest { display_name: Some("Store".into()), ..update(None) };
    let named = devices.update_device(named).await.expect("changed").into_inner();
    assert_eq!((named.display_name.as_str(), named.proxy_uri), ("Store", made.proxy_uri));
    let pages = world.pages();
    assert!(!pages.is_empty() && !pages.windows(7).any(|bytes| bytes == b"hunter2"));
}
