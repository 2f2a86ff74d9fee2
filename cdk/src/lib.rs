//! .

pub mod artifact;
pub mod engine;
pub mod workspace;
