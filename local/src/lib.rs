//! This machine: the source tree, the processes started for it, and an AWS account on it, which is the local engine
//! with the Python and npm packages that it and the checkers run in.
//!
//! The command line that people install needs of it only the source tree's place, to build there, and `rehearse
//! --local`.

pub mod children;
pub mod engine;
pub mod node;
mod once;
pub mod python;
pub mod workspace;
