//! What cannot be sent of pictures and films.

use super::{Checked, MAX_NAME, MAX_RAW, count, degrees, file, invalid, length};
use crate::api;
use crate::api::annotation::Target;
use crate::stanza::{Jid, Server};

/// The most annotations of one, and corners of an annotation. WhatsApp's own limits are not known.
const MOST: usize = 32;

pub(super) fn image(image: &api::Image) -> Checked {
    annotations("image.annotations", &image.annotations)?;
    file("image", image.media.as_ref(), &image.caption)
}

pub(super) fn video(video: &api::Video) -> Checked {
    annotations("video.annotations", &video.annotations)?;
    if video.note && !video.caption.is_empty() {
        return invalid("video.caption", "does not go with a video note");
    }
    file("video", video.media.as_ref(), &video.caption)
}

/// Whether an annotation can be sent as it is.
pub(crate) fn is_sendable(one: &api::Annotation) -> bool {
    annotation("", one).is_ok()
}

fn annotations(field: &str, annotations: &[api::Annotation]) -> Checked {
    count(field, annotations.len(), 0, MOST)?;
    annotations.iter().enumerate().try_for_each(|(at, one)| annotation(&format!("{field}[{at}]"), one))
}

fn annotation(field: &str, one: &api::Annotation) -> Checked {
    if let Some(Target::Raw(raw)) = &one.target {
        count(&format!("{field}.corners"), one.corners.len(), 0, 0)?;
        return match raw.len() <= MAX_RAW && crate::media::is_annotation(raw) {
            true => Ok(()),
            false => invalid(format!("{field}.raw"), "must be an encoded WhatsApp InteractiveAnnotation"),
        };
    }
    count(&format!("{field}.corners"), one.corners.len(), 1, MOST)?;
    for (at, corner) in one.corners.iter().enumerate() {
        if !(corner.x.is_finite() && corner.y.is_finite()) {
            return invalid(format!("{field}.corners[{at}]"), "must be two numbers");
        }
    }
    match &one.target {
        Some(Target::Place(place)) => {
            degrees(&format!("{field}.place"), place.latitude, place.longitude)?;
            length(format!("{field}.place.name"), &place.name, 0, MAX_NAME)
        }
        Some(Target::Post(post)) => {
            length(format!("{field}.post.name"), &post.name, 0, MAX_NAME)?;
            match post.newsletter.parse::<Jid>() {
                Ok(jid) if jid.server == Server::Newsletter && !jid.user.is_empty() => Ok(()),
                _ => invalid(format!("{field}.post.newsletter"), "must be the JID of a newsletter"),
            }
        }
        Some(Target::Link(link)) => {
            length(format!("{field}.link.title"), &link.title, 0, MAX_NAME)?;
            length(format!("{field}.link.url"), &link.url, 1, MAX_NAME * 2)
        }
        Some(Target::Raw(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::annotation::{Corner, Link, Place, Post};

    #[test]
    fn an_annotation_that_leads_nowhere_is_refused_by_the_name_of_its_field() {
        let corners = vec![Corner { x: 0.5, y: 0.5 }];
        let media = Some(api::Media { name: "tenants/acme/media/1".into(), ..Default::default() });
        let refused = |one: api::Annotation| {
            let annotations = vec![api::Annotation { corners: corners.clone(), ..Default::default() }, one];
            let picture =
                api::Image { media: media.clone(), annotations: annotations.clone(), ..Default::default() };
            let film = api::Video { media: media.clone(), annotations, ..Default::default() };
            let field = image(&picture).map_err(|invalid| invalid.field);
            let of_film = video(&film).map_err(|invalid| invalid.field.replacen("video", "image", 1));
            assert_eq!(field, of_film);
            field.map_err(|field| field.trim_start_matches("image.annotations[1].").to_owned())
        };
        let to =
            |target| api::Annotation { corners: corners.clone(), target: Some(target), ..Default::default() };
        let place = Place { latitude: 52.5, longitude: 13.5, name: "Alex".into() };
        let post = Post { newsletter: "12@newsletter".into(), server_id: 7, name: "Hens".into() };
        let link = Link { title: "Hens".into(), url: "https://hens.example".into() };
        for good in [Target::Place(place.clone()), Target::Post(post.clone()), Target::Link(link.clone())] {
            assert_eq!(refused(to(good)), Ok(()));
        }
        let raw = |raw: &[u8], corners| api::Annotation {
            corners,
            target: Some(Target::Raw(raw.to_vec())),
            ..Default::default()
        };
        assert_eq!(refused(raw(&[], Vec::new())), Ok(()));
        for (field, bad) in [
            ("corners", api::Annotation::default()),
            ("corners", raw(&[], corners.clone())),
            (
                "corners[0]",
                api::Annotation { corners: vec![Corner { x: f64::NAN, y: 0.0 }], ..Default::default() },
            ),
            ("raw", raw(&[0xff], Vec::new())),
            ("place.latitude", to(Target::Place(Place { latitude: 91.0, ..place }))),
            ("post.newsletter", to(Target::Post(Post { newsletter: "1@g.us".into(), ..post }))),
            ("link.url", to(Target::Link(Link { url: String::new(), ..link }))),
        ] {
            assert_eq!(refused(bad), Err(field.to_owned()));
        }
        let many = vec![to(Target::Raw(Vec::new())); 33];
        let picture = api::Image { media, annotations: many, ..Default::default() };
        assert_eq!(image(&picture).map_err(|invalid| invalid.field), Err("image.annotations".to_owned()));
    }
}
