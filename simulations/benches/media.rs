//! Memory of a node while files pass through it: 64 MiB in and out, beside 64 KiB.
//!
//! One real node on SQLite, the simulated WhatsApp in this process. What is printed is the resident memory after
//! each transfer; with streaming it does not grow with the file. Nothing passes or fails.
//! `cargo bench --bench media`.

use std::path::PathBuf;
use std::process::ExitCode;

use roost_proto::api::media::Kind;
use roost_proto::api::upload_media_request::Header;
use roost_simulations::interop::{Cluster, Failure, Stage, fetch, upload};

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure:?}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_roost"));
    let url = format!("sqlite://{}", stage.folder().join("roost.db").display());
    let cluster = Cluster::start(&stage, program, &url, 1).await?;
    cluster.create_tenant("bench").await?;
    println!("{:>12}{:>12}{:>16}", "bytes", "", "resident KiB");
    println!("{:>12}{:>12}{:>16}", 0, "idle", cluster.resident_kib()?);
    for bytes in [64 << 10, 64 << 20] {
        let header = Header {
            parent: "tenants/bench".into(),
            kind: Kind::Document.into(),
            mime_type: "application/octet-stream".into(),
            ..Default::default()
        };
        let media = upload(&cluster.callers.any(), header, &vec![7; bytes]).await?;
        println!("{bytes:>12}{:>12}{:>16}", "taken", cluster.resident_kib()?);
        fetch(&cluster.callers.any(), &media.name).await?;
        println!("{bytes:>12}{:>12}{:>16}", "given", cluster.resident_kib()?);
    }
    Ok(())
}
