//! The platform that the user chose: Cavatica, or the one that a file describes.

use std::path::{Path, PathBuf};

use cavatica_access::platform::{CAVATICA, Platform};

/// A platform, and the file that describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenPlatform {
    /// Path of the file as the user gave it; `None` for Cavatica, which is compiled in.
    pub file: Option<PathBuf>,
    /// The platform.
    pub platform: Platform,
}

impl Default for ChosenPlatform {
    fn default() -> Self {
        Self { file: None, platform: CAVATICA.clone() }
    }
}

impl std::str::FromStr for ChosenPlatform {
    type Err = String;

    /// Reads the file at a path.
    fn from_str(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
        Ok(Self { file: Some(Path::new(path).to_owned()), platform: read(&text)? })
    }
}

/// Reads a platform from YAML.
fn read(text: &str) -> Result<Platform, String> {
    let platform: Platform = yaml_serde::from_str(text).map_err(|error| format!("is not a platform: {error}"))?;
    platform.check().map_err(|error| format!("is not a platform: {error}"))?;
    // The templates are launched in the commercial partition, and a role trusts nothing outside its own.
    match platform.principal.strip_prefix("arn:aws:") {
        Some(_) => Ok(platform),
        None => Err(format!(
            "is not a platform: principal is \"{}\" but must be in the partition aws, where the templates can be launched",
            platform.principal
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "name: Other Platform
slug: other
principal: arn:aws:iam::999999999999:role/other
locations:
  - {region: eu-west-1, copy-bucket: other-main}
web: https://other.example.org
api: https://api.other.example.org/v2
";

    #[test]
    fn a_platform_is_read_and_a_mistake_names_the_field() {
        assert_eq!(read(OTHER).map(|platform| platform.stack_name()), Ok("other-volume".to_owned()));
        for (from, to, parts) in [
            ("name:", "nam:", ["nam", "name"]),
            ("web: https", "web: http", ["web is", "https"]),
            ("arn:aws:", "arn:aws-us-gov:", ["principal is", "partition aws"]),
            ("api: https://api.other.example.org/v2\n", "", ["api", "missing"]),
            ("copy-bucket: other-main", "copy-bucket: X", ["locations[0].copy-bucket", "bucket's name"]),
        ] {
            let said = read(&OTHER.replace(from, to)).err().unwrap_or_default();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}
