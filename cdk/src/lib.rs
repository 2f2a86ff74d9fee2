//! The generator of cavatica-connect and the command line on it.
//!
//! ```text
//! stack ──> cfn ──> synth        what the stack is, as a template, in files
//!   └─────────────> launch_url   the link that opens the console's form
//! documents                      the documents alone, for those who follow the manual
//! demo ───> stacks, engine       the whole loop on a local engine
//! ```
//!
//! Generators return values; only [`synth::write`] touches the disk, and only `main.rs` reads arguments and environment.

pub mod artifact;
pub mod cfn;
pub mod children;
pub mod cli;
pub mod console;
pub mod demo;
pub mod documents;
pub mod engine;
pub mod launch_url;
pub mod operator;
pub mod regions;
pub mod stack;
pub mod stacks;
pub mod synth;
pub mod workspace;
