//! Who can read under our chain in a group, and who cannot any more.

use super::*;

impl Device {
    /// Somebody asks for a message of the group again.
    fn gives_again(&mut self, to: &Device) {
        self.work(CryptoRequest::Encrypt {
            bundles: vec![to.bundle()],
            plaintexts: vec![Bytes::from_static(&[b'x', 1])],
            targets: vec![Target { peer: to.name(), plaintext: 0 }],
            lost: Some(GROUP.to_owned()),
        });
    }

    /// Who is given our chain with the next message.
    fn given(&mut self, to: &[&Device]) -> Vec<PeerName> {
        self.shout(to).1.into_iter().map(|(peer, _)| peer).collect()
    }
}

#[test]
fn who_asks_for_the_sender_key_again_and_is_removed_then_reads_nothing_more() {
    let (mut ada, bob, mut eve) = three();
    let first = ada.shout(&[&bob, &eve]);
    assert!(eve.hears(&ada.name(), &first));
    ada.gives_again(&eve);
    let mut ada = ada.taken_over();
    let second = ada.shout(&[&bob]);
    assert!(!eve.hears(&ada.name(), &second), "she has the key of before, whatever she says");
    assert_eq!(second.1.len(), 1, "bob needs the new one");
}

#[test]
fn a_device_with_new_keys_gets_our_sender_key_with_the_next_message_however_they_were_seen() {
    for seen in 0..3 {
        let (mut ada, mut bob, eve) = three();
        assert_eq!(ada.given(&[&bob, &eve]).len(), 2);
        let said = ada.whisper(&bob, Vec::new());
        assert!(bob.reads((ada.name(), said.kind, said.bytes)));
        bob.work(CryptoRequest::MakeKeys { now: NOW });
        match seen {
            // WhatsApp has said so.
            0 => _ = ada.work(CryptoRequest::Forget { peer: bob.name() }),
            // Something was written to him with what WhatsApp has of his keys.
            1 => _ = ada.whisper(&bob, vec![bob.bundle()]),
            _ => {
                let said = bob.whisper(&ada, vec![ada.bundle()]);
                assert!(ada.reads((bob.name(), said.kind, said.bytes)));
            }
        }
        let mut ada = ada.taken_over();
        let said = ada.shout(&[&bob, &eve]);
        assert_eq!(said.1.iter().map(|(peer, _)| peer).collect::<Vec<_>>(), [&bob.name()], "way {seen}");
        assert!(bob.hears(&ada.name(), &said));
        assert!(ada.given(&[&bob, &eve]).is_empty(), "once");
    }
}

#[test]
fn who_is_removed_after_he_has_new_keys_reads_nothing_more_under_the_old_ones() {
    let (mut ada, mut bob, eve) = three();
    let first = ada.shout(&[&bob, &eve]);
    assert!(bob.hears(&ada.name(), &first));
    ada.work(CryptoRequest::Forget { peer: bob.name() });
    let second = ada.shout(&[&eve]);
    assert_eq!(second.1.len(), 1, "eve needs the new one");
    assert!(!bob.hears(&ada.name(), &second));
}
