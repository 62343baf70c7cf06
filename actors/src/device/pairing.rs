//! Pairing, as callers and followers of an attempt see it.

use roost_proto::id::UnixMillis;
use roost_proto::login::{FullHistory, Platform};
use roost_proto::pair_code::PairCode;
use roost_proto::passkey::Assertion;
use tokio::sync::watch;

use super::{Answer, Command, DeviceHandle, Finished};

impl DeviceHandle {
    /// Starts pairing, or joins the attempt that runs in the same way; one that runs in another way ends. The receiver holds the present step (a code with
    /// its expiry) and changes with it; the attempt is over when it says so or its sender is gone.
    pub async fn pair(
        &self,
        wanted: impl Into<Pairing>,
    ) -> Result<watch::Receiver<PairingUpdate>, PairError> {
        let permit = self.permit().ok_or(PairError::Busy)?;
        match self.ask_actor(Command::Pair(Box::new(wanted.into())), permit).await {
            Ok(Answer::Pairing(result)) => result,
            Ok(_) => unreachable!("pairing is answered as pairing"),
            Err(ended) => Err(match ended {
                Finished::Fenced | Finished::Stale => PairError::OwnershipLost,
                Finished::Stopped | Finished::Broken(_) => PairError::Unavailable,
            }),
        }
    }

    /// Says what an authenticator answered, or that both codes are the same. `Ok` means that the attempt goes on
    /// with it; saying the same again changes nothing.
    pub async fn answer_passkey(&self, answer: PasskeyAnswer) -> Result<(), PasskeyError> {
        let permit = self.permit().ok_or(PairError::Busy)?;
        match self.ask_actor(Command::AnswerPasskey(Box::new(answer)), permit).await {
            Ok(Answer::Passkey(result)) => result,
            Ok(_) => unreachable!("a passkey is answered as a passkey"),
            Err(ended) => Err(PasskeyError::Pairing(match ended {
                Finished::Fenced | Finished::Stale => PairError::OwnershipLost,
                Finished::Stopped | Finished::Broken(_) => PairError::Unavailable,
            })),
        }
    }
}

/// Why pairing did not start, or an import was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// It is paired.
    #[error("the device is paired already")]
    AlreadyPaired,
    /// It is being paired, which an import would come in between of.
    #[error("the device is being paired")]
    Underway,
    /// Too many commands wait already.
    #[error("too much waits for this device already")]
    Busy,
    /// The store does not answer, or the node may not act just now.
    #[error("the device cannot be paired just now")]
    Unavailable,
    /// Another node owns the device.
    #[error("another node owns the device")]
    OwnershipLost,
}

/// How a device is paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairMethod {
    /// The phone scans a QR code.
    Qr,
    /// A person types a code on a phone.
    PhoneCode {
        /// Its number: 7 to 15 digits.
        phone: String,
        /// The code, when it shall be this one.
        code: Option<PairCode>,
    },
}

/// How the device shows itself on the phone's list of linked devices; what is missing is as in
/// [`Profile`](super::Profile).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appearance {
    /// Its name.
    pub name: Option<String>,
    /// Its icon.
    pub platform: Option<Platform>,
}

/// A wish to be paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairing {
    /// How.
    pub method: PairMethod,
    /// As what.
    pub appearance: Appearance,
    /// With the account of this phone number alone: digits.
    pub expected: Option<String>,
    /// How much of the past it takes.
    pub history: HistoryWanted,
}

/// How much of its past a phone shall tell a new device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistoryWanted {
    /// What the phone tells a browser.
    #[default]
    Recent,
    /// All that the phone gives.
    Full(FullHistory),
    /// Nothing: a phone tells some all the same, which is neither fetched nor told.
    None,
}

impl HistoryWanted {
    /// The limits of a full one.
    pub fn full(self) -> Option<FullHistory> {
        match self {
            HistoryWanted::Full(limits) => Some(limits),
            HistoryWanted::Recent | HistoryWanted::None => None,
        }
    }
}

impl From<PairMethod> for Pairing {
    fn from(method: PairMethod) -> Pairing {
        let (appearance, history) = (Appearance::default(), HistoryWanted::default());
        Pairing { method, appearance, expected: None, history }
    }
}

/// Where a pairing attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairingUpdate {
    /// On the way to WhatsApp.
    Connecting,
    /// A code to scan.
    Code {
        /// Text of the QR code.
        payload: String,
        /// When the next code follows.
        expires: UnixMillis,
        /// Codes after this one.
        left: u32,
    },
    /// A code to type on the phone.
    TypeCode {
        /// `XXXX-XXXX`.
        code: String,
        /// Until when it can be typed.
        expires: UnixMillis,
    },
    /// WhatsApp asks an authenticator of the account.
    Passkey {
        /// `PublicKeyCredentialRequestOptions`, JSON.
        options: String,
        /// Until when the answer is of use.
        expires: UnixMillis,
    },
    /// The phone has sent its part behind the passkey, and shows this code too.
    PasskeyCode {
        /// `XXXX-XXXX`.
        code: String,
        /// Somebody must say that both codes are the same.
        compare: bool,
        /// Until when.
        expires: UnixMillis,
    },
    /// The phone has accepted; WhatsApp restarts the connection, as it always does.
    Reconnecting,
    /// Done.
    Paired {
        /// Phone-number JID with the device number.
        pn: String,
        /// LID with the device number, when WhatsApp gave one.
        lid: Option<String>,
    },
    /// Over without success.
    Failed {
        /// A reason in capitals: `QR_EXPIRED`, `CODE_EXPIRED`, `CODE_REFUSED`, `PASSKEY_EXPIRED`,
        /// `PASSKEY_REFUSED`, `OTHER_ACCOUNT`, `SIGNATURE_MISMATCH`, `CLIENT_OUTDATED`, `REFUSED` (WhatsApp takes no
        /// such device), `LOGGED_OUT`, `CONNECTION_LOST`, `REPLACED`, `STOPPED`.
        reason: &'static str,
        /// A sentence.
        message: String,
    },
}

/// What is said of a passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasskeyAnswer {
    /// What the authenticator answered.
    Assertion {
        /// Signed by it.
        assertion: Assertion,
        /// Do not prove that this is who showed the scanned code: the code behind the passkey is compared.
        compare: bool,
    },
    /// The phone shows the same code.
    Same,
}

/// Why an answer was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// No attempt waits for this answer: none runs, or it is at another stage.
    #[error("no pairing attempt waits for this answer")]
    NotAsked,
    /// It answers another request, perhaps that of an earlier attempt.
    #[error("the assertion answers another challenge")]
    OtherChallenge,
    /// As with pairing.
    #[error(transparent)]
    Pairing(#[from] PairError),
}
