//! One command heals a fleet that WhatsApp refuses for its version: real nodes, none of them restarted.

use std::path::PathBuf;

use roost_proto::api::device::State;
use roost_proto::version::ProtocolVersion;
use roost_simulations::interop::{Cluster, Failure, Stage};
use roost_simulations::wa::Fault;
use tokio::process::Command;

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_roost"))
}

#[tokio::test]
async fn a_fleet_that_is_refused_for_its_version_heals_by_one_command() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let url = stage.sqlite();
    let mut cluster = Cluster::start(&stage, program(), &url, 2).await?;
    cluster.create_tenant("acme").await?;
    let mut devices = Vec::new();
    for name in ["one", "two", "three"] {
        let device = cluster.create_device("acme", name).await?;
        cluster.pair(&stage, &device, &stage.person(name)).await?;
        devices.push(device);
    }
    let [first, second, third] = ProtocolVersion::BUILT_IN.0;
    let newer = ProtocolVersion([first, second, third + 1]);
    stage.sim.commit(&Fault::DemandVersion { least: Some(newer.0) })?;
    stage.sim.commit(&Fault::DropConnection { device: None })?;
    for device in &devices {
        cluster.in_state(device, State::Outdated).await?;
    }

    let endpoint = format!("http://{}", cluster.bystander(&devices[0]).await?);
    let told = Command::new(program())
        .args(["--endpoint", &endpoint, "protocol", "set", &newer.to_string()])
        .output()
        .await?;
    assert!(told.status.success(), "{told:?}");
    assert!(String::from_utf8_lossy(&told.stdout).contains(&newer.to_string()), "{told:?}");
    for device in &devices {
        cluster.online(device).await?;
    }
    Ok(())
}
