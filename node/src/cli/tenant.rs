//! `roost tenant …`

use clap::{Subcommand, ValueEnum};
use roost_proto::api;

use super::{Globals, Output, render, tenant_name};
use crate::client::{Problem, request, retrying};

/// What can be done with tenants.
#[derive(Debug, Clone, Subcommand)]
pub enum TenantCommand {
    /// Lists all.
    List,
    /// Makes one.
    Create {
        /// 1 to 63 characters of a-z, 0-9 and '-'.
        business_id: String,
        /// For people.
        #[arg(long, default_value = "")]
        display_name: String,
    },
    /// Changes how its devices lie on the ring.
    Spread {
        /// `acme` or `tenants/acme`.
        tenant: String,
        /// auto: together while it is small; devices: each for itself; strict: also at most half of them
        /// in one zone.
        #[arg(value_enum)]
        spread: Spread,
    },
    /// Shows one.
    Show {
        /// `acme` or `tenants/acme`.
        tenant: String,
    },
}

/// How the devices of a tenant lie on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// Together while it is small, each for itself when it is large.
    Auto,
    /// Each for itself.
    Devices,
    /// Each for itself, and at most half of them in one zone.
    Strict,
}

pub(super) async fn run(command: TenantCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    match command {
        TenantCommand::List => {
            let mut found = Vec::new();
            let mut page_token = String::new();
            loop {
                let wanted = api::ListTenantsRequest { page_size: 1000, page_token };
                let page = retrying(deadline, || {
                    let (mut tenants, wanted) = (client.tenants(), wanted.clone());
                    async move { tenants.list_tenants(request(wanted, deadline)).await }
                });
                let page = page.await?;
                found.extend(page.tenants);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            show(&found, globals.output);
        }
        TenantCommand::Create { business_id, display_name } => {
            // Not tried again by itself: a repetition after a lost answer would say that it exists.
            let wanted = api::CreateTenantRequest { business_id, display_name };
            let made = client.tenants().create_tenant(request(wanted, deadline)).await?;
            show(&[made.into_inner()], globals.output);
        }
        TenantCommand::Spread { tenant, spread } => {
            let spread = match spread {
                Spread::Auto => api::tenant::Spread::Auto,
                Spread::Devices => api::tenant::Spread::Devices,
                Spread::Strict => api::tenant::Spread::Strict,
            };
            let wanted = api::SpreadTenantRequest { name: tenant_name(&tenant), spread: spread.into() };
            let changed = client.tenants().spread_tenant(request(wanted, deadline)).await?;
            show(&[changed.into_inner()], globals.output);
        }
        TenantCommand::Show { tenant } => {
            let wanted = api::GetTenantRequest { name: tenant_name(&tenant) };
            let one = retrying(deadline, || {
                let (mut tenants, wanted) = (client.tenants(), wanted.clone());
                async move { tenants.get_tenant(request(wanted, deadline)).await }
            });
            show(&[one.await?], globals.output);
        }
    }
    Ok(())
}

fn show(tenants: &[api::Tenant], output: Output) {
    match output {
        Output::Json => tenants.iter().for_each(|tenant| println!("{}", render::tenant(tenant))),
        Output::Table => {
            let row = |tenant: &api::Tenant| {
                let name = render::clean(&tenant.display_name);
                let spread = tenant.spread().as_str_name().to_ascii_lowercase();
                vec![tenant.name.clone(), render::time(tenant.create_time.as_ref()), spread, name]
            };
            let rows: Vec<_> = tenants.iter().map(row).collect();
            print!("{}", render::columns(&["TENANT", "CREATED", "SPREAD", "DISPLAY NAME"], &rows));
        }
    }
}
