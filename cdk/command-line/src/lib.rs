//! The command line: publishes releases, and deploys, inspects and removes stacks.
//!
//! ```text
//! cli <── commands           arguments, signals and exit codes; one file a command
//! operation                  one operation on a stack as the user sees it: proposed, agreed to, followed, printed
//! deploy                     stacks through CloudFormation's API
//! verify                     comparison of a stack with a release
//! rehearse                   the whole life of a stack, checked step by step
//! release ──> publish        from the source tree to a folder, and from there to where links reach it
//! source                     origin of a template: a published release, or an address
//! templates_folder           templates written into a folder, or compared with it
//! attachment                 a stack's volume in the platform: attached, checked, repaired, detached
//! account                    AWS account and clients of the caller
//! platform                   platform that the user chose
//! invocation                 command lines that messages print, ready to paste
//! local_platform             the platform on the local engine: access to volumes, and its API
//! link                       launch link as text, HTML, QR code
//! console                    output for people, for logs, for programs
//! waits                      waits and numbers of attempts
//! pattern, random            IAM's patterns; random IDs
//! ```
//!
//! The templates, links and documents come from `cavatica_generator`, as values. Only `commands` act on them, and only
//! `main.rs` reads arguments and environment.

pub mod account;
pub mod attachment;
pub mod cli;
pub mod commands;
pub mod console;
pub mod deploy;
pub mod invocation;
pub mod link;
pub mod local_platform;
mod operation;
mod pattern;
pub mod platform;
pub mod publish;
mod random;
pub mod rehearse;
pub mod release;
pub mod source;
pub mod templates_folder;
pub mod verify;
pub mod waits;
