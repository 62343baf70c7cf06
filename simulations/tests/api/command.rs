//! The command line, as a process of its own.

use std::process::{Output, Stdio};

use roost_simulations::wa::Fault;
use serde_json::Value;
use tokio::process::Command;

use crate::live::{Live, TENANT};

fn roost(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roost"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Asks the first node, with JSON as its answer.
pub(crate) async fn run(live: &Live, arguments: &[&str]) -> Output {
    let endpoint = live.nodes[0].endpoint.clone();
    let mut command = roost(&["-o", "json", "--endpoint", &endpoint]);
    command.args(arguments).output().await.expect("it runs")
}

/// The lines that a command has printed, which must have worked.
pub(crate) async fn lines(live: &Live, arguments: &[&str]) -> Vec<Value> {
    let done = run(live, arguments).await;
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What became of each person whom a command has named, which must have worked: WhatsApp's codes.
async fn outcomes(live: &Live, arguments: &[&str]) -> Vec<(String, u64)> {
    let outcome =
        |line: &Value| Some((line["person"]["phoneNumber"].as_str()?.to_owned(), line["code"].as_u64()?));
    let said = lines(live, arguments).await;
    said.iter().map(|line| outcome(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

/// The exit code of a command that is refused, and the reason, which it says first.
async fn refusal(live: &Live, arguments: &[&str]) -> (Option<i32>, String) {
    let done = run(live, arguments).await;
    let said = String::from_utf8(done.stderr).expect("text");
    (done.status.code(), said.split(':').next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_reader_who_has_had_enough_ends_a_command_quietly() {
    for arguments in [&["version"][..], &["config", "defaults"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let done = roost(arguments).stdout(writer).stderr(Stdio::piped()).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!((done.status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_sent_again_under_its_request_id_is_the_same_message() {
    let live = Live::new(2).await;
    live.online("shop").await;
    let friend = live.friend().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    };
    let (page, other) = (path("page.txt", b"a page"), path("other.txt", b"another page"));
    let id = uuid::Uuid::new_v4().to_string();
    let send =
        |file: &str| ["send", "document", "acme/shop", &friend, file, "--request-id", &id].map(str::to_owned);
    let name = async |file: &str| {
        let wanted = send(file);
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        lines(&live, &wanted).await[0]["name"].clone()
    };
    let first = name(&page).await;
    assert!(first.as_str().is_some_and(|name| name.starts_with(TENANT)), "{first}");
    assert_eq!(name(&page).await, first, "uploaded again, and not sent again");
    let another = send(&other);
    let another: Vec<&str> = another.iter().map(String::as_str).collect();
    let refused = run(&live, &another).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("IDEMPOTENCY_KEY_REUSED"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_looked_after_from_the_command_line() {
    let live = Live::new(1).await;
    live.online("shop").await;
    let (_, _, _, farm) = live.online("farm").await;
    let made = lines(&live, &["group", "create", "acme/shop", "Hens"]).await;
    let group = made[0]["group"].as_str().expect("a group").to_owned();
    let shown = lines(&live, &["group", "describe", "acme/shop", &group, "All about hens"]).await;
    assert_eq!(shown[0]["description"], "All about hens");
    let shown = lines(&live, &["group", "timer", "acme/shop", &group, "7d"]).await;
    assert_eq!(shown[0]["settings"]["disappearing"], "604800s", "{shown:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("hen.jpg");
    std::fs::write(&picture, [0xff, 0xd8, 0xff, 0xe0, 7]).expect("written");
    let picture = picture.display().to_string();
    let set = lines(&live, &["group", "picture", "acme/shop", &group, &picture]).await;
    assert!(set[0]["id"].as_str().is_some_and(|id| !id.is_empty()), "{set:?}");
    let removed = lines(&live, &["group", "picture", "acme/shop", &group, "--remove"]).await;
    assert_eq!(removed[0]["id"], "");

    run(&live, &["group", "set", "acme/shop", &group, "--approval", "true"]).await;
    let invite = lines(&live, &["group", "invite", "acme/shop", &group]).await;
    let code = invite[0]["code"].as_str().expect("a code").to_owned();
    let preview = lines(&live, &["group", "preview", "acme/farm", &code]).await;
    assert_eq!((&preview[0]["group"], &preview[0]["subject"]), (&group.as_str().into(), &"Hens".into()));
    let joined = lines(&live, &["group", "join", "acme/farm", &code]).await;
    assert_eq!((&joined[0]["group"], &joined[0]["waiting"]), (&group.as_str().into(), &true.into()));
    let waiting = lines(&live, &["group", "requests", "acme/shop", &group]).await;
    let who = waiting[0]["person"]["lid"].as_str().expect("a LID").to_owned();
    let let_in = outcomes(&live, &["group", "approve", "acme/shop", &group, &who]).await;
    assert_eq!(let_in, [(format!("{}@s.whatsapp.net", farm.pn), 200)]);
    assert!(lines(&live, &["group", "requests", "acme/shop", &group]).await.is_empty());
    let members = &lines(&live, &["group", "show", "acme/shop", &group]).await[0]["participants"];
    assert!(members.to_string().contains(&farm.pn.to_string()), "{members}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_devices_of_an_account_keep_is_changed_from_the_command_line() {
    let live = Live::new(1).await;
    crate::chats::with_memory(&live, "shop").await;
    let chat = "15559990000";
    for arguments in [
        &["chat", "pin", "acme/shop", chat][..],
        &["chat", "star", "acme/shop", chat, "OLD1"],
        &["chat", "unstar", "acme/shop", chat, "OLD2", "--from-me"],
        &["chat", "delete-message", "acme/shop", chat, "OLD3", "--sent", "1700000000"],
        &["chat", "clear", "acme/shop", chat, "--keep-starred"],
        &["contact", "mute", "acme/shop", chat],
        &["contact", "unmute", "acme/shop", chat],
    ] {
        assert!(lines(&live, arguments).await.is_empty(), "{arguments:?}");
    }
    let shown = lines(&live, &["chat", "show", "acme/shop", chat]).await;
    assert_eq!(shown[0]["pinned"], true, "{shown:?}");
    assert!(lines(&live, &["chat", "delete", "acme/shop", chat, "--files"]).await.is_empty());
    let log = lines(&live, &["events", "tail", "acme/shop"]).await;
    let told = |name: &str| log.iter().any(|event| event.to_string().contains(name));
    for name in ["starred", "keepStarred", "deleted"] {
        assert!(told(name), "{name}: {log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sees_what_of_an_account_is_chosen_from_the_command_line() {
    let live = Live::new(1).await;
    live.online("shop").await;
    let changed = lines(&live, &["account", "set-privacy", "acme/shop", "last", "none"]).await;
    assert_eq!(changed[0]["settings"]["last"], "none", "{changed:?}");
    let friend = live.friend().to_string();
    let except = ["account", "set-privacy", "acme/shop", "status", "contact_blacklist", "--except", &friend];
    assert_eq!(lines(&live, &except).await[0]["settings"]["status"], "contact_blacklist");
    let shown = lines(&live, &["account", "privacy", "acme/shop"]).await;
    assert_eq!((&shown[0]["settings"]["last"], shown.len()), (&"none".into(), 2), "{shown:?}");
    assert!(lines(&live, &["account", "timer", "acme/shop", "24h"]).await.is_empty());
    let refused = run(&live, &["account", "timer", "acme/shop", "25h"]).await;
    assert_eq!(refused.status.code(), Some(2), "it is no timer of WhatsApp's");
    let bots = lines(&live, &["contact", "bots", "acme/shop"]).await;
    let titles: Vec<&str> = bots.iter().filter_map(|bot| bot["title"].as_str()).collect();
    assert_eq!(titles, ["Meta AI", "Cook"], "{bots:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_groups_of_a_community_are_looked_at_and_joined_from_the_command_line() {
    let live = Live::new(1).await;
    live.online("shop").await;
    let (_, _, _, farm) = live.online("farm").await;
    let made = async |more: &[&str]| {
        let line = [&["group", "create", "acme/shop"], more].concat();
        lines(&live, &line).await[0]["group"].as_str().expect("a group").to_owned()
    };
    let community = made(&["Poultry", "--community"]).await;
    let hens = made(&["Hens", "--parent", &community]).await;
    let announcements = lines(&live, &["group", "subgroups", "acme/shop", &community]).await;
    let announcements =
        announcements.iter().find(|group| group["group"] != hens.as_str()).expect("it has one");
    let announcements = announcements["group"].as_str().expect("a group").to_owned();
    let farm = format!("{}@s.whatsapp.net", farm.pn);
    let reporter = farm.clone();
    let added = outcomes(&live, &["group", "add", "acme/shop", &announcements, &farm]).await;
    assert_eq!(added, [(farm, 200)]);
    let preview = lines(&live, &["group", "preview-subgroup", "acme/farm", &community, &hens]).await;
    assert_eq!(preview[0]["subject"], "Hens", "{preview:?}");
    let joined = lines(&live, &["group", "join-subgroup", "acme/farm", &community, &hens]).await;
    assert_eq!(joined[0]["group"], hens.as_str(), "{joined:?}");
    let outside = made(&["Ducks"]).await;
    let outside = refusal(&live, &["group", "join-subgroup", "acme/farm", &community, &outside]).await;
    assert_eq!(outside, (Some(15), "UPSTREAM_REFUSED".to_owned()), "it is in no community");

    let said = lines(&live, &["send", "acme/shop", &hens, "the hens are loose"]).await;
    let id = said[0]["whatsappId"].as_str().expect("an id").to_owned();
    let report = ["group", "report", "acme/farm", &hens, &id];
    let refused = refusal(&live, &report).await;
    assert_eq!(refused, (Some(17), "UPSTREAM_REFUSED".to_owned()), "the group does not allow it");
    let set = lines(&live, &["group", "set", "acme/shop", &hens, "--admin-reports", "true"]).await;
    assert_eq!(set[0]["group"], hens.as_str(), "{set:?}");
    assert!(lines(&live, &report).await.is_empty());
    let reported = lines(&live, &["group", "reports", "acme/shop", &hens]).await;
    let by = &reported[0]["reports"][0]["reporter"]["phoneNumber"];
    assert_eq!((reported.len(), &reported[0]["whatsappId"], by), (1, &id.into(), &reporter.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_devices_of_an_account_share_is_written_from_the_command_line() {
    let live = Live::new(1).await;
    crate::chats::with_memory(&live, "shop").await;
    let reply = ["account", "quick-reply", "acme/shop", "7", "/hi", "Hello!", "--keyword", "greeting"];
    assert!(lines(&live, &reply).await.is_empty());
    let record = ["account", "record", "acme/shop", "regular", "2", "quick_reply", "7"];
    assert!(lines(&live, &[&record[..], &["--remove"]].concat()).await.is_empty());
    assert!(lines(&live, &["account", "delete-quick-reply", "acme/shop", "7"]).await.is_empty());
    let folder = tempfile::tempdir().expect("a folder");
    let nonsense = folder.path().join("value");
    std::fs::write(&nonsense, [0xff]).expect("written");
    let nonsense = nonsense.display().to_string();
    let refused = run(&live, &[&record[..], &["--value", &nonsense]].concat()).await;
    assert_eq!(refused.status.code(), Some(13), "{refused:?}");
    let log = lines(&live, &["events", "tail", "acme/shop"]).await;
    assert!(log.iter().any(|event| event.to_string().contains("/hi")), "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_watched_to_its_end_from_the_command_line() {
    let live = Live::new(1).await;
    let (.., device) = live.online("shop").await;
    // What WhatsApp says of the friend comes after the test.
    let late = Fault::Delay { device: Some(device.to_string()), ms: 600_000 };
    live.sim.commit(&late).expect("a known device");
    let friend = live.friend().to_string();
    let send = ["send", "acme/shop", &friend, "hello", "--wait", "accepted", "--expire-in", "3s"];
    let sent = lines(&live, &send).await;
    let name = sent[0]["name"].as_str().expect("a name").to_owned();
    let watched = lines(&live, &["message", "watch", &name]).await;
    let states: Vec<&str> = watched.iter().filter_map(|message| message["state"].as_str()).collect();
    assert_eq!(states.last(), Some(&"EXPIRED"), "{states:?}");
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{states:?}");
    let nothing = run(&live, &["message", "watch", "tenants/acme/devices/shop/messages/01HZX3"]).await;
    assert_eq!(nothing.status.code(), Some(15), "{nothing:?}");
}
