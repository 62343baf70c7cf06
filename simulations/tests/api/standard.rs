//! What every gRPC tool expects beside our own services: health and reflection.

use std::collections::BTreeSet;

use roost_node::api::port::Cluster as _;
use roost_node::client::health::HealthCheckRequest;
use roost_node::client::health::health_check_response::ServingStatus;
use roost_node::client::health::health_client::HealthClient;
use roost_node::client::reflection::server_reflection_client::ServerReflectionClient;
use roost_node::client::reflection::server_reflection_request::MessageRequest;
use roost_node::client::reflection::server_reflection_response::MessageResponse;
use roost_node::client::reflection::{ServerReflectionRequest, ServerReflectionResponse};
use tonic::Code;

use crate::world::{World, until};

const SERVICES: [&str; 7] = [
    "roost.v1.TenantService",
    "roost.v1.DeviceService",
    "roost.v1.PairingService",
    "roost.v1.MediaService",
    "roost.v1.MessageService",
    "roost.v1.EventService",
    "roost.v1.ClusterService",
];

#[tokio::test]
async fn health_is_said_per_service_and_ends_with_a_drain() {
    let world = World::new(1).await;
    let check = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        HealthClient::new(world.at(0).channel()).check(request).await.map(|answer| answer.get_ref().status())
    };
    for service in [""].into_iter().chain(SERVICES) {
        assert_eq!(check(service).await.expect("known"), ServingStatus::Serving, "{service}");
    }
    assert_eq!(check("roost.v1.NoSuchService").await.expect_err("unknown").code(), Code::NotFound);
    world.nodes[0].cluster.drain().expect("the first drain");
    until("health says that the node does not serve", || async {
        (check("").await.ok()? == ServingStatus::NotServing).then_some(())
    })
    .await;
    assert_eq!(check(SERVICES[0]).await.expect("known"), ServingStatus::NotServing);
}

#[tokio::test]
async fn reflection_names_every_service_and_resolves_its_symbols() {
    let world = World::new(1).await;
    let ask = async |question: MessageRequest| -> Option<MessageResponse> {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut client = ServerReflectionClient::new(world.at(0).channel());
        let stream = client.server_reflection_info(tokio_stream::iter([request])).await;
        let answer: Option<ServerReflectionResponse> =
            stream.expect("opened").into_inner().message().await.expect("an answer");
        answer?.message_response
    };
    let Some(MessageResponse::ListServicesResponse(list)) =
        ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list");
    };
    let names: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
    for service in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
        assert!(names.contains(service), "{service} is not among {names:?}");
    }
    for symbol in [
        "roost.v1.MediaService",
        "roost.v1.MessageService",
        "roost.v1.SendMessageRequest",
        "google.protobuf.Timestamp",
        "google.rpc.ErrorInfo",
    ] {
        let found = ask(MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
        assert!(matches!(found, Some(MessageResponse::FileDescriptorResponse(_))), "{symbol}: {found:?}");
    }
}
