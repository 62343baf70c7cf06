//! The health of accounts and the pace of devices through the API.

use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::*;
use roost_simulations::wa::Fault;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::live::{Live, text};
use crate::world::{World, bad_field, by, refusal};

const SHOP: &str = "tenants/acme/devices/shop";

#[tokio::test]
async fn health_is_read_on_any_node_and_by_its_tenant_only() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let wanted = || GetAccountHealthRequest { device: SHOP.into(), refresh: false };
    let nobody = world.at(0).accounts().get_account_health(wanted()).await;
    assert_eq!(refusal(nobody), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
    world.device(SHOP).await;
    for node in 0..2 {
        let health = world.at(node).accounts().get_account_health(wanted()).await.expect("an answer");
        assert_eq!(health.into_inner(), AccountHealth::default(), "nothing is known yet");
    }
    let stranger = world.at(0).accounts().get_account_health(by("globex", wanted())).await;
    assert_eq!(refusal(stranger), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
}

#[tokio::test]
async fn whatsapp_is_asked_how_it_judges_an_account_through_any_node() {
    let live = Live::new(2).await;
    let (unpaired, ..) = live.device("shop").await;
    let fresh = |device: &str| GetAccountHealthRequest { device: device.to_owned(), refresh: true };
    for place in 0..2 {
        let refused = live.at(place).accounts().get_account_health(fresh(&unpaired)).await;
        assert_eq!(refusal(refused), (Code::FailedPrecondition, "DEVICE_NOT_PAIRED".into()));
    }
    let (name, _, other, device) = live.online("farm").await;
    let lock = Fault::LockNewChats { device: device.to_string(), ms: 3_600_000, tell: false };
    live.sim.commit(&lock).expect("known");
    let health = live.at(other).accounts().get_account_health(fresh(&name)).await.expect("an answer");
    assert!(health.into_inner().time_lock.is_some());
}

#[tokio::test]
async fn a_pace_without_bounds_is_refused_with_its_field() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    world.device(SHOP).await;
    let mut accounts = world.at(0).accounts();
    let set = |policy| UpdatePacingPolicyRequest { device: SHOP.into(), policy };
    assert_eq!(bad_field(accounts.update_pacing_policy(set(None)).await), "policy");
    let much = PacingPolicy { reply_per_minute: 10_001, reach_out_per_day: 0 };
    let refused = accounts.update_pacing_policy(set(Some(much))).await;
    assert_eq!(bad_field(refused), "policy.reply_per_minute");
    let nameless = GetQuotaRequest { device: "shop".into() };
    assert_eq!(bad_field(accounts.get_quota(nameless).await), "device");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_account_says_until_when_to_sends_questions_and_commands_alike() {
    let live = Live::new(2).await;
    let (name, owner, other, device) = live.online("shop").await;
    let friend = live.friend();
    let ban = Fault::LoginFailure { device: device.to_string(), reason: 402, count: 1 };
    live.sim.commit(&ban).expect("known");
    live.sim.commit(&Fault::DropConnection { device: Some(device.to_string()) }).expect("known");
    live.until_state(&name, device::State::Restricted).await;
    for place in [owner, other] {
        let api = live.at(place);
        let privacy = GetPrivacyRequest { device: name.clone() };
        let typing = SendChatStateRequest {
            device: name.clone(),
            chat: friend.to_string(),
            state: send_chat_state_request::State::Typing.into(),
        };
        for refused in [
            api.messages().send_message(text(&name, friend, "hello", WaitFor::Accepted)).await.map(drop),
            api.accounts().get_privacy(privacy).await.map(drop),
            api.presence().send_chat_state(typing).await.map(drop),
        ] {
            let refused = refused.expect_err("it is banned");
            let info = refused.get_details_error_info().expect("always there");
            assert_eq!(info.reason, "ACCOUNT_TEMPORARILY_BANNED");
            assert!(info.metadata.contains_key("until_unix_millis"), "{info:?}");
        }
    }
}
