//! Half-open links for devices that others are about to give to this process.
//!
//! What must hold: they log nobody in; each is used while it is young, or not at all.

use std::collections::BTreeMap;

use roost_actors::port::Urgency;
use roost_actors::warm::FRESH;
use roost_placement::lease::BootTime;
use roost_placement::machine::Event;
use roost_proto::id::DeviceKey;

use super::context::{Context, Host, LinkId};
use super::core::Core;
use super::input::{Input, Turn, Warmth};
use super::queue::Happening;

struct Coming {
    warmth: Warmth,
    waiter: u64,
    link: Option<LinkId>,
    /// Since when it is half open.
    opened: Option<BootTime>,
}

/// What is prepared.
#[derive(Default)]
pub(super) struct Expected(BTreeMap<DeviceKey, Coming>);

impl Expected {
    /// A peer is about to give this device to us.
    pub(super) fn prepare(&mut self, core: &mut Core, ctx: &mut Context, key: DeviceKey, warmth: Warmth) {
        self.drop_link(core, ctx, &key);
        let turn = Turn::Warm(key.clone());
        let waiter = core.wait_for_turn(ctx, &key.business_id, Urgency::Warm, turn);
        self.0.insert(key, Coming { warmth, waiter, link: None, opened: None });
    }

    /// It is our turn to dial for it.
    pub(super) fn turn(&mut self, core: &mut Core, ctx: &mut Context, key: &DeviceKey) {
        if let Some(coming) = self.0.get_mut(key).filter(|coming| coming.link.is_none()) {
            coming.link = Some(core.dial(ctx, key));
        }
    }

    /// The server's half of a handshake came on a link; whether it was for us.
    pub(super) fn hello(
        &mut self,
        core: &mut Core,
        ctx: &mut Context,
        key: &DeviceKey,
        link: LinkId,
    ) -> bool {
        let Some(coming) = self.0.get_mut(key).filter(|coming| coming.link == Some(link)) else {
            return false;
        };
        coming.opened = Some(core.boot());
        let Warmth { from, place, grant, to } = coming.warmth.clone();
        let warmed = Happening::Process(from, Input::Placement(Event::Warmed(grant, to)));
        ctx.send(Host::Node(core.place), Host::Node(place), None, warmed);
        core.wake(ctx, FRESH, Input::Cooled(key.clone(), link));
        true
    }

    /// A link is over, or too old; whether it was one of ours.
    pub(super) fn lost(&mut self, core: &mut Core, ctx: &mut Context, key: &DeviceKey, link: LinkId) -> bool {
        let ours = self.0.get(key).is_some_and(|coming| coming.link == Some(link));
        if ours {
            self.drop_link(core, ctx, key);
        }
        ours
    }

    /// The link for a device, if there is one that can be used.
    pub(super) fn link(&mut self, core: &mut Core, ctx: &mut Context, key: &DeviceKey) -> Option<LinkId> {
        let coming = self.0.get(key)?;
        let young = coming.opened.is_some_and(|opened| core.boot().since(opened) < FRESH);
        match coming.link.filter(|_| young) {
            Some(link) => {
                self.0.remove(key);
                Some(link)
            }
            None => {
                self.drop_link(core, ctx, key);
                None
            }
        }
    }

    fn drop_link(&mut self, core: &mut Core, ctx: &mut Context, key: &DeviceKey) {
        let Some(coming) = self.0.remove(key) else { return };
        core.give_up_turn(&key.business_id, coming.waiter);
        if let Some(link) = coming.link {
            core.hang_up(ctx, link);
        }
    }
}
