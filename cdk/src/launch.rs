//! The link that opens the console's form.

pub mod url;
