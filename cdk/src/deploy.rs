//! Stacks through CloudFormation's API: operations, and following them to their end.

pub mod client;
pub mod follow;
