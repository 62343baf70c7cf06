//! What goes to one device beside a group.

use super::*;

#[test]
fn a_device_beside_a_group_gets_something_of_its_own_and_no_sender_key() {
    let (mut ada, bob, mut bot) = three();
    let beside = Some((bot.name(), Bytes::from_static(&[b'y', 1])));
    let request = |bundles| CryptoRequest::EncryptForGroup {
        group: GROUP.to_owned(),
        bundles,
        plaintext: Bytes::from_static(&[b'x', 1]),
        targets: vec![bob.name()],
        beside: beside.clone(),
    };
    match ada.work(request(vec![bob.bundle()])) {
        Changed::GroupEncrypted(GroupEncryption::Missing(peers)) => assert_eq!(peers, [bot.name()]),
        other => panic!("encrypted without a ratchet: {other:?}"),
    }
    let made = match ada.work(request(vec![bob.bundle(), bot.bundle()])) {
        Changed::GroupEncrypted(GroupEncryption::Done { distributed, beside: Some(made), .. }) => {
            assert_eq!(distributed.iter().map(|(peer, _)| peer).collect::<Vec<_>>(), [&bob.name()]);
            made
        }
        other => panic!("not encrypted: {other:?}"),
    };
    let (from, single) = (ada.name(), Some((made.kind, made.bytes)));
    match bot.work(CryptoRequest::Decrypt { from, to: None, single, group: None, asked_before: false }) {
        Changed::Decrypted(decrypted) => {
            assert_eq!(decrypted.result.map(|(text, _)| text), Ok(vec![b'y', 1]))
        }
        other => panic!("not decrypted: {other:?}"),
    }
}

#[test]
fn what_reached_nobody_is_made_anew_with_a_sender_key_that_everybody_is_given() {
    let (mut ada, mut bob, mut eve) = three();
    let unheard = ada.shout(&[&bob, &eve]);
    ada.ends_chain();
    let mut ada = ada.taken_over();
    let again = ada.shout(&[&bob, &eve]);
    assert_eq!(again.1.len(), 2, "the key of the first went nowhere either");
    let [first, second] = [&unheard.0, &again.0].map(|made| signal::group_key(made).expect("readable"));
    assert_ne!(first.chain, second.chain, "no key is used twice");
    assert!(bob.hears(&ada.name(), &again) && eve.hears(&ada.name(), &again));
    assert!(ada.shout(&[&bob, &eve]).1.is_empty(), "they have it");
}
