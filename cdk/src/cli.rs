//! The common part of commands: arguments, output, exit codes and signals.

pub mod args;
pub mod board;
pub mod console;
pub mod exit;
pub mod signals;
