//! The schema of the last release, kept as text, against the schema of today: nodes of two releases share a
//! cluster, and clients are older or newer than both.
//!
//! What must hold: nothing that was released is removed, renumbered, retyped or renamed; what is new passes without a word.
//! With a release, what it added is recorded too:
//!
//! ```text
//! cargo test -p roost-proto --test recorded_schema -- --ignored
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use roost_proto::api::DESCRIPTORS;
use roost_proto::prost::Message as _;

/// Packages whose users are not built together with us.
const PACKAGES: [&str; 2] = ["roost.v1", "roost.internal.v1"];

fn record() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema/recorded/v1.txt")
}

fn today() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTORS).expect("the build wrote a descriptor set")
}

/// Each thing that somebody outside can depend on, one line, in order.
fn facts(schema: &FileDescriptorSet) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for file in schema.file.iter().filter(|file| PACKAGES.contains(&file.package())) {
        let package = file.package();
        file.message_type.iter().for_each(|message| of_message(package, message, &mut facts));
        file.enum_type.iter().for_each(|values| of_enum(package, values, &mut facts));
        for service in &file.service {
            for rpc in &service.method {
                let side = |streams: bool, message: &str| match streams {
                    true => format!("stream {}", plain(message)),
                    false => plain(message).to_owned(),
                };
                let takes = side(rpc.client_streaming(), rpc.input_type());
                let gives = side(rpc.server_streaming(), rpc.output_type());
                facts.insert(format!("rpc {package}.{}.{}: {takes} -> {gives}", service.name(), rpc.name()));
            }
        }
    }
    facts
}

fn of_message(within: &str, message: &DescriptorProto, facts: &mut BTreeSet<String>) {
    let name = format!("{within}.{}", message.name());
    facts.insert(format!("message {name}"));
    for field in &message.field {
        let one_of = field.oneof_index.filter(|_| !field.proto3_optional());
        let one_of = one_of.map(|index| message.oneof_decl[usize::try_from(index).expect("an index")].name());
        let one_of = one_of.map(|one_of| format!(" in {one_of}")).unwrap_or_default();
        facts.insert(format!("field {name}.{} = {}: {}{one_of}", field.name(), field.number(), kind(field)));
    }
    message.nested_type.iter().for_each(|inner| of_message(&name, inner, facts));
    message.enum_type.iter().for_each(|values| of_enum(&name, values, facts));
}

fn of_enum(within: &str, values: &EnumDescriptorProto, facts: &mut BTreeSet<String>) {
    for value in &values.value {
        facts.insert(format!("value {within}.{}.{} = {}", values.name(), value.name(), value.number()));
    }
}

fn kind(field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        Label::Optional | Label::Required => "",
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum => plain(field.type_name()).to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    format!("{label}{kind}")
}

fn plain(name: &str) -> &str {
    name.trim_start_matches('.')
}

fn text(schema: &FileDescriptorSet) -> String {
    facts(schema).into_iter().map(|fact| fact + "\n").collect()
}

/// What was recorded and is so no longer.
fn broken(recorded: &str, today: &FileDescriptorSet) -> Vec<String> {
    let today = facts(today);
    recorded.lines().filter(|line| !today.contains(*line)).map(str::to_owned).collect()
}

fn recorded() -> String {
    fs::read_to_string(record()).expect("the record is part of the sources")
}

#[test]
fn what_was_released_keeps_its_name_its_number_and_its_type() {
    let recorded = recorded();
    assert!(recorded.lines().count() > 100, "the record is not whole");
    let broken = broken(&recorded, &today());
    assert!(
        broken.is_empty(),
        "nodes and clients of the last release depend on this:\n  {}",
        broken.join("\n  ")
    );
}

#[test]
fn what_is_new_needs_no_record() {
    let mut schema = today();
    let file =
        schema.file.iter_mut().find(|file| file.package() == "roost.internal.v1").expect("the peers' file");
    let message = &mut file.message_type[0];
    let mut field = message.field[0].clone();
    (field.name, field.number) = (Some("later".to_owned()), Some(1000));
    message.field.push(field);
    let (mut message, mut rpc) = (message.clone(), file.service[0].method[0].clone());
    (message.name, rpc.name) = (Some("Later".to_owned()), Some("Later".to_owned()));
    file.message_type.push(message);
    file.service[0].method.push(rpc);
    assert!(facts(&schema).len() > facts(&today()).len());
    assert!(broken(&recorded(), &schema).is_empty());
}

#[test]
fn a_field_that_is_removed_renumbered_retyped_or_renamed_is_noticed() {
    let spoil: [fn(&mut DescriptorProto); 5] = [
        |message| drop(message.field.remove(0)),
        |message| message.field[0].number = Some(1000),
        |message| message.field[0].set_type(Type::Bytes),
        |message| message.field[0].name = Some("other".to_owned()),
        |message| message.field[0].set_label(Label::Repeated),
    ];
    for package in PACKAGES {
        for (number, spoil) in spoil.iter().enumerate() {
            let mut schema = today();
            let file = schema.file.iter_mut().find(|file| file.package() == package).expect("it has a file");
            let message = file.message_type.iter_mut().find(|message| !message.field.is_empty());
            spoil(message.expect("a message with a field"));
            assert_eq!(broken(&text(&today()), &schema).len(), 1, "{package}: {number}");
        }
    }
}

#[test]
fn an_rpc_that_answers_in_another_way_is_noticed() {
    let mut schema = today();
    let file = schema.file.iter_mut().find(|file| !file.service.is_empty()).expect("a service");
    let rpc = &mut file.service[0].method[0];
    rpc.server_streaming = Some(!rpc.server_streaming());
    assert_eq!(broken(&text(&today()), &schema).len(), 1);
}

#[test]
#[ignore = "it writes the record anew, with a release"]
fn the_schema_of_this_release_is_recorded() {
    fs::write(record(), text(&today())).expect("the sources can be written");
}
