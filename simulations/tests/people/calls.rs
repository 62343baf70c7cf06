//! Calls that ring, are rejected and missed, those of groups, and who is blocked.

use roost_proto::api::event::Payload;
use roost_proto::api::*;
use roost_proto::stanza::Jid;
use roost_simulations::interop::{CLIENTS, ClientEvent, Failure, Matrix, Person, Way};
use serde_json::json;

use super::{World, ask, ways};

/// The event of a client that tells this part of a call.
fn part(id: &str, wanted: &'static str) -> impl Fn(&ClientEvent) -> bool + use<> {
    let id = id.to_owned();
    move |event| matches!(event, ClientEvent::Call { id: call, what, .. } if *call == id && what == wanted)
}

/// A call of this id and caller that rings.
fn rings(id: &str, caller: &Person) -> impl Fn(&Payload) -> bool + use<> {
    let (id, lid) = (id.to_owned(), caller.lid_jid());
    move |payload| {
        matches!(payload, Payload::CallIncoming(call) if call.call_id == id
            && call.caller.as_ref().is_some_and(|who| who.lid == lid))
    }
}

/// A call of this id that has ended so.
fn ended(id: &str, how: call_ended::How) -> impl Fn(&Payload) -> bool + use<> {
    let id = id.to_owned();
    move |payload| matches!(payload, Payload::CallEnded(call) if call.call_id == id && call.how() == how)
}

impl World {
    pub(super) async fn calls(&mut self) -> Result<Matrix, Failure> {
        let World { stage, cluster, device, roost, clients, reader } = self;
        let caller = stage.person("caller");
        let state = |pn, id: &str| {
            stage.sim.look(|machine| machine.accounts().get(&pn).and_then(|a| a.calls.state(id)))
        };
        let reject = async |caller: &Person, id: &str| {
            let reject = RejectCallRequest {
                device: device.clone(),
                caller: caller.lid_jid(),
                call_id: id.to_owned(),
            };
            cluster.ask(reject, async |api, it| api.calls().reject_call(it).await).await
        };
        let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, roost.pn, true))?;
        reader.sees("a call", rings(&id, &caller)).await?;
        reject(&caller, &id).await?;
        assert_eq!(state(caller.pn, &id), Some("rejected"));

        let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, roost.pn, false))?;
        stage.sim.act(|machine, now| machine.phone_hangs_up(now, caller.pn, &id, "timeout"))?;
        reader.sees("the end of a call", ended(&id, call_ended::How::Missed)).await?;
        let gone = RejectCallRequest { device: device.clone(), caller: caller.lid_jid(), call_id: id };
        let late = cluster.refusal(async |api| api.calls().reject_call(gone.clone()).await).await?;
        assert_eq!(late.code(), tonic::Code::NotFound, "{late:?}");

        let (mut matrix, row) = (Matrix::new("5-people-calls"), "call rejected");
        for (client, account) in clients.iter_mut() {
            let (from, to) = ways(client.name());
            let id = stage.sim.act(|machine, now| machine.phone_calls(now, roost.pn, account.pn, false))?;
            client.wait("a call", part(&id, "offer")).await?;
            ask(client, json!({"cmd": "reject_call", "to": roost.lid_jid(), "text": id})).await?;
            reader.sees("that its phone's call is rejected", ended(&id, call_ended::How::Rejected)).await?;
            matrix.row(row).seen(from);

            let id = stage.sim.act(|machine, now| machine.phone_calls(now, account.pn, roost.pn, false))?;
            reader.sees("a call", rings(&id, account)).await?;
            reject(account, &id).await?;
            client.wait("that its phone's call is rejected", part(&id, "reject")).await?;
            matrix.row(row).seen(to);

            // The rest is told by every library in its own words.
            let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, account.pn, false))?;
            for said in ["preaccept", "transport", "relaylatency"] {
                stage.sim.act(|machine, now| machine.phone_says_of_call(now, caller.pn, &id, said))?;
                client.wait(said, part(&id, said)).await?;
            }
            stage.sim.act(|machine, now| machine.phone_answers(now, (caller.pn, &id), account.pn, true))?;
            client.wait("that it rings no more", part(&id, "terminate")).await?;
            let id = stage.sim.act(|machine, now| machine.phone_calls(now, account.pn, caller.pn, false))?;
            stage.sim.act(|machine, now| machine.phone_answers(now, (account.pn, &id), caller.pn, true))?;
            client.wait("that its phone's call is taken", part(&id, "accept")).await?;
        }
        for (client, account) in clients.iter_mut() {
            let (from, to) = ways(client.name());
            let row = matrix.row("call placed").not_applicable(to, "Roost places no calls");
            match client.name() {
                "w" => row.not_applicable(from, "whatsmeow places no calls"),
                "b" => row.not_applicable(from, "Baileys places no calls"),
                _ => {
                    for (id, rejected) in [("CALL-REJECTED", true), ("CALL-MISSED", false)] {
                        let to = roost.lid_jid();
                        let said =
                            |kind| json!({"cmd": "call", "kind": kind, "to": to, "text": id, "on": true});
                        ask(client, said("offer")).await?;
                        reader.sees("its call", rings(id, account)).await?;
                        ask(client, said("transport")).await?;
                        ask(client, said("relaylatency")).await?;
                        if rejected {
                            reject(account, id).await?;
                            client.wait("that it is rejected", part(id, "reject")).await?;
                        } else {
                            ask(client, said("terminate")).await?;
                            reader.sees("its end", ended(id, call_ended::How::Missed)).await?;
                        }
                    }
                    row.seen(from)
                }
            };
        }
        Ok(matrix)
    }

    /// A client that was away hears of the calls of that time, each library in its own words.
    pub(super) async fn calls_while_away(&mut self) -> Result<(), Failure> {
        let World { stage, clients, .. } = self;
        let caller = stage.person("caller");
        for (client, account) in clients.iter_mut() {
            client.disconnect().await?;
            let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, account.pn, false))?;
            stage.sim.act(|machine, now| machine.phone_hangs_up(now, caller.pn, &id, "timeout"))?;
            client.login().await?;
            let rang = if client.name() == "r" { "missed" } else { "offer" };
            client.wait("that it rang", part(&id, rang)).await?;
            client.wait("that it rings no more", part(&id, "terminate")).await?;
        }
        Ok(())
    }

    /// The call of a group is told to Roost and to each client in it.
    pub(super) async fn calls_of_groups(&mut self) -> Result<(), Failure> {
        let World { stage, roost, clients, reader, .. } = self;
        let members: Vec<String> =
            clients[1..].iter().map(|(_, account)| account.lid_jid()).chain([roost.lid_jid()]).collect();
        let group = clients[0].0.group("hens", &members).await?;
        let jid: Jid = group.parse().map_err(|_| Failure::new(format!("{group} is no JID")))?;
        let pns: Vec<u64> = clients.iter().map(|(_, account)| account.pn).chain([roost.pn]).collect();
        for caller in pns {
            let id = stage.sim.act(|machine, now| machine.phone_calls_group(now, caller, &jid, true))?;
            if caller != roost.pn {
                let told = |payload: &Payload| {
                    matches!(payload, Payload::CallIncoming(call)
                        if call.call_id == id && call.group == group && call.video)
                };
                reader.sees("the call of a group", told).await?;
            }
            for (client, _) in clients.iter_mut().filter(|(_, account)| account.pn != caller) {
                // Baileys tells a notice as an offer.
                let told = if client.name() == "b" { "offer" } else { "offer_notice" };
                client.wait("the call of a group", part(&id, told)).await?;
            }
        }
        Ok(())
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
