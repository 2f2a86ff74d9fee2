//! The generator of cavatica-connect and the command line on it.
//!
//! ```text
//! template ──> cfn           what the stacks are, in CloudFormation's template language
//! launch                     the link that opens the console's form
//! page                       the page that makes links, mails and commands in a browser
//! documents, operator        the IAM documents alone
//! meaning                    what a permission policy says, in sentences
//! release ──> publish        from the source tree to a folder, and from there to where links reach it
//! account, address           the AWS account of the caller, and addresses of objects in S3
//! platform, stack_name       what every command is told
//! invocation                 command lines that messages print, ready to paste
//! verify                     whether a stack runs what was released
//! deploy                     stacks through CloudFormation's API
//! operation                  one of them as the user sees it: proposed, agreed to, followed, printed
//! rehearse                   the whole life of one, checked step by step
//! console                    how things are told: to people, to logs, to programs
//! cli <── commands           arguments, signals and exit codes; one file a command
//! ```
//!
//! Generators return values; only `commands` act on them, and only `main.rs` reads arguments and environment.

pub mod account;
pub mod address;
pub mod cfn;
pub mod cli;
pub mod commands;
pub mod console;
pub mod deploy;
pub mod documents;
pub mod invocation;
pub mod launch;
pub mod meaning;
mod operation;
pub mod operator;
pub mod page;
mod pattern;
pub mod platform;
pub mod publish;
pub mod regions;
pub mod rehearse;
pub mod release;
pub mod stack_name;
pub mod template;
pub mod verify;
mod wording;
