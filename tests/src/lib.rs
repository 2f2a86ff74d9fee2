//! Support of the whole-system tests. The tests themselves are in `cases/`, and in `checks/` those that take
//! minutes.

pub mod answer_server;
pub mod browser;
pub mod checkers;
pub mod conformance;
pub mod function;
pub mod scripted;
pub mod sweep;
pub mod system;

/// Result of a test. Any error fails it with its text.
pub type Outcome = Result<(), Error>;

pub use cavatica_simulation::Error;
