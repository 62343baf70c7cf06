//! Listening: all services on one port, with health and reflection beside them.
//!
//! What must hold: small answers are not delayed (`TCP_NODELAY` is set on accepted connections); one
//! connection cannot take all the capacity; at a drain health says NOT_SERVING first; when `shutdown` is
//! over, no new call is taken and those under way may end.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::Stream;
use roost_proto::api::account_service_server::AccountServiceServer;
use roost_proto::api::address_book_service_server::AddressBookServiceServer;
use roost_proto::api::business_service_server::BusinessServiceServer;
use roost_proto::api::call_service_server::CallServiceServer;
use roost_proto::api::chat_service_server::ChatServiceServer;
use roost_proto::api::cluster_service_server::ClusterServiceServer;
use roost_proto::api::contact_service_server::ContactServiceServer;
use roost_proto::api::device_service_server::DeviceServiceServer;
use roost_proto::api::event_service_server::EventServiceServer;
use roost_proto::api::group_service_server::GroupServiceServer;
use roost_proto::api::history_service_server::HistoryServiceServer;
use roost_proto::api::label_service_server::LabelServiceServer;
use roost_proto::api::media_service_server::MediaServiceServer;
use roost_proto::api::message_service_server::MessageServiceServer;
use roost_proto::api::newsletter_service_server::NewsletterServiceServer;
use roost_proto::api::pairing_service_server::PairingServiceServer;
use roost_proto::api::poll_service_server::PollServiceServer;
use roost_proto::api::presence_service_server::PresenceServiceServer;
use roost_proto::api::setting_service_server::SettingServiceServer;
use roost_proto::api::status_service_server::StatusServiceServer;
use roost_proto::api::tenant_service_server::TenantServiceServer;
use roost_proto::api::{self as schema};
use roost_proto::peer::peer_service_server::PeerServiceServer;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::Api;
use super::incoming::Incoming;
use super::streams::drained;
use crate::outside::Duplex;

/// Streams, and with them calls, that one connection may have open.
const STREAMS_PER_CONNECTION: u32 = 1000;
/// Calls that were given up before this node has looked at them. A node that was frozen finds many when it
/// wakes; the library's default of 20 would take that for an attack and refuse the whole connection.
const GIVEN_UP: usize = 10_000;
/// Largest request: texts are at most 64 KiB, cursors 512 KiB, pieces of files 1 MiB.
const LARGEST_REQUEST: usize = 2 << 20;
/// Largest request of another node: a caller's, and around it which device it is for.
const LARGEST_FORWARDED: usize = LARGEST_REQUEST + (64 << 10);

/// Names under which health is asked, beside the empty one for the whole.
const SERVICES: [&str; 21] = [
    TenantServiceServer::<Api>::NAME,
    DeviceServiceServer::<Api>::NAME,
    PairingServiceServer::<Api>::NAME,
    MessageServiceServer::<Api>::NAME,
    PollServiceServer::<Api>::NAME,
    EventServiceServer::<Api>::NAME,
    ContactServiceServer::<Api>::NAME,
    GroupServiceServer::<Api>::NAME,
    MediaServiceServer::<Api>::NAME,
    AccountServiceServer::<Api>::NAME,
    PresenceServiceServer::<Api>::NAME,
    CallServiceServer::<Api>::NAME,
    ClusterServiceServer::<Api>::NAME,
    ChatServiceServer::<Api>::NAME,
    AddressBookServiceServer::<Api>::NAME,
    LabelServiceServer::<Api>::NAME,
    SettingServiceServer::<Api>::NAME,
    HistoryServiceServer::<Api>::NAME,
    StatusServiceServer::<Api>::NAME,
    NewsletterServiceServer::<Api>::NAME,
    BusinessServiceServer::<Api>::NAME,
];

/// Why the API does not listen, or stopped to.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is in use or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The server failed while it ran.
    #[error("the gRPC server failed: {0}")]
    Failed(#[from] tonic::transport::Error),
    /// The compiled schema cannot be reflected.
    #[error("the schema cannot be reflected: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A port that is bound and not served yet.
pub struct Listener {
    incoming: Incoming,
    /// Where it listens; the port is known even if 0 was asked for.
    pub address: SocketAddr,
}

impl Listener {
    /// Binds. Needs a runtime.
    pub fn bind(address: SocketAddr) -> Result<Listener, ServerError> {
        let bound = Incoming::tcp(address).map_err(|source| ServerError::Bind { address, source });
        bound.map(|(incoming, address)| Listener { incoming, address })
    }

    /// Takes connections from another network, on which it is known by this address.
    pub fn over(
        streams: impl Stream<Item = std::io::Result<Box<dyn Duplex>>> + Send + 'static,
        address: SocketAddr,
    ) -> Listener {
        Listener { incoming: Incoming::from_streams(streams), address }
    }

    /// Serves until `shutdown` is over and the calls under way have ended.
    pub async fn serve(self, api: Api, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let (health, health_server) = tonic_health::server::health_reporter();
        say_health(&health, ServingStatus::Serving).await;
        let mut draining = api.parts().cluster.draining();
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(schema::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        macro_rules! service {
            ($server:ident) => {
                $server::new(api.clone()).max_decoding_message_size(LARGEST_REQUEST)
            };
        }
        let serving = Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .http2_max_pending_accept_reset_streams(Some(GIVEN_UP))
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .add_service(health_server)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(service!(TenantServiceServer))
            .add_service(service!(DeviceServiceServer))
            .add_service(service!(PairingServiceServer))
            .add_service(service!(MessageServiceServer))
            .add_service(service!(PollServiceServer))
            .add_service(service!(EventServiceServer))
            .add_service(service!(ContactServiceServer))
            .add_service(service!(GroupServiceServer))
            .add_service(service!(MediaServiceServer))
            .add_service(service!(AccountServiceServer))
            .add_service(service!(PresenceServiceServer))
            .add_service(service!(CallServiceServer))
            .add_service(service!(ClusterServiceServer))
            .add_service(service!(ChatServiceServer))
            .add_service(service!(AddressBookServiceServer))
            .add_service(service!(LabelServiceServer))
            .add_service(service!(SettingServiceServer))
            .add_service(service!(HistoryServiceServer))
            .add_service(service!(StatusServiceServer))
            .add_service(service!(NewsletterServiceServer))
            .add_service(service!(BusinessServiceServer))
            .add_service(PeerServiceServer::new(api.clone()).max_decoding_message_size(LARGEST_FORWARDED))
            .serve_with_incoming_shutdown(self.incoming, shutdown);
        let drain = async {
            drained(&mut draining).await;
            say_health(&health, ServingStatus::NotServing).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            done = serving => Ok(done?),
            () = drain => unreachable!("a drain only says so"),
        }
    }
}

async fn say_health(health: &HealthReporter, status: ServingStatus) {
    health.set_service_status("", status).await;
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}
