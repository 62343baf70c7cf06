//! The conformance suite on the model in memory, so that what simulations run on cannot drift away
//! from the real stores.

use std::sync::Arc;

use async_trait::async_trait;
use roost_simulations::conformance::{Ports, Subject, run};
use roost_simulations::model::{Model, system_clock};

struct Memory(Arc<Model>);

#[async_trait]
impl Subject for Memory {
    async fn open(&self) -> Ports {
        Ports::of(self.0.clone())
    }

    async fn fail_over(&self) -> bool {
        self.0.fail_over(None);
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_does_what_every_store_must() {
    run(async |_| Memory(Model::new(system_clock()))).await;
}
