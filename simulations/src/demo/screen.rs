//! Where the picture of the demo is drawn: in place on a terminal, as lines elsewhere.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::picture::Picture;
use crate::sightings;
use crate::world::World;

/// The screen. Cloning gives the same screen.
#[derive(Clone)]
pub(super) struct Screen {
    colour: bool,
    began: Instant,
    picture: Arc<Mutex<Picture>>,
}

impl Screen {
    pub(super) fn new(colour: bool) -> Screen {
        Screen { colour, began: Instant::now(), picture: Arc::default() }
    }

    /// Adds a line to the story.
    pub(super) fn say(&self, what: &str) {
        let line = format!("{:6.1} s  {what}", self.began.elapsed().as_secs_f64());
        if !self.colour {
            println!("{line}");
        }
        self.change(|picture| picture.story.push(line));
        self.paint();
    }

    /// Looks at the world and draws it.
    pub(super) async fn look_at(&self, world: &World) {
        let (members, owners) = tokio::join!(world.members(), world.owners());
        let connected = sightings::connected(&world.sim);
        self.change(|picture| {
            if let Ok(members) = members {
                picture.members = members;
            }
            if let Ok(owners) = owners {
                picture.owners = owners.into_iter().map(|(device, owner)| (device, owner.node)).collect();
            }
            (picture.sent, picture.under_way) = world.books.with(|t| (t.sent_count(), t.missing()));
            picture.connected = connected;
        });
        self.paint();
        if !self.colour {
            let line = self.picture.lock().unwrap_or_else(PoisonError::into_inner).line();
            println!("{:6.1} s    {line}", self.began.elapsed().as_secs_f64());
        }
    }

    /// How long a picture stays.
    pub(super) fn pace(&self) -> Duration {
        if self.colour { Duration::from_millis(250) } else { Duration::from_secs(1) }
    }

    fn change(&self, change: impl FnOnce(&mut Picture)) {
        change(&mut self.picture.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn paint(&self) {
        if self.colour {
            let text = self.picture.lock().unwrap_or_else(PoisonError::into_inner).draw();
            let mut out = std::io::stdout().lock();
            // A terminal that is gone is no reason to stop.
            let _ = write!(out, "\x1b[H\x1b[2J{text}");
            let _ = out.flush();
        }
    }
}
