//! A deterministic simulator: CloudFormation's documented order × an account with weather × other people's hands.
//!
//! ```text
//! seed ── draw ──> history ── play ──> what was seen        history: a plain value
//!                     ▲                  │                  play: cloudformation × provider × world, in virtual time
//!                     └──── shrink <─────┘ a violation      watch: the invariants
//! ```

pub mod authority;
pub mod authorization;
pub mod campaign;
pub mod cloudformation;
pub mod draw;
pub mod evaluation;
pub mod events;
mod hands;
pub mod history;
pub mod identity;
mod lambda;
pub mod play;
pub mod published;
pub mod shrink;
pub mod size;
pub mod watch;
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
