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
