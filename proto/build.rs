//! Compiles the gRPC schema with protox, so that nobody needs a protoc.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "roost/v1/tenants.proto",
        "roost/v1/devices.proto",
        "roost/v1/imports.proto",
        "roost/v1/content.proto",
        "roost/v1/media.proto",
        "roost/v1/messages.proto",
        "roost/v1/chats.proto",
        "roost/v1/polls.proto",
        "roost/v1/history.proto",
        "roost/v1/events.proto",
        "roost/v1/cluster.proto",
        "roost/v1/contacts.proto",
        "roost/v1/business.proto",
        "roost/v1/groups.proto",
        "roost/v1/accounts.proto",
        "roost/v1/presence.proto",
        "roost/v1/newsletters.proto",
        "roost/v1/status.proto",
        "roost/v1/calls.proto",
        "roost/internal/v1/peer.proto",
    ];
    println!("cargo:rerun-if-changed=schema");
    let descriptors = protox::compile(files, ["schema"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("roost.descriptors"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
