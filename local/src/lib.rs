//! An AWS account on this machine: the local engine, the Python and npm packages that it and the checkers run in, and
//! the demo on it. The command line that people install does not contain any of this.

pub mod demo;
pub mod engine;
pub mod node;
mod once;
pub mod python;
