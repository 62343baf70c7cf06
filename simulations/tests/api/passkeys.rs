//! Accounts with a passkey: pairing asks for it through any node, and refuses what is not of the account.

use roost_proto::api::answer_passkey_request::{Answer, Assertion, SameCode};
use roost_proto::api::*;
use roost_simulations::wa::{Authenticator, Pn, Scanner};
use tonic::{Code, Status, Streaming};

use crate::live::Live;
use crate::pairing::{failure, step};
use crate::world::{bad_field, refusal};

const CREDENTIAL: &str = "assertion.credential_json";

/// A device whose code was scanned by a phone with a passkey, and what WhatsApp asks of it.
struct Asked {
    device: String,
    owner: usize,
    other: usize,
    phone: Pn,
    steps: Streaming<PairingEvent>,
    options: String,
}

impl Asked {
    async fn new(live: &Live) -> Asked {
        let (device, owner, other) = live.device("shop").await;
        let phone = live.friend();
        live.sim.change(|machine| machine.make_passkey(phone));
        let request = StartPairingRequest { device: device.clone(), ..Default::default() };
        let steps = live.at(other).pairing().start_pairing(request).await.expect("opened").into_inner();
        let mut asked = Asked { device, owner, other, phone, steps, options: String::new() };
        asked.scan(live).await;
        asked
    }

    /// The phone scans the next code.
    async fn scan(&mut self, live: &Live) {
        let code = step(&mut self.steps, |event| match event {
            pairing_event::Event::Qr(code) => Some(code.payload),
            _ => None,
        })
        .await;
        live.sim.scan(&code, &Scanner { pn: Some(self.phone), name: None }).expect("a good code");
        self.options = step(&mut self.steps, |event| match event {
            pairing_event::Event::Passkey(asked) => {
                assert!(asked.expire_time.is_some());
                Some(asked.options_json)
            }
            _ => None,
        })
        .await;
    }

    /// What the phone's own passkey answers.
    fn credential(&self, live: &Live) -> String {
        let answer = live.sim.change(|machine| machine.use_passkey(self.phone, &self.options));
        answer.expect("it has a passkey").expect("good options")
    }

    async fn code(&mut self) -> pairing_event::PasskeyCode {
        step(&mut self.steps, |event| match event {
            pairing_event::Event::PasskeyCode(code) => Some(code),
            _ => None,
        })
        .await
    }

    async fn paired(&mut self, live: &Live) {
        let paired = step(&mut self.steps, |event| match event {
            pairing_event::Event::Paired(paired) => Some(paired),
            _ => None,
        });
        let account = paired.await.account.expect("an account");
        assert!(account.phone_number.starts_with(&self.phone.to_string()), "{account:?}");
        live.until_state(&self.device, device::State::Online).await;
    }

    async fn failed(&mut self) -> String {
        failure(&mut self.steps).await.reason
    }
}

fn credential(credential_json: String, compare_code: bool) -> Answer {
    Answer::Assertion(Assertion { credential_json, compare_code })
}

async fn answer(live: &Live, place: usize, device: &str, answer: Option<Answer>) -> Result<(), Status> {
    let request = AnswerPasskeyRequest { device: device.to_owned(), answer };
    live.at(place).pairing().answer_passkey(request).await.map(drop)
}

fn not_asked() -> (Code, String) {
    (Code::FailedPrecondition, "PASSKEY_NOT_ASKED".to_owned())
}

#[tokio::test]
async fn a_device_is_paired_with_the_passkey_of_the_account() {
    let live = Live::new(2).await;
    let mut asked = Asked::new(&live).await;
    let good = credential(asked.credential(&live), false);
    // On the other node than the one that the stream is from; twice is once.
    for place in [asked.owner, asked.other] {
        let taken = answer(&live, place, &asked.device, Some(good.clone())).await;
        assert!(taken.is_ok() || refusal(taken) == not_asked(), "the second may find it paired");
    }
    asked.paired(&live).await;
    assert_eq!(refusal(answer(&live, asked.other, &asked.device, Some(good)).await), not_asked());
}

#[tokio::test]
async fn without_a_proof_of_the_scanned_code_a_person_compares_what_both_sides_show() {
    let live = Live::new(2).await;
    let mut asked = Asked::new(&live).await;
    let same = Answer::SameCode(SameCode {});
    let early = answer(&live, asked.owner, &asked.device, Some(same.clone())).await;
    assert_eq!(refusal(early), not_asked(), "there is no code yet");
    let good = credential(asked.credential(&live), true);
    answer(&live, asked.other, &asked.device, Some(good)).await.expect("taken");
    let shown = asked.code().await;
    assert!(shown.compare && shown.expire_time.is_some());
    let at_phone = live.sim.look(|machine| machine.passkey_code(asked.phone));
    assert_eq!(at_phone, Some(shown.code));
    answer(&live, asked.other, &asked.device, Some(same)).await.expect("taken");
    asked.paired(&live).await;
    assert_eq!(live.sim.look(|machine| machine.passkey_code(asked.phone)), None);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_request_is_refused_and_the_attempt_goes_on() {
    let live = Live::new(2).await;
    let mut asked = Asked::new(&live).await;
    let other = r#"{"challenge":"b3RoZXI","rpId":"web.whatsapp.com"}"#;
    let of_other = live.sim.change(|machine| machine.use_passkey(asked.phone, other));
    let of_other = of_other.expect("it has a passkey").expect("good options");
    for (given, field) in [
        (None, "answer"),
        (Some(credential("{}".to_owned(), false)), CREDENTIAL),
        (Some(credential(of_other, false)), CREDENTIAL),
    ] {
        for place in [asked.owner, asked.other] {
            assert_eq!(bad_field(answer(&live, place, &asked.device, given.clone()).await), field);
        }
    }
    let nobody = answer(&live, asked.owner, "tenants/acme/devices/nobody", None).await;
    assert_eq!(bad_field(nobody), "answer");
    let good = credential(asked.credential(&live), false);
    answer(&live, asked.owner, &asked.device, Some(good)).await.expect("taken");
    asked.paired(&live).await;
}

#[tokio::test]
async fn whatsapp_refuses_a_passkey_that_was_not_unlocked_or_is_for_another_page() {
    let live = Live::new(1).await;
    let mut asked = Asked::new(&live).await;
    for case in 0..3 {
        if case > 0 {
            let request = StartPairingRequest { device: asked.device.clone(), ..Default::default() };
            let steps = live.at(0).pairing().start_pairing(request).await;
            asked.steps = steps.expect("opened").into_inner();
            asked.scan(&live).await;
        }
        let own = live.sim.change(|machine| machine.authenticator(asked.phone).cloned());
        let own = own.expect("made before");
        let mut wrong = match case {
            0 => own.without_verification(),
            1 => own.on_page("https://web.whatsapp.example"),
            _ => Authenticator::new(&mut rand::rng()),
        };
        let answered = wrong.answer(&asked.options).expect("good options");
        answer(&live, 0, &asked.device, Some(credential(answered, false))).await.expect("taken");
        assert_eq!(asked.failed().await, "PASSKEY_REFUSED", "case {case}");
    }
}

#[tokio::test]
async fn an_attempt_that_loses_its_node_asks_for_the_passkey_anew() {
    let live = Live::new(2).await;
    let mut asked = Asked::new(&live).await;
    let early = credential(asked.credential(&live), false);
    let first = asked.options.clone();
    let node = format!("n{}", asked.owner + 1);
    live.at(asked.other).cluster().drain_node(DrainNodeRequest { node }).await.expect("it drains");
    step(&mut asked.steps, |event| matches!(event, pairing_event::Event::Restarted(_)).then_some(())).await;
    let late = answer(&live, asked.other, &asked.device, Some(early.clone())).await;
    assert_eq!(refusal(late), not_asked());
    asked.scan(&live).await;
    assert_ne!(asked.options, first);
    assert_eq!(bad_field(answer(&live, asked.other, &asked.device, Some(early)).await), CREDENTIAL);
    let good = credential(asked.credential(&live), false);
    answer(&live, asked.other, &asked.device, Some(good)).await.expect("taken");
    asked.paired(&live).await;
}
