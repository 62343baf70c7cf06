//! People whose hidden identity is learned later than their chains and ratchets, or imported beside them.

use super::*;
use crate::device::{Import, ImportedDevice, ImportedPeers, Part, Secret};
use crate::machine::Token;

const NUMBER: &str = "4915112345678";

/// Ada under her phone number alone.
fn by_number() -> PeerName {
    PeerName { pn: Some(NUMBER.to_owned()), lid: None, device: 1 }
}

impl Device {
    /// Under its number and its LID.
    fn by_both(&self) -> PeerName {
        PeerName { lid: self.name().lid, ..by_number() }
    }

    fn chains(&self) -> Vec<&str> {
        let chains = self.rows.keys().filter(|key| key.kind == StateKind::SenderKey);
        chains.map(|key| key.name.as_str()).collect()
    }

    fn imports(&mut self, part: Part) {
        self.work(CryptoRequest::Import(Box::new(Import { generation: 1 << 31, part })));
    }

    /// What is known of somebody beside this.
    fn knows(&mut self, user: PeerName) -> PeerName {
        match self.work(CryptoRequest::Identities { user }) {
            Changed::Identities(known) => known,
            other => panic!("no names: {other:?}"),
        }
    }
}

/// The same device with keys that were imported.
fn device() -> Part {
    let keys = Keys::generate(&mut StdRng::seed_from_u64(5));
    let account = Account {
        pn: roost_proto::stanza::Jid::pn_device("4915100000000", 3),
        lid: None,
        identity: Bytes::from_static(b"signed"),
        push_name: String::new(),
        logged_out: false,
        without_history: false,
    };
    let (keys, salt) = (Secret(keys.to_bytes().into()), Secret(Bytes::new()));
    let source = "whatsmeow".to_owned();
    Part::Device(Box::new(ImportedDevice { keys, pages: Vec::new(), account, salt, source }))
}

#[test]
fn a_chain_that_was_given_under_a_phone_number_is_read_on_under_the_lid() {
    let (mut ada, mut bob, _) = three();
    let (first, second) = (ada.shout(&[&bob]), ada.shout(&[&bob]));
    assert!(bob.hears(&by_number(), &first));
    assert!(second.1.is_empty(), "he has the chain");
    let mut bob = bob.taken_over();
    assert!(bob.hears(&ada.by_both(), &second), "the LID is known from here on");
    assert_eq!(bob.chains(), [format!("{GROUP}/{}", Address::new("11111@lid", 1))], "no old copy is left");
    assert!(!bob.hears(&ada.by_both(), &second), "nothing is read twice");
    let third = ada.shout(&[&bob]);
    let mut bob = bob.taken_over();
    assert!(bob.hears(&by_number(), &third), "also when the number alone is said");
}

#[test]
fn another_chain_under_the_lid_leaves_the_one_under_the_phone_number_readable() {
    let (mut ada, mut bob, _) = three();
    let (first, late) = (ada.shout(&[&bob]), ada.shout(&[&bob]));
    assert!(bob.hears(&by_number(), &first));
    ada.ends_chain();
    let anew = ada.shout(&[&bob]);
    assert!(bob.hears(&ada.by_both(), &anew));
    assert!(bob.hears(&ada.by_both(), &late), "it was on its way");
}

#[test]
fn an_imported_chain_is_found_under_the_other_name_of_its_sender() {
    let (mut ada, mut bob, mut eve) = three();
    let (first, second) = (ada.shout(&[&bob]), ada.shout(&[&bob]));
    assert!(bob.hears(&by_number(), &first));
    let chain = bob.rows.iter().find(|(key, _)| key.kind == StateKind::SenderKey).expect("learned").1.clone();
    let sender = Address::new(format!("{NUMBER}@s.whatsapp.net"), 1);
    let peers = ImportedPeers {
        chains: vec![(GROUP.to_owned(), sender, Secret(chain))],
        lids: vec![(NUMBER.to_owned(), "11111".to_owned())],
        ..ImportedPeers::default()
    };
    assert_eq!(eve.knows(ada.name()).pn, None, "what is remembered of this is forgotten with the import");
    eve.imports(Part::Peers(peers));
    eve.imports(device());
    assert!(eve.hears(&ada.name(), &second), "groups name their members by LID");
    assert_eq!(eve.knows(ada.name()), ada.by_both());
}

#[test]
fn an_imported_token_is_shown_under_either_name_and_its_contact_has_a_chat_with_us() {
    let (ada, mut bob, _) = three();
    let token = Token { given: Some((Bytes::from_static(b"token"), 1_700_000_000)), issued: Some(5) };
    let contact = format!("{NUMBER}@s.whatsapp.net");
    let peers = ImportedPeers {
        tokens: vec![(contact.clone(), Secret(token.to_bytes()))],
        lids: vec![(NUMBER.to_owned(), "11111".to_owned())],
        ..ImportedPeers::default()
    };
    bob.imports(Part::Peers(peers));
    let of = |bob: &mut Device| match bob.work(CryptoRequest::Tokens { of: vec![ada.name()] }) {
        Changed::Tokens(tokens) => tokens,
        other => panic!("no tokens: {other:?}"),
    };
    assert_eq!(of(&mut bob), [Token::default()], "not before the device is what was imported");
    bob.imports(device());
    assert_eq!(of(&mut bob), [token]);
    let chat = StateKey { kind: StateKind::KnownChat, name: format!("{contact}#{}", 1u32 << 31) };
    assert!(bob.rows.contains_key(&chat));
}

#[test]
fn a_pair_of_which_one_half_alone_is_stored_is_made_whole() {
    let (ada, mut bob, _) = three();
    let lid = StateKey { kind: StateKind::Lid, name: NUMBER.to_owned() };
    bob.rows.insert(lid, Bytes::from_static(b"11111"));
    let learned = bob.work(CryptoRequest::Learn { pairs: vec![ada.by_both()] });
    let number = StateKey { kind: StateKind::Number, name: "11111".to_owned() };
    let Changed::State(changes) = learned else { panic!("{learned:?}") };
    assert_eq!(
        changes,
        [(number, Some(Bytes::from_static(NUMBER.as_bytes())))],
        "what is there is not written again"
    );
    let learned = bob.work(CryptoRequest::Learn { pairs: vec![ada.by_both()] });
    assert!(matches!(learned, Changed::State(changes) if changes.is_empty()));
    assert_eq!(bob.taken_over().knows(ada.name()), ada.by_both());
}

#[test]
fn a_request_gets_all_the_names_that_it_needs_however_many_these_are() {
    let (mut ada, _, _) = three();
    let numbers: Vec<String> = (0..5_000).map(|n| format!("49151{n:08}")).collect();
    for number in &numbers {
        let name = StateKey { kind: StateKind::Lid, name: number.clone() };
        ada.rows.insert(name, Bytes::from(format!("9{number}")));
    }
    for _ in 0..2 {
        match ada.work(CryptoRequest::Lids(numbers.clone())) {
            Changed::Lids(known) => assert_eq!(known.len(), numbers.len()),
            other => panic!("no names: {other:?}"),
        }
    }
}

#[test]
fn a_mark_says_that_rows_of_other_keys_may_be_left() {
    let (_, mut bob, _) = three();
    let mark = |bob: &Device| {
        let key = StateKey { kind: StateKind::Leftovers, name: String::new() };
        bob.rows.get(&key).map(|row| u32::from_be_bytes(row.as_ref().try_into().expect("a number")))
    };
    assert_eq!(mark(&bob), None, "its first keys have nothing before them");
    bob.imports(Part::Peers(ImportedPeers::default()));
    assert_eq!(mark(&bob), None, "nothing was written");
    let lids = vec![(NUMBER.to_owned(), "11111".to_owned())];
    bob.imports(Part::Peers(ImportedPeers { lids, ..ImportedPeers::default() }));
    assert_eq!(mark(&bob), Some(0), "the import may never be finished");
    bob.imports(device());
    assert_eq!(mark(&bob), Some(1 << 31));
    bob.work(CryptoRequest::MakeKeys { now: UnixMillis(0) });
    assert_eq!(mark(&bob), Some((1 << 31) + 1));
}
