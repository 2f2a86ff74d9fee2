//! From the source tree to what is published.
//!
//! ```text
//! workspace -> build -> zip -> package (a folder with its manifest)
//! ```

mod binary;
pub mod build;
pub mod package;
mod sbom;
pub mod zip;
