//! What clients show of sound and films before they have them, found by the node that took them.

use roost_proto::api;
use roost_proto::api::media::Kind;
use roost_proto::api::send_message_request::{Content as Send, WaitFor};
use roost_simulations::interop::{Failure, Shown};

use crate::World;

const VOICE: &[u8] = include_bytes!("../../../node/src/media/look/kept/voice.ogg");
const FILM: &[u8] = include_bytes!("../../../node/src/media/look/kept/film.mp4");

impl World {
    /// A voice message and a film that nobody has described: the clients are told all the same.
    pub(super) async fn shown(&mut self) -> Result<(), Failure> {
        let path = self.stage.folder().join("voice.ogg");
        std::fs::write(&path, VOICE)?;
        let voice = self.uploads(Kind::Audio, "audio/ogg; codecs=opus", &path).await?;
        assert_eq!(voice.waveform.len(), 64);
        let waveform = hex::encode(&voice.waveform);
        let heard = Shown { seconds: 2, waveform, ..Shown::default() };
        let path = self.stage.folder().join("film.mp4");
        std::fs::write(&path, FILM)?;
        let film = self.uploads(Kind::Video, "video/mp4", &path).await?;
        let seen = Shown { seconds: 3, width: 64, height: 48, ..Shown::default() };
        for client in 0..self.clients.len() {
            let content = Send::Audio(api::Audio { media: Some(voice.clone()), voice: true });
            let id = self.gives(client, content, WaitFor::Accepted).await?;
            let file = self.clients[client].0.file(&id).await?;
            assert_eq!((file.kind.as_str(), &file.shown), ("voice", &heard));
            let content = Send::Video(api::Video { media: Some(film.clone()), ..Default::default() });
            let id = self.gives(client, content, WaitFor::Accepted).await?;
            let file = self.clients[client].0.file(&id).await?;
            assert_eq!((file.kind.as_str(), &file.shown), ("video", &seen));
        }
        Ok(())
    }
}
