//! What clients show of sound, films and pictures before they have them: found by the node that took them, or said by
//! who sends them.

use roost_proto::api;
use roost_proto::api::annotation::Target;
use roost_proto::api::media::Kind;
use roost_proto::api::message_received::Content;
use roost_proto::api::send_message_request::{Content as Send, WaitFor};
use roost_simulations::interop::{Failure, Matrix, Shown};

use crate::{World, ways};

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

    /// Pictures of which a part leads to a place, of both sides.
    pub(super) async fn places(&mut self, matrix: &mut Matrix) -> Result<(), Failure> {
        const ROW: &str = "place in a picture";
        let corner = |(x, y)| api::annotation::Corner { x, y };
        let place = api::annotation::Place { latitude: 52.5, longitude: 13.5, name: "Alex".to_owned() };
        let annotations = vec![api::Annotation {
            corners: [(0.25, 0.5), (0.75, 0.5), (0.5, 1.0)].map(corner).to_vec(),
            target: Some(Target::Place(place)),
            ..Default::default()
        }];
        let (path, _) = self.file("located", 5000)?;
        for client in 0..self.clients.len() {
            let (from, to) = ways(client);
            let content = self.sends(client, "located", "image/jpeg", &path).await?;
            let Content::Image(image) = content else {
                return Err(Failure::new(format!("a picture came as {content:?}")));
            };
            assert_eq!(image.annotations, annotations);
            matrix.row(ROW).seen(from);
            let media = Some(self.uploads(Kind::Image, "image/jpeg", &path).await?);
            let annotations = annotations.clone();
            let image = Send::Image(api::Image { media, annotations, ..Default::default() });
            let id = self.gives(client, image, WaitFor::Accepted).await?;
            assert_eq!(self.clients[client].0.file(&id).await?.shown.place, "52.5 13.5 Alex");
            matrix.row(ROW).seen(to);
        }
        Ok(())
    }
}
