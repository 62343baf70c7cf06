//! Tenants through the API.

use roost_proto::api::*;
use tonic::Code;

use crate::world::{World, bad_field, by, refusal};

fn create(id: &str) -> CreateTenantRequest {
    CreateTenantRequest { business_id: id.into(), display_name: format!("Tenant {id}") }
}

#[tokio::test]
async fn a_tenant_that_was_made_on_one_node_is_there_on_the_other() {
    let world = World::new(2).await;
    let made = world.at(0).tenants().create_tenant(create("acme")).await.expect("new").into_inner();
    let found = world.at(1).tenants().get_tenant(GetTenantRequest { name: "tenants/acme".into() }).await;
    assert_eq!(found.expect("it exists").into_inner(), made);
    let again = world.at(1).tenants().create_tenant(create("acme")).await;
    assert_eq!(refusal(again), (Code::AlreadyExists, "TENANT_EXISTS".into()));
}

#[tokio::test]
async fn unknown_tenants_and_bad_ids_are_refused_each_in_its_way() {
    let world = World::new(1).await;
    let mut tenants = world.at(0).tenants();
    let unknown = tenants.get_tenant(GetTenantRequest { name: "tenants/nobody".into() }).await;
    assert_eq!(refusal(unknown), (Code::NotFound, "TENANT_NOT_FOUND".into()));
    assert_eq!(bad_field(tenants.get_tenant(GetTenantRequest { name: "nobody".into() }).await), "name");
    assert_eq!(bad_field(tenants.create_tenant(create("Not Valid")).await), "business_id");
    let long = CreateTenantRequest { business_id: "a".into(), display_name: "x".repeat(201) };
    assert_eq!(bad_field(tenants.create_tenant(long).await), "display_name");
}

#[tokio::test]
async fn pages_hold_every_tenant_once_and_tokens_of_others_are_refused() {
    let world = World::new(1).await;
    for n in 0..7 {
        world.tenant(&format!("t{n}")).await;
    }
    let mut tenants = world.at(0).tenants();
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = tenants.list_tenants(ListTenantsRequest { page_size: 3, page_token }).await;
        let page = page.expect("a page").into_inner();
        names.extend(page.tenants.into_iter().map(|tenant| tenant.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let all: Vec<String> = (0..7).map(|n| format!("tenants/t{n}")).collect();
    assert_eq!(names, all);
    let garbage = ListTenantsRequest { page_size: 3, page_token: "garbage".into() };
    assert_eq!(bad_field(tenants.list_tenants(garbage).await), "page_token");
    let negative = ListTenantsRequest { page_size: -1, page_token: String::new() };
    assert_eq!(bad_field(tenants.list_tenants(negative).await), "page_size");
}

#[tokio::test]
async fn a_tenant_sees_itself_and_may_not_learn_whether_others_exist() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    world.tenant("globex").await;
    let mut tenants = world.at(0).tenants();
    for other in ["tenants/globex", "tenants/nobody"] {
        let asked = tenants.get_tenant(by("acme", GetTenantRequest { name: other.into() })).await;
        assert_eq!(refusal(asked), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()), "{other}");
    }
    let made = tenants.create_tenant(by("acme", create("third"))).await;
    assert_eq!(refusal(made), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
    let list = tenants.list_tenants(by("acme", ListTenantsRequest::default())).await.expect("its own");
    let names: Vec<String> = list.into_inner().tenants.into_iter().map(|tenant| tenant.name).collect();
    assert_eq!(names, ["tenants/acme"]);
}
