//! Stacks through CloudFormation's API: operations, and following them to their end.

pub mod change_set;
pub mod client;
pub mod follow;
pub mod remains;
pub mod request;
pub mod standing;
