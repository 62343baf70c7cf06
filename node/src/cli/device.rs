//! `roost device …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use roost_proto::api;
use tonic::Request;

use super::{Globals, Output, device_name, import, pair, placement, render, tenant_name};
use crate::client::{Client, Problem, request};

/// What can be done with devices.
#[derive(Debug, Clone, Subcommand)]
pub enum DeviceCommand {
    /// Lists the devices of a tenant, or of all.
    List {
        /// `acme`; empty means all tenants.
        tenant: Option<String>,
    },
    /// Makes a device.
    Create {
        /// `acme/shop` or its whole name.
        device: String,
        /// For people.
        #[arg(long, default_value = "")]
        display_name: String,
        #[command(flatten)]
        proxy: ProxyArgs,
    },
    /// Changes its display name or its proxy; with another proxy it connects anew.
    Update {
        /// `acme/shop` or its whole name.
        device: String,
        /// For people.
        #[arg(long)]
        display_name: Option<String>,
        #[command(flatten)]
        proxy: ProxyArgs,
        /// It goes the way of its node from now on.
        #[arg(long, conflicts_with_all = ["proxy", "proxy_file"])]
        no_proxy: bool,
    },
    /// Shows one device.
    Show {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Says who owns it, why, since when, who did before, and what happens next.
    Explain {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Pins it to a node, and moves it there if that node can take it now.
    Pin {
        /// `acme/shop` or its whole name.
        device: String,
        /// A node id.
        node: String,
        /// That node or none: without it the device waits.
        #[arg(long)]
        require: bool,
    },
    /// Takes its pin away; nothing moves by this.
    Unpin {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Wants it online.
    Start {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Wants it offline; afterwards nothing acts for it.
    Stop {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Unlinks it at WhatsApp.
    Logout {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Deletes it with its keys, messages and events.
    Delete {
        /// `acme/shop` or its whole name.
        device: String,
    },
    /// Shows QR codes until a phone has scanned one, or a code to type on a phone.
    Pair(pair::PairArgs),
    /// Goes on with a pairing that asks for the passkey of the account: reads what the authenticator answered.
    Passkey {
        /// `acme/shop` or its whole name.
        device: String,
        /// A file with the JSON of the credential; `-` is standard input.
        #[arg(required_unless_present = "same_code")]
        credential: Option<PathBuf>,
        /// Have the phone show a code to compare, instead of proving that the scanned code was ours.
        #[arg(long)]
        compare_code: bool,
        /// The phone shows the same code as the pairing.
        #[arg(long, conflicts_with_all = ["credential", "compare_code"])]
        same_code: bool,
    },
    /// Gives it the keys and ratchets of a device that another library has paired.
    Import(import::ImportArgs),
    /// Prints the devices of a tenant, or of all, and each change.
    Watch {
        /// `acme`; empty means all tenants.
        tenant: Option<String>,
    },
}

/// How a device connects to WhatsApp.
#[derive(Debug, Clone, Args)]
pub struct ProxyArgs {
    /// The proxy through which it connects: http:// or socks5:// with [user:password@]host:port.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// A file that holds it, for those with a password; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "proxy")]
    proxy_file: Option<PathBuf>,
}

impl ProxyArgs {
    fn read(self) -> Result<Option<String>, Problem> {
        let text = self.proxy_file.map(|path| pair::text_of(&path)).transpose()?;
        Ok(text.map(|text| text.trim().to_owned()).or(self.proxy))
    }
}

pub(super) async fn run(command: DeviceCommand, globals: &Globals) -> Result<(), Problem> {
    if let DeviceCommand::Import(args) = command {
        return import::run(args, globals).await;
    }
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    // Every call below but create may be repeated: it says what shall be, not what to change.
    match command {
        DeviceCommand::List { tenant } => {
            show(&list(&client, globals, &parent(tenant)).await?, globals.output)
        }
        DeviceCommand::Create { device, display_name, proxy } => {
            let name = device_name(&device);
            let (parent, device_id) = name.split_once("/devices/").unwrap_or((&name, ""));
            let (parent, device_id) = (parent.to_owned(), device_id.to_owned());
            let proxy_uri = proxy.read()?.unwrap_or_default();
            let wanted = api::CreateDeviceRequest { parent, device_id, display_name, proxy_uri };
            let made = client.devices().create_device(request(wanted, deadline)).await?;
            show(&[made.into_inner()], globals.output);
        }
        DeviceCommand::Update { device, display_name, proxy, no_proxy } => {
            let proxy_uri = if no_proxy { Some(String::new()) } else { proxy.read()? };
            let wanted = api::UpdateDeviceRequest { name: device_name(&device), display_name, proxy_uri };
            show(&[repeat!(client.devices.update_device, wanted, deadline)], globals.output);
        }
        DeviceCommand::Show { device } => {
            let found = repeat!(
                client.devices.get_device,
                api::GetDeviceRequest { name: device_name(&device) },
                deadline
            );
            if globals.output == Output::Table && !found.state_reason.is_empty() {
                println!("{}", render::clean(&found.state_reason));
            }
            if globals.output == Output::Table && !found.proxy_uri.is_empty() {
                println!("It connects through {}.", render::clean(&found.proxy_uri));
            }
            show(&[found], globals.output);
        }
        DeviceCommand::Explain { device } => {
            let said = repeat!(
                client.devices.explain_device,
                api::ExplainDeviceRequest { name: device_name(&device) },
                deadline
            );
            placement::show_explanation(&said, globals.output);
        }
        DeviceCommand::Pin { device, node, require } => {
            placement::pin(&client, globals, device_name(&device), node, require).await?;
        }
        DeviceCommand::Unpin { device } => {
            let name = device_name(&device);
            client.cluster().unpin_device(request(api::UnpinDeviceRequest { name }, deadline)).await?;
        }
        DeviceCommand::Start { device } => {
            let name = device_name(&device);
            show(
                &[repeat!(client.devices.start_device, api::StartDeviceRequest { name }, deadline)],
                globals.output,
            );
        }
        DeviceCommand::Stop { device } => {
            let name = device_name(&device);
            show(
                &[repeat!(client.devices.stop_device, api::StopDeviceRequest { name }, deadline)],
                globals.output,
            );
        }
        DeviceCommand::Logout { device } => {
            let name = device_name(&device);
            show(
                &[repeat!(client.devices.logout_device, api::LogoutDeviceRequest { name }, deadline)],
                globals.output,
            );
        }
        DeviceCommand::Delete { device } => {
            let name = device_name(&device);
            repeat!(client.devices.delete_device, api::DeleteDeviceRequest { name }, deadline);
        }
        DeviceCommand::Pair(args) => pair::run(pair::wanted(args), globals).await?,
        DeviceCommand::Passkey { device, credential, compare_code, same_code: _ } => {
            pair::answer(&client, &device_name(&device), credential, compare_code).await?;
        }
        DeviceCommand::Import(_) => unreachable!("an import has returned before it needed a connection"),
        DeviceCommand::Watch { tenant } => watch(&client, parent(tenant), globals.output).await?,
    }
    Ok(())
}

async fn list(client: &Client, globals: &Globals, parent: &str) -> Result<Vec<api::Device>, Problem> {
    let deadline = globals.deadline();
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let wanted = api::ListDevicesRequest { parent: parent.to_owned(), page_size: 1000, page_token };
        let page = repeat!(client.devices.list_devices, wanted, deadline);
        found.extend(page.devices);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

async fn watch(client: &Client, parent: String, output: Output) -> Result<(), Problem> {
    use api::watch_devices_response::Change;
    let wanted = Request::new(api::WatchDevicesRequest { parent });
    let mut stream = client.devices().watch_devices(wanted).await?.into_inner();
    while let Some(answer) = stream.message().await? {
        match (answer.change, output) {
            (Some(Change::Device(device)), Output::Json) => println!("{}", render::device(&device)),
            (Some(Change::Device(device)), Output::Table) => {
                let node = device.ownership.as_ref().map(|row| row.node.clone()).unwrap_or_default();
                let state = device.state().as_str_name();
                println!("{} {state} {node} {}", device.name, render::clean(&device.state_reason));
            }
            (Some(Change::Deleted(name)), Output::Json) => {
                println!("{}", serde_json::json!({ "deleted": name }));
            }
            (Some(Change::Deleted(name)), Output::Table) => println!("{name} deleted"),
            (Some(Change::CaughtUp(_)), Output::Table) => println!("-- changes from here on --"),
            (Some(Change::CaughtUp(_)) | None, _) => {}
        }
    }
    Ok(())
}

fn parent(tenant: Option<String>) -> String {
    tenant.map_or_else(|| "tenants/-".to_owned(), |tenant| tenant_name(&tenant))
}

fn show(devices: &[api::Device], output: Output) {
    match output {
        Output::Json => devices.iter().for_each(|device| println!("{}", render::device(device))),
        Output::Table => {
            let row = |device: &api::Device| {
                let account = device.account.clone().unwrap_or_default();
                let ownership = device.ownership.clone().unwrap_or_default();
                vec![
                    device.name.clone(),
                    device.state().as_str_name().to_owned(),
                    if ownership.node.is_empty() { "-".to_owned() } else { ownership.node },
                    ownership.epoch.to_string(),
                    if account.phone_number.is_empty() { "-".to_owned() } else { account.phone_number },
                    render::clean(&device.display_name),
                ]
            };
            let rows: Vec<_> = devices.iter().map(row).collect();
            let heading = ["DEVICE", "STATE", "NODE", "EPOCH", "ACCOUNT", "DISPLAY NAME"];
            print!("{}", render::columns(&heading, &rows));
        }
    }
}
