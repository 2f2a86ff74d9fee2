//! Stacks through CloudFormation's API: operations, and following them to their end.

pub mod assets;
pub mod change_set;
pub mod code;
pub mod drift;
pub mod failure_log;
pub mod follow;
pub mod function_log;
pub mod inspection;
pub mod outputs;
pub mod preflight;
pub mod preview;
pub mod remains;
pub mod remedy;
pub mod stack;
pub mod stacks;
