//! What is asked must be asked as clients ask it: of the server, and with `get` or `set`.

use super::*;

impl World {
    /// The code with which the last request was refused, and the reason that the ledger keeps.
    pub(super) fn refusal(&mut self, probe: usize, request: Stanza) -> (Option<u16>, String) {
        let code = iq::outcome(self.ask(probe, request)).err().map(|refused| refused.code);
        let reason = self.machine.ledger().refusals().next_back().map(|refused| refused.reason.clone());
        (code, reason.unwrap_or_default())
    }
}

#[test]
fn keys_are_asked_for_and_given_by_requests_of_different_kinds() {
    let mut world = World::new();
    let ada = world.linked("ada");
    for (kind, tag) in
        [("set", "count"), ("set", "digest"), ("set", "key"), ("get", "list"), ("get", "rotate")]
    {
        let request = iq::request("q", kind, "encrypt", server_jid()).children([Builder::new(tag).build()]);
        let (code, reason) = world.refusal(ada, request.build());
        assert_eq!(code, Some(400), "{kind} {tag}");
        assert!(reason.contains("keys are asked for with get"), "{kind} {tag}: {reason}");
    }
}

#[test]
fn a_request_of_the_wrong_kind_or_to_somebody_else_is_unknown() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let own = world.lid(ada);
    for (kind, xmlns, tag, to, said) in [
        ("set", "w:p", "ping", server_jid(), "set w:p <ping>"),
        ("set", "usync", "usync", server_jid(), "set usync <usync>"),
        ("get", "w:m", "media_conn", server_jid(), "get w:m <media_conn>"),
        ("get", "encrypt", "count", own.clone(), "another address than the server: encrypt <count>"),
        ("set", "md", "remove-companion-device", own, "another address than the server: md <remove"),
    ] {
        let request = iq::request("q", kind, xmlns, to).children([Builder::new(tag).build()]);
        let (code, reason) = world.refusal(ada, request.build());
        assert_eq!(code, Some(501), "{kind} {xmlns} {tag}");
        assert!(reason.contains(said), "{kind} {xmlns} {tag}: {reason}");
    }
}
