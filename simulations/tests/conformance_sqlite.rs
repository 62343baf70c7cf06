//! The conformance suite on SQLite: each check on a file of its own, each `open` as one more process.

use std::sync::Arc;

use async_trait::async_trait;
use roost_node::store::{KeyFile, Store, StoreOptions};
use roost_simulations::conformance::{Ports, Subject, run};

struct SqliteFile {
    options: StoreOptions,
    _folder: tempfile::TempDir,
}

#[async_trait]
impl Subject for SqliteFile {
    async fn open(&self) -> Ports {
        Ports::of(Store::open(&self.options).await.expect("the file opens"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_does_what_every_store_must() {
    run(async |_| {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyFile::create(&folder.path().join("kek")).expect("a key");
        let url = format!("sqlite://{}", folder.path().join("roost.db").display());
        SqliteFile { options: StoreOptions::new(url, Arc::new(key)), _folder: folder }
    })
    .await;
}
