//! Requests and their answers: `<iq id type=get|set xmlns to>`, answered by the same id.

use super::{Builder, Jid, Read, Stanza, server_jid};

/// Why a request was refused, as a code and the text that belongs to it. Clients compare both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request was refused: {code} {text}")]
pub struct Refused {
    /// HTTP-like code.
    pub code: u16,
    /// Its text; at most 200 characters of what the peer wrote.
    pub text: String,
}

impl Refused {
    /// A refusal with the text that WhatsApp uses for this code (empty for codes it has no text for).
    pub fn new(code: u16) -> Self {
        let text = match code {
            400 => "bad-request",
            401 => "not-authorized",
            403 => "forbidden",
            404 => "item-not-found",
            405 => "not-allowed",
            406 => "not-acceptable",
            409 => "conflict",
            410 => "gone",
            419 => "resource-limit",
            423 => "locked",
            429 => "rate-overlimit",
            500 => "internal-server-error",
            501 => "feature-not-implemented",
            503 => "service-unavailable",
            530 => "partial-server-error",
            _ => "",
        };
        Self { code, text: text.to_owned() }
    }

    /// The `<error code text/>` element.
    pub fn to_element(&self) -> Stanza {
        Builder::new("error").attr("code", self.code).attr("text", self.text.as_str()).build()
    }

    /// Reads an `<error/>` element; an unreadable code counts as 500.
    pub fn of_element(error: &Stanza) -> Self {
        let code = error.number("code").and_then(|code| code.try_into().ok()).unwrap_or(500);
        let text = error.text("text").unwrap_or_default().chars().take(200).collect();
        Self { code, text }
    }
}

/// A question to the server: `type=get`.
pub fn get(id: &str, xmlns: &'static str) -> Builder {
    request(id, "get", xmlns, server_jid())
}

/// A command to the server: `type=set`.
pub fn set(id: &str, xmlns: &'static str) -> Builder {
    request(id, "set", xmlns, server_jid())
}

/// A request to any address (groups have their own).
pub fn request(id: &str, kind: &'static str, xmlns: &'static str, to: Jid) -> Builder {
    Builder::new("iq").attr("id", id).attr("type", kind).attr("xmlns", xmlns).attr("to", to)
}

/// The client's answer to a request of the server.
pub fn reply(request: &Stanza) -> Builder {
    let id = request.text("id").unwrap_or_default().into_owned();
    let to = request.jid("from").unwrap_or_else(server_jid);
    Builder::new("iq").attr("id", id).attr("type", "result").attr("to", to)
}

/// The server's good answer: `from` is the address that the request was sent to.
pub fn result(request: &Stanza) -> Builder {
    answer(request, "result")
}

/// The server's refusal.
pub fn error(request: &Stanza, refused: &Refused) -> Stanza {
    answer(request, "error").children([refused.to_element()]).build()
}

/// What an answer says: the answer itself, or the refusal in it.
///
/// # Errors
/// [`Refused`] when its type is `error`, or it is an acknowledgement with an `error`.
pub fn outcome(answer: Stanza) -> Result<Stanza, Refused> {
    if let Some(error) = answer.text("error").filter(|_| answer.tag == "ack") {
        return Err(Refused::new(error.parse().unwrap_or(500)));
    }
    if answer.text("type").as_deref() != Some("error") {
        return Ok(answer);
    }
    Err(answer.child("error").map_or_else(|| Refused::new(500), Refused::of_element))
}

fn answer(request: &Stanza, kind: &'static str) -> Builder {
    let id = request.text("id").unwrap_or_default().into_owned();
    let from = request.jid("to").unwrap_or_else(server_jid);
    Builder::new("iq").attr("from", from).attr("type", kind).attr("id", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_an_answer_unless_it_says_an_error() {
        let ack = |error: Option<&'static str>| {
            let ack = Builder::new("ack").attr("class", "call").attr("type", "link_create");
            outcome(error.into_iter().fold(ack, |ack, error| ack.attr("error", error)).build())
        };
        assert!(ack(None).is_ok());
        assert_eq!(ack(Some("403")), Err(Refused::new(403)));
        assert_eq!(ack(Some("no")), Err(Refused::new(500)));
    }

    #[test]
    fn an_answer_carries_the_id_and_the_address_of_its_request() {
        let request = get("1.2-3", "usync").build();
        let answer = result(&request).build();
        assert_eq!(answer.text("id").as_deref(), Some("1.2-3"));
        assert_eq!(answer.jid("from"), Some(server_jid()));
        assert_eq!(outcome(answer.clone()), Ok(answer));
    }

    #[test]
    fn a_refusal_reads_back_with_code_and_text() {
        let refused = error(&get("1", "x").build(), &Refused::new(404));
        assert_eq!(outcome(refused), Err(Refused { code: 404, text: "item-not-found".into() }));
    }
}
