//! What the machine of a world knows of its account, and how many chats it may begin.

use roost_proto::api;

use super::World;
use crate::device::Command;
use crate::machine::Reply;

impl World {
    pub(in crate::machine::tests) fn health(&self) -> &api::AccountHealth {
        &self.machine.health.now
    }

    pub(in crate::machine::tests) fn reach_outs_left(&mut self) -> Option<u32> {
        let (token, _) = self.command(Command::Pace);
        match self.replies.get(&token) {
            Some(Reply::Pace(Ok(pace))) => pace.reach_outs_left,
            other => panic!("it is told at once: {other:?}"),
        }
    }
}
