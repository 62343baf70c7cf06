//! What a phone and its companions say to each other and to nobody else: keys of app state, history, and
//! requests for both. They are ordinary messages with `category=peer`, of the protocol's own kind.

use bytes::Bytes;
use waproto::buffa::{Enumeration as _, Message as _, MessageField};
use waproto::whatsapp::message::peer_data_operation_request_message::{
    HistorySyncOnDemandRequest, PlaceholderMessageResendRequest, SyncDCollectionFatalRecoveryRequest,
};
use waproto::whatsapp::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use waproto::whatsapp::message::peer_data_operation_request_response_message::peer_data_operation_result::{
    PlaceholderMessageResendResponse, SyncDSnapshotFatalRecoveryResponse,
};
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId,
    AppStateSyncKeyRequest, AppStateSyncKeyShare, HistorySyncNotification, HistorySyncType,
    PeerDataOperationRequestMessage, PeerDataOperationRequestResponseMessage, PeerDataOperationRequestType,
    ProtocolMessage,
};
use waproto::whatsapp::{Message, MessageKey};

use crate::appstate::{Collection, Key, Recovery};
use crate::history::{Blob, Kind};
use crate::id::UnixMillis;
use crate::stanza::Jid;

/// The most messages that one message may ask for or give.
const MAX_MESSAGES: usize = 64;
/// The most keys that one message may share or ask for.
const MAX_KEYS: usize = 256;

/// One message between a phone and a companion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMessage {
    /// The phone shares keys of app state.
    Keys(Vec<Key>),
    /// A companion asks for keys by their ids.
    WantKeys(Vec<Vec<u8>>),
    /// The phone has a piece of history.
    History(Notice),
    /// A companion asks for older messages.
    WantHistory(WantHistory),
    /// A companion asks for messages that it could not read.
    WantMessages(Vec<WantMessage>),
    /// The phone gives such messages: encoded `WebMessageInfo`s, for [`Past::read`](crate::history::Past::read).
    Messages {
        /// Id of the message that asked for them.
        request: String,
        /// Those that it has.
        messages: Vec<Bytes>,
    },
    /// A companion cannot read what WhatsApp has of a collection.
    WantCollection {
        /// Which.
        collection: Collection,
        /// When it asked.
        at: UnixMillis,
    },
    /// The phone gives a whole collection.
    Collection {
        /// Id of the message that asked for it.
        request: String,
        /// Nothing when it cannot.
        recovery: Option<Recovery>,
    },
}

/// A message that a companion could not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantMessage {
    /// In which chat it was said.
    pub chat: Jid,
    /// Sent by this account.
    pub from_me: bool,
    /// WhatsApp's id.
    pub id: String,
    /// Who sent it, in a group.
    pub participant: Option<Jid>,
}

/// That there is a piece of history, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which part.
    pub kind: Kind,
    /// Number of the piece within its part.
    pub order: u32,
    /// How much has been told with it, in per cent.
    pub progress: u32,
    /// The piece.
    pub place: Place,
    /// Id of the message that asked for it.
    pub request: Option<String>,
    /// Id of the message that told of it before, when its file is a new one.
    pub original: Option<String>,
}

/// Where a piece of history is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Here: a zlib stream.
    Inline(Vec<u8>),
    /// In a file.
    File(Blob),
}

/// Which older messages are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantHistory {
    /// Of which chat.
    pub chat: Jid,
    /// Before this message.
    pub before_id: String,
    /// Sent by this account.
    pub before_from_me: bool,
    /// When it was sent; whole seconds.
    pub before: UnixMillis,
    /// How many at most.
    pub count: u32,
}

impl PeerMessage {
    /// Reads an encoded message; `None` when it is of another kind, or malformed.
    pub fn read(message: &[u8]) -> Option<PeerMessage> {
        let message = Message::decode_from_slice(message).ok()?;
        let inner = message.protocol_message.as_option()?;
        match inner.r#type? {
            Type::APP_STATE_SYNC_KEY_SHARE => {
                let share = inner.app_state_sync_key_share.as_option()?;
                Some(PeerMessage::Keys(share.keys.iter().take(MAX_KEYS).filter_map(key).collect()))
            }
            Type::APP_STATE_SYNC_KEY_REQUEST => {
                let wanted = inner.app_state_sync_key_request.as_option()?;
                let ids = wanted.key_ids.iter().take(MAX_KEYS).filter_map(|id| id.key_id.clone());
                Some(PeerMessage::WantKeys(ids.collect()))
            }
            Type::HISTORY_SYNC_NOTIFICATION => {
                notice(inner.history_sync_notification.as_option()?).map(PeerMessage::History)
            }
            Type::PEER_DATA_OPERATION_REQUEST_MESSAGE => {
                let asked = inner.peer_data_operation_request_message.as_option()?;
                let wanted = asked.placeholder_message_resend_request.iter().take(MAX_MESSAGES);
                let wanted: Vec<WantMessage> = wanted.filter_map(want_message).collect();
                if !wanted.is_empty() {
                    return Some(PeerMessage::WantMessages(wanted));
                }
                if let Some(wanted) = asked.syncd_collection_fatal_recovery_request.as_option() {
                    let collection = wanted.collection_name.as_deref()?.parse().ok()?;
                    let at = UnixMillis(wanted.timestamp.unwrap_or(0).saturating_mul(1000));
                    return Some(PeerMessage::WantCollection { collection, at });
                }
                let wanted = asked.history_sync_on_demand_request.as_option()?;
                Some(PeerMessage::WantHistory(WantHistory {
                    chat: wanted.chat_jid.as_deref()?.parse().ok()?,
                    before_id: wanted.oldest_msg_id.clone().unwrap_or_default(),
                    before_from_me: wanted.oldest_msg_from_me.unwrap_or(false),
                    before: UnixMillis(wanted.oldest_msg_timestamp_ms.unwrap_or(0).saturating_mul(1000)),
                    count: u32::try_from(wanted.on_demand_msg_count.unwrap_or(0)).ok()?,
                }))
            }
            Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE => {
                let answer = inner.peer_data_operation_request_response_message.as_option()?;
                let given = answer.peer_data_operation_result.iter().take(MAX_MESSAGES);
                let messages = given.filter_map(|one| {
                    let given = one.placeholder_message_resend_response.as_option()?;
                    given.web_message_info_bytes.clone().map(Bytes::from)
                });
                let kind = answer.peer_data_operation_request_type?;
                let request = answer.stanza_id.clone().unwrap_or_default();
                match kind {
                    PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND => {
                        Some(PeerMessage::Messages { request, messages: messages.collect() })
                    }
                    PeerDataOperationRequestType::COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY => {
                        let recovery = answer.peer_data_operation_result.iter().find_map(recovery);
                        Some(PeerMessage::Collection { request, recovery })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The encoded message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut inner = ProtocolMessage::default();
        match self {
            PeerMessage::Keys(keys) => {
                inner.r#type = Some(Type::APP_STATE_SYNC_KEY_SHARE);
                let keys = keys.iter().map(wire_key).collect();
                inner.app_state_sync_key_share = MessageField::some(AppStateSyncKeyShare { keys });
            }
            PeerMessage::WantKeys(ids) => {
                inner.r#type = Some(Type::APP_STATE_SYNC_KEY_REQUEST);
                let ids = ids.iter().map(|id| AppStateSyncKeyId { key_id: Some(id.clone()) });
                inner.app_state_sync_key_request =
                    MessageField::some(AppStateSyncKeyRequest { key_ids: ids.collect() });
            }
            PeerMessage::History(notice) => {
                inner.r#type = Some(Type::HISTORY_SYNC_NOTIFICATION);
                inner.history_sync_notification = MessageField::some(wire_notice(notice));
            }
            PeerMessage::WantMessages(wanted) => {
                let wanted = wanted.iter().map(|one| PlaceholderMessageResendRequest {
                    message_key: MessageField::some(MessageKey {
                        remote_jid: Some(one.chat.to_string()),
                        from_me: Some(one.from_me),
                        id: Some(one.id.clone()),
                        participant: one.participant.as_ref().map(ToString::to_string),
                    }),
                });
                let asked = PeerDataOperationRequestMessage {
                    placeholder_message_resend_request: wanted.collect(),
                    ..Default::default()
                };
                ask(&mut inner, PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND, asked);
            }
            PeerMessage::Messages { request, messages } => {
                let given = messages.iter().map(|message| PeerDataOperationResult {
                    placeholder_message_resend_response: MessageField::some(
                        PlaceholderMessageResendResponse { web_message_info_bytes: Some(message.to_vec()) },
                    ),
                    ..Default::default()
                });
                let kind = PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND;
                answer(&mut inner, kind, request, given.collect());
            }
            PeerMessage::WantCollection { collection, at } => {
                let wanted = SyncDCollectionFatalRecoveryRequest {
                    collection_name: Some(collection.as_str().to_owned()),
                    timestamp: Some(at.0 / 1000),
                };
                let asked = PeerDataOperationRequestMessage {
                    syncd_collection_fatal_recovery_request: MessageField::some(wanted),
                    ..Default::default()
                };
                let kind = PeerDataOperationRequestType::COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY;
                ask(&mut inner, kind, asked);
            }
            PeerMessage::Collection { request, recovery } => {
                let given = recovery.iter().map(|recovery| PeerDataOperationResult {
                    syncd_snapshot_fatal_recovery_response: MessageField::some(
                        SyncDSnapshotFatalRecoveryResponse {
                            collection_snapshot: Some(recovery.bytes.to_vec()),
                            is_compressed: Some(recovery.packed),
                        },
                    ),
                    ..Default::default()
                });
                let kind = PeerDataOperationRequestType::COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY;
                answer(&mut inner, kind, request, given.collect());
            }
            PeerMessage::WantHistory(wanted) => {
                let wanted = HistorySyncOnDemandRequest {
                    chat_jid: Some(wanted.chat.to_string()),
                    oldest_msg_id: Some(wanted.before_id.clone()),
                    oldest_msg_from_me: Some(wanted.before_from_me),
                    on_demand_msg_count: i32::try_from(wanted.count).ok(),
                    // Its name says milliseconds; whatsmeow's author has seen that phones read seconds.
                    oldest_msg_timestamp_ms: Some(wanted.before.0 / 1000),
                    support_inline_response: Some(true),
                    ..Default::default()
                };
                let asked = PeerDataOperationRequestMessage {
                    history_sync_on_demand_request: MessageField::some(wanted),
                    ..Default::default()
                };
                ask(&mut inner, PeerDataOperationRequestType::HISTORY_SYNC_ON_DEMAND, asked);
            }
        }
        Message { protocol_message: MessageField::some(inner), ..Default::default() }.encode_to_vec()
    }
}

fn ask(
    inner: &mut ProtocolMessage,
    kind: PeerDataOperationRequestType,
    asked: PeerDataOperationRequestMessage,
) {
    inner.r#type = Some(Type::PEER_DATA_OPERATION_REQUEST_MESSAGE);
    let asked = PeerDataOperationRequestMessage { peer_data_operation_request_type: Some(kind), ..asked };
    inner.peer_data_operation_request_message = MessageField::some(asked);
}

fn answer(
    inner: &mut ProtocolMessage,
    kind: PeerDataOperationRequestType,
    request: &str,
    given: Vec<PeerDataOperationResult>,
) {
    inner.r#type = Some(Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE);
    inner.peer_data_operation_request_response_message =
        MessageField::some(PeerDataOperationRequestResponseMessage {
            peer_data_operation_request_type: Some(kind),
            stanza_id: Some(request.to_owned()),
            peer_data_operation_result: given,
        });
}

fn recovery(given: &PeerDataOperationResult) -> Option<Recovery> {
    let given = given.syncd_snapshot_fatal_recovery_response.as_option()?;
    let bytes = Bytes::from(given.collection_snapshot.clone()?);
    Some(Recovery { bytes, packed: given.is_compressed.unwrap_or(false) })
}

fn want_message(wanted: &PlaceholderMessageResendRequest) -> Option<WantMessage> {
    let key = wanted.message_key.as_option()?;
    Some(WantMessage {
        chat: key.remote_jid.as_deref()?.parse().ok()?,
        from_me: key.from_me.unwrap_or(false),
        id: key.id.clone().filter(|id| !id.is_empty())?,
        participant: key.participant.as_deref().and_then(|jid| jid.parse().ok()),
    })
}

fn key(shared: &AppStateSyncKey) -> Option<Key> {
    let data = shared.key_data.as_option()?;
    let id = shared.key_id.as_option()?.key_id.as_deref()?;
    Key::new(id, data.key_data.as_deref()?, data.timestamp.unwrap_or(0)).ok()
}

fn wire_key(key: &Key) -> AppStateSyncKey {
    let fingerprint =
        AppStateSyncKeyFingerprint { raw_id: Some(1), current_index: Some(1), device_indexes: vec![0, 1] };
    AppStateSyncKey {
        key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(key.id().to_vec()) }),
        key_data: MessageField::some(AppStateSyncKeyData {
            key_data: Some(key.data().to_vec()),
            fingerprint: MessageField::some(fingerprint),
            timestamp: Some(key.made()),
        }),
    }
}

fn notice(wire: &HistorySyncNotification) -> Option<Notice> {
    let place = match &wire.initial_hist_bootstrap_inline_payload {
        Some(payload) => Place::Inline(payload.clone()),
        None => Place::File(Blob {
            media_key: wire.media_key.clone()?,
            direct_path: wire.direct_path.clone()?,
            sha256: wire.file_sha256.clone().unwrap_or_default(),
            enc_sha256: wire.file_enc_sha256.clone().unwrap_or_default(),
            size: wire.file_length.unwrap_or(0),
            handle: wire.enc_handle.clone().unwrap_or_default(),
        }),
    };
    Some(Notice {
        kind: wire.sync_type?.to_i32().into(),
        order: wire.chunk_order.unwrap_or(0),
        progress: wire.progress.unwrap_or(0),
        place,
        request: wire.peer_data_request_session_id.clone(),
        original: wire.original_message_id.clone(),
    })
}

fn wire_notice(notice: &Notice) -> HistorySyncNotification {
    let mut wire = HistorySyncNotification {
        sync_type: HistorySyncType::from_i32(notice.kind.into()),
        chunk_order: Some(notice.order),
        progress: Some(notice.progress),
        peer_data_request_session_id: notice.request.clone(),
        original_message_id: notice.original.clone(),
        ..Default::default()
    };
    match &notice.place {
        Place::Inline(payload) => wire.initial_hist_bootstrap_inline_payload = Some(payload.clone()),
        Place::File(blob) => {
            wire.media_key = Some(blob.media_key.clone());
            wire.direct_path = Some(blob.direct_path.clone());
            wire.file_sha256 = Some(blob.sha256.clone());
            wire.file_enc_sha256 = Some(blob.enc_sha256.clone());
            wire.file_length = Some(blob.size);
            wire.enc_handle = Some(blob.handle.clone()).filter(|handle| !handle.is_empty());
        }
    }
    wire
}

#[cfg(test)]
mod tests;
