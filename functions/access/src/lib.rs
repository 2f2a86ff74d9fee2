//! Domain: the rights of a platform on a volume, and the changes of an AWS account that grant them.
//!
//! The crate decides; it does no I/O of its own. It names no AWS SDK, runtime, HTTP, environment, clock or random
//! source: the account comes in through [`port::Account`], time and chance through [`port::Clock`].
//!
//! ```text
//! request ── properties of the custom resource, validated
//!    │
//! blueprint ─ names, documents and tags in IAM
//!    │
//! desired ─── desired state: the role exists as requested, or is deleted
//!    │
//! observe ──> plan ──> reconcile: repeated until the account is as desired; plans are pure
//! ```

pub mod activity;
pub mod blueprint;
pub mod checks;
pub mod copied;
pub mod cors;
pub mod desired;
pub mod document;
pub mod limits;
pub mod lineage;
pub mod names;
pub mod observe;
pub mod observed;
pub mod owner;
pub mod permissions;
pub mod plan;
pub mod platform;
pub mod port;
pub mod recognition;
pub mod reconcile;
pub mod refusal;
pub mod request;
pub mod requested_tags;
pub mod retry;
mod s3_time;
pub mod volume;
pub mod waits;
