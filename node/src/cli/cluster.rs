//! `roost cluster …`

use clap::Subcommand;
use roost_proto::api;
use serde_json::json;
use tonic::Request;

use super::{Globals, Output, device_name, placement, render, tenant_name};
use crate::client::{Problem, request, retrying};

/// What can be done with the cluster.
#[derive(Debug, Clone, Subcommand)]
pub enum ClusterCommand {
    /// The members, as the answering node sees them.
    Status,
    /// Shares of the ring; with a name, who should own it, in order.
    Ring {
        /// A tenant or a device.
        name: Option<String>,
    },
    /// Who owns a device, and who did before.
    Locate {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Hands a device to another node.
    Move {
        /// `acme/shop` or its whole name.
        device: String,
        /// A node id.
        target: String,
        /// Also to a node whose version is lower than the owner's.
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// Drains a node and follows it until it owns nothing.
    Drain {
        /// A node id.
        node: String,
    },
    /// Marks a node: it keeps what it has and takes nothing new, until it is uncordoned.
    Cordon {
        /// A node id.
        node: String,
    },
    /// Lets a cordoned node take devices again.
    Uncordon {
        /// A node id.
        node: String,
    },
    /// Stops all rebalancing; take-overs, drains and requested moves go on.
    Freeze,
    /// Lets rebalancing go on.
    Unfreeze,
    /// While nodes of several versions are there, gives devices to those of this version and below first.
    MaxVersion {
        /// A version as in `roost cluster status`; without it any.
        version: Option<u32>,
        /// Also when a node speaks a higher version already.
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// Evens out the cluster and follows the pins, paced; prints the plan with its reasons.
    Rebalance {
        /// Only prints the plan.
        #[arg(long)]
        dry_run: bool,
        /// Moves per minute, 1 to 6000; without it 1 % of all devices, at least 60.
        #[arg(long, default_value_t = 0)]
        per_minute: u32,
    },
    /// Compares the owners in the database with what each node runs.
    Audit,
    /// The members, again and again, and how many of their devices wait to log in.
    Watch,
}

pub(super) async fn run(command: ClusterCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    match command {
        ClusterCommand::Status => {
            let answer = retrying(deadline, || {
                let mut cluster = client.cluster();
                async move { cluster.list_nodes(request(api::ListNodesRequest {}, deadline)).await }
            });
            let answer = answer.await?;
            match globals.output {
                Output::Json => {
                    let nodes: Vec<_> = answer.nodes.iter().map(render::node).collect();
                    println!(
                        "{}",
                        json!({
                            "nodes": nodes,
                            "viewEpoch": answer.view_epoch.to_string(),
                            "answeredBy": answer.answered_by,
                            "placementFrozen": answer.placement_frozen,
                            "maxVersion": answer.max_version,
                        })
                    );
                }
                Output::Table => {
                    show_nodes(&answer.nodes, globals.output);
                    println!("as {} sees it, view {}", answer.answered_by, answer.view_epoch);
                    if answer.placement_frozen {
                        println!("placement is frozen: nothing is rebalanced");
                    }
                    if let Some(highest) = answer.max_version {
                        println!("devices go to nodes of versions up to {highest} first");
                    }
                }
            }
        }
        ClusterCommand::Ring { name } => {
            let name = name.map(|name| match name.matches('/').count() {
                0 => tenant_name(&name),
                _ => device_name(&name),
            });
            let wanted = api::GetRingRequest { name: name.unwrap_or_default() };
            let ring = client.cluster().get_ring(request(wanted, deadline)).await?.into_inner();
            show_ring(&ring, globals.output);
        }
        ClusterCommand::Locate { device } => {
            let wanted = api::LocateDeviceRequest { name: device_name(&device) };
            let place = client.cluster().locate_device(request(wanted, deadline)).await?.into_inner();
            show_place(&place, globals.output);
        }
        ClusterCommand::Move { device, target, allow_downgrade } => {
            let wanted = api::MoveDeviceRequest { name: device_name(&device), target, allow_downgrade };
            let moved = client.cluster().move_device(request(wanted, deadline)).await?.into_inner();
            let pause = moved.pause.as_ref().map(api::Duration::to_string).unwrap_or_default();
            let row = moved.ownership.clone().unwrap_or_default();
            match globals.output {
                Output::Json => {
                    println!("{}", json!({"ownership": render::ownership(Some(&row)), "pause": pause}));
                }
                Output::Table => println!("now on {}, epoch {}, pause {pause}", row.node, row.epoch),
            }
        }
        ClusterCommand::Drain { node } => {
            // A drain takes as long as it takes; it goes on when nobody watches.
            let wanted = Request::new(api::DrainNodeRequest { node });
            let mut stream = client.cluster().drain_node(wanted).await?.into_inner();
            while let Some(answer) = stream.message().await? {
                match globals.output {
                    Output::Json => println!("{}", json!({"remaining": answer.remaining})),
                    Output::Table => println!("{} devices left", answer.remaining),
                }
            }
        }
        ClusterCommand::Cordon { node } => {
            client.cluster().cordon_node(request(api::CordonNodeRequest { node }, deadline)).await?;
        }
        ClusterCommand::Uncordon { node } => {
            client.cluster().uncordon_node(request(api::UncordonNodeRequest { node }, deadline)).await?;
        }
        ClusterCommand::Freeze => {
            client.cluster().freeze_placement(request(api::FreezePlacementRequest {}, deadline)).await?;
        }
        ClusterCommand::Unfreeze => {
            client.cluster().unfreeze_placement(request(api::UnfreezePlacementRequest {}, deadline)).await?;
        }
        ClusterCommand::MaxVersion { version, allow_downgrade } => {
            let wanted = api::SetMaxVersionRequest { max_version: version, allow_downgrade };
            client.cluster().set_max_version(request(wanted, deadline)).await?;
        }
        ClusterCommand::Rebalance { dry_run, per_minute } => {
            placement::rebalance(&client, dry_run, per_minute, globals.output).await?;
        }
        ClusterCommand::Audit => placement::audit(&client, globals).await?,
        ClusterCommand::Watch => {
            let wanted = Request::new(api::WatchClusterRequest {});
            let mut stream = client.cluster().watch_cluster(wanted).await?.into_inner();
            while let Some(answer) = stream.message().await? {
                if globals.output == Output::Table {
                    println!("{} view {}", render::time(answer.time.as_ref()), answer.view_epoch);
                }
                show_nodes(&answer.nodes, globals.output);
            }
        }
    }
    Ok(())
}

fn show_nodes(nodes: &[api::Node], output: Output) {
    match output {
        Output::Json => {
            let nodes: Vec<_> = nodes.iter().map(render::node).collect();
            println!("{}", json!({ "nodes": nodes }));
        }
        Output::Table => {
            // Only a watch says how far the logins are.
            let counted = nodes.iter().any(|node| node.connected.is_some());
            let row = |node: &api::Node| {
                let lease = node.lease_remaining.as_ref();
                let lease = lease.map(|left| left.seconds * 1000 + i64::from(left.nanos) / 1_000_000);
                let lease = lease.map(|left| format!("{left} ms")).unwrap_or_default();
                let mut cells = vec![
                    node.name.clone(),
                    node.incarnation.to_string(),
                    standing(node),
                    node.owned.to_string(),
                ];
                if counted {
                    let number = |count: Option<u32>| count.map_or("-".to_owned(), |count| count.to_string());
                    cells.extend([number(node.connected), number(node.waiting)]);
                }
                let (version, weight) = (node.version.to_string(), node.weight.to_string());
                cells.extend([lease, version, weight, node.zone.clone(), node.address.clone()]);
                cells
            };
            let mut heading = vec!["NODE", "LIFE", "STATE", "DEVICES"];
            if counted {
                heading.extend(["CONNECTED", "WAITING"]);
            }
            heading.extend(["LEASE LEFT", "VERSION", "WEIGHT", "ZONE", "ADDRESS"]);
            let rows: Vec<_> = nodes.iter().map(row).collect();
            print!("{}", render::columns(&heading, &rows));
        }
    }
}

/// Its state, and what is to be said of it.
fn standing(node: &api::Node) -> String {
    let mut said = node.state().as_str_name().to_owned();
    let marks = [(node.cordoned, ", cordoned"), (node.cut_off, ", egress")];
    said.extend(marks.into_iter().filter(|(marked, _)| *marked).map(|(_, mark)| mark));
    if node.unreachable > 0 {
        said.push_str(&format!(", {} unreachable", node.unreachable));
    }
    said
}

fn show_ring(ring: &api::GetRingResponse, output: Output) {
    match output {
        Output::Json => {
            let share = |share: &api::get_ring_response::Share| json!({"node": share.node, "fraction": share.fraction, "points": share.points});
            let shares: Vec<_> = ring.shares.iter().map(share).collect();
            let view = ring.view_epoch.to_string();
            println!("{}", json!({"preference": ring.preference, "shares": shares, "viewEpoch": view}));
        }
        Output::Table => {
            if !ring.preference.is_empty() {
                println!("preference: {}", ring.preference.join(", "));
            }
            let row = |share: &api::get_ring_response::Share| {
                vec![share.node.clone(), format!("{:.1} %", share.fraction * 100.0), share.points.to_string()]
            };
            let rows: Vec<_> = ring.shares.iter().map(row).collect();
            print!("{}", render::columns(&["NODE", "SHARE", "POINTS"], &rows));
        }
    }
}

fn show_place(place: &api::LocateDeviceResponse, output: Output) {
    match output {
        Output::Json => {
            let line = |line: &api::locate_device_response::Transition| {
                json!({
                    "epoch": line.epoch.to_string(),
                    "node": line.node,
                    "incarnation": line.incarnation.to_string(),
                    "reason": line.reason,
                    "time": render::time(line.time.as_ref()),
                })
            };
            let history: Vec<_> = place.history.iter().map(line).collect();
            let ownership = render::ownership(place.ownership.as_ref());
            println!("{}", json!({"ownership": ownership, "address": place.address, "history": history}));
        }
        Output::Table => {
            let row = place.ownership.clone().unwrap_or_default();
            let node = if row.node.is_empty() { "nobody" } else { &row.node };
            println!("on {node} {}, epoch {}", place.address, row.epoch);
            let line = |line: &api::locate_device_response::Transition| {
                let life = match line.node.is_empty() {
                    true => "-".to_owned(),
                    false => format!("{}/{}", line.node, line.incarnation),
                };
                vec![line.epoch.to_string(), life, line.reason.clone(), render::time(line.time.as_ref())]
            };
            let rows: Vec<_> = place.history.iter().map(line).collect();
            print!("{}", render::columns(&["EPOCH", "OWNER", "REASON", "TIME"], &rows));
        }
    }
}
