//! The platform on the local engine: its role in another account, its access to volumes, and its API.
//!
//! The engine enforces no policies. So each access is decided by evaluating the documents that IAM holds at that moment
//! (`role`), and what they allow is done by calls of the platform's own role (`caller`). `server` speaks the API as the vendor
//! documents it. It runs only with `--local`, and in tests.

mod caller;
pub mod role;
pub mod server;

pub use self::caller::PlatformCaller;

use cavatica_access::port::Failure;

/// Failure of the local platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalPlatformError {
    /// A call to the engine failed.
    #[error("AWS refuses to {doing}: {source}")]
    Aws {
        /// Call, as part of the sentence.
        doing: &'static str,
        /// Answer of AWS.
        source: Failure,
    },
    /// A document cannot be read or evaluated.
    #[error("a document in IAM cannot be evaluated: {0}")]
    Document(String),
    /// The principal of the platform is no role.
    #[error("the platform's principal must be {0}")]
    Principal(&'static str),
    /// The server cannot be started.
    #[error("the platform's API cannot be started on this machine: {0}")]
    Server(String),
}
