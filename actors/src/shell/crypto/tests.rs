//! A request that makes crypto fail, beside those before and after it.

use async_trait::async_trait;
use roost_placement::lease::BootTime;
use roost_proto::id::{Epoch, Incarnation, Life, UnixMillis};
use roost_proto::stanza::Jid;
use tokio::sync::mpsc;

use super::*;
use crate::device::{Import, ImportedDevice, Part, Secret};
use crate::port::{Batch, Committed, Loaded, StoredMessage};

/// A store without rows, and clocks that stand.
struct Nothing;

#[async_trait]
impl DeviceStore for Nothing {
    async fn load(&self, _: &Grant) -> Result<Loaded, DeviceStoreError> {
        Ok(Loaded::default())
    }

    async fn read(
        &self,
        _: &Grant,
        _: Age,
        keys: &[StateKey],
    ) -> Result<Vec<Option<Bytes>>, DeviceStoreError> {
        Ok(vec![None; keys.len()])
    }

    async fn sent_messages(&self, _: &Grant, _: &[String]) -> Result<Vec<StoredMessage>, DeviceStoreError> {
        Ok(Vec::new())
    }

    async fn commit(&self, _: &Grant, _: Batch) -> Result<Committed, DeviceStoreError> {
        Ok(Committed::default())
    }
}

impl Clocks for Nothing {
    fn boot(&self) -> BootTime {
        BootTime(0)
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn may_act(&self) -> bool {
        true
    }

    fn age(&self) -> Age {
        Age(0)
    }

    fn trusted(&self) -> Age {
        Age(0)
    }
}

/// Hears what a supervisor is told.
struct Ear;

impl Actor for Ear {
    type Msg = Input;
    type State = mpsc::UnboundedSender<Child>;
    type Arguments = mpsc::UnboundedSender<Child>;

    async fn pre_start(
        &self,
        _: ActorRef<Input>,
        told: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        _: ActorRef<Input>,
        input: Input,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Input::Child(_, child) = input {
            let _ = told.send(child);
        }
        Ok(())
    }
}

/// Only what was written as keys is ever imported: others break a promise of ours.
fn broken() -> CryptoRequest {
    let account = Account {
        pn: Jid::pn_device("4915100000000", 1),
        lid: None,
        identity: Bytes::new(),
        push_name: String::new(),
        logged_out: false,
        without_history: false,
    };
    let nothing = || Secret(Bytes::new());
    let device = ImportedDevice {
        keys: nothing(),
        pages: Vec::new(),
        account,
        salt: nothing(),
        source: String::new(),
    };
    CryptoRequest::Import(Box::new(Import { generation: 1, part: Part::Device(Box::new(device)) }))
}

#[tokio::test]
async fn a_request_that_makes_crypto_fail_is_named_behind_the_answers_before_it_and_is_the_last() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let (supervisor, _) = Actor::spawn(None, Ear, told).await.expect("it starts");
    let life = Life { node: "n1".parse().expect("an id"), incarnation: Incarnation(1) };
    let grant = Grant { key: "tenants/acme/devices/shop".parse().expect("an id"), life, epoch: Epoch(1) };
    let arguments = Arguments {
        store: Arc::new(Nothing),
        clocks: Arc::new(Nothing),
        grant,
        profile: Profile::default(),
        ratchets: 100,
        seed: [1; 32],
        life: 1,
        supervisor: supervisor.clone(),
    };
    let (crypto, _) = Actor::spawn(None, CryptoActor, arguments).await.expect("it starts");
    let lid = || CryptoRequest::Lid { pn: "4915112345678".to_owned() };
    let open = Message::Open(Vec::new(), Age(0));
    let requests = [(1, lid()), (2, broken()), (3, lid())].map(|(token, it)| Message::Work(token, it));
    for message in std::iter::once(open).chain(requests) {
        crypto.send_message(message).expect("it runs");
    }
    crypto.drain_and_wait(None).await.expect("it does not fail");
    supervisor.drain_and_wait(None).await.expect("it does not fail");
    let mut words = Vec::new();
    while let Some(child) = heard.recv().await {
        words.push(child);
    }
    let [Child::Opened(Ok(_)), Child::Crypto(1, _), Child::CryptoFailed(2)] = &words[..] else {
        panic!("{words:?}")
    };
}
