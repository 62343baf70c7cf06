//! What errors are about: resources, states of devices, what holds placement back.

use roost_proto::id::{NodeId, UnixMillis};

/// Something that a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `tenants/{business_id}`.
    Tenant,
    /// `tenants/{business_id}/devices/{device_id}`.
    Device,
    /// `tenants/{business_id}/devices/{device_id}/messages/{message_id}`.
    Message,
    /// `tenants/{business_id}/media/{id}`, or of a device.
    Media,
    /// A node id.
    Node,
    /// Somebody on WhatsApp.
    Contact,
    /// The profile of a business.
    Business,
    /// A poll, by WhatsApp's id.
    Poll,
    /// A pack of stickers, by WhatsApp's id.
    StickerPack,
    /// WhatsApp's id of a message that is to be sent.
    WhatsappId,
}

impl Resource {
    pub(super) fn parts(self) -> (&'static str, &'static str) {
        match self {
            Resource::Tenant => ("tenant", "TENANT"),
            Resource::Device => ("device", "DEVICE"),
            Resource::Message => ("message", "MESSAGE"),
            Resource::Media => ("media", "MEDIA"),
            Resource::Node => ("node", "NODE"),
            Resource::Contact => ("contact", "CONTACT"),
            Resource::Business => ("business profile", "BUSINESS_PROFILE"),
            Resource::Poll => ("poll", "POLL"),
            Resource::StickerPack => ("sticker pack", "STICKER_PACK"),
            Resource::WhatsappId => ("message with the WhatsApp id", "WHATSAPP_ID"),
        }
    }
}

/// A state of a device in which it does not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It has never been paired.
    NotPaired,
    /// It is paired already, and pairing was asked for.
    AlreadyPaired,
    /// What is to be imported was before, as this device or another.
    AlreadyImported,
    /// It is being paired, and an import was asked for.
    BeingPaired,
    /// WhatsApp unlinked it.
    LoggedOut,
    /// The tenant wants it offline.
    Stopped,
    /// Something outside the cluster uses it.
    Conflict,
    /// WhatsApp has banned the account for a time: until then, when that is known.
    Banned(Option<UnixMillis>),
    /// WhatsApp refuses our version.
    Outdated,
    /// Somebody wanted it online again while it was being stopped.
    Restarted,
    /// It cannot change what the devices of its account know in common yet.
    NotInStep,
    /// No pairing attempt waits for the answer of a passkey.
    NoPasskey,
}

impl Unfit {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Unfit::NotPaired => "DEVICE_NOT_PAIRED",
            Unfit::AlreadyPaired => "DEVICE_ALREADY_PAIRED",
            Unfit::AlreadyImported => "DEVICE_ALREADY_IMPORTED",
            Unfit::BeingPaired => "DEVICE_BEING_PAIRED",
            Unfit::LoggedOut => "DEVICE_LOGGED_OUT",
            Unfit::Stopped => "DEVICE_STOPPED",
            Unfit::Conflict => "DEVICE_CONFLICT",
            Unfit::Banned(_) => "ACCOUNT_TEMPORARILY_BANNED",
            Unfit::Outdated => "CLIENT_OUTDATED",
            Unfit::Restarted => "DEVICE_RESTARTED",
            Unfit::NotInStep => "DEVICE_NOT_IN_STEP",
            Unfit::NoPasskey => "PASSKEY_NOT_ASKED",
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Unfit::NotPaired => "is not paired; pair it first",
            Unfit::AlreadyPaired => "is paired already; log it out or delete it first",
            Unfit::AlreadyImported => {
                "cannot become what was imported before: its keys would be used again; allow_again takes it all the same"
            }
            Unfit::BeingPaired => "is being paired; cancel that or let it end first",
            Unfit::LoggedOut => "was unlinked by WhatsApp or its phone; delete it and pair a new one",
            Unfit::Stopped => "is stopped; start it first",
            Unfit::Conflict => "is in use by something outside this cluster",
            Unfit::Banned(_) => "belongs to an account that WhatsApp has banned for a time",
            Unfit::Outdated => "is refused by WhatsApp because of our version",
            Unfit::Restarted => "was started again while it was being stopped",
            Unfit::NotInStep => "is not in step with its phone: open WhatsApp on the phone and try again",
            Unfit::NoPasskey => "has no pairing attempt that waits for this answer",
        }
    }
}

/// Why nothing is rebalanced at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// An operator has stopped it.
    Frozen,
    /// The members are not in a state for it, in words; that passes by itself.
    Unsettled(String),
}

impl HeldBack {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            HeldBack::Frozen => "PLACEMENT_FROZEN",
            HeldBack::Unsettled(_) => "PLACEMENT_UNSETTLED",
        }
    }
}

impl std::fmt::Display for HeldBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HeldBack::Frozen => f.write_str("an operator has frozen placement"),
            HeldBack::Unsettled(why) => f.write_str(why),
        }
    }
}

/// What would bring devices back to an older version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Downgrade {
    /// A move to a member that speaks a lower version than the owner does.
    #[error(
        "node {node} speaks version {theirs} and the owner {owners}; allow_downgrade moves it all the same"
    )]
    Move {
        /// The target.
        node: NodeId,
        /// What it speaks.
        theirs: u32,
        /// What the owner speaks.
        owners: u32,
    },
    /// A highest version that a member is above already.
    #[error("node {node} speaks version {theirs} already; allow_downgrade sets {highest} all the same")]
    Limit {
        /// The member.
        node: NodeId,
        /// What it speaks.
        theirs: u32,
        /// What was asked for.
        highest: u32,
    },
}
