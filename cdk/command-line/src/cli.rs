//! The common part of commands: arguments, exit codes and signals.

pub mod args;
pub mod exit;
pub mod signals;
