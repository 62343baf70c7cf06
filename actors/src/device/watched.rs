//! What others may watch of a device: its status, the end of its log, how it gets through to WhatsApp, its end.
//!
//! What must hold: each shows the present and every reader may be late; nothing here is proof of anything.

use roost_proto::id::Sequence;
use tokio::sync::watch;

use super::{DeviceHandle, Finished};
use crate::port::{DeviceStatus, ProxyUri, Reached};
use crate::shell::supervisor::Input;

/// Where the device says it.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) status: watch::Sender<DeviceStatus>,
    pub(crate) tail: watch::Sender<Sequence>,
    pub(crate) reached: watch::Sender<Reached>,
    pub(crate) finished: watch::Sender<Option<Finished>>,
}

/// Where it is read.
#[derive(Debug)]
pub(super) struct Watched {
    status: watch::Receiver<DeviceStatus>,
    tail: watch::Receiver<Sequence>,
    reached: watch::Receiver<Reached>,
    pub(super) finished: watch::Receiver<Option<Finished>>,
}

pub(super) fn channels(status: DeviceStatus) -> (Outputs, Watched) {
    let (status_sender, status) = watch::channel(status);
    let (tail_sender, tail) = watch::channel(Sequence(0));
    let (reached_sender, reached) = watch::channel(Reached::default());
    let (finished_sender, finished) = watch::channel(None);
    let outputs = Outputs {
        status: status_sender,
        tail: tail_sender,
        reached: reached_sender,
        finished: finished_sender,
    };
    (outputs, Watched { status, tail, reached, finished })
}

impl DeviceHandle {
    /// Its status, as it is and as it changes. May be ahead of the stored row by one commit.
    pub fn status(&self) -> watch::Receiver<DeviceStatus> {
        self.inner.watched.status.clone()
    }

    /// Sequence of the last event that this owner committed (0 before the first): changes whenever there
    /// is something new to read in the log.
    pub fn tail(&self) -> watch::Receiver<Sequence> {
        self.inner.watched.tail.clone()
    }

    /// Its row says another proxy now: unless the device has read that already, it reads it and connects anew.
    pub fn proxy_changed(&self, proxy: Option<ProxyUri>) {
        // One that has ended dials no more; its next owner reads the row.
        let _ = self.inner.actor.send_message(Input::Proxy(proxy));
    }

    /// How it gets through to WhatsApp at present.
    pub fn reached(&self) -> Reached {
        *self.inner.watched.reached.borrow()
    }
}
