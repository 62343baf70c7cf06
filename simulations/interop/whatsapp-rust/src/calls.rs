//! Commands about calls, each answered by one `answer`, and what is heard of them. The library's own stanzas are sent as
//! they are: what it does with them by itself needs its media stack, which is not compiled here.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::stanza::call::{
    self, AcceptParams, OfferParams, RelayLatencyParams, TerminateParams, TransportParams,
};
use whatsapp_rust::wacore::stanza::group_call::{self, build_call_link_create, build_call_link_query};
use whatsapp_rust::wacore::types::group_call::CallLinkMedia;
use whatsapp_rust::wacore_binary::Node;
use whatsapp_rust::{NodeFilter, OwnedNodeRef};

use crate::Command;
use crate::driver::jid;
use crate::events::Said;

/// How long a call service may take to answer; as in the library.
const PATIENCE: Duration = Duration::from_secs(10);
const RATES: [&str; 2] = ["8000", "16000"];

/// Carries out a command of this file. Returns its answer; none for another command.
///
/// # Errors
/// A malformed JID, a refusal, or what the library says.
pub async fn calls(client: &Arc<Client>, command: &Command) -> anyhow::Result<Option<Value>> {
    let text = command.text.as_str();
    Ok(Some(match command.cmd.as_str() {
        "reject_call" => {
            let to = jid(&command.to)?;
            json!(client.voip().reject_call(text, &to, &to).await?)
        }
        "call_link" => {
            let id = client.generate_message_id();
            let answer = ask(client, &id, build_call_link_create(media(text)?, &id)?).await?;
            json!(group_call::parse_call_link_create_ack(answer.get())?.token)
        }
        "call_link_about" => {
            let id = client.generate_message_id();
            let answer = ask(client, &id, build_call_link_query(text, media(&command.kind)?, &id)?).await?;
            let about = group_call::parse_call_link_query_ack(answer.get())?;
            let number = about.creator_pn.context("the number of who has made it")?;
            json!(format!("{} {number} {} {}", about.media.as_str(), about.creator, about.is_admin))
        }
        "call" => json!(client.send_node(part(client, command)?).await?),
        _ => return Ok(None),
    }))
}

/// What is heard of a call; none for other events.
pub fn heard(event: &Event) -> Option<Said<'static>> {
    let (id, from, what) = match event {
        Event::IncomingCall(call) => (call.action.call_id(), &call.from, call.action.wire_tag()),
        Event::MissedCall(call) => (call.call_id.as_str(), &call.from, "missed"),
        _ => return None,
    };
    Some(Said::Call { id: id.to_owned(), from: from.to_string(), what })
}

async fn ask(client: &Arc<Client>, id: &str, question: Node) -> anyhow::Result<Arc<OwnedNodeRef>> {
    let answer = client.wait_for_node(NodeFilter::tag("ack").attr("id", id));
    client.send_node(question).await?;
    Ok(tokio::time::timeout(PATIENCE, answer).await.context("no answer")??)
}

fn media(name: &str) -> anyhow::Result<CallLinkMedia> {
    CallLinkMedia::try_from(name).map_err(|_| anyhow::anyhow!("unknown media {name:?}"))
}

/// The part of a call that `kind` names; of an own call when `on` is set, or else of one of whom it goes to.
fn part(client: &Client, command: &Command) -> anyhow::Result<Node> {
    let (call_id, to) = (command.text.as_str(), &jid(&command.to)?);
    let own = client.lid().context("it is not paired")?;
    let call_creator = &if command.on { own } else { to.to_non_ad() };
    let id = &client.generate_message_id();
    Ok(match command.kind.as_str() {
        "offer" => call::build_offer(&OfferParams {
            call_id,
            to,
            call_creator,
            device_keys: &[],
            privacy_token: None,
            capability: None,
            device_identity: None,
            id: Some(id),
            multi_device: false,
            video: false,
            audio_rates: &RATES,
        }),
        "preaccept" => call::build_preaccept(call_id, to, call_creator, id, &RATES, false),
        "accept" => call::build_accept(&AcceptParams {
            call_id,
            to,
            id,
            call_creator,
            audio_rates: &RATES,
            relay_te: None,
            rte: None,
            voip_settings: None,
            capability: None,
            video: false,
            peer_abtest_bucket: None,
            peer_abtest_bucket_id_list: None,
        }),
        "transport" => call::build_transport(&TransportParams {
            call_id,
            to,
            call_creator,
            p2p_cand_round: None,
            transport_message_type: Some("9"),
            relay_te: None,
        }),
        "relaylatency" => call::build_relay_latency(&RelayLatencyParams {
            call_id,
            to,
            call_creator,
            latency_ms: 20,
            relay_name: "relay",
            address_bytes: &[127, 0, 0, 1, 0, 1],
            devices: &[],
        }),
        "terminate" => {
            let reason = Some(command.action.as_str()).filter(|reason| !reason.is_empty());
            call::build_terminate(&TerminateParams { call_id, to, id: Some(id), call_creator, reason })
        }
        unknown => bail!("unknown part {unknown:?}"),
    })
}
