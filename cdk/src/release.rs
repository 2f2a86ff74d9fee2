//! From the source tree to what is published.

pub mod artifact;
pub mod children;
pub mod upload;
pub mod workspace;
