//! Parts of pictures and films that lead somewhere, between the public schema and WhatsApp's.
//!
//! What must hold: nothing is lost: one that our words do not say whole is carried as the bytes that it is. That corners
//! are parts of width and height is a guess, as no client that we know makes any.

use waproto::buffa::Message as _;
use waproto::whatsapp::context_info::ForwardedNewsletterMessageInfo;
use waproto::whatsapp::interactive_annotation::Action;
use waproto::whatsapp::{InteractiveAnnotation, Location, Point, TapLinkAction};

use super::message::owned;
use crate::api::Annotation;
use crate::api::annotation::{Corner, Link, Place, Post, Target};
use crate::content::is_sendable;

/// Those of both lists of a message.
pub(super) fn read(older: &[InteractiveAnnotation], younger: &[InteractiveAnnotation]) -> Vec<Annotation> {
    let older = older.iter().map(|one| (one, false));
    older.chain(younger.iter().map(|one| (one, true))).map(|(one, younger)| told(one, younger)).collect()
}

/// Those that go into the older list of a message, and into the younger.
pub(super) fn written(
    annotations: &[Annotation],
) -> (Vec<InteractiveAnnotation>, Vec<InteractiveAnnotation>) {
    let (younger, older): (Vec<&Annotation>, Vec<&Annotation>) =
        annotations.iter().partition(|one| one.younger);
    (older.into_iter().filter_map(message).collect(), younger.into_iter().filter_map(message).collect())
}

fn told(one: &InteractiveAnnotation, younger: bool) -> Annotation {
    let corners = one.polygon_vertices.iter();
    let corners = corners.map(|at| Corner { x: at.x.unwrap_or(0.0), y: at.y.unwrap_or(0.0) });
    let target = match &one.action {
        Some(Action::Location(at)) => Some(Target::Place(Place {
            latitude: at.degrees_latitude.unwrap_or(0.0),
            longitude: at.degrees_longitude.unwrap_or(0.0),
            name: owned(&at.name),
        })),
        Some(Action::Newsletter(post)) => Some(Target::Post(Post {
            newsletter: owned(&post.newsletter_jid),
            server_id: post.server_message_id.unwrap_or(0),
            name: owned(&post.newsletter_name),
        })),
        Some(Action::TapAction(link)) => {
            Some(Target::Link(Link { title: owned(&link.title), url: owned(&link.tap_url) }))
        }
        _ => None,
    };
    let unasked = one.should_skip_confirmation == Some(true);
    let said = Annotation { corners: corners.collect(), unasked, younger, target };
    // What could not be sent so is told as the bytes that it is.
    if is_sendable(&said) && message(&said).as_ref() == Some(one) {
        return said;
    }
    let target = Some(Target::Raw(one.encode_to_vec()));
    Annotation { younger, target, ..Default::default() }
}

/// One as it travels; `None` when it is raw and no annotation.
fn message(one: &Annotation) -> Option<InteractiveAnnotation> {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let action = match &one.target {
        Some(Target::Raw(raw)) => return InteractiveAnnotation::decode_from_slice(raw).ok(),
        Some(Target::Place(at)) => Some(Action::Location(Box::new(Location {
            degrees_latitude: Some(at.latitude),
            degrees_longitude: Some(at.longitude),
            name: text(&at.name),
        }))),
        Some(Target::Post(post)) => Some(Action::Newsletter(Box::new(ForwardedNewsletterMessageInfo {
            newsletter_jid: text(&post.newsletter),
            server_message_id: Some(post.server_id),
            newsletter_name: text(&post.name),
            ..Default::default()
        }))),
        Some(Target::Link(link)) => Some(Action::TapAction(Box::new(TapLinkAction {
            title: text(&link.title),
            tap_url: text(&link.url),
        }))),
        None => None,
    };
    let corner = |at: &Corner| Point { x: Some(at.x), y: Some(at.y), ..Default::default() };
    Some(InteractiveAnnotation {
        polygon_vertices: one.corners.iter().map(corner).collect(),
        should_skip_confirmation: one.unasked.then_some(true),
        action,
        ..Default::default()
    })
}

/// Whether bytes are an annotation.
pub(crate) fn is_one(raw: &[u8]) -> bool {
    InteractiveAnnotation::decode_from_slice(raw).is_ok()
}

#[cfg(test)]
mod tests {
    use waproto::whatsapp::interactive_annotation::StatusLinkType;

    use super::*;

    fn corners() -> Vec<Corner> {
        [(0.25, 0.5), (0.75, 0.5), (0.5, 1.0)].map(|(x, y)| Corner { x, y }).to_vec()
    }

    #[test]
    fn what_leads_to_a_place_a_post_or_a_page_is_read_as_it_was_written_in_its_list() {
        let place = Target::Place(Place { latitude: 52.5, longitude: 13.5, name: "Alex".into() });
        let post =
            Target::Post(Post { newsletter: "12@newsletter".into(), server_id: 7, name: "Hens".into() });
        let link = Target::Link(Link { title: "Hens".into(), url: "https://hens.example".into() });
        let one = |target, younger| Annotation { corners: corners(), unasked: younger, younger, target };
        let all = [one(Some(place), false), one(Some(post), false), one(Some(link), true), one(None, true)];
        let (older, younger) = written(&all);
        assert_eq!((older.len(), younger.len()), (2, 2));
        assert_eq!(read(&older, &younger), all);
    }

    #[test]
    fn what_our_words_do_not_say_whole_keeps_its_bytes() {
        let (older, _) = written(&[Annotation { corners: corners(), ..Default::default() }]);
        let one = older[0].clone();
        let odd = [
            InteractiveAnnotation { action: Some(Action::EmbeddedAction(true)), ..one.clone() },
            InteractiveAnnotation { polygon_vertices: Vec::new(), ..one.clone() },
            InteractiveAnnotation { action: Some(Action::TapAction(Box::default())), ..one.clone() },
            InteractiveAnnotation {
                status_link_type: Some(StatusLinkType::RASTERIZED_LINK_FULL_URL),
                ..one.clone()
            },
            InteractiveAnnotation {
                polygon_vertices: vec![Point { x_deprecated: Some(3), ..Default::default() }],
                ..one
            },
        ];
        let told = read(&odd, &[]);
        assert!(told.iter().all(|one| matches!(one.target, Some(Target::Raw(_))) && one.corners.is_empty()));
        assert_eq!(written(&told).0, odd);
        assert!(is_one(&[]) && !is_one(&[0xff]));
    }
}
