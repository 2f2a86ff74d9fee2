//! The rights of Cavatica on a volume, and how an AWS account gets there.
//!
//! The crate decides; it does no I/O of its own. It names no AWS SDK, runtime, HTTP, environment, clock or random
//! source: the account comes in through [`port::Account`], time and chance through [`port::Clock`].
//!
//! ```text
//! request ── what somebody asks for          (properties of the custom resource, validated)
//!    │
//! blueprint ─ what that means in IAM         (names, documents, tags; still no call)
//!    │
//! wanted ──── as it should be, or gone       (with what the event knows of before)
//!    │
//! observe ──> plan ──> reconcile             (look, decide, apply; the decision is pure)
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
