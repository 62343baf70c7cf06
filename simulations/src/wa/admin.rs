//! HTTP: the way of devices in, and the calls of whoever drives the simulation.
//!
//! | call | what |
//! | --- | --- |
//! | `GET /ws/chat` | a device's WebSocket |
//! | `POST /admin/mock-phone/scan-qr?pn=&name=` | body: the QR text; the named account's phone scans it |
//! | `POST /admin/mock-phone/type-code?pn=` | body: a pairing code; the person types it on that phone |
//! | `POST /admin/phones/{pn}/passkey` | the phone makes a passkey; from now on the account links nobody without it |
//! | `POST /admin/phones/{pn}/assert` | body: the options of a pairing that asks for it; answers with the credential |
//! | `POST /admin/accounts` | `{pn?, name?}`: makes an account, or finds it |
//! | `GET /admin/accounts` | all of them, with devices |
//! | `POST /admin/phones/{pn}/send` | `{to, text}`: the phone sends a text |
//! | `POST /admin/phones/{pn}/reinstall` | the phone is set up anew: its companions are gone, and who wrote to it is told |
//! | `GET /admin/phones/{pn}/messages` | what the phone received |
//! | `GET /admin/ledger?messages=true` | what the server saw |
//! | `POST /admin/faults` | a [`Fault`] |
//! | `POST`, `DELETE /mms/{kind}/{token}`, `GET /v/…` | media, see `files.rs` |
//! | `POST /product/image/{token}`, `/pps/biz-cover-photo/{token}` | pictures of businesses, the same |
//! | `GET /admin/ca.pem`, `GET /admin/root.hex` | what clients must trust |
//!
//! There is no authentication: the server listens on loopback, for tests and for trying things out.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::account::{Account, DeviceRef, Form, Pn};
use super::fault::Fault;
use super::machine::Machine;
use super::pair_code::TypeError;
use super::pairing::{ScanError, Scanner};
use super::server::Shared;

type World = State<Arc<Shared>>;

/// A refused call: a status and a sentence.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// All routes.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ws/chat", get(upgrade))
        .route("/admin/mock-phone/scan-qr", post(scan))
        .route("/admin/mock-phone/type-code", post(type_code))
        .route("/admin/accounts", get(accounts).post(create))
        .route("/admin/phones/{pn}/send", post(send))
        .route("/admin/phones/{pn}/passkey", post(make_passkey))
        .route("/admin/phones/{pn}/assert", post(use_passkey))
        .route("/admin/phones/{pn}/reinstall", post(reinstall))
        .route("/admin/phones/{pn}/messages", get(messages))
        .route("/admin/ledger", get(ledger))
        .route("/admin/faults", post(fault))
        .route("/admin/ca.pem", get(async |State(shared): World| shared.authority.ca_pem().to_owned()))
        .route("/admin/root.hex", get(async |State(shared): World| hex::encode(shared.authority.root())))
        .route("/mms/{kind}/{token}", post(super::files::upload).delete(super::files::delete))
        .route("/newsletter/{kind}/{token}", post(super::files::upload))
        .route("/product/{kind}/{token}", post(super::files::upload))
        .route("/pps/{kind}/{token}", post(super::files::upload))
        .route("/v/{*rest}", get(super::files::download))
        .route("/sticker", get(super::files::sticker_pack))
        .route("/healthz", get(async || "ok"))
        .with_state(shared)
}

async fn upgrade(State(shared): World, headers: HeaderMap, request: Request) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = text(header::SEC_WEBSOCKET_KEY);
    if !text(header::UPGRADE).eq_ignore_ascii_case("websocket") || key.is_empty() {
        return Refused(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket".into()).into_response();
    }
    // RFC 6455, section 4.2.2: the key, a fixed text, SHA-1, base64.
    let digest = Sha1::digest([key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat());
    let accept = STANDARD.encode(digest);
    shared.tasks.clone().spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => super::link::serve(TokioIo::new(upgraded), shared).await,
            Err(error) => tracing::debug!(%error, "an upgrade failed"),
        }
    });
    let headers = [
        (header::UPGRADE, "websocket".to_owned()),
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

#[derive(Deserialize)]
struct ScanQuery {
    pn: Option<Pn>,
    name: Option<String>,
}

async fn scan(
    State(shared): World,
    Query(query): Query<ScanQuery>,
    text: String,
) -> Result<Json<Value>, Refused> {
    let scanner = Scanner { pn: query.pn, name: query.name };
    let scanned = shared.act(|machine, now| machine.scan(now, &text, &scanner)).map_err(|error| {
        let status = match &error {
            ScanError::Text(_) => StatusCode::BAD_REQUEST,
            ScanError::Unknown => StatusCode::NOT_FOUND,
            ScanError::OtherKeys | ScanError::Full => StatusCode::CONFLICT,
        };
        Refused(status, error.to_string())
    })?;
    let DeviceRef { pn, device } = scanned.device;
    Ok(Json(json!({
        "pn": pn.to_string(),
        "lid": scanned.lid,
        "device": device,
        "jid": format!("{pn}:{device}@s.whatsapp.net"),
    })))
}

#[derive(Deserialize)]
struct TypeQuery {
    pn: Pn,
}

async fn type_code(
    State(shared): World,
    Query(TypeQuery { pn }): Query<TypeQuery>,
    code: String,
) -> Result<Json<Value>, Refused> {
    let typed = shared.act(|machine, now| machine.type_code(now, pn, code.trim()));
    typed.map_err(|error| {
        let status = match &error {
            TypeError::Code(_) => StatusCode::BAD_REQUEST,
            TypeError::Unknown(_) => StatusCode::NOT_FOUND,
            TypeError::Waiting => StatusCode::CONFLICT,
        };
        Refused(status, error.to_string())
    })?;
    Ok(Json(json!({ "pn": pn.to_string() })))
}

async fn make_passkey(State(shared): World, Path(pn): Path<Pn>) -> Json<Value> {
    shared.change(|machine| machine.make_passkey(pn));
    Json(json!({ "pn": pn.to_string() }))
}

async fn use_passkey(State(shared): World, Path(pn): Path<Pn>, options: String) -> Result<String, Refused> {
    let answer = shared.change(|machine| machine.use_passkey(pn, &options));
    let answer =
        answer.ok_or_else(|| Refused(StatusCode::NOT_FOUND, format!("phone {pn} has no passkey")))?;
    answer.map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))
}

#[derive(Deserialize)]
struct NewAccount {
    pn: Option<Number>,
    name: Option<String>,
}

/// A phone number, as text or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(Pn),
    Text(String),
}

async fn create(State(shared): World, Json(new): Json<NewAccount>) -> Result<Json<Value>, Refused> {
    let pn = match new.pn {
        None => None,
        Some(Number::Number(pn)) => Some(pn),
        Some(Number::Text(text)) => Some(
            text.trim_start_matches('+')
                .parse()
                .map_err(|_| Refused(StatusCode::BAD_REQUEST, "pn must be digits".into()))?,
        ),
    };
    let pn = shared.account(pn, new.name.as_deref());
    let account =
        shared.look(|machine| machine.accounts().get(&pn).map(|account| describe(machine, account)));
    Ok(Json(account.unwrap_or_default()))
}

async fn accounts(State(shared): World) -> Json<Value> {
    Json(
        shared
            .look(|machine| machine.accounts().values().map(|account| describe(machine, account)).collect()),
    )
}

fn describe(machine: &Machine, account: &Account) -> Value {
    let online: Vec<DeviceRef> = machine.online_of(account.pn).collect();
    let companions: Vec<Value> = account
        .companions
        .iter()
        .map(|(number, companion)| {
            let device = DeviceRef { pn: account.pn, device: *number };
            json!({
                "device": device.to_string(),
                "jid": account.device_jid(*number, Form::Pn).to_string(),
                "shown": companion.shown,
                "key_index": companion.key_index,
                "online": online.contains(&device),
                "one_time_prekeys": companion.one_time.len(),
                "backlog": companion.backlog.len(),
                "push": companion.push,
            })
        })
        .collect();
    json!({
        "pn": account.pn.to_string(),
        "jid": account.jid(Form::Pn).to_string(),
        "lid": account.lid,
        "name": account.name,
        "companions": companions,
    })
}

#[derive(Deserialize)]
struct NewMessage {
    to: String,
    text: String,
}

async fn send(
    State(shared): World,
    Path(pn): Path<Pn>,
    Json(new): Json<NewMessage>,
) -> Result<Json<Value>, Refused> {
    let sent = shared.act(|machine, now| machine.phone_sends(now, pn, &new.to, &new.text));
    let id = sent.map_err(|error| Refused(StatusCode::NOT_FOUND, error.to_string()))?;
    Ok(Json(json!({ "id": id })))
}

async fn reinstall(State(shared): World, Path(pn): Path<Pn>) -> Result<(), Refused> {
    let done = shared.act(|machine, now| machine.reinstall(now, pn));
    done.map_err(|error| Refused(StatusCode::NOT_FOUND, error.to_string()))
}

async fn messages(State(shared): World, Path(pn): Path<Pn>) -> Result<Json<Value>, Refused> {
    let inbox = shared.look(|machine| {
        machine.accounts().get(&pn).map(|account| account.phone.inbox().cloned().collect::<Vec<_>>())
    });
    let inbox = inbox.ok_or_else(|| Refused(StatusCode::NOT_FOUND, format!("there is no account {pn}")))?;
    Ok(Json(json!({ "messages": inbox })))
}

#[derive(Deserialize)]
struct LedgerQuery {
    #[serde(default)]
    messages: bool,
}

async fn ledger(State(shared): World, Query(query): Query<LedgerQuery>) -> Json<Value> {
    Json(shared.look(|machine| machine.ledger().to_json(query.messages)))
}

async fn fault(State(shared): World, Json(fault): Json<Fault>) -> Result<Json<Value>, Refused> {
    let committed = shared.act(|machine, now| machine.commit(now, &fault).map(|effects| ((), effects)));
    committed.map_err(|error| Refused(StatusCode::NOT_FOUND, error.to_string()))?;
    Ok(Json(json!({ "committed": fault })))
}
