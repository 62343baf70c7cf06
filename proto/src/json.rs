//! Messages of the public schema as JSON, by protobuf's own mapping: names in camel case, enums by name,
//! 64-bit numbers as strings, bytes in base64. Fields without a value are written too.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::de::Error as _;

use crate::api;

static SCHEMA: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(api::DESCRIPTORS).expect("our own descriptors are whole"));

/// The JSON of a message of package `roost.v1`, whose type has this name there. `None` when there is no such
/// type, or the message is of another.
pub fn of<M: Message>(name: &str, message: &M) -> Option<serde_json::Value> {
    let descriptor = SCHEMA.get_message_by_name(&format!("roost.v1.{name}"))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()?;
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).ok()
}

/// The message of this type of package `roost.v1` that a text in JSON says.
///
/// # Errors
/// What is wrong with the text: it is no JSON, or has other fields than the type.
pub fn read<M: Message + Default>(name: &str, text: &str) -> Result<M, serde_json::Error> {
    let descriptor = SCHEMA.get_message_by_name(&format!("roost.v1.{name}"));
    let descriptor = descriptor.ok_or_else(|| serde_json::Error::custom("there is no such type"))?;
    let mut rest = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor, &mut rest)?;
    rest.end()?;
    M::decode(message.encode_to_vec().as_slice()).map_err(serde_json::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_enums_are_those_of_the_mapping() {
        let event = api::Event {
            sequence: 7,
            payload: Some(api::event::Payload::MessageStateChanged(api::MessageStateChanged {
                whatsapp_id: "3EB0".to_owned(),
                state: api::message::State::Read.into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let json = of("Event", &event).expect("a message of the schema");
        assert_eq!(json["sequence"], "7");
        assert_eq!(json["messageStateChanged"]["state"], "READ");
        assert_eq!(json["messageStateChanged"]["failure"], "");
        assert!(of("Nothing", &event).is_none());
        assert_eq!(read::<api::Event>("Event", &json.to_string()).expect("the same"), event);
        assert!(read::<api::Event>("Nothing", "{}").is_err());
    }
}
