//! Commands about newsletters, each answered by one `answer`, and posts that are changed.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use whatsapp_rust::MexRequest;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::message::EditAttribute;
use whatsapp_rust::wacore::iq::mex_operations::{
    accept_newsletter_admin_invite, change_newsletter_owner, create_newsletter,
    create_newsletter_admin_invite, demote_newsletter_admin, fetch_newsletter, fetch_newsletter_followers,
    update_newsletter,
};
use whatsapp_rust::wacore_binary::JidExt as _;

use crate::Command;
use crate::driver::jid;
use crate::events::Said;
use crate::kinds::Words;

/// How pictures begin, in base64.
const JPEG: &str = "/9j/";

/// Carries out a command of this file. Returns its answer; none for another command.
///
/// # Errors
/// A malformed JID, or what the library says.
pub async fn newsletters(client: &Arc<Client>, command: &Command) -> anyhow::Result<Option<Value>> {
    let to = || jid(&command.to);
    let newsletter = client.newsletter();
    let answer = match command.cmd.as_str() {
        "newsletter_create" => json!(newsletter.create(&command.text, None).await?.jid.to_string()),
        "newsletter_title" => json!(newsletter.get_metadata(&to()?).await?.name),
        "newsletter_update" => json!(newsletter.update(&to()?, Some(&command.text), None).await?.name),
        "newsletter_follow" => {
            newsletter.join(&to()?).await?;
            Value::Null
        }
        "newsletter_unfollow" => {
            newsletter.leave(&to()?).await?;
            Value::Null
        }
        // Whether what followers, or admins (`text`), do in it makes no sound.
        "newsletter_silence" => {
            match command.text.as_str() {
                "followers" => newsletter.set_follower_mute(&to()?, command.on).await?,
                _ => newsletter.set_admin_mute(&to()?, command.on).await?,
            }
            Value::Null
        }
        "newsletter_silent" => json!(silent(client, &command.to).await?),
        "newsletter_describe" => {
            json!(newsletter.update(&to()?, None, Some(&command.text)).await?.name)
        }
        "newsletter_shows" => {
            let shown = newsletter.get_metadata(&to()?).await?;
            let pictured = shown.picture_url.is_some_and(|url| !url.is_empty());
            let picture = if pictured { "pictured" } else { "bare" };
            json!(format!("{}, {picture}", shown.description.unwrap_or_default()))
        }
        "newsletter_react" => {
            let number = command.about.parse().context("about is not a number")?;
            json!(newsletter.send_reaction(&to()?, number, &command.text).await?)
        }
        // Each in words: its number and its reactions; the library counts no views.
        "newsletter_posts" => {
            let posts = newsletter.get_messages(to()?, 10, None).await?;
            let words = posts.iter().map(|post| {
                let reactions = post.reactions.iter().map(|one| format!(" {}{}", one.code, one.count));
                format!("{}{}", post.server_id, reactions.collect::<String>())
            });
            json!(words.collect::<Vec<_>>())
        }
        // Its functions give no picture, its queries do.
        "newsletter_pictured" => {
            let variables = json!({ "input": { "name": command.text, "picture": JPEG } });
            let made = queried(client, create_newsletter::NAME, create_newsletter::DOC_ID, variables).await?;
            made["xwa2_newsletter_create"]["id"].clone()
        }
        "newsletter_picture" => {
            let variables = json!({ "newsletter_id": command.to, "updates": { "picture": JPEG } });
            queried(client, update_newsletter::NAME, update_newsletter::DOC_ID, variables).await?
        }
        _ => return admins(client, command).await,
    };
    Ok(Some(answer))
}

/// Who speaks in a newsletter: what the library has queries for and no functions. `sender` says whose part is changed.
async fn admins(client: &Arc<Client>, command: &Command) -> anyhow::Result<Option<Value>> {
    let one = json!({ "newsletter_id": command.to, "user_id": command.sender });
    let newsletter = json!({ "newsletter_id": command.to });
    let (name, id, variables) = match command.cmd.as_str() {
        "newsletter_invite" => {
            (create_newsletter_admin_invite::NAME, create_newsletter_admin_invite::DOC_ID, one)
        }
        "newsletter_accept" => {
            (accept_newsletter_admin_invite::NAME, accept_newsletter_admin_invite::DOC_ID, newsletter)
        }
        "newsletter_demote" => (demote_newsletter_admin::NAME, demote_newsletter_admin::DOC_ID, one),
        "newsletter_give" => (change_newsletter_owner::NAME, change_newsletter_owner::DOC_ID, one),
        "newsletter_followers" => {
            let variables = json!({ "input": { "newsletter_id": command.to, "count": 100 } });
            (fetch_newsletter_followers::NAME, fetch_newsletter_followers::DOC_ID, variables)
        }
        _ => return Ok(None),
    };
    Ok(Some(queried(client, name, id, variables).await?))
}

/// What a query is answered with.
async fn queried(
    client: &Arc<Client>,
    name: &'static str,
    id: &'static str,
    variables: Value,
) -> anyhow::Result<Value> {
    let answer = client.mex().mutate(MexRequest::new(name, id, variables)).await?;
    Ok(answer.data.unwrap_or_default())
}

/// What makes no sound in a newsletter, by WhatsApp's names, as its metadata says.
async fn silent(client: &Arc<Client>, newsletter: &str) -> anyhow::Result<Vec<String>> {
    use fetch_newsletter::{DOC_ID, Input, NAME, Variables};
    let (key, r#type) = (Some(newsletter.to_owned()), Some("JID".to_owned()));
    let input = Some(Input { key, r#type, ..Default::default() });
    let asked = Variables { input, fetch_viewer_metadata: Some(true), ..Default::default() };
    let answer = client.mex().query(MexRequest::new(NAME, DOC_ID, asked)).await?;
    let told = answer.data.unwrap_or_default();
    let settings = told["xwa2_newsletter"]["viewer_metadata"]["settings"].as_array().cloned();
    let on = settings.unwrap_or_default().into_iter().filter(|setting| setting["value"] == "ON");
    Ok(on.filter_map(|setting| Some(setting["type"].as_str()?.to_owned())).collect())
}

/// What has happened to a newsletter, of which the library tells as WhatsApp has said it; none for other events.
pub fn told(event: &Event) -> Option<Said<'static>> {
    let Event::MexNotification(told) = event else { return None };
    let (name, body) = told.payload["data"].as_object()?.iter().next()?;
    let what = match name.strip_prefix("xwa2_notify_newsletter_on_")? {
        "join" => "followed".to_owned(),
        "leave" => "unfollowed".to_owned(),
        "mute_change" => format!("mute {}", body["mute"].as_str()?.to_lowercase()),
        "metadata_update" => format!("called {}", body["thread_metadata"]["name"]["text"].as_str()?),
        _ => return None,
    };
    Some(Said::Contact { from: body["id"].as_str()?.to_owned(), what })
}

/// Whether a kind of message changes a post.
pub fn is_change(kind: &str) -> bool {
    matches!(kind, "edit" | "revoke")
}

/// Edits a post or takes it back, which goes out under its own id.
///
/// # Errors
/// What the library says.
pub async fn change(client: &Client, to: &Jid, command: &Command) -> anyhow::Result<()> {
    let (newsletter, post) = (client.newsletter(), command.about.as_str());
    match command.kind.as_str() {
        "edit" => newsletter.edit_message(to, post, wa::Message::text(&command.text)).await?,
        _ => newsletter.revoke_message(to, post).await?,
    }
    Ok(())
}

/// A post that was edited or taken back, in words; none for a new one, and elsewhere.
pub fn changed(message: &InboundMessage) -> Option<Words> {
    let info = &message.info;
    let text = message.message.text_content().unwrap_or_default().to_owned();
    let kind = match info.edit {
        _ if !info.source.chat.is_newsletter() => return None,
        EditAttribute::AdminEdit => "edit",
        EditAttribute::AdminRevoke => "revoke",
        _ => return None,
    };
    Some(Words { kind, text, about: info.id.clone() })
}
