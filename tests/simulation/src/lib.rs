//! Deterministic simulator: CloudFormation's documented order of events, an account with delays and faults, and changes
//! by other people, in virtual time.
//!
//! ```text
//! seed ── generate ──> history ── simulate ──> violations     history: a plain value
//!                         ▲                       │           simulator: cloudformation × provider × world
//!                         └─────── shrink <───────┘           invariants: checked at every change and every answer
//! ```

pub mod authorization;
pub mod batch;
pub mod cloudformation;
pub mod evaluation;
pub mod events;
pub mod generate;
pub mod history;
pub mod identity;
pub mod invariants;
mod lambda;
mod manual_changes;
pub mod provider_rights;
pub mod published;
pub mod shrink;
pub mod simulator;
pub mod size;
pub mod world;

/// A third of the work of a history is allocating: with this allocator a tenth less in all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any error.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The buckets that there are.
pub const BUCKETS: [&str; 2] = ["my-bucket", "other-bucket"];
/// A boundary that the organisation keeps.
pub const ORGANISATIONS_BOUNDARY: &str = "arn:aws:iam::123456789012:policy/org/Boundary";
/// The boundary that CloudFormation made for the stack.
pub const OWN_BOUNDARY: &str = "arn:aws:iam::123456789012:policy/my-volume-Boundary-1A2B3C4D5E6F";
