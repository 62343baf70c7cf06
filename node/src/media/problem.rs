//! Why a file was not taken, sent or fetched: a variant per reaction that a caller can have.

use std::time::Duration;

use roost_proto::media::SealedError;
use tonic::Code;

use super::blobs::BlobError;

/// What is the matter with a file.
#[derive(Debug, thiserror::Error)]
pub enum MediaProblem {
    /// What the caller gives is too large: a smaller one may be taken.
    #[error("the file is larger than {most} bytes")]
    TooLarge {
        /// The limit.
        most: u64,
    },
    /// What others gave is too large: no other call gets it either.
    #[error("the file at WhatsApp is larger than {most} bytes")]
    Endless {
        /// The limit.
        most: u64,
    },
    /// Neither WhatsApp nor the phone nor our store has it any more.
    #[error("the file is gone: {0}")]
    Expired(&'static str),
    /// What came is not what the message speaks of. The sender or a server is at fault.
    #[error("the file is not what its message says: {0}")]
    Corrupt(#[from] SealedError),
    /// No media host could be used. Another try may meet better ones.
    #[error("no media host of WhatsApp could be used: {0}")]
    HostsFailed(String),
    /// WhatsApp does not want this upload.
    #[error("WhatsApp refused the upload with status {0}")]
    Refused(u16),
    /// Our own store of files.
    #[error(transparent)]
    Store(BlobError),
    /// The tenant has as many files under way at this node as it may have.
    #[error("the tenant moves too many files at this node")]
    Busy,
    /// The disk of this node.
    #[error("the file could not be kept on this node")]
    Spool(#[source] std::io::Error),
}

impl From<BlobError> for MediaProblem {
    fn from(error: BlobError) -> MediaProblem {
        match error {
            BlobError::Missing(_) => MediaProblem::Expired("the media store does not have it"),
            error => MediaProblem::Store(error),
        }
    }
}

impl MediaProblem {
    pub(super) fn spool(error: std::io::Error) -> MediaProblem {
        MediaProblem::Spool(error)
    }

    /// Part of the contract of the API.
    pub fn reason(&self) -> &'static str {
        match self {
            MediaProblem::TooLarge { .. } | MediaProblem::Endless { .. } => "MEDIA_TOO_LARGE",
            MediaProblem::Expired(_) => "MEDIA_EXPIRED",
            MediaProblem::Corrupt(_) => "MEDIA_CORRUPT",
            MediaProblem::HostsFailed(_) => "MEDIA_HOSTS_FAILED",
            MediaProblem::Refused(_) => "MEDIA_REFUSED",
            MediaProblem::Busy => "MEDIA_BUSY",
            MediaProblem::Store(_) | MediaProblem::Spool(_) => "MEDIA_STORE_UNAVAILABLE",
        }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        match self {
            MediaProblem::TooLarge { .. } => Code::InvalidArgument,
            MediaProblem::Expired(_) | MediaProblem::Endless { .. } => Code::FailedPrecondition,
            MediaProblem::Corrupt(_) => Code::DataLoss,
            MediaProblem::Refused(_) => Code::Internal,
            MediaProblem::Busy => Code::ResourceExhausted,
            MediaProblem::HostsFailed(_) | MediaProblem::Store(_) | MediaProblem::Spool(_) => {
                Code::Unavailable
            }
        }
    }

    /// When waiting helps: how long.
    pub fn retry(&self) -> Option<Duration> {
        matches!(self.code(), Code::Unavailable | Code::ResourceExhausted).then_some(Duration::from_secs(1))
    }
}
