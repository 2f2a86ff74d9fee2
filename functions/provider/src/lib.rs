//! The Lambda behind `Custom::CavaticaVolumeAccess`: CloudFormation's protocol on one side, AWS on the other.
//!
//! ```text
//! invocation ─> envelope ─> task ─> [cavatica-access] ─> answer ─> delivery
//!  raw text      who asks    what     look, plan, apply    a value    one PUT that counts
//!                                     in [cavatica-aws]
//! ```
//!
//! The rights of Cavatica are decided in `cavatica-access`; nothing here knows IAM documents. Exactly one answer goes
//! out for every event, whatever happens.

pub mod answer;
pub mod delivery;
pub mod envelope;
pub mod invocation;
pub mod provider;
pub mod redaction;
pub mod task;
