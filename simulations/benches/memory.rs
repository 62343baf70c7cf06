//! Memory of a node for each idle, connected device, at two sizes.
//!
//! One real node on SQLite, the simulated WhatsApp in this process. The node is started anew after the
//! pairings, so that only what an idle device needs counts; what is printed is the growth of its resident
//! memory over an empty node. Nothing passes or fails. `cargo bench --bench memory -- [DEVICES]…`.

use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use roost_simulations::interop::{Cluster, Failure, Stage};

/// Pairings at the same time.
const PAIRING: usize = 16;

#[tokio::main]
async fn main() -> ExitCode {
    let numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let mut sizes: Vec<usize> = numbers.filter(|size| *size > 0).collect();
    if sizes.is_empty() {
        sizes = vec![500, 2_000];
    }
    sizes.sort_unstable();
    match measure(&sizes).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure:?}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(sizes: &[usize]) -> Result<(), Failure> {
    let stage = &Stage::set().await?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_roost"));
    let url = format!("sqlite://{}", stage.folder().join("roost.db").display());
    let mut cluster = Cluster::start(stage, program, &url, 1).await?;
    cluster.create_tenant("bench").await?;
    let empty = cluster.resident_kib()?;
    println!("{:>10}{:>16}{:>20}", "devices", "resident KiB", "KiB per device");
    println!("{:>10}{empty:>16}{:>20}", 0, "-");
    let (mut paired, mut each) = (0, Vec::new());
    for &size in sizes {
        let here = &cluster;
        let pairings = stream::iter(paired..size).map(async |number| {
            let account = stage.person(&format!("own-{number}"));
            let device = here.create_device("bench", &format!("device-{number}")).await?;
            here.pair(stage, &device, &account).await?;
            Ok::<_, Failure>(device)
        });
        let devices: Vec<String> = pairings.buffer_unordered(PAIRING).try_collect().await?;
        paired = size;
        cluster.restart().await?;
        cluster.all_online("bench", size).await?;
        let resident = cluster.resident_kib()?;
        let per_device = resident.saturating_sub(empty) as f64 / size as f64;
        println!("{size:>10}{resident:>16}{per_device:>20.1}");
        each.push(per_device);
        drop(devices);
    }
    if let [first, .., last] = each[..] {
        println!(
            "a device at the largest size needs {:.2} times what it needs at the smallest",
            last / first
        );
    }
    Ok(())
}
