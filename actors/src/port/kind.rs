//! The kinds of device state.

/// What a piece of device state is. The text of each is stored, so it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKind {
    /// Noise key, identity key, registration id, ADV secret: made once, before pairing; and the signed
    /// prekeys. One row, name "".
    Credentials,
    /// What pairing gave: JIDs, signed device identity, push name. One row, name "".
    Account,
    /// A page of one-time prekeys; name = page number.
    Prekeys,
    /// A ratchet with one peer device; name = its address. Read on demand.
    Session,
    /// A sender-key chain; name = group and sender. Read on demand.
    SenderKey,
    /// The identity key last seen for a peer device; name = its address. Read on demand.
    Identity,
    /// Whose what the device keeps is: the account that it was linked to last. One row, name "".
    Tenure,
    /// There may be rows of other keys than the device has; says the number of those that it has. One row, name "".
    Leftovers,
    /// LID of a phone number; name = phone number user. Read on demand.
    Lid,
    /// Phone number of a LID; name = LID user. Read on demand.
    Number,
    /// Whether the device shows itself, and whose presence it watches. One row, name "".
    Presence,
    /// A message that was asked for again and has not come; name = sender and id. Few at a time.
    Retry,
    /// A key of app state; name = its id in hexadecimal.
    AppStateKey,
    /// How far our copy of a collection of app state is; name = the collection.
    AppStateHead,
    /// A page of the records of a collection; name = collection and page number. Read on demand.
    AppStatePage,
    /// How far a piece of history has been told; name = the message that brought it. Few at a time.
    History,
    /// The piece itself; name = the same. Gone when it is told.
    HistoryPiece,
    /// Where the piece is, when it came as a file; name = the same. Gone when it is told.
    HistoryFile,
    /// Older messages that are asked for until a moment is reached; name = what pieces of it name. Few.
    HistoryRange,
    /// What WhatsApp's hosts want to see when a file of history is deleted, as the phone told it. One row, name "".
    HistoryNonce,
    /// What the answers to a poll or an event are encrypted under; name = author and id. Read on demand.
    MessageSecret,
    /// A page of the secrets of the last messages of others; name = page number. Read on demand.
    SecretPage,
    /// Which of these pages was begun last. One row, name "".
    SecretHead,
    /// For whom a status post of the last day is; name = its id.
    StatusPost,
    /// The trusted-contact tokens between us and somebody; name = its bare address. Read on demand.
    ContactToken,
    /// Somebody with whom an account has a chat; name = JID, with the number of the tenure. Read on demand.
    KnownChat,
    /// Something that is made at WhatsApp once, of the last day; name = the request id.
    Making,
    /// The pace of sending, and how far it is used up. One row, name "".
    Pacing,
    /// What the phone has given to make tokens for strangers with. One row, name "".
    Salt,
}

impl StateKind {
    /// Kinds that can be many; `load` leaves them out and `read` fetches them.
    pub const ON_DEMAND: [StateKind; 10] = [
        StateKind::Session,
        StateKind::SenderKey,
        StateKind::Identity,
        StateKind::Lid,
        StateKind::Number,
        StateKind::AppStatePage,
        StateKind::MessageSecret,
        StateKind::SecretPage,
        StateKind::ContactToken,
        StateKind::KnownChat,
    ];

    /// The text that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            StateKind::Credentials => "credentials",
            StateKind::Account => "account",
            StateKind::Tenure => "tenure",
            StateKind::Leftovers => "leftovers",
            StateKind::Prekeys => "prekeys",
            StateKind::Session => "session",
            StateKind::SenderKey => "sender-key",
            StateKind::Identity => "identity",
            StateKind::Lid => "lid",
            StateKind::Number => "number",
            StateKind::Presence => "presence",
            StateKind::Retry => "retry",
            StateKind::AppStateKey => "app-state-key",
            StateKind::AppStateHead => "app-state-head",
            StateKind::AppStatePage => "app-state-page",
            StateKind::History => "history",
            StateKind::HistoryPiece => "history-piece",
            StateKind::HistoryFile => "history-file",
            StateKind::HistoryRange => "history-range",
            StateKind::HistoryNonce => "history-nonce",
            StateKind::MessageSecret => "message-secret",
            StateKind::SecretPage => "secret-page",
            StateKind::SecretHead => "secret-head",
            StateKind::StatusPost => "status-post",
            StateKind::ContactToken => "contact-token",
            StateKind::KnownChat => "known-chat",
            StateKind::Making => "making",
            StateKind::Pacing => "pacing",
            StateKind::Salt => "salt",
        }
    }
}
