//! `BusinessService`: the profile of the account as a business, catalogs and orders.

use roost_proto::api;
use roost_proto::api::business_service_server::BusinessService;
use roost_proto::api::set_cover_photo_request::Change;
use roost_proto::ask::business::{RemoveCover, SetCover};
use roost_proto::ask::catalog::{CreateProduct, DeleteProducts, UpdateProduct};
use roost_proto::id::DeviceKey;
use tonic::{Request, Response, Status, async_trait};

use super::call::Call;
use super::parse::business as read;
use super::{Api, method, parse};
use crate::errors::ApiError;
use crate::media::{Shown, Uploaded};

const SERVICE: &str = "BusinessService";
/// Where WhatsApp's own clients say that a picture of a product is.
const PICTURES: &str = "https://mmg.whatsapp.net";

#[async_trait]
impl BusinessService for Api {
    async fn update_business_profile(
        &self,
        request: Request<api::UpdateBusinessProfileRequest>,
    ) -> Result<Response<api::UpdateBusinessProfileResponse>, Status> {
        self.unary(method(SERVICE, "UpdateBusinessProfile"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            self.ask(&call, &key, &read::profile(request)?).await?;
            Ok(api::UpdateBusinessProfileResponse {})
        })
        .await
    }

    async fn set_cover_photo(
        &self,
        request: Request<api::SetCoverPhotoRequest>,
    ) -> Result<Response<api::SetCoverPhotoResponse>, Status> {
        self.unary(method(SERVICE, "SetCoverPhoto"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            match request.change {
                Some(Change::Jpeg(jpeg)) => {
                    let jpeg = read::cover(jpeg)?;
                    let Uploaded { fbid, meta_hmac, ts, .. } =
                        self.show_picture(&call, &key, Shown::Cover, jpeg).await?;
                    let id = fbid.as_str().map_or_else(|| fbid.to_string(), str::to_owned);
                    let cover = SetCover { id: id.clone(), token: meta_hmac, seconds: ts };
                    self.ask(&call, &key, &cover).await?;
                    Ok(api::SetCoverPhotoResponse { id })
                }
                Some(Change::Remove(id)) => {
                    let id = read::opaque("remove", id)?;
                    self.ask(&call, &key, &RemoveCover { id }).await?;
                    Ok(api::SetCoverPhotoResponse::default())
                }
                None => Err(ApiError::field("change", "is required: jpeg or remove")),
            }
        })
        .await
    }

    async fn list_products(
        &self,
        request: Request<api::ListProductsRequest>,
    ) -> Result<Response<api::ListProductsResponse>, Status> {
        self.unary(method(SERVICE, "ListProducts"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let (products, next) = self.ask(&call, &key, &read::products(&request)?).await?;
            Ok(api::ListProductsResponse { products, next_page_token: next.unwrap_or_default() })
        })
        .await
    }

    async fn list_collections(
        &self,
        request: Request<api::ListCollectionsRequest>,
    ) -> Result<Response<api::ListCollectionsResponse>, Status> {
        self.unary(method(SERVICE, "ListCollections"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let collections = self.ask(&call, &key, &read::collections(&request)?).await?;
            Ok(api::ListCollectionsResponse { collections })
        })
        .await
    }

    async fn create_product(
        &self,
        request: Request<api::CreateProductRequest>,
    ) -> Result<Response<api::CatalogProduct>, Status> {
        self.unary(method(SERVICE, "CreateProduct"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let (mut product, pictures, origin) = read::new_product(request)?;
            product.images = self.product_pictures(&call, &key, pictures).await?;
            self.ask(&call, &key, &CreateProduct { product, origin }).await
        })
        .await
    }

    async fn update_product(
        &self,
        request: Request<api::UpdateProductRequest>,
    ) -> Result<Response<api::CatalogProduct>, Status> {
        self.unary(method(SERVICE, "UpdateProduct"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let (id, mut product, pictures) = read::product_change(request)?;
            product.images = self.product_pictures(&call, &key, pictures).await?;
            self.ask(&call, &key, &UpdateProduct { id, product }).await
        })
        .await
    }

    async fn delete_products(
        &self,
        request: Request<api::DeleteProductsRequest>,
    ) -> Result<Response<api::DeleteProductsResponse>, Status> {
        self.unary(method(SERVICE, "DeleteProducts"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let ids = read::product_ids(request.product_ids)?;
            let deleted = self.ask(&call, &key, &DeleteProducts { ids }).await?;
            Ok(api::DeleteProductsResponse { deleted })
        })
        .await
    }

    async fn get_order(
        &self,
        request: Request<api::GetOrderRequest>,
    ) -> Result<Response<api::Order>, Status> {
        self.unary(method(SERVICE, "GetOrder"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            self.ask(&call, &key, &read::order(request)?).await
        })
        .await
    }
}

impl Api {
    /// Uploads the pictures of a product, in order. Returns where they are.
    async fn product_pictures(
        &self,
        call: &Call,
        key: &DeviceKey,
        pictures: Vec<Vec<u8>>,
    ) -> Result<Vec<String>, ApiError> {
        let mut places = Vec::new();
        for picture in pictures {
            let uploaded = self.show_picture(call, key, Shown::Product, picture).await?;
            places.push(format!("{PICTURES}{}", uploaded.direct_path));
        }
        Ok(places)
    }
}

fn device(call: &Call, name: &str) -> Result<DeviceKey, ApiError> {
    let key = parse::device("device", name)?;
    call.may_name_device(&key)?;
    Ok(key)
}
