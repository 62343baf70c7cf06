//! What the driver says, one JSON object a line on standard output.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// An event; `../README.md` says what each means.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Said<'a> {
    Ready {
        client: &'a str,
    },
    Qr {
        code: String,
    },
    PairCode {
        r#ref: &'a str,
        code: String,
    },
    Passkey {
        options: String,
    },
    Paired {
        pn: String,
        lid: String,
    },
    Connected {
        pn: String,
        lid: String,
    },
    Message {
        id: String,
        text: String,
        from_me: bool,
        chat: String,
        sender: String,
        alt: String,
        push_name: String,
        verified: String,
    },
    Said {
        id: String,
        kind: &'a str,
        text: String,
        about: String,
        detail: String,
        from_me: bool,
        chat: String,
        sender: String,
    },
    File {
        id: String,
        kind: &'a str,
        mime: String,
        caption: String,
        size: usize,
        sha256: String,
        about: String,
        from_me: bool,
        chat: String,
        shown: Shown,
    },
    Undecryptable {
        id: String,
        chat: String,
        sender: String,
    },
    Sent {
        r#ref: &'a str,
        id: String,
    },
    Receipt {
        ids: Vec<String>,
        r#type: String,
        chat: String,
        sender: String,
    },
    Group {
        r#ref: &'a str,
        jid: String,
        subject: String,
    },
    Answer {
        r#ref: &'a str,
        value: serde_json::Value,
    },
    Changed {
        r#ref: &'a str,
    },
    Presence {
        from: String,
        available: bool,
    },
    Typing {
        from: String,
        state: &'a str,
    },
    Contact {
        from: String,
        what: String,
    },
    Call {
        id: String,
        from: String,
        what: &'a str,
    },
    Chat {
        what: &'a str,
        chat: String,
        on: bool,
        text: String,
    },
    Disconnected {
        reason: &'a str,
    },
    Error {
        r#ref: &'a str,
        message: String,
    },
}

/// What can be shown of a file before it is there; 0 and empty when its message does not say it.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct Shown {
    pub seconds: u32,
    pub width: u32,
    pub height: u32,
    /// In hex.
    pub waveform: String,
    /// That a part of a picture leads to.
    pub place: String,
}

/// Writes events; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Emitter(Arc<Mutex<()>>);

impl Emitter {
    /// Writes one event as one line.
    pub fn emit(&self, event: Said<'_>) {
        let line = serde_json::to_string(&event).expect("events are plain data");
        let _one_at_a_time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = std::io::stdout().lock();
        // A reader that went away ends this process by the closed standard input.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}
