//! The conformance suite on PostgreSQL: one temporary server, each check on a database of its own,
//! each `open` as one more process. Then the races that need a second session to hold a statement open.

use std::sync::Arc;

use async_trait::async_trait;
use roost_node::store::{KeyFile, Store, StoreOptions};
use roost_simulations::conformance::{Ports, Subject, run};
use roost_simulations::postgres::TempPostgres;

struct Database {
    server: Arc<TempPostgres>,
    name: String,
    options: StoreOptions,
}

#[async_trait]
impl Subject for Database {
    async fn open(&self) -> Ports {
        Ports::of(Store::open(&self.options).await.expect("the database opens"))
    }

    /// Makes it look as if the cluster had last seen another one; `failover` has a real promotion.
    async fn fail_over(&self) -> bool {
        let sql = "UPDATE cluster_control SET time_line = 'another'";
        self.server.sql(&self.name, sql).expect("an update");
        true
    }
}

fn options(server: &TempPostgres, folder: &tempfile::TempDir, database: &str) -> StoreOptions {
    let path = folder.path().join(format!("{database}.kek"));
    let key = KeyFile::create(&path).expect("a key");
    let url = server.database(database).expect("a database");
    StoreOptions { max_connections: 6, ..StoreOptions::new(url, Arc::new(key)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_does_what_every_store_must() {
    let server = Arc::new(TempPostgres::start().expect("a server"));
    let folder = tempfile::tempdir().expect("a folder");
    run(async |name: &str| Database {
        options: options(&server, &folder, name),
        server: server.clone(),
        name: name.to_owned(),
    })
    .await;
}
