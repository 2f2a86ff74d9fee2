//! What the whole-system tests stand on. The tests themselves are in `cases/`.

pub mod authorization;
pub mod cloudformation;
pub mod conformance;
pub mod evaluation;
pub mod events;
pub mod function;
pub mod identity;
pub mod mailbox;
pub mod simulation;
pub mod staged;
pub mod sweep;
pub mod system;

/// What a test answers: any error fails it with its text.
pub type Outcome = Result<(), Error>;

/// Any error.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
