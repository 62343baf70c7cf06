//! `DeviceService`: rows, and what the tenant wants of them.
//!
//! What must hold: when `StopDevice` or `DeleteDevice` answers, nothing acts for the device any more: its
//! owner has stopped it, or the row names nobody, or a life that the view has shown dead.

use std::time::Duration;

use roost_placement::ledger::{Desired, Ownership};
use roost_proto::api;
use roost_proto::api::device_service_client::DeviceServiceClient;
use roost_proto::api::device_service_server::DeviceService;
use roost_proto::id::DeviceKey;
use roost_proto::peer::AdoptRequest;
use roost_proto::peer::peer_service_client::PeerServiceClient;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::call::Call;
use super::parse::Parent;
use super::streams::{Answers, Until};
use super::token::Kind;
use super::{Api, convert, method, parse, token, watches};
use crate::directory::{CreateError, Device};
use crate::errors::{ApiError, Resource, Unfit};

mod update;

const SERVICE: &str = "DeviceService";
/// How long a hint to another node may take.
const HINT: Duration = Duration::from_secs(1);
/// Between looks at the row while a device stops elsewhere.
const STOP_POLL: Duration = Duration::from_millis(50);

#[async_trait]
impl DeviceService for Api {
    async fn create_device(
        &self,
        request: Request<api::CreateDeviceRequest>,
    ) -> Result<Response<api::Device>, Status> {
        self.unary(method(SERVICE, "CreateDevice"), request, |call, request| async move {
            let business_id = parse::tenant("parent", &request.parent)?;
            let device_id = parse::device_id("device_id", &request.device_id)?;
            let display_name = parse::display_name("display_name", &request.display_name)?;
            let proxy = parse::proxy("proxy_uri", &request.proxy_uri)?;
            call.may_name(&business_id)?;
            let device_id = device_id.unwrap_or_else(|| {
                let made = self.parts().outside.name().to_lowercase();
                made.parse().expect("a ULID is letters and digits")
            });
            let key = DeviceKey { business_id, device_id };
            match self.directory().create_device(&key, &display_name, proxy.as_ref()).await {
                Ok(device) => {
                    self.offer(&device.ownership);
                    Ok(self.shown(&device))
                }
                Err(CreateError::Exists(_)) => {
                    Err(ApiError::Exists { what: Resource::Device, name: key.to_string() })
                }
                Err(CreateError::NoTenant(_)) => Err(ApiError::not_found(Resource::Tenant, request.parent)),
                Err(CreateError::Unavailable(down)) => Err(down.into()),
            }
        })
        .await
    }

    async fn update_device(
        &self,
        request: Request<api::UpdateDeviceRequest>,
    ) -> Result<Response<api::Device>, Status> {
        self.unary(method(SERVICE, "UpdateDevice"), request, |call, request| async move {
            self.update(&call, request).await
        })
        .await
    }

    async fn get_device(
        &self,
        request: Request<api::GetDeviceRequest>,
    ) -> Result<Response<api::Device>, Status> {
        self.unary(method(SERVICE, "GetDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            call.may_name_device(&key)?;
            let device = self.device(&key).await?;
            Ok(self.shown(&device))
        })
        .await
    }

    async fn list_devices(
        &self,
        request: Request<api::ListDevicesRequest>,
    ) -> Result<Response<api::ListDevicesResponse>, Status> {
        self.unary(method(SERVICE, "ListDevices"), request, |call, request| async move {
            let parent = parse::parent("parent", &request.parent)?;
            let size = parse::page_size("page_size", request.page_size)?;
            let query = request.parent.as_str();
            let after = parse::page_token("page_token", Kind::DevicePage, query, &request.page_token)?;
            let after = after.map(|name| parse::device("page_token", &name)).transpose()?;
            call.may_name_parent(&parent)?;
            let tenant = match &parent {
                Parent::One(tenant) => Some(tenant),
                Parent::All => None,
            };
            let mut found = self.directory().devices(tenant, after.as_ref(), size + 1).await?;
            if found.is_empty() && after.is_none() {
                self.tenant_exists(&parent).await?;
            }
            let more = found.len() > size;
            found.truncate(size);
            let next_page_token = match found.last() {
                Some(last) if more => {
                    token::seal(Kind::DevicePage, query, last.ownership.key.to_string().as_bytes())
                }
                _ => String::new(),
            };
            let devices = found.iter().map(|device| self.shown(device)).collect();
            Ok(api::ListDevicesResponse { devices, next_page_token })
        })
        .await
    }

    async fn start_device(
        &self,
        request: Request<api::StartDeviceRequest>,
    ) -> Result<Response<api::Device>, Status> {
        self.unary(method(SERVICE, "StartDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            call.may_name_device(&key)?;
            let device = self.desire(&key, Desired::Online).await?;
            if device.ownership.owner.is_none() {
                self.offer(&device.ownership);
            }
            Ok(self.shown(&device))
        })
        .await
    }

    async fn stop_device(
        &self,
        request: Request<api::StopDeviceRequest>,
    ) -> Result<Response<api::Device>, Status> {
        self.unary(method(SERVICE, "StopDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            call.may_name_device(&key)?;
            self.stop(&call, &key).await?;
            let device = self.device(&key).await?;
            Ok(self.shown(&device))
        })
        .await
    }

    async fn logout_device(
        &self,
        request: Request<api::LogoutDeviceRequest>,
    ) -> Result<Response<api::Device>, Status> {
        self.unary(method(SERVICE, "LogoutDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            call.may_name_device(&key)?;
            let done = self.router().at_owner(
                &call,
                &key,
                |device| {
                    let key = &key;
                    async move {
                        let done = device.logout().await;
                        done.map_err(|error| super::messages::command_error(key, &device, error))
                    }
                },
                |channel| {
                    let request = call.forward(request.clone());
                    async move { DeviceServiceClient::new(channel).logout_device(request).await.map(|_| ()) }
                },
            );
            match done.await {
                Err(ApiError::NotFound { .. }) => return Err(self.missing(&key).await),
                done => done?,
            }
            let device = self.device(&key).await?;
            Ok(self.shown(&device))
        })
        .await
    }

    async fn import_device(
        &self,
        request: Request<Streaming<api::ImportDeviceRequest>>,
    ) -> Result<Response<api::ImportDeviceResponse>, Status> {
        self.unary(method(SERVICE, "ImportDevice"), request, |call, parts| async move {
            self.import(&call, parts).await
        })
        .await
    }

    async fn delete_device(
        &self,
        request: Request<api::DeleteDeviceRequest>,
    ) -> Result<Response<()>, Status> {
        self.unary(method(SERVICE, "DeleteDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            call.may_name_device(&key)?;
            match self.stop(&call, &key).await {
                // A deletion that was interrupted goes on.
                Err(ApiError::NotFound { .. }) => {}
                stopped => stopped?,
            }
            let existed = self.directory().delete_device(&key).await?;
            self.router().forget(&key);
            if existed { Ok(()) } else { Err(self.missing(&key).await) }
        })
        .await
    }

    async fn explain_device(
        &self,
        request: Request<api::ExplainDeviceRequest>,
    ) -> Result<Response<api::ExplainDeviceResponse>, Status> {
        self.unary(method(SERVICE, "ExplainDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            call.may_name_device(&key)?;
            self.explain(&key).await
        })
        .await
    }

    type WatchDevicesStream = Answers<api::WatchDevicesResponse>;

    async fn watch_devices(
        &self,
        request: Request<api::WatchDevicesRequest>,
    ) -> Result<Response<Self::WatchDevicesStream>, Status> {
        let named = method(SERVICE, "WatchDevices");
        self.streaming(named, request, Until::Drain, |call, request| async move {
            let parent = parse::parent("parent", &request.parent)?;
            call.may_name_parent(&parent)?;
            self.tenant_exists(&parent).await?;
            let api = self.clone();
            Ok(move |sink| async move { watches::devices(&api, &parent, &sink).await })
        })
        .await
    }
}

impl Api {
    /// A device as this node sees it.
    pub(super) fn shown(&self, device: &Device) -> api::Device {
        let seen = self.parts().cluster.views().borrow().clone();
        convert::device(device, &seen)
    }

    /// The row of a device, or which part of its name does not exist.
    pub(super) async fn device(&self, key: &DeviceKey) -> Result<Device, ApiError> {
        match self.directory().device(key).await? {
            Some(device) => Ok(device),
            None => Err(self.missing(key).await),
        }
    }

    /// Which part of the name of a device does not exist.
    pub(super) async fn missing(&self, key: &DeviceKey) -> ApiError {
        match self.directory().tenant(&key.business_id).await {
            Ok(Some(_)) => ApiError::not_found(Resource::Device, key),
            Ok(None) => ApiError::not_found(Resource::Tenant, format!("tenants/{}", key.business_id)),
            Err(down) => down.into(),
        }
    }

    pub(super) async fn tenant_exists(&self, parent: &Parent) -> Result<(), ApiError> {
        if let Parent::One(id) = parent
            && self.directory().tenant(id).await?.is_none()
        {
            return Err(ApiError::not_found(Resource::Tenant, format!("tenants/{id}")));
        }
        Ok(())
    }

    async fn desire(&self, key: &DeviceKey, desired: Desired) -> Result<Device, ApiError> {
        match self.directory().desire(key, desired).await? {
            Some(device) => Ok(device),
            None => Err(self.missing(key).await),
        }
    }

    /// Tells the node that should own a free device to look now. Its next sweep would find it anyway.
    fn offer(&self, row: &Ownership) {
        let (cluster, key) = (&self.parts().cluster, &row.key);
        cluster.sweep();
        let home =
            cluster.preference(key, &row.wish).into_iter().next().filter(|home| *home != self.parts().node);
        let life = home.and_then(|home| cluster.views().borrow().life(&home).cloned());
        if let Some(peer) = life.and_then(|life| self.router().peer(life)) {
            let mut request =
                tonic::Request::new(AdoptRequest { device: key.to_string(), epoch: 0, stopped_micros: 0 });
            request.set_timeout(HINT);
            tokio::spawn(async move {
                // May be lost.
                let _ = PeerServiceClient::new(peer.channel).adopt(request).await;
            });
        }
    }

    /// Wants the device offline and waits until nothing acts for it.
    async fn stop(&self, call: &Call, key: &DeviceKey) -> Result<(), ApiError> {
        let mut row = self.desire(key, Desired::Offline).await?.ownership;
        loop {
            // The view that was read after the row decides whether the row's owner lives.
            if self.nobody_acts(&row).await {
                self.router().forget(key);
                return Ok(());
            }
            if row.owner.as_ref() == Some(&self.parts().cluster.me()) {
                self.parts().hosts.stop(key).await?;
            } else if call.forwarded {
                return Err(ApiError::NotOwner { key: key.clone() });
            } else if let Some(peer) = row.owner.clone().and_then(|life| self.router().peer(life)) {
                let request = call.forward(api::StopDeviceRequest { name: key.to_string() });
                let mut there = DeviceServiceClient::new(peer.channel.clone());
                tokio::select! {
                    biased;
                    // Whatever it answers, the row says whether it is done.
                    _ = there.stop_device(request) => {}
                    () = self.router().death(&peer.life) => {}
                }
            }
            tokio::time::sleep(STOP_POLL).await;
            row = self.device(key).await?.ownership;
            if row.desired == Desired::Online {
                // Somebody has started it again meanwhile.
                return Err(ApiError::Unfit { key: key.clone(), unfit: Unfit::Restarted });
            }
        }
    }

    /// Whether the row names nobody, or a life that a view newer than the row does not show.
    async fn nobody_acts(&self, row: &Ownership) -> bool {
        let Some(owner) = &row.owner else { return true };
        let mut views = self.parts().cluster.views();
        if views.borrow_and_update().address(owner).is_some() {
            return false;
        }
        views.changed().await.is_ok() && views.borrow().address(owner).is_none()
    }
}
