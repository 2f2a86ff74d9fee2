//! The name of a stack, as CloudFormation takes it.

use std::fmt;

use cavatica_access::names::Rule;
use cavatica_access::platform::Platform;

/// Name of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackName(String);

impl StackName {
    /// Rule in words. Source: `CreateStack`, parameter `StackName`.
    pub const RULE: Rule = "a stack's name: a letter, then letters, digits and hyphens, 128 characters at most";

    /// Returns the name of a platform's stack where none is given.
    #[must_use]
    pub fn default_of(platform: &Platform) -> Self {
        Self(platform.stack_name())
    }

    /// Returns the name of a platform's stack with six hexadecimal digits of a number.
    #[must_use]
    pub fn numbered(platform: &Platform, number: u32) -> Self {
        Self(format!("{}-{:06x}", platform.stack_name(), number & 0xff_ffff))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for StackName {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let fits = text.len() <= 128
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
