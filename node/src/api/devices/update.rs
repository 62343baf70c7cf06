//! `UpdateDevice`: the row is changed, then its owner is told.
//!
//! What must hold: the row alone says what holds, so whoever owns the device later reads it there; when the call answers,
//! the present owner has heard of it. Saying the same again changes nothing.

use roost_proto::api;
use roost_proto::api::device_service_client::DeviceServiceClient;
use roost_proto::id::DeviceKey;

use crate::api::call::Call;
use crate::api::{Api, parse};
use crate::directory::DeviceChange;
use crate::errors::{ApiError, Unfit};

impl Api {
    pub(super) async fn update(
        &self,
        call: &Call,
        request: api::UpdateDeviceRequest,
    ) -> Result<api::Device, ApiError> {
        let key = parse::device("name", &request.name)?;
        let display_name = request.display_name.as_deref();
        let proxy = request.proxy_uri.as_deref();
        let change = DeviceChange {
            display_name: display_name.map(|name| parse::display_name("display_name", name)).transpose()?,
            proxy: proxy.map(|proxy| parse::proxy("proxy_uri", proxy)).transpose()?,
        };
        call.may_name_device(&key)?;
        // The node that was called has written it.
        if !call.forwarded && self.directory().update_device(&key, &change).await?.is_none() {
            return Err(self.missing(&key).await);
        }
        if change.proxy.is_some() {
            self.tell_owner(call, &key, &request).await?;
        }
        let device = self.device(&key).await?;
        Ok(self.shown(&device))
    }

    /// Has the owner, if there is one, dial with what the row says.
    async fn tell_owner(
        &self,
        call: &Call,
        key: &DeviceKey,
        request: &api::UpdateDeviceRequest,
    ) -> Result<(), ApiError> {
        if !call.forwarded && self.device(key).await?.ownership.owner.is_none() {
            return Ok(());
        }
        let told = self.router().at_owner(
            call,
            key,
            |device| async move {
                let row = self.device(key).await?;
                device.proxy_changed(row.proxy);
                Ok(())
            },
            |channel| {
                let request = call.forward(request.clone());
                async move { DeviceServiceClient::new(channel).update_device(request).await.map(|_| ()) }
            },
        );
        match told.await {
            // It has no owner any more, and the next one reads the row.
            Err(ApiError::NoOwner { .. } | ApiError::Unfit { unfit: Unfit::Stopped, .. }) => Ok(()),
            told => told,
        }
    }
}
