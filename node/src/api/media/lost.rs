//! What only the owner of a device can find out about files: where WhatsApp keeps them, and, from the phone, where
//! a dropped one is again.

use std::time::Duration;

use roost_actors::device::{DeviceHandle, LostMedia};
use roost_proto::api;
use roost_proto::api::media_service_client::MediaServiceClient;
use roost_proto::ask::media::{MediaHosts, WhereMediaGoes};
use roost_proto::id::{DeviceKey, Sequence};
use roost_proto::media::{MediaKey, RetryAnswer};
use roost_proto::prost::Message as _;

use super::{Found, Handle, on_behalf};
use crate::api::Api;
use crate::api::call::Call;
use crate::api::messages::command_error;
use crate::errors::ApiError;
use crate::media::{Media, MediaProblem, location_row};

/// How long a download waits to learn where WhatsApp keeps files; then it goes to where they usually are.
const HOSTS: Duration = Duration::from_secs(3);

impl Api {
    /// What moves the files of a device: through its proxy, if it has one.
    pub(super) async fn media_of(&self, key: &DeviceKey) -> Result<Media, ApiError> {
        let proxy = self.directory().device(key).await?.and_then(|device| device.proxy);
        Ok(self.parts().media.via(proxy.as_ref()))
    }

    /// Where files of this account go, asked of its device wherever that is.
    pub(in crate::api) async fn media_hosts(
        &self,
        call: &Call,
        key: &DeviceKey,
    ) -> Result<MediaHosts, ApiError> {
        let cache = &self.parts().media.hosts;
        if let Some(known) = cache.find(key) {
            return Ok(known);
        }
        let hosts = self.ask(call, key, &WhereMediaGoes).await?;
        cache.keep(key, &hosts);
        Ok(hosts)
    }

    /// The same for a download, which needs no permission: nobody may be able to say it just now.
    pub(super) async fn hosts_for_download(&self, call: &Call, key: &DeviceKey) -> Vec<String> {
        let asked = tokio::time::timeout(HOSTS, self.media_hosts(&on_behalf(call), key)).await;
        asked.ok().and_then(Result::ok).map(|hosts| hosts.hosts).unwrap_or_default()
    }

    /// Has the owner ask the phone; the description comes back with the new place, which is kept.
    pub(super) async fn refresh_anywhere(
        &self,
        call: &Call,
        key: &DeviceKey,
        sequence: Sequence,
        found: Found,
    ) -> Result<api::Media, ApiError> {
        self.refresh(&on_behalf(call), key, sequence, found).await
    }

    pub(super) async fn refresh(
        &self,
        call: &Call,
        key: &DeviceKey,
        sequence: Sequence,
        found: Found,
    ) -> Result<api::Media, ApiError> {
        let Found { media, lost } = found;
        let lost = lost.ok_or(MediaProblem::Expired("its message does not say how to ask for it"))?;
        let here = |device: DeviceHandle| {
            let (api, key, lost, media) = (self.clone(), key.clone(), lost.clone(), media.clone());
            async move {
                let answer = device.ask_for_media(lost).await;
                let answer = answer.map_err(|error| command_error(&key, &device, error))?;
                api.moved(&key, sequence, media, answer).await
            }
        };
        let there = |channel| {
            let name = Handle::Received(key.clone(), sequence).to_string();
            let request = call.forward(api::RefreshMediaRequest { name });
            async move { Ok(MediaServiceClient::new(channel).refresh_media(request).await?.into_inner()) }
        };
        self.router().at_owner(call, key, here, there).await
    }

    async fn moved(
        &self,
        key: &DeviceKey,
        sequence: Sequence,
        mut media: api::Media,
        answer: RetryAnswer,
    ) -> Result<api::Media, ApiError> {
        let direct_path = match answer {
            RetryAnswer::Uploaded { direct_path } => direct_path,
            RetryAnswer::NotFound => {
                return Err(MediaProblem::Expired("the phone does not have it any more").into());
            }
            RetryAnswer::Failed(_) => {
                return Err(MediaProblem::Expired("the phone could not send it again").into());
            }
        };
        if let Some(file) = &mut media.file {
            file.direct_path = direct_path;
        }
        let row = api::Media { file: media.file.clone(), ..Default::default() };
        let id = location_row(&key.device_id, sequence);
        self.directory().put_media(&key.business_id, &id, &row.encode_to_vec()).await?;
        Ok(media)
    }
}

/// Where status posts are.
const STATUS: &str = "status@broadcast";

/// How to ask the phone for the file of a message, or of a status post.
pub(super) fn lost(message: &api::MessageReceived, status: bool, media: &api::Media) -> Option<LostMedia> {
    let jid = |person: &api::Person| match person.lid.is_empty() {
        true => person.phone_number.clone(),
        false => person.lid.clone(),
    };
    let sender = || message.sender.as_ref().map(jid);
    let (chat, participant) = match message.group.as_str() {
        _ if status => (STATUS.to_owned(), sender()),
        "" => (jid(message.chat.as_ref()?), None),
        group => (group.to_owned(), sender()),
    };
    Some(LostMedia {
        whatsapp_id: message.whatsapp_id.clone(),
        chat,
        from_me: message.from_me,
        participant,
        key: MediaKey::from_slice(&media.file.as_ref()?.media_key)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_asked_for_the_file_of_a_status_post_by_whom_it_is_from() {
        let sender = Some(api::Person { lid: "77@lid".to_owned(), ..Default::default() });
        let message = api::MessageReceived { whatsapp_id: "S1".to_owned(), sender, ..Default::default() };
        let file = Some(api::WhatsAppFile { media_key: vec![1; 32], ..Default::default() });
        let media = api::Media { file, ..Default::default() };
        let asked = lost(&message, true, &media).expect("it has a key");
        assert_eq!((asked.chat.as_str(), asked.participant.as_deref()), ("status@broadcast", Some("77@lid")));
        assert!(lost(&message, false, &media).is_none(), "a message of no chat cannot be named");
    }
}
