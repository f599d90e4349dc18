//! Private endpoints of Azure as a source of records.
//!
//! ```text
//! token ─▶ graph ─ pages ─▶ reading ─▶ view (last good endpoints, kept in the state directory) ─┬─▶ zone feed ─▶ edit of a zone
//! one reader for each [[azure]], with its interval and quota                                    └─▶ zone feed ─▶ edit of a zone
//! ```
//! A reading only adds until it has proved that something is gone. [`AzureView`] states what counts as a proof. The guard of the store
//! then judges the loss as it does that of a file.

mod graph;
mod http;
mod plan;
mod reader;
mod reading;
mod token;
mod view;
mod zone;

pub use http::HttpError;
pub use plan::{AzurePlan, PlannedRecord, SkippedName, ZonePlan, plan};
pub use reader::{AzureReaders, ReaderStatus};
pub use reading::{AzureReading, PrivateEndpoint, read_once};
pub use view::{AzureView, KeptEndpoint};
pub use zone::AzureZone;

/// Why nothing was read from Azure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AzureError {
    /// Azure was not reached, or its answer did not arrive.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// No token was issued.
    #[error("no token was issued: status {status}, {message}")]
    Token {
        /// HTTP status of the answer.
        status: u16,
        /// Reason that the service gives.
        message: String,
    },
    /// A query was refused.
    #[error("Resource Graph refused the query: status {status} {message}")]
    Query {
        /// HTTP status of the answer.
        status: u16,
        /// Reason that the service gives.
        message: String,
    },
    /// An answer is not what Azure documents.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// An answer lacks rows that it announced.
    #[error("the answer is incomplete: {found} of {total} rows")]
    Incomplete {
        /// Number of rows that arrived.
        found: usize,
        /// Number of rows that were announced.
        total: usize,
    },
    /// The identity may read no subscription, so nothing is known about any endpoint.
    #[error("the identity may read no subscription; give it the role Reader")]
    NothingVisible,
    /// The identity is not configured completely.
    #[error("{0}")]
    Settings(String),
}

impl AzureError {
    /// Returns true if the same request may succeed a moment later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Token { status, .. } => *status >= 500 || matches!(status, 404 | 410 | 429), // IMDS while it starts
            Self::Query { .. } | Self::Unreadable(_) | Self::Incomplete { .. } | Self::NothingVisible | Self::Settings(_) => false,
        }
    }

    /// Returns true if the identity may not read what it asked for.
    fn is_forbidden(&self) -> bool {
        match self {
            Self::Query { status: 403, .. } => true,
            Self::Query { status: 400, message } => message.contains("NoValidSubscriptionsInQueryRequest"),
            _ => false,
        }
    }
}
