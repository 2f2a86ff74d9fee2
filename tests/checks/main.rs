//! `cargo checks`: what checkers and emulators of other makers say, which takes minutes. Each fails if its tool is
//! missing.

/// The account in memory, beside two emulators of IAM and S3.
mod memory;

/// Static checkers, on templates and policies.
mod documents;

/// The vendor's client of the platform's API, beside ours.
mod platform_api;

/// Static checkers, on the workflows.
mod workflows;
