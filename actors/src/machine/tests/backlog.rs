//! What has waited at WhatsApp: asked for in batches until it ends.

use roost_proto::stanza::{Builder, Read, Stanza};

use super::world::{Step, World, stanzas};

/// Tells the device something; the sizes of the batches that it asks for.
fn told(world: &mut World, stanza: Stanza) -> Vec<u64> {
    let mut sent = stanzas(world.stanza(stanza));
    sent.extend(world.commit_everything());
    let batch = |stanza: &Stanza| stanza.child("offline_batch").and_then(|batch| batch.number("count"));
    sent.iter().filter(|stanza| stanza.tag == "ib").filter_map(batch).collect()
}

fn information(tag: &'static str, count: u64) -> Stanza {
    Builder::new("ib").children([Builder::new(tag).attr("count", count).build()]).build()
}

fn queued(number: u64) -> Stanza {
    Builder::new("notification")
        .attr("type", "picture")
        .attr("from", "4915188888888@s.whatsapp.net")
        .attr("id", format!("n{number}"))
        .attr("offline", "0")
        .build()
}

#[test]
fn a_backlog_is_asked_for_until_whatsapp_says_that_it_has_ended() {
    let mut world = World::online(1);
    assert_eq!(told(&mut world, information("offline_preview", 500)), [100]);
    let asked: Vec<u64> = (1..=160).filter(|number| !told(&mut world, queued(*number)).is_empty()).collect();
    assert_eq!(asked, [50, 150], "before what was asked for has come to its end");
    assert_eq!(told(&mut world, information("offline", 500)), [0; 0]);
    let later = (161..=400).map(|number| told(&mut world, queued(number)).len()).sum::<usize>();
    assert_eq!(later, 0, "nothing waits any more");
}

#[test]
fn nothing_is_asked_for_when_nothing_waits_or_another_link_was_told_so() {
    let mut world = World::online(2);
    assert_eq!(told(&mut world, information("offline_preview", 0)), [0; 0]);
    assert_eq!(told(&mut world, information("offline_preview", 7)), [100]);
    world.take(Step::LinkDown);
    world.take(Step::Time(400_000));
    world.go_online();
    let asked = (1..=100).map(|number| told(&mut world, queued(number)).len()).sum::<usize>();
    assert_eq!(asked, 0);
}
