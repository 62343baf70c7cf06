//! Events about people: who is who, who is there, who calls.

use roost_proto::api;
use roost_proto::api::event::Payload;

use super::{clean, person};

/// One line for people.
pub(super) fn line(payload: &Payload) -> String {
    let name = |who: Option<&api::Person>| clean(&person(who));
    match payload {
        Payload::IdentityMapped(mapped) => {
            let who = mapped.person.clone().unwrap_or_default();
            format!("{} is {}", clean(&who.phone_number), clean(&who.lid))
        }
        Payload::PresenceChanged(shown) => {
            let there = if shown.available { "available" } else { "away" };
            format!("{} is {there}", name(shown.person.as_ref()))
        }
        Payload::ChatStateChanged(typing) => {
            format!("{} is {}", name(typing.person.as_ref()), typing.state().as_str_name())
        }
        Payload::CallIncoming(call) => {
            let over = if call.over { ", which is over" } else { "" };
            let (id, group) = (clean(&call.call_id), within(&call.group));
            format!("call {id} of {}{group}{over}", name(call.caller.as_ref()))
        }
        Payload::CallEnded(call) => {
            let (id, group) = (clean(&call.call_id), within(&call.group));
            format!("call {id}{group} is {}", call.how().as_str_name())
        }
        Payload::ProfileChanged(changed) => {
            let what = changed.what().as_str_name();
            format!("{} has another {what}: {}", name(changed.person.as_ref()), clean(&changed.value))
        }
        _ => String::new(),
    }
}

/// Where a call is, if it is one of a group.
fn within(group: &str) -> String {
    if group.is_empty() { String::new() } else { format!(" in {}", clean(group)) }
}
