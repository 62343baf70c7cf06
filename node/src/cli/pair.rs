//! `roost device pair`: QR codes in the terminal, with a countdown, until a phone has scanned one; or a code
//! to type on the phone.
//!
//! What must hold: a code is never shown after its time; a broken stream is opened anew, because the
//! attempt lives on its device and not in this stream; the command ends with the attempt.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use roost_proto::api;
use roost_proto::api::StartPairingRequest;
use roost_proto::api::answer_passkey_request::Answer;
use roost_proto::api::pairing_event::Event;
use roost_proto::api::start_pairing_request::history::Amount;
use roost_proto::api::start_pairing_request::{Appearance, History, Method, PhoneCode, Platform};
use serde_json::json;
use tonic::{Code, Request};

use super::{Globals, Output, device_name, media, render};
use crate::client::{Client, Problem};

/// How often a broken stream is opened anew.
const REOPEN_BUDGET: u32 = 20;

/// How a device shall be paired.
#[derive(Debug, Clone, Args)]
pub struct PairArgs {
    /// `acme/shop` or its whole name.
    device: String,
    /// A code to type on the phone with this number, international, instead of a QR code.
    #[arg(long, value_name = "NUMBER")]
    code: Option<String>,
    /// The code that it shall be, eight of 1-9 and A-Z without I, O and U; a random one when it is missing.
    #[arg(long, value_name = "CODE", requires = "code")]
    custom_code: Option<String>,
    /// Its name on the phone's list of linked devices.
    #[arg(long)]
    name: Option<String>,
    /// Its icon there: chrome, firefox, opera, safari, edge or desktop.
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    /// The phone number of the account that it shall be paired with; others are refused.
    #[arg(long, value_name = "NUMBER")]
    expect: Option<String>,
    /// How much of its past the phone shall tell: none, recent (as without this) or full.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    history: Option<Amount>,
    /// Of a full history, nothing older than so many days.
    #[arg(long, value_name = "DAYS", requires = "history")]
    history_days: Option<u32>,
    /// Of a full history, at most so many megabytes.
    #[arg(long, value_name = "MEGABYTES", requires = "history")]
    history_megabytes: Option<u32>,
}

/// What is asked for.
pub(super) fn wanted(args: PairArgs) -> StartPairingRequest {
    let PairArgs { code, name, platform, history, history_days, history_megabytes, .. } = args;
    let device = device_name(&args.device);
    let custom = args.custom_code.unwrap_or_default();
    let method = code.map(|phone_number| Method::PhoneCode(PhoneCode { phone_number, code: custom }));
    let shown = name.is_some() || platform.is_some();
    let appearance = Appearance {
        name: name.unwrap_or_default(),
        platform: platform.unwrap_or(Platform::Unspecified).into(),
    };
    let appearance = shown.then_some(appearance);
    let history = history.map(|amount| History {
        amount: amount.into(),
        days: history_days.unwrap_or(0),
        megabytes: history_megabytes.unwrap_or(0),
    });
    let expected_phone_number = args.expect.unwrap_or_default();
    StartPairingRequest { device, method, appearance, expected_phone_number, history }
}

/// Reads the name of an amount of history.
fn amount(text: &str) -> Result<Amount, String> {
    let known = Amount::from_str_name(&text.to_ascii_uppercase());
    known.filter(|known| *known != Amount::Unspecified).ok_or_else(|| format!("{text:?} is none of them"))
}

/// Reads the name of a platform.
fn platform(text: &str) -> Result<Platform, String> {
    let known = Platform::from_str_name(&text.to_ascii_uppercase());
    known.filter(|known| *known != Platform::Unspecified).ok_or_else(|| format!("{text:?} is none of them"))
}

pub(super) async fn run(wanted: StartPairingRequest, globals: &Globals) -> Result<(), Problem> {
    let mut left = REOPEN_BUDGET;
    loop {
        match follow(&wanted, globals).await {
            Err(problem) if problem.is_broken_stream() && left > 0 => {
                left -= 1;
                eprintln!("{problem}; trying again");
                tokio::time::sleep(problem.retry.unwrap_or(Duration::from_millis(500))).await;
            }
            done => return done,
        }
    }
}

async fn follow(wanted: &StartPairingRequest, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let device = &*wanted.device;
    let mut stream = client.pairing().start_pairing(Request::new(wanted.clone())).await?.into_inner();
    let mut screen = Screen { live: std::io::stdout().is_terminal(), ..Screen::default() };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = second.tick(), if globals.output == Output::Table => screen.count_down(),
            answer = stream.message() => {
                let Some(answer) = answer? else {
                    return Err(broken());
                };
                if globals.output == Output::Json {
                    println!("{}", as_json(&answer));
                }
                match answer.event {
                    Some(Event::Qr(code)) if globals.output == Output::Table => screen.show(&code),
                    Some(Event::Code(code)) if globals.output == Output::Table => {
                        println!("Type {} on the phone: Linked devices, Link with phone number.", render::clean(&code.code));
                    }
                    Some(Event::Passkey(asked)) if globals.output == Output::Table => {
                        screen.clear();
                        println!("{}", how_to_answer(device, &asked.options_json));
                    }
                    Some(Event::PasskeyCode(shown)) if globals.output == Output::Table => {
                        let code = render::clean(&shown.code);
                        match shown.compare {
                            true => println!("When the phone shows {code} too: roost device passkey {device} --same-code"),
                            false => println!("The passkey was right (code {code})."),
                        }
                    }
                    Some(Event::Restarted(_)) if globals.output == Output::Table => {
                        screen.clear();
                        println!("Another node goes on. Wait for the next code.");
                    }
                    Some(Event::Reconnecting(_)) if globals.output == Output::Table => {
                        screen.clear();
                        println!("The phone has accepted. WhatsApp restarts the connection.");
                    }
                    Some(Event::Paired(paired)) => {
                        if globals.output == Output::Table {
                            screen.clear();
                            let account = paired.account.unwrap_or_default();
                            println!("Paired as {}.", render::clean(&account.phone_number));
                        }
                        return Ok(());
                    }
                    Some(Event::Failed(failed)) => {
                        screen.clear();
                        return Err(Problem {
                            code: Code::FailedPrecondition,
                            reason: Some(failed.reason),
                            message: render::clean(&failed.message),
                            fields: Vec::new(),
                            retry: None,
                        });
                    }
                    _ => {}
                }
            }
        }
    }
}

/// `roost device passkey`: hands in what an authenticator answered, or that the codes are the same.
pub(super) async fn answer(
    client: &Client,
    device: &str,
    credential: Option<PathBuf>,
    compare_code: bool,
) -> Result<(), Problem> {
    let answer = match credential {
        None => Answer::SameCode(api::answer_passkey_request::SameCode {}),
        Some(path) => {
            let credential_json = text_of(&path)?;
            Answer::Assertion(api::answer_passkey_request::Assertion { credential_json, compare_code })
        }
    };
    let wanted = api::AnswerPasskeyRequest { device: device.to_owned(), answer: Some(answer) };
    client.pairing().answer_passkey(Request::new(wanted)).await?;
    println!("Taken. The pairing goes on where it was begun.");
    Ok(())
}

/// The text of a file; `-` is standard input.
pub(super) fn text_of(path: &Path) -> Result<String, Problem> {
    let read = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| media::on_disk(path, &error))
}

/// What to do about a passkey. A browser answers only to a page of WhatsApp, so the way leads over one.
fn how_to_answer(device: &str, options: &str) -> String {
    format!(
        "The account has a passkey. Open https://web.whatsapp.com in a browser, without logging in, and run in its console:\n\n\
         copy(JSON.stringify(await navigator.credentials.get({{publicKey: \
         PublicKeyCredential.parseRequestOptionsFromJSON({})}})))\n\n\
         Then hand in what is in the clipboard: roost device passkey {device} -",
        render::clean(options)
    )
}

/// The stream ended before the attempt did.
fn broken() -> Problem {
    Problem {
        code: Code::Unavailable,
        reason: None,
        message: "the node ended the stream".to_owned(),
        fields: Vec::new(),
        retry: Some(Duration::from_millis(500)),
    }
}

/// The code that is shown at the moment.
#[derive(Default)]
struct Screen {
    /// Whether standard output is a terminal that can be painted over.
    live: bool,
    lines: usize,
    expires: Option<i64>,
    codes_left: i32,
}

impl Screen {
    fn show(&mut self, code: &api::pairing_event::QrCode) {
        self.clear();
        let Some(drawn) = draw(&code.payload, self.live) else {
            println!("{}", render::clean(&code.payload));
            return;
        };
        println!("{drawn}");
        self.lines = drawn.lines().count() + 1;
        self.expires = code.expire_time.as_ref().map(|at| at.seconds);
        self.codes_left = code.codes_left;
        self.count_down();
    }

    fn count_down(&mut self) {
        let Some(expires) = self.expires else { return };
        let left = expires - now_seconds();
        if left < 0 {
            self.clear();
            println!("Waiting for the next code.");
            return;
        }
        if self.live {
            print!("\r\x1b[2KScan with WhatsApp > Linked devices. {left} s; {} more codes.", self.codes_left);
            // A terminal that is gone ends the process by itself.
            let _ = std::io::stdout().flush();
        }
    }

    /// Takes the code off a terminal; elsewhere there is nothing to take off.
    fn clear(&mut self) {
        if self.live && self.lines > 0 {
            print!("\r\x1b[{}A\x1b[J", self.lines - 1);
        }
        self.lines = 0;
        self.expires = None;
    }
}

/// The code in half blocks; `None` when it is too long. The light modules are what is painted, so it is
/// right in light text on a dark ground; `coloured` makes it so whatever the colours of the terminal are.
fn draw(payload: &str, coloured: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(payload.as_bytes(), EcLevel::L).ok()?;
    let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    if !coloured {
        return Some(drawn);
    }
    let lines: Vec<String> = drawn.lines().map(|line| format!("\x1b[97;40m{line}\x1b[0m")).collect();
    Some(lines.join("\n"))
}

fn now_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn as_json(answer: &api::PairingEvent) -> serde_json::Value {
    let mut out = json!({"device": answer.device, "sequence": answer.sequence});
    match &answer.event {
        Some(Event::Qr(code)) => {
            let expires = render::time(code.expire_time.as_ref());
            out["qr"] = json!({"payload": code.payload, "expireTime": expires, "codesLeft": code.codes_left});
        }
        Some(Event::Code(code)) => {
            let expires = render::time(code.expire_time.as_ref());
            out["code"] = json!({"code": code.code, "expireTime": expires});
        }
        Some(Event::Passkey(asked)) => {
            let expires = render::time(asked.expire_time.as_ref());
            out["passkey"] = json!({"optionsJson": asked.options_json, "expireTime": expires});
        }
        Some(Event::PasskeyCode(shown)) => {
            let expires = render::time(shown.expire_time.as_ref());
            out["passkeyCode"] = json!({"code": shown.code, "compare": shown.compare, "expireTime": expires});
        }
        Some(Event::Restarted(_)) => out["restarted"] = json!({}),
        Some(Event::Reconnecting(_)) => out["reconnecting"] = json!({}),
        Some(Event::Paired(paired)) => {
            let account = paired.account.clone().unwrap_or_default();
            let account = json!({"lid": account.lid, "phoneNumber": account.phone_number});
            out["paired"] = json!({ "account": account });
        }
        Some(Event::Failed(failed)) => {
            out["failed"] = json!({"reason": failed.reason, "message": failed.message});
        }
        None => {}
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_with_its_quiet_zone_in_light_modules() {
        let drawn = draw("2@abc,def,ghi,jkl", false).expect("short enough");
        let lines: Vec<&str> = drawn.lines().collect();
        assert!(lines[0].chars().all(|c| c == '\u{2588}'), "{drawn}");
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()));
        assert!(draw(&"x".repeat(10_000), false).is_none());
    }
}
