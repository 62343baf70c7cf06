//! Calls that ring and are rejected, and who is blocked.

use roost_proto::api::event::Payload;
use roost_proto::api::*;
use roost_simulations::interop::{CLIENTS, ClientEvent, Failure, Matrix, Way};
use serde_json::json;

use super::{World, ask, ways};

impl World {
    pub(super) async fn calls(&mut self) -> Result<Matrix, Failure> {
        let World { stage, cluster, device, roost, clients, reader } = self;
        let caller = stage.person("caller");
        let state = |id: &str| {
            stage.sim.look(|machine| machine.accounts().get(&caller.pn).and_then(|a| a.calls.state(id)))
        };
        let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, roost.pn, true))?;
        let rings = |payload: &Payload| {
            matches!(payload, Payload::CallIncoming(call) if call.call_id == id && call.video
                && call.caller.as_ref().is_some_and(|who| who.phone_number == caller.number_jid()))
        };
        reader.sees("a call", rings).await?;
        let reject =
            RejectCallRequest { device: device.clone(), caller: caller.lid_jid(), call_id: id.clone() };
        cluster.ask(reject, async |api, it| api.calls().reject_call(it).await).await?;
        cluster.until("the caller hears it", || state(&id) == Some("rejected")).await?;

        let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, roost.pn, false))?;
        stage.sim.act(|machine, now| machine.phone_hangs_up(now, caller.pn, roost.pn, &id))?;
        let ended = |payload: &Payload| {
            matches!(payload, Payload::CallEnded(call) if call.call_id == id
                && call.how() == call_ended::How::Terminated && call.reason == "timeout")
        };
        reader.sees("the end of a call", ended).await?;

        let (mut matrix, row) = (Matrix::new("5-people-calls"), "call rejected");
        for (client, account) in clients.iter_mut() {
            let (from, to) = ways(client.name());
            let hears = |id: &str, wanted: &'static str| {
                let id = id.to_owned();
                move |event: &ClientEvent| matches!(event, ClientEvent::Call { id: call, what, .. } if *call == id && what == wanted)
            };
            let id = stage.sim.act(|machine, now| machine.phone_calls(now, roost.pn, account.pn, false))?;
            client.wait("a call", hears(&id, "offer")).await?;
            ask(client, json!({"cmd": "reject_call", "to": roost.lid_jid(), "text": id})).await?;
            let rejected = |payload: &Payload| {
                matches!(payload, Payload::CallEnded(call) if call.call_id == id
                    && call.how() == call_ended::How::Rejected)
            };
            reader.sees("that its phone's call is rejected", rejected).await?;
            matrix.row(row).seen(from);

            let id = stage.sim.act(|machine, now| machine.phone_calls(now, account.pn, roost.pn, false))?;
            let rings =
                |payload: &Payload| matches!(payload, Payload::CallIncoming(call) if call.call_id == id);
            reader.sees("a call", rings).await?;
            let reject =
                RejectCallRequest { device: device.clone(), caller: account.lid_jid(), call_id: id.clone() };
            cluster.ask(reject, async |api, it| api.calls().reject_call(it).await).await?;
            client.wait("that its phone's call is rejected", hears(&id, "reject")).await?;
            matrix.row(row).seen(to);
        }
        Ok(matrix)
    }

    /// Whom one device of an account blocks, the others know as blocked.
    pub(super) async fn blocking(&mut self) -> Result<Matrix, Failure> {
        let World { stage, cluster, device, roost, clients, .. } = self;
        let blocked = async || -> Result<Vec<String>, Failure> {
            let list = ListBlockedRequest { device: device.clone() };
            let people =
                cluster.ask(list, async |api, it| api.contacts().list_blocked(it).await).await?.people;
            Ok(people.into_iter().map(|person| person.lid).collect())
        };
        let (client, somebody) = &mut clients[0];
        let unblock = async || {
            let unblock = UnblockContactRequest { device: device.clone(), user: somebody.lid_jid() };
            cluster.ask(unblock, async |api, it| api.contacts().unblock_contact(it).await).await
        };
        let (mut matrix, row) = (Matrix::new("5-people-blocked"), "somebody blocked");
        for (library, name) in CLIENTS {
            let mut sibling = stage.paired(library, &format!("sibling-{name}"), roost).await?;
            // Who is blocked must be known under both addresses.
            let text = format!("hello, {name}'s sibling");
            client.send(&roost.lid_jid(), &text).await?;
            sibling.message(&text).await?;
            let block = BlockContactRequest { device: device.clone(), user: somebody.pn.to_string() };
            cluster.ask(block, async |api, it| api.contacts().block_contact(it).await).await?;
            assert_eq!(ask(&mut sibling, json!({"cmd": "blocked"})).await?, json!(1), "{name}");
            assert_eq!(blocked().await?, [somebody.lid_jid()]);
            matrix.row(row).seen(Way::To(library));
            unblock().await?;
            assert_eq!(ask(&mut sibling, json!({"cmd": "blocked"})).await?, json!(0), "{name}");
            ask(&mut sibling, json!({"cmd": "block", "to": somebody.lid_jid()})).await?;
            assert_eq!(blocked().await?, [somebody.lid_jid()], "{name}");
            matrix.row(row).seen(Way::From(library));
            unblock().await?;
        }
        Ok(matrix)
    }
}
