//! The templates as named texts.

use cavatica_access::platform::Platform;

use super::{Config, native, provided};

/// A file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Name, such as `cavatica-volume.template.yaml`.
    pub name: String,
    /// Content.
    pub text: String,
}

/// Returns the file name of the template with the function, such as `cavatica-volume.template.yaml`, or of the native
/// one.
#[must_use]
pub fn name(platform: &Platform, is_native: bool) -> String {
    format!("{}{}.template.yaml", platform.stack_name(), if is_native { "-native" } else { "" })
}

/// Generates both templates.
#[must_use]
pub fn generate(config: &Config) -> Vec<File> {
    vec![
        File { name: name(&config.platform, false), text: provided::template(config).to_yaml() },
        File { name: name(&config.platform, true), text: native::template(config).to_yaml() },
    ]
}
