//! Links that open the CloudFormation console: `url` for a new stack, `update` for a running one.

pub mod update;
pub mod url;
