//! Who plays in a test of real clients: a cluster on a stage, one device of it with a person's account, and a
//! reader of its log.

use std::path::PathBuf;

use super::{Cluster, Failure, Library, Person, Reader, RealClient, Stage};

/// A cluster with one paired device.
pub struct Cast {
    /// Where they play.
    pub stage: Stage,
    /// The nodes.
    pub cluster: Cluster,
    /// The device, as `tenants/…/devices/…`.
    pub device: String,
    /// Whose device it is.
    pub roost: Person,
    /// Reads its events.
    pub reader: Reader,
}

impl Cast {
    /// So many nodes of this program on a new stage, with their store in a file of it.
    pub async fn new(program: &str, nodes: usize) -> Result<Self, Failure> {
        let stage = Stage::set().await?;
        let store = stage.sqlite();
        Cast::on(stage, program, &store, nodes).await
    }

    /// Three nodes, of which the owner of the device is killed once in so many calls.
    pub async fn mortal(program: &str, every: usize) -> Result<Self, Failure> {
        let mut cast = Cast::new(program, 3).await?;
        cast.cluster.let_die(&cast.device, every);
        Ok(cast)
    }

    /// The same as `new` on this stage, with this store.
    pub async fn on(stage: Stage, program: &str, store_url: &str, nodes: usize) -> Result<Self, Failure> {
        let cluster = Cluster::start(&stage, PathBuf::from(program), store_url, nodes).await?;
        let roost = stage.person("roost");
        cluster.create_tenant("acme").await?;
        let device = cluster.create_device("acme", "shop").await?;
        cluster.pair(&stage, &device, &roost).await?;
        let reader = Reader::start(&cluster, &device);
        Ok(Self { stage, cluster, device, roost, reader })
    }

    /// These clients with these names, each with an account of its own.
    pub async fn clients(&self, of: &[(Library, &str)]) -> Result<Vec<(RealClient, Person)>, Failure> {
        let mut clients = Vec::new();
        for (library, name) in of {
            let account = self.stage.person(name);
            clients.push((self.stage.paired(*library, name, &account).await?, account));
        }
        Ok(clients)
    }
}
