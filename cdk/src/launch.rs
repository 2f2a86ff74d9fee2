//! Links that open the CloudFormation console.
//!
//! ```text
//! source (a release, or a template's address) ──> url (a new stack) or update (a running one) ──> form (text, QR code)
//! ```

pub mod form;
pub mod source;
pub mod update;
pub mod url;
