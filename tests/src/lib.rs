//! What the whole-system tests stand on. The tests themselves are in `cases/`, and in `checks/` those that take
//! minutes.

pub mod browser;
pub mod checkers;
pub mod conformance;
pub mod function;
pub mod mailbox;
pub mod staged;
pub mod sweep;
pub mod system;

/// What a test answers: any error fails it with its text.
pub type Outcome = Result<(), Error>;

pub use cavatica_simulation::Error;
