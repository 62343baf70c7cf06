//! One device of whatsapp-rust: the client that is connected for it now, commands in, events out.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use tokio::sync::Mutex;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::features::{GroupCreateOptions, GroupParticipantOptions};
use whatsapp_rust::http::UreqHttpClient;
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::prelude::*;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::types::events::{Event, Receipt};
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::{Client, Jid, SendOptions};

use crate::events::{Emitter, Said};
use crate::flags::Flags;
use crate::kinds::{Memory, Words};
use crate::{Command, chats, details, files, groups, http, newsletters, passkeys, people};

/// What the library would otherwise ask web.whatsapp.com for.
const VERSION: (u32, u32, u32) = (2, 3000, 1_035_194_821);

/// Where status posts are.
const STATUS: &str = "status@broadcast";

/// The driver of one device.
pub struct Driver {
    url: String,
    http: UreqHttpClient,
    name: String,
    store: SqliteStore,
    said: Emitter,
    memory: Memory,
    bot: Mutex<Option<BotHandle>>,
}

impl Driver {
    /// Opens the device's file; makes it when it is new.
    pub async fn open(flags: &Flags, said: Emitter) -> anyhow::Result<Self> {
        let store = SqliteStore::new(&flags.db).await?;
        // The library connects to the address as it stands; the others know WhatsApp's path themselves.
        let host = flags.url.trim_end_matches("/ws/chat").trim_end_matches('/');
        let (url, http, name) = (format!("{host}/ws/chat"), http::client(host)?, flags.name.clone());
        Ok(Self { url, http, name, store, said, memory: Memory::default(), bot: Mutex::new(None) })
    }

    /// Carries out a command. What answers late does so from its own task, so that commands overlap.
    pub async fn run(self: &Arc<Self>, command: Command) {
        let done = match command.cmd.as_str() {
            "connect" => self.connect().await,
            "disconnect" => {
                self.stop().await;
                self.said.emit(Said::Disconnected { reason: "asked" });
                Ok(())
            }
            _ => match self.client().await {
                Some(client) => {
                    let driver = Arc::clone(self);
                    tokio::spawn(async move {
                        if let Err(error) = driver.call(&client, &command).await {
                            driver.fail(&command.r#ref, &error);
                        }
                    });
                    return;
                }
                None => Err(anyhow!("{} before connect", command.cmd)),
            },
        };
        if let Err(error) = done {
            self.fail(&command.r#ref, &error);
        }
    }

    /// Ends the connection, and waits until everything is stored.
    pub async fn stop(&self) {
        if let Some(bot) = self.bot.lock().await.take() {
            bot.shutdown().await;
        }
    }

    fn fail(&self, r#ref: &str, error: &anyhow::Error) {
        self.said.emit(Said::Error { r#ref, message: format!("{error:#}") });
    }

    async fn client(&self) -> Option<Arc<Client>> {
        self.bot.lock().await.as_ref().map(BotHandle::client)
    }

    /// Makes a new client from what is stored: the paired device, or a new one that shows QR codes.
    async fn connect(self: &Arc<Self>) -> anyhow::Result<()> {
        self.stop().await;
        let driver = Arc::clone(self);
        let bot = Bot::builder()
            .with_backend(self.store.clone())
            .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(&self.url))
            .with_http_client(self.http.clone())
            .with_version(VERSION)
            .with_push_name(&self.name)
            .skip_history_sync()
            .on_event(move |event, client| {
                let driver = Arc::clone(&driver);
                async move { driver.on_event(&event, &client).await }
            })
            .build()
            .await?;
        *self.bot.lock().await = Some(bot.spawn());
        Ok(())
    }

    async fn call(&self, client: &Arc<Client>, command: &Command) -> anyhow::Result<()> {
        let r#ref = command.r#ref.as_str();
        match command.cmd.as_str() {
            "send" => {
                let (to, text) = (jid(&command.to)?, wa::Message::text(&command.text));
                let sent = if command.to == STATUS {
                    client.status().send_raw(text, &jids(&command.people)?, Default::default()).await?
                } else {
                    client.send_message(to, text).await?
                };
                self.said.emit(Said::Sent { r#ref, id: sent.message_id });
            }
            "say" if command.to == STATUS && command.kind == "revoke" => {
                let people = jids(&command.people)?;
                let sent = client.status().revoke(&command.about, &people, Default::default()).await?;
                self.said.emit(Said::Sent { r#ref, id: sent.message_id });
            }
            "say" if command.to.ends_with("@newsletter") && newsletters::is_change(&command.kind) => {
                newsletters::change(client, &jid(&command.to)?, command).await?;
                self.said.emit(Said::Sent { r#ref, id: command.about.clone() });
            }
            "say" if command.kind == "text_as" => {
                let options = SendOptions::default().with_message_id(&*command.about);
                let text = wa::Message::text(&command.text);
                let sent = client.send_message_with_options(jid(&command.to)?, text, options).await?;
                self.said.emit(Said::Sent { r#ref, id: sent.message_id });
            }
            "say" => {
                let id = self.memory.say(client, jid(&command.to)?, command).await?;
                self.said.emit(Said::Sent { r#ref, id });
            }
            "file" => {
                let id = files::send(client, jid(&command.to)?, command).await?;
                self.said.emit(Said::Sent { r#ref, id });
            }
            "read" | "played" => {
                let (chat, sender) = (jid(&command.chat)?, jid(&command.sender)?);
                let sender = (sender != chat).then_some(&sender);
                let ids: Vec<&str> = command.ids.iter().map(String::as_str).collect();
                if command.cmd == "played" {
                    client.mark_as_played(&chat, sender, &ids).await?;
                } else {
                    client.mark_as_read(&chat, sender, &ids).await?;
                }
            }
            "pair_code" => {
                let custom_code = Some(command.text.clone()).filter(|code| !code.is_empty());
                let phone_number = command.phone.clone();
                let options = PairCodeOptions { phone_number, custom_code, ..Default::default() };
                let code = client.pair_with_code(options).await?;
                self.said.emit(Said::PairCode { r#ref, code });
            }
            "passkey" => passkeys::answer(client, &command.text).await?,
            "group" => {
                let members = command.participants.iter();
                let members = members.map(|member| jid(member).map(GroupParticipantOptions::new));
                let options = GroupCreateOptions::builder()
                    .subject(&command.subject)
                    .participants(members.collect::<Result<_, _>>()?)
                    .build();
                let group = client.groups().create_group(options).await?.metadata;
                self.said.emit(Said::Group { r#ref, jid: group.id.to_string(), subject: group.subject });
            }
            "members" => {
                people::members(client, command).await?;
                self.said.emit(Said::Sent { r#ref, id: String::new() });
            }
            "change" => {
                chats::change(client, command).await?;
                self.said.emit(Said::Changed { r#ref });
            }
            "logout" => client.logout().await,
            unknown => {
                let answer = match people::people(client, command).await? {
                    Some(answer) => Some(answer),
                    None => groups::groups(client, command).await?,
                };
                match answer {
                    Some(value) => self.said.emit(Said::Answer { r#ref, value }),
                    None => bail!("unknown command {unknown:?}"),
                }
            }
        }
        Ok(())
    }

    /// A message is told as what it is; what has a text, as a text too.
    async fn message(&self, client: &Arc<Client>, message: &InboundMessage) {
        let source = &message.info.source;
        let (id, from_me) = (&message.info.id, source.is_from_me);
        let (chat, sender) = (source.chat.to_string(), source.sender.to_string());
        self.memory.hear(message);
        let (said, file) = (self.said.clone(), files::received(Arc::clone(client), message.clone()));
        tokio::spawn(async move {
            match file.await {
                Ok(file) => file.into_iter().for_each(|file| said.emit(file)),
                Err(error) => said.emit(Said::Error { r#ref: "", message: format!("{error:#}") }),
            }
        });
        let changed = newsletters::changed(message);
        let is_new = changed.is_none();
        let words = match changed {
            Some(words) => Some(words),
            None => self.memory.describe(client, message).await,
        };
        if let Some(Words { kind, text, about }) = words {
            let (id, chat, sender) = (id.clone(), chat.clone(), sender.clone());
            let detail = details::detail(message.message.get_base_message());
            self.said.emit(Said::Said { id, kind, text, about, detail, from_me, chat, sender });
        }
        let call = message.message.bot_invoke_message.as_option().and_then(|call| call.message.as_option());
        let called = call.and_then(|call| call.text_content());
        if let Some(text) = message.message.text_content().or(called).filter(|_| is_new) {
            let alt = if from_me { &source.recipient_alt } else { &source.sender_alt };
            let verified = message.info.verified_name.as_ref().and_then(|verified| verified.name.clone());
            self.said.emit(Said::Message {
                id: id.clone(),
                text: text.to_owned(),
                from_me,
                chat,
                sender,
                alt: own(alt.clone()),
                push_name: message.info.push_name.clone(),
                verified: verified.unwrap_or_default(),
            });
        }
    }

    async fn on_event(&self, event: &Event, client: &Arc<Client>) {
        match event {
            Event::PairingQrCode(qr) => self.said.emit(Said::Qr { code: qr.code.clone() }),
            Event::PairPasskeyRequest(asked) => {
                self.said.emit(Said::Passkey { options: asked.request_options_json.clone() });
            }
            Event::PairPasskeyConfirmation(met) => {
                self.said.emit(Said::PairCode { r#ref: "", code: met.code.clone() });
            }
            Event::PairPasskeyError(error) => self.trouble(format!("passkey: {}", error.error)),
            Event::PairSuccess(pair) => {
                self.said.emit(Said::Paired { pn: pair.id.to_string(), lid: pair.lid.to_string() });
            }
            Event::Connected(_) => {
                self.said.emit(Said::Connected { pn: own(client.pn()), lid: own(client.lid()) });
            }
            Event::Messages(batch) => {
                for message in batch.iter() {
                    self.message(client, message).await;
                }
            }
            Event::UndecryptableMessage(message) => {
                let source = &message.info.source;
                let (chat, sender) = (source.chat.to_string(), source.sender.to_string());
                self.said.emit(Said::Undecryptable { id: message.info.id.clone(), chat, sender });
            }
            Event::Receipt(receipt) => self.receipt(receipt),
            Event::Disconnected(_) => self.said.emit(Said::Disconnected { reason: "closed" }),
            Event::StreamReplaced(_) => self.said.emit(Said::Disconnected { reason: "replaced" }),
            Event::LoggedOut(_) => self.said.emit(Said::Disconnected { reason: "logged_out" }),
            Event::StreamError(error) => self.trouble(format!("stream error {}", error.code)),
            Event::ConnectFailure(failure) => self.trouble(format!("connect failure {:?}", failure.reason)),
            Event::ClientOutdated(_) => self.trouble("client outdated".to_owned()),
            Event::PairError(error) => self.trouble(format!("pairing: {}", error.error)),
            event => {
                people::seen(event)
                    .into_iter()
                    .chain(groups::changed(event))
                    .for_each(|said| self.said.emit(said));
            }
        }
    }

    fn trouble(&self, message: String) {
        self.said.emit(Said::Error { r#ref: "", message });
    }

    fn receipt(&self, receipt: &Receipt) {
        let kind = match &receipt.r#type {
            ReceiptType::Delivered => "delivered",
            other => other.as_wire_str(),
        };
        self.said.emit(Said::Receipt {
            ids: receipt.message_ids.clone(),
            r#type: kind.to_owned(),
            chat: receipt.source.chat.to_string(),
            sender: receipt.source.sender.to_string(),
        });
    }
}

fn own(jid: Option<Jid>) -> String {
    jid.map(|jid| jid.to_string()).unwrap_or_default()
}

/// Addresses.
///
/// # Errors
/// One is malformed.
pub fn jids(texts: &[String]) -> anyhow::Result<Vec<Jid>> {
    texts.iter().map(|text| jid(text)).collect()
}

/// A JID of a command.
///
/// # Errors
/// It is not one.
pub fn jid(text: &str) -> anyhow::Result<Jid> {
    text.parse().map_err(|error| anyhow!("{text:?} is not a JID: {error}"))
}
