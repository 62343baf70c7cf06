//! What a device cannot read, on a real node: messages are asked for again and delivered once, or put aside
//! with an event; broken bytes cost their connection and nothing else. In no case does the line wait.

use std::path::PathBuf;
use std::time::Duration;

use roost_proto::api::event::Payload;
use roost_proto::api::{Event, ReadEventsRequest, message_received};
use roost_simulations::wa::{Damage, DeviceRef, Fault, Poison};
use roost_simulations::world::{Plan, World, until};
use roost_simulations::{callers::within, sightings};

const PATIENCE: Duration = Duration::from_secs(90);

/// How often a device asks for a message before it gives up.
const RETRIES: u32 = 5;

/// One node, a device that listens, and the phone of another that talks to it.
struct Line {
    world: World,
    phone: u64,
    number: String,
    name: String,
    device: DeviceRef,
}

impl Line {
    async fn new() -> Line {
        let plan = Plan {
            program: PathBuf::from(env!("CARGO_BIN_EXE_roost")),
            store_url: None,
            nodes: 1,
            tenants: 1,
            devices_each: 2,
        };
        let world = World::build(&plan, |_| ()).await.expect("the world can be built");
        let number = world.speakers[1].phone_number.clone();
        let phone = world.speakers[0].phone_number.parse().expect("digits");
        let device = DeviceRef { pn: number.parse().expect("digits"), device: 1 };
        let name = world.speakers[1].device.clone();
        let line = Line { world, phone, number, name, device };
        line.until("both devices are connected", async || sightings::connected(&line.world.sim) == 2).await;
        line
    }

    async fn until(&self, what: &str, happened: impl AsyncFn() -> bool) {
        if let Err(error) = until(what, PATIENCE, || happened()).await {
            panic!("{error}\n{:#?}\n{}", self.payloads().await, self.world.logs(40));
        }
    }

    fn commit(&self, fault: &Fault) {
        self.world.sim.commit(fault).expect("the device is known");
    }

    fn say(&self, text: &str) -> String {
        self.world.sim.phone_sends(self.phone, &self.number, text).expect("the phone sends")
    }

    /// The whole log of the device that listens.
    async fn payloads(&self) -> Vec<Payload> {
        let request = ReadEventsRequest { parent: self.name.clone(), ..ReadEventsRequest::default() };
        let opened = self.world.callers.any().events().read_events(within(request, PATIENCE)).await;
        let mut stream = opened.expect("it can be read").into_inner();
        let mut events: Vec<Event> = Vec::new();
        while let Some(answer) = stream.message().await.expect("no refusal") {
            events.extend(answer.events);
        }
        events.into_iter().filter_map(|event| event.payload).collect()
    }

    /// How often this text is in the log.
    async fn heard(&self, text: &str) -> usize {
        let is_it = |payload: &Payload| match payload {
            Payload::MessageReceived(message) => {
                message.content == Some(message_received::Content::Text(text.to_owned()))
            }
            _ => false,
        };
        self.payloads().await.iter().filter(|payload| is_it(payload)).count()
    }

    fn waiting(&self) -> usize {
        let DeviceRef { pn, device } = self.device;
        self.world.sim.look(|machine| machine.accounts()[&pn].companions[&device].backlog.len())
    }

    fn retries(&self) -> u64 {
        self.world.sim.ledger(|ledger| ledger.devices()[&self.device].retries)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_asked_for_again_then_put_aside_and_blocks_nothing() {
    let line = Line::new().await;
    let connections = sightings::living(&line.world.sim);
    let device = line.device.to_string();

    // Damaged once: the sender is asked, and the message is there once.
    line.commit(&Fault::CorruptDeliveries { device: device.clone(), count: 1 });
    line.say("damaged once");
    line.until("the repeated message is in the log", async || line.heard("damaged once").await == 1).await;
    assert_eq!(line.retries(), 1);

    // Damaged for ever: after the last try it is put aside, whole, and said so.
    line.commit(&Fault::CorruptDeliveries { device: device.clone(), count: u32::MAX });
    let lost = line.say("damaged for ever");
    let undecryptable = async || {
        let found = line.payloads().await.into_iter().find_map(|payload| match payload {
            Payload::Undecryptable(event) if event.whatsapp_id == lost => Some(event),
            _ => None,
        });
        found.is_some_and(|event| event.attempts == RETRIES.cast_signed() && !event.reason.is_empty())
    };
    line.until("the event says that it cannot be read", undecryptable).await;
    let aside = |payload: &Payload| matches!(payload, Payload::StanzaQuarantined(it) if it.stanza_id == lost);
    assert_eq!(line.payloads().await.iter().filter(|payload| aside(payload)).count(), 1);
    // The phone was asked too, and its answers were damaged like everything else.
    assert!(line.retries() > u64::from(1 + RETRIES));
    line.until("it is settled", async || line.waiting() == 0).await;

    // The line goes on, on the connection that it had.
    line.commit(&Fault::CorruptDeliveries { device, count: 0 });
    line.say("and on it goes");
    line.until("the next message arrives", async || line.heard("and on it goes").await == 1).await;
    assert_eq!((line.heard("damaged once").await, line.heard("damaged for ever").await), (1, 0));
    assert_eq!(sightings::living(&line.world.sim), connections);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_settled_and_what_can_never_be_read_is_put_aside_with_an_event() {
    let line = Line::new().await;
    let connections = sightings::living(&line.world.sim);
    let kinds = [Poison::NoCiphertext, Poison::UnknownKind, Poison::Garbage, Poison::Empty, Poison::Bare];
    for (number, what) in kinds.into_iter().enumerate() {
        line.commit(&Fault::Poison { device: line.device.to_string(), what });
        let text = format!("after {what:?}");
        line.say(&text);
        line.until(&text, async || line.heard(&text).await == 1).await;
        line.until("everything is settled", async || line.waiting() == 0).await;
        let put_aside = |payload: &Payload| matches!(payload, Payload::StanzaQuarantined(_));
        let aside = line.payloads().await.iter().filter(|payload| put_aside(payload)).count();
        // What is encrypted for us may yet be read when its sender repeats it; the others may not.
        assert_eq!(aside, (number + 1).min(2), "{what:?}");
    }
    assert_eq!(sightings::living(&line.world.sim), connections, "nobody had to connect anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn torn_oversized_and_undecryptable_frames_cost_their_connection_and_nothing_else() {
    let line = Line::new().await;
    let device = line.device.to_string();
    let first = sightings::living(&line.world.sim);
    for what in [Damage::Torn, Damage::Garbage, Damage::Oversized] {
        let before = sightings::living(&line.world.sim);
        line.commit(&Fault::Damage { device: device.clone(), what });
        let text = format!("behind {what:?}");
        line.say(&text);
        let anew = async || {
            let now = sightings::living(&line.world.sim);
            now.len() == before.len() && now[&device] != before[&device]
        };
        line.until(&format!("{what:?}: the device connects anew"), anew).await;
        line.until(&text, async || line.heard(&text).await == 1).await;
    }
    let (mut first, mut now) = (first, sightings::living(&line.world.sim));
    first.remove(&device);
    now.remove(&device);
    assert_eq!(now, first, "the other device noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_no_stanza_is_put_aside_with_an_event_and_the_connection_goes_on() {
    let line = Line::new().await;
    let before = sightings::living(&line.world.sim);
    line.commit(&Fault::Damage { device: line.device.to_string(), what: Damage::NotAStanza });
    let aside = async || {
        let aside =
            |payload: &Payload| matches!(payload, Payload::StanzaQuarantined(it) if !it.reason.is_empty());
        line.payloads().await.iter().filter(|payload| aside(payload)).count() == 1
    };
    line.until("it is put aside", aside).await;
    line.say("behind it");
    line.until("the next message arrives", async || line.heard("behind it").await == 1).await;
    assert_eq!(sightings::living(&line.world.sim), before);
}
