//! Pairing, logging out and stopping real devices through any node.

use std::time::Duration;

use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::start_pairing_request::history::Amount;
use roost_proto::api::*;
use roost_proto::login::{FullHistory, Platform};
use roost_proto::pair_code::PairCodeError;
use roost_simulations::wa::{Companion, Fault, Scanner, TypeError};
use tonic::Code;

use crate::live::{Live, send, text};
use crate::world::{bad_field, refusal, until};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_device_pairs_through_a_node_that_does_not_own_it() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    assert_eq!(live.owner(&name).await, Some(owner), "pairing moves nothing");
    for place in [owner, other] {
        let again = live
            .at(place)
            .pairing()
            .start_pairing(StartPairingRequest { device: name.clone(), ..Default::default() })
            .await;
        let expected = (Code::FailedPrecondition, "DEVICE_ALREADY_PAIRED".to_owned());
        assert_eq!(refusal(again.map(drop)), expected);
    }
}

#[tokio::test]
async fn a_second_caller_joins_the_attempt_that_is_under_way() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let first_code = async |place: usize| {
        let request = StartPairingRequest { device: name.clone(), ..Default::default() };
        let mut steps = live.at(place).pairing().start_pairing(request).await.expect("opened").into_inner();
        loop {
            let step = tokio::time::timeout(LIMIT, steps.message()).await.expect("in time");
            let step = step.expect("no refusal").expect("no end");
            if let Some(pairing_event::Event::Qr(code)) = step.event {
                return code.payload;
            }
        }
    };
    assert_eq!(first_code(owner).await, first_code(other).await);
}

#[tokio::test]
async fn what_a_device_cannot_do_in_its_state_is_refused_on_every_node() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let friend = live.friend();
    let not_paired = (Code::FailedPrecondition, "DEVICE_NOT_PAIRED".to_owned());
    for place in [owner, other] {
        let sent = send(live.at(place), text(&name, friend, "hello", WaitFor::Accepted), LIMIT).await;
        assert_eq!(refusal(sent), not_paired);
        let logout = live.at(place).devices().logout_device(LogoutDeviceRequest { name: name.clone() }).await;
        assert_eq!(refusal(logout), not_paired);
    }
    live.pair(other, &name, "phone").await;
    live.until_state(&name, device::State::Online).await;
    let logout = live.at(other).devices().logout_device(LogoutDeviceRequest { name: name.clone() }).await;
    logout.expect("unlinked");
    live.until_state(&name, device::State::LoggedOut).await;
    for place in [owner, other] {
        let sent = send(live.at(place), text(&name, friend, "hello", WaitFor::Accepted), LIMIT).await;
        assert_eq!(refusal(sent), (Code::FailedPrecondition, "DEVICE_LOGGED_OUT".to_owned()));
    }
}

#[tokio::test]
async fn when_a_stop_answers_the_device_is_no_longer_connected() {
    let live = Live::new(2).await;
    let (name, _, other, device) = live.online("shop").await;
    let stopped = live.at(other).devices().stop_device(StopDeviceRequest { name: name.clone() }).await;
    assert_eq!(stopped.expect("stopped").get_ref().state(), device::State::Stopped);
    until("WhatsApp has seen the connection end", || async {
        live.sim.look(|machine| !machine.online().any(|online| online == device)).then_some(())
    })
    .await;
    let sent = send(live.at(other), text(&name, live.friend(), "hello", WaitFor::Accepted), LIMIT).await;
    assert_eq!(refusal(sent), (Code::FailedPrecondition, "DEVICE_STOPPED".to_owned()));
    live.at(other).devices().start_device(StartDeviceRequest { name: name.clone() }).await.expect("started");
    live.until_state(&name, device::State::Online).await;
}

/// The next step of a stream that fits.
pub(crate) async fn step<T>(
    steps: &mut tonic::Streaming<PairingEvent>,
    mut fits: impl FnMut(pairing_event::Event) -> Option<T>,
) -> T {
    loop {
        let step = tokio::time::timeout(6 * LIMIT, steps.message()).await.expect("in time");
        let event = step.expect("no refusal").expect("no end").event.expect("an event");
        if let pairing_event::Event::Failed(failed) = &event {
            panic!("{failed:?}");
        }
        if let Some(found) = fits(event) {
            return found;
        }
    }
}

/// How the attempt of a stream fails.
pub(crate) async fn failure(steps: &mut tonic::Streaming<PairingEvent>) -> pairing_event::PairingFailed {
    loop {
        let next = tokio::time::timeout(LIMIT, steps.message()).await.expect("in time");
        let event = next.expect("no refusal").expect("no end").event;
        if let Some(pairing_event::Event::Failed(failed)) = event {
            return failed;
        }
    }
}

#[tokio::test]
async fn a_phone_of_another_account_than_was_expected_is_refused_and_nothing_of_it_is_kept() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let person = |name| live.sim.account(None, Some(name));
    let (expected, stranger) = (person("expected"), person("stranger"));
    let start = async |place: usize, number: String| {
        let request =
            StartPairingRequest { device: name.clone(), expected_phone_number: number, ..Default::default() };
        live.at(place).pairing().start_pairing(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(bad_field(start(other, "12".to_owned()).await.map(drop)), "expected_phone_number");
    for (place, phone) in [(other, stranger), (owner, stranger), (other, expected)] {
        let mut steps = start(place, format!("+{expected}")).await.expect("opened");
        let code = step(&mut steps, |event| match event {
            pairing_event::Event::Qr(code) => Some(code.payload),
            _ => None,
        });
        live.sim.scan(&code.await, &Scanner { pn: Some(phone), name: None }).expect("a good code");
        let linked = || live.sim.look(|machine| machine.accounts()[&phone].companions.len());
        if phone == expected {
            step(&mut steps, |event| matches!(event, pairing_event::Event::Paired(_)).then_some(())).await;
            assert_eq!(linked(), 1);
            continue;
        }
        let failed = failure(&mut steps).await;
        assert_eq!(failed.reason, "OTHER_ACCOUNT");
        assert!(failed.message.contains(&stranger.to_string()), "{failed:?}");
        live.until_state(&name, device::State::Unpaired).await;
        let found = live.at(place).devices().get_device(GetDeviceRequest { name: name.clone() }).await;
        assert_eq!(found.expect("it is there").into_inner().account, None);
        assert_eq!(linked(), 0);
    }
    live.until_state(&name, device::State::Online).await;
}

fn by_code(device: &str, phone_number: String) -> StartPairingRequest {
    let method = start_pairing_request::Method::PhoneCode(start_pairing_request::PhoneCode {
        phone_number,
        code: String::new(),
    });
    StartPairingRequest { device: device.to_owned(), method: Some(method), ..Default::default() }
}

#[tokio::test]
async fn a_device_is_paired_by_a_code_that_is_typed_on_the_phone() {
    let live = Live::new(2).await;
    let (name, _, other) = live.device("shop").await;
    let phone = live.friend();
    let bad = live.at(other).pairing().start_pairing(by_code(&name, "12".into())).await;
    assert_eq!(bad_field(bad.map(drop)), "phone_code.phone_number");
    let request = by_code(&name, format!("+{phone}"));
    let mut steps = live.at(other).pairing().start_pairing(request).await.expect("opened").into_inner();
    let code = step(&mut steps, |event| match event {
        pairing_event::Event::Code(code) => Some(code),
        _ => None,
    })
    .await;
    assert!(code.expire_time.is_some());
    let typed = |text: &str| live.sim.act(|machine, now| machine.type_code(now, phone, text));
    let nonsense = typed("not a code");
    assert!(matches!(nonsense, Err(TypeError::Code(PairCodeError::Code))), "{nonsense:?}");
    // A wrong code leads to nothing; then the right one is typed.
    typed(if code.code.starts_with('A') { "BBBB-BBBB" } else { "AAAA-AAAA" }).expect("it is a code");
    until("another code can be typed", || async { typed(&code.code).ok() }).await;
    let paired = step(&mut steps, |event| match event {
        pairing_event::Event::Paired(paired) => Some(paired),
        _ => None,
    });
    let account = paired.await.account.expect("an account");
    assert!(account.phone_number.starts_with(&phone.to_string()), "{account:?}");
    live.until_state(&name, device::State::Online).await;
}

#[tokio::test]
async fn the_code_how_the_device_is_shown_and_how_much_history_it_takes_are_chosen_by_the_caller() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let phone = live.friend();
    let request = |code: &str, shown: &str, platform| StartPairingRequest {
        device: name.clone(),
        method: Some(start_pairing_request::Method::PhoneCode(start_pairing_request::PhoneCode {
            phone_number: phone.to_string(),
            code: code.to_owned(),
        })),
        appearance: Some(start_pairing_request::Appearance { name: shown.to_owned(), platform }),
        ..Default::default()
    };
    let firefox = start_pairing_request::Platform::Firefox.into();
    let past = |amount: i32, days, megabytes| StartPairingRequest {
        history: Some(start_pairing_request::History { amount, days, megabytes }),
        ..request("ABCD1234", "", 0)
    };
    let (full, none) = (Amount::Full.into(), Amount::None.into());
    for (bad, field) in [
        (request("ABCD-123O", "", 0), "phone_code.code"),
        (request("ABCD1234", &"x".repeat(51), 0), "appearance.name"),
        (request("ABCD1234", "", 99), "appearance.platform"),
        (past(99, 0, 0), "history.amount"),
        (past(none, 1, 0), "history.days"),
        (past(0, 0, 1), "history.megabytes"),
        (past(full, 36_501, 0), "history.days"),
        (past(full, 0, 102_401), "history.megabytes"),
    ] {
        let refused = live.at(owner).pairing().start_pairing(bad).await;
        assert_eq!(bad_field(refused.map(drop)), field);
    }
    let history = past(full, 365, 512).history;
    let wanted = StartPairingRequest { history, ..request("abcd1234", "Front desk", firefox) };
    let mut steps = live.at(other).pairing().start_pairing(wanted).await.expect("opened").into_inner();
    let code = step(&mut steps, |event| match event {
        pairing_event::Event::Code(code) => Some(code.code),
        _ => None,
    })
    .await;
    assert_eq!(code, "ABCD-1234");
    live.sim.act(|machine, now| machine.type_code(now, phone, &code)).expect("a companion waits");
    step(&mut steps, |event| matches!(event, pairing_event::Event::Paired(_)).then_some(())).await;
    let shown = live.sim.look(|machine| {
        let companions = machine.accounts()[&phone].companions.values();
        let seen =
            |companion: &Companion| (companion.shown.clone(), companion.platform, companion.full_history);
        companions.map(seen).collect::<Vec<_>>()
    });
    let full = FullHistory { days: Some(365), megabytes: Some(512) };
    assert_eq!(shown, [("Front desk".to_owned(), Platform::FIREFOX, Some(full))]);
}

#[tokio::test]
async fn a_code_whose_secret_is_retired_is_shown_again_with_another() {
    let live = Live::new(1).await;
    let (name, owner, _) = live.device("shop").await;
    let request = StartPairingRequest { device: name, ..Default::default() };
    let mut steps = live.at(owner).pairing().start_pairing(request).await.expect("opened").into_inner();
    let code = |event| match event {
        pairing_event::Event::Qr(code) => Some(code),
        _ => None,
    };
    let first = step(&mut steps, code).await;
    live.sim.act(|machine, now| Ok::<_, ()>(((), machine.retire_codes(now)))).expect("told");
    let second = step(&mut steps, code).await;
    let [before, after]: [roost_proto::pairing::QrCode; 2] =
        [&first, &second].map(|code| code.payload.parse().expect("a code"));
    assert_eq!((&after.reference, after.noise), (&before.reference, before.noise));
    assert_ne!(after.adv_secret, before.adv_secret);
    assert_eq!((second.expire_time, second.codes_left), (first.expire_time, first.codes_left));
    let scanner = Scanner { pn: None, name: Some("phone".to_owned()) };
    live.sim.scan(&second.payload, &scanner).expect("a good code");
    step(&mut steps, |event| matches!(event, pairing_event::Event::Paired(_)).then_some(())).await;
}

#[tokio::test]
async fn asking_for_another_way_to_pair_ends_the_attempt_that_runs() {
    let live = Live::new(1).await;
    let (name, owner, _) = live.device("shop").await;
    let qr = StartPairingRequest { device: name.clone(), ..Default::default() };
    let mut first = live.at(owner).pairing().start_pairing(qr).await.expect("opened").into_inner();
    step(&mut first, |event| matches!(event, pairing_event::Event::Qr(_)).then_some(())).await;
    let request = by_code(&name, live.friend().to_string());
    let mut second = live.at(owner).pairing().start_pairing(request).await.expect("opened").into_inner();
    step(&mut second, |event| matches!(event, pairing_event::Event::Code(_)).then_some(())).await;
    let last = tokio::time::timeout(LIMIT, first.message()).await.expect("in time");
    let Some(pairing_event::Event::Failed(failed)) = last.expect("no refusal").expect("no end").event else {
        panic!("the first attempt goes on");
    };
    assert_eq!(failed.reason, "REPLACED");
}

#[tokio::test]
async fn a_pairing_goes_on_with_another_code_when_its_node_gives_the_device_away() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let request = StartPairingRequest { device: name.clone(), ..Default::default() };
    let mut steps = live.at(other).pairing().start_pairing(request).await.expect("opened").into_inner();
    let code = |event| match event {
        pairing_event::Event::Qr(code) => Some(code.payload),
        _ => None,
    };
    let first = step(&mut steps, code).await;
    let node = format!("n{}", owner + 1);
    live.at(other).cluster().drain_node(DrainNodeRequest { node }).await.expect("it drains");
    step(&mut steps, |event| matches!(event, pairing_event::Event::Restarted(_)).then_some(())).await;
    let second = step(&mut steps, code).await;
    assert_ne!(first, second);
    let scanner = Scanner { pn: None, name: Some("phone".to_owned()) };
    live.sim.scan(&second, &scanner).expect("a good code");
    step(&mut steps, |event| matches!(event, pairing_event::Event::Paired(_)).then_some(())).await;
    assert_eq!(live.owner(&name).await, Some(other));
}

#[tokio::test]
async fn an_attempt_whose_owner_is_gone_right_behind_its_success_is_told_as_paired() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let request = StartPairingRequest { device: name.clone(), ..Default::default() };
    let steps = live.at(other).pairing().start_pairing(request).await;
    let mut steps = steps.expect("opened").into_inner();
    let qr = |event| if let pairing_event::Event::Qr(code) = event { Some(code.payload) } else { None };
    let payload = step(&mut steps, qr).await;
    // The phone is heard, and then nobody may log in.
    live.sim.commit(&Fault::Unavailable { ms: 600_000, existing: false }).expect("no device is named");
    let scanned = live.sim.scan(&payload, &Scanner { pn: None, name: None }).expect("a good code").device;
    live.until_state(&name, device::State::Backoff).await;
    let target = format!("n{}", other + 1);
    let there = MoveDeviceRequest { name: name.clone(), target, ..Default::default() };
    live.at(owner).cluster().move_device(there).await.expect("moved");
    let paired = |event| if let pairing_event::Event::Paired(paired) = event { Some(paired) } else { None };
    let account = step(&mut steps, paired).await.account.expect("an account");
    assert!(account.phone_number.starts_with(&scanned.pn.to_string()), "{account:?}");
    live.sim.commit(&Fault::Unavailable { ms: 0, existing: false }).expect("no device is named");
    live.until_state(&name, device::State::Online).await;
}

#[tokio::test]
async fn an_attempt_whose_registration_whatsapp_refuses_ends_and_another_may_succeed() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    live.sim.commit(&Fault::RegistrationFailure { reason: 413, count: 1 }).expect("no device is named");
    let request = StartPairingRequest { device: name.clone(), ..Default::default() };
    let steps = live.at(other).pairing().start_pairing(request).await;
    let failed = failure(&mut steps.expect("opened").into_inner()).await;
    assert_eq!(failed.reason, "REFUSED");
    assert!(failed.message.contains("413"), "{failed:?}");
    live.until_state(&name, device::State::Unpaired).await;
    live.pair(owner, &name, "phone").await;
    live.until_state(&name, device::State::Online).await;
}
