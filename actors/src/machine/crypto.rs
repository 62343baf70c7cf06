//! What the machine asks of crypto, and what it makes of the answers.
//!
//! The machine never sees a private key or a ratchet. Crypto names the state that it changed; the machine
//! commits it together with what was decrypted or encrypted.

mod made;
mod purpose;

use std::time::Duration;

use bytes::Bytes;
use roost_proto::adv::{AdvError, DeviceIdentity};
use roost_proto::api;
use roost_proto::id::UnixMillis;
use roost_proto::pair_code::PairCode;
use roost_proto::signal::{Bundle, CiphertextKind, KeyDigest};

use super::commit::{After, Pending};
use super::pairing::account_key;
use super::{Machine, PrekeyUpload, Token, Work, Worked, passkey};
use crate::device::Import;
use crate::port::{StateChange, StateKind};

pub use made::{
    DecryptFailure, Decrypted, Encryption, GroupCiphertext, GroupEncryption, KeysCompared, RetryKeys,
};
pub(super) use purpose::Purpose;

/// A peer device, by whatever is known of its user. Ratchets are kept under the LID when one is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName {
    /// Phone number digits.
    pub pn: Option<String>,
    /// LID digits; of a bot, which has neither, `{digits}@bot`.
    pub lid: Option<String>,
    /// Device number, 0 for the phone.
    pub device: u16,
}

impl PeerName {
    /// Its user, in the forms that are known.
    pub(super) fn person(&self) -> api::Person {
        let jid = |user: &Option<String>, server| {
            user.as_ref().map(|user| format!("{user}@{server}")).unwrap_or_default()
        };
        api::Person { lid: jid(&self.lid, "lid"), phone_number: jid(&self.pn, "s.whatsapp.net") }
    }
}

/// One ciphertext to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// For whom.
    pub peer: PeerName,
    /// Which of the plaintexts.
    pub plaintext: usize,
}

/// What crypto can be asked for. Requests are carried out in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// New keys for an unpaired device; old ones and their prekeys are replaced.
    MakeKeys {
        /// When.
        now: UnixMillis,
    },
    /// The text of a QR code for this reference of the server.
    Qr {
        /// What the server calls the attempt.
        reference: String,
    },
    /// Take in a part of an import.
    Import(Box<Import>),
    /// Another secret for the codes that an unpaired device shows.
    RenewSecret,
    /// A pairing code, if it shall be a certain one, and our key under it.
    PairHello(Option<PairCode>),
    /// Agree with the phone on a secret.
    PairFinish {
        /// The phone's ephemeral key under the code.
        wrapped: Vec<u8>,
        /// Its identity key.
        identity: [u8; 32],
    },
    /// A step behind a passkey.
    Passkey(passkey::Step),
    /// Check the identity that the phone signed, and sign it.
    AcceptDevice {
        /// Content of `<device-identity>`.
        bytes: Bytes,
    },
    /// Decrypt one message.
    Decrypt {
        /// Who sent it.
        from: PeerName,
        /// Whom another device of our account has sent it to.
        to: Option<PeerName>,
        /// What is for this device alone.
        single: Option<(CiphertextKind, Bytes)>,
        /// The group in which it was sent, with what is for all of it.
        group: Option<GroupCiphertext>,
        /// It was asked for again before: when it fails once more, keys for the sender are needed.
        asked_before: bool,
    },
    /// Encrypt for several devices; nothing is encrypted when a ratchet is missing.
    Encrypt {
        /// Ratchets to open first.
        bundles: Vec<(PeerName, Bundle)>,
        /// Padded plaintexts.
        plaintexts: Vec<Bytes>,
        /// For whom.
        targets: Vec<Target>,
        /// A group whose sender key of ours the targets have lost.
        lost: Option<String>,
    },
    /// Encrypt once for a group, and our sender key for every device that lacks it; nothing is encrypted
    /// when a ratchet for that is missing.
    EncryptForGroup {
        /// Its JID.
        group: String,
        /// Ratchets to open first.
        bundles: Vec<(PeerName, Bundle)>,
        /// Padded.
        plaintext: Bytes,
        /// Every device that shall read it.
        targets: Vec<PeerName>,
        /// One device that reads no messages of the group gets this, padded, for itself.
        beside: Option<(PeerName, Bytes)>,
    },
    /// What was made for a group reached nobody, our sender key included: the next message begins another chain.
    EndChain {
        /// JID of the group.
        group: String,
    },
    /// One-time prekeys to upload: those that were not uploaded, or else new ones, so many pages of them: when
    /// there was none before, and later.
    Prekeys(u32, u32),
    /// These pages of prekeys have been uploaded.
    Uploaded {
        /// Their numbers.
        pages: Vec<u32>,
    },
    /// Whether what WhatsApp has of our keys is ours.
    CompareKeys(Box<KeyDigest>),
    /// The signed prekey to offer to WhatsApp, when the present one has been in use for long enough.
    Rotate {
        /// When.
        now: UnixMillis,
        /// How long one is in use.
        period: Duration,
    },
    /// WhatsApp has taken the signed prekey that was offered, or will never take it.
    Rotated {
        /// Its id.
        id: u32,
        /// Which of the two.
        taken: bool,
        /// When.
        now: UnixMillis,
    },
    /// A user has a new identity, as is told already: forget the ratchet with this device, and its key.
    Forget {
        /// Which.
        peer: PeerName,
    },
    /// The LID of a phone number, if it is known.
    Lid {
        /// Digits.
        pn: String,
    },
    /// The LIDs of these phone numbers, in digits.
    Lids(Vec<String>),
    /// Something about app state.
    AppState(Box<Work>),
    /// The secret of a message, or whether there is a chat: the rows that there are, in order.
    Recall {
        /// Of which kind: secrets, pages of them, or chats.
        kind: StateKind,
        /// Names of the rows.
        names: Vec<String>,
    },
    /// Whatever is known of a user.
    Identities {
        /// By phone number or LID.
        user: PeerName,
    },
    /// These phone numbers and LIDs belong together.
    Learn {
        /// Both are known in each.
        pairs: Vec<PeerName>,
    },
    /// The tokens between us and each of these contacts.
    Tokens {
        /// Who.
        of: Vec<PeerName>,
    },
    /// Tokens that were given.
    KeepTokens(Vec<(PeerName, Token)>),
}

/// What came of a request.
#[derive(Debug)]
pub enum Changed {
    /// [`Request::MakeKeys`], [`Request::RenewSecret`].
    Keys(Vec<StateChange>),
    /// [`Request::Qr`].
    Qr(String),
    /// [`Request::PairHello`]; `None` without keys.
    PairHello(Option<super::PairHello>),
    /// [`Request::PairFinish`]; `None` when the phone's part is of no use.
    PairFinish(Option<super::PairFinish>),
    /// [`Request::Passkey`]; `None` when the phone's part is of no use.
    Passkey(Option<passkey::Made>),
    /// [`Request::AcceptDevice`].
    Device(Result<(DeviceIdentity, Vec<u8>, Vec<u8>), AdvError>),
    /// [`Request::Decrypt`].
    Decrypted(Box<Decrypted>),
    /// [`Request::Encrypt`].
    Encrypted(Encryption),
    /// [`Request::EncryptForGroup`].
    GroupEncrypted(GroupEncryption),
    /// [`Request::Prekeys`].
    Prekeys(Vec<StateChange>, Box<PrekeyUpload>),
    /// [`Request::CompareKeys`].
    Compared(KeysCompared),
    /// [`Request::Rotate`].
    Rotation(Vec<StateChange>, super::Rotation),
    /// [`Request::Uploaded`], [`Request::Rotated`], [`Request::Forget`], [`Request::Import`], [`Request::Learn`],
    /// [`Request::KeepTokens`], [`Request::EndChain`].
    State(Vec<StateChange>),
    /// [`Request::Lid`].
    Lid(Option<String>),
    /// [`Request::Lids`]: those that are known, by phone number.
    Lids(Vec<(String, String)>),
    /// [`Request::AppState`].
    AppState(Worked),
    /// [`Request::Recall`].
    Recalled(Vec<Bytes>),
    /// [`Request::Identities`].
    Identities(PeerName),
    /// [`Request::Tokens`], in their order.
    Tokens(Vec<Token>),
}

impl Machine {
    /// Asks crypto for something.
    pub(super) fn ask_crypto(&mut self, request: Request, purpose: Purpose) {
        let token = self.token();
        self.purposes.insert(token, purpose);
        self.effects.push(super::Effect::Crypto { token, request });
    }

    /// Asks crypto for a change of state that needs nothing but to be written.
    pub(super) fn change_state(&mut self, request: Request) {
        let slot = self.lane.open();
        self.ask_crypto(request, Purpose::State { slot });
    }

    pub(super) fn on_crypto(&mut self, token: u64, changed: Changed) {
        let Some(purpose) = self.purposes.remove(&token) else { return };
        if let Some(slot) = purpose.slot() {
            self.lane.note_crypto(slot, token);
        }
        match (purpose, changed) {
            (Purpose::Keys { slot, anew }, Changed::Keys(changes)) => {
                self.note_leftovers(&changes);
                let mut outcome = with_state(changes);
                if anew {
                    outcome.batch.state.push((account_key(), None));
                    outcome.batch.state.extend(self.tenure_row());
                }
                outcome.after.push(After::KeysMade);
                self.keys = true;
                self.lane.fill(slot, outcome);
            }
            (Purpose::Qr { attempt }, Changed::Qr(text)) => self.show_code(attempt, text),
            (Purpose::PairHello { attempt }, Changed::PairHello(hello)) => {
                if let Some(hello) = hello {
                    self.on_pair_hello(attempt, hello);
                }
            }
            (Purpose::PairFinish { slot, link, attempt }, Changed::PairFinish(finish)) => {
                self.on_pair_finish(slot, link, attempt, finish);
            }
            (Purpose::Passkey { attempt, sealing }, Changed::Passkey(made)) => {
                self.on_passkey_made(attempt, sealing, made);
            }
            (Purpose::AcceptDevice { attempt, slot, link, iq, device }, Changed::Device(result)) => {
                self.device_accepted(slot, (attempt, link), &iq, *device, result);
            }
            (Purpose::Inbound { slot, message }, Changed::Decrypted(decrypted)) => {
                self.on_decrypted(slot, *message, *decrypted);
            }
            (Purpose::Outgoing { slot, ordinal }, Changed::Encrypted(encryption)) => {
                self.on_encrypted(slot, ordinal, encryption);
            }
            (Purpose::Outgoing { slot, ordinal }, Changed::GroupEncrypted(encryption)) => {
                self.on_group_encrypted(slot, ordinal, encryption);
            }
            (Purpose::Resend { slot, job }, Changed::Encrypted(encryption)) => {
                self.on_resend_encrypted(slot, *job, encryption);
            }
            (Purpose::Prekeys { slot }, Changed::Prekeys(changes, upload)) => {
                let mut outcome = with_state(changes);
                outcome.after.push(After::Upload(upload));
                self.lane.fill(slot, outcome);
            }
            (Purpose::CompareKeys, Changed::Compared(compared)) => self.on_keys_compared(compared),
            (Purpose::Rotation { slot }, Changed::Rotation(changes, rotation)) => {
                self.on_rotation(slot, changes, rotation);
            }
            (Purpose::State { slot }, Changed::State(changes)) => {
                let mut outcome = with_state(changes);
                self.note_mapped(&mut outcome);
                self.lane.fill(slot, outcome);
            }
            (Purpose::Identities(wanted), Changed::Identities(known)) => self.on_identities(wanted, known),
            (Purpose::Import { slot, token, device, parted }, Changed::State(changes)) => {
                self.on_import_sealed(slot, token, device.map(|device| *device), *parted, changes);
            }
            (Purpose::Lid { pn }, Changed::Lid(lid)) => self.on_lid(pn, lid),
            (Purpose::Past(waiting), Changed::Lids(pairs)) => self.on_past_names(*waiting, pairs),
            (Purpose::PastPolls(waiting), Changed::Recalled(rows)) => self.on_past_polls(*waiting, &rows),
            (Purpose::ResendRight(lid, job), Changed::Lid(known)) => self.on_right(*job, known == Some(lid)),
            (Purpose::Receipt(waiting), Changed::Lids(pairs)) => {
                self.judge_receipt(*waiting, &pairs.into_iter().collect());
            }
            (Purpose::AppState { slot }, Changed::AppState(worked)) => self.on_worked(slot, worked),
            (Purpose::ReadAppState { token }, Changed::AppState(worked)) => self.on_contents(token, worked),
            (Purpose::Peer { slot, job }, Changed::Encrypted(encryption)) => {
                self.on_peer_encrypted(slot, *job, encryption);
            }
            (Purpose::Secret(sought), Changed::Recalled(rows)) => self.on_secret_rows(*sought, &rows),
            (Purpose::KnownChat { ordinal }, Changed::Recalled(rows)) => {
                self.on_chat(ordinal, !rows.is_empty());
            }
            (Purpose::Admission(waiting), Changed::Recalled(rows)) => {
                self.on_admission(*waiting, !rows.is_empty());
            }
            (Purpose::Token(what), Changed::Tokens(tokens)) => {
                self.on_token(what, &tokens.into_iter().next().unwrap_or_default());
            }
            (Purpose::Showing(it), Changed::Tokens(tokens)) => self.on_tokens_to_show(*it, &tokens),
            (purpose, changed) => unreachable!("crypto answered {purpose:?} with {changed:?}"),
        }
    }
}

/// An outcome that is only a change of state.
pub(super) fn with_state(changes: Vec<StateChange>) -> Pending {
    let mut outcome = Pending::default();
    outcome.batch.state = changes;
    outcome
}
