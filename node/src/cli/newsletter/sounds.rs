//! Which newsletters are followed, and what makes sounds in them.

use clap::{Args, ValueEnum};
use roost_proto::api;
use roost_proto::api::follow_newsletter_request::How;
use roost_proto::api::newsletter::Activity;

use super::Newsletter;
use crate::cli::{Globals, device_name};
use crate::client::Problem;

/// A newsletter, or a kind of what happens in it.
#[derive(Debug, Clone, Args)]
pub struct Sound {
    #[command(flatten)]
    newsletter: Newsletter,
    /// Only what these do; that of admins is for those who speak in it.
    #[arg(long, value_enum)]
    only: Option<Whose>,
}

/// Who does something in a newsletter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Whose {
    /// Who follows it.
    Followers,
    /// Who speaks in it.
    Admins,
}

impl Sound {
    pub(super) fn request(self, how: How) -> api::FollowNewsletterRequest {
        let activity = match self.only {
            None => Activity::Unspecified,
            Some(Whose::Followers) => Activity::OfFollowers,
            Some(Whose::Admins) => Activity::OfAdmins,
        };
        api::FollowNewsletterRequest { activity: activity.into(), ..self.newsletter.request(how) }
    }
}

impl Newsletter {
    pub(super) fn request(self, how: How) -> api::FollowNewsletterRequest {
        let (device, newsletter) = (device_name(&self.device), self.newsletter);
        api::FollowNewsletterRequest { device, newsletter, how: how.into(), ..Default::default() }
    }
}

/// Follows one, stops to, or changes what makes sounds.
pub(super) async fn follow(wanted: api::FollowNewsletterRequest, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    repeat!(client.newsletters.follow_newsletter, wanted, deadline);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newsletter_is_silenced_whole_or_in_one_kind_of_what_happens_in_it() {
        let newsletter = Newsletter { device: "acme/shop".into(), newsletter: "12@newsletter".into() };
        let asked = |only| Sound { newsletter: newsletter.clone(), only }.request(How::Mute);
        for (only, activity) in [
            (None, Activity::Unspecified),
            (Some(Whose::Followers), Activity::OfFollowers),
            (Some(Whose::Admins), Activity::OfAdmins),
        ] {
            assert_eq!((asked(only).activity(), asked(only).how()), (activity, How::Mute));
        }
    }
}
