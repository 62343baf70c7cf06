//! `TenantService`.

use roost_proto::api;
use roost_proto::api::tenant_service_server::TenantService;
use tonic::{Request, Response, Status, async_trait};

use super::token::Kind;
use super::{Api, convert, method, parse, token};
use crate::directory::CreateError;
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "TenantService";
/// What a page of tenants is bound to.
const QUERY: &str = "tenants";

#[async_trait]
impl TenantService for Api {
    async fn create_tenant(
        &self,
        request: Request<api::CreateTenantRequest>,
    ) -> Result<Response<api::Tenant>, Status> {
        self.unary(method(SERVICE, "CreateTenant"), request, |call, request| async move {
            let id = parse::business_id("business_id", &request.business_id)?;
            let display_name = parse::display_name("display_name", &request.display_name)?;
            call.must_operate()?;
            match self.directory().create_tenant(&id, &display_name).await {
                Ok(tenant) => Ok(convert::tenant(&tenant)),
                Err(CreateError::Exists(_)) => {
                    Err(ApiError::Exists { what: Resource::Tenant, name: format!("tenants/{id}") })
                }
                Err(CreateError::NoTenant(id)) => Err(ApiError::not_found(Resource::Tenant, id)),
                Err(CreateError::Unavailable(down)) => Err(down.into()),
            }
        })
        .await
    }

    async fn get_tenant(
        &self,
        request: Request<api::GetTenantRequest>,
    ) -> Result<Response<api::Tenant>, Status> {
        self.unary(method(SERVICE, "GetTenant"), request, |call, request| async move {
            let id = parse::tenant("name", &request.name)?;
            call.may_name(&id)?;
            let tenant = self.directory().tenant(&id).await?;
            tenant
                .map(|tenant| convert::tenant(&tenant))
                .ok_or_else(|| ApiError::not_found(Resource::Tenant, request.name))
        })
        .await
    }

    async fn spread_tenant(
        &self,
        request: Request<api::SpreadTenantRequest>,
    ) -> Result<Response<api::Tenant>, Status> {
        self.unary(method(SERVICE, "SpreadTenant"), request, |call, request| async move {
            let id = parse::tenant("name", &request.name)?;
            let spread = parse::spread("spread", request.spread())?;
            call.must_operate()?;
            let tenant = self.directory().spread(&id, spread).await?;
            tenant
                .map(|tenant| convert::tenant(&tenant))
                .ok_or_else(|| ApiError::not_found(Resource::Tenant, request.name))
        })
        .await
    }

    async fn list_tenants(
        &self,
        request: Request<api::ListTenantsRequest>,
    ) -> Result<Response<api::ListTenantsResponse>, Status> {
        self.unary(method(SERVICE, "ListTenants"), request, |call, request| async move {
            let size = parse::page_size("page_size", request.page_size)?;
            let after = parse::page_token("page_token", Kind::TenantPage, QUERY, &request.page_token)?;
            let after = after.map(|id| parse::business_id("page_token", &id)).transpose()?;
            if let Some(caller) = &call.caller {
                // A tenant sees itself.
                let own = self.directory().tenant(caller).await?;
                let tenants = own.iter().map(convert::tenant).collect();
                return Ok(api::ListTenantsResponse { tenants, next_page_token: String::new() });
            }
            // One more than asked for tells whether there is another page.
            let mut found = self.directory().tenants(after.as_ref(), size + 1).await?;
            let more = found.len() > size;
            found.truncate(size);
            let next_page_token = match found.last() {
                Some(last) if more => {
                    token::seal(Kind::TenantPage, QUERY, last.business_id.as_str().as_bytes())
                }
                _ => String::new(),
            };
            let tenants = found.iter().map(convert::tenant).collect();
            Ok(api::ListTenantsResponse { tenants, next_page_token })
        })
        .await
    }
}
