//! Removal of secrets from texts before they are logged: of the `ResponseURL`, which lets its owner answer for the
//! function, and of external IDs that somebody gave.

use std::fmt;

/// Secrets that are taken out of a text before it is logged.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Shorter texts would take more out of a sentence than they protect.
    const SHORTEST: usize = 3;

    /// Returns a redactor of these secrets.
    #[must_use]
    pub fn of(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<_> = secrets.into_iter().filter(|secret| secret.len() >= Self::SHORTEST).collect();
        // A secret may be part of another one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// Returns the text without them.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber({} secrets)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_secrets_are_taken_out_before_their_parts() {
        let redactor = Redactor::of(["lab".to_owned(), "lab-1234".to_owned(), String::new()]);
        assert_eq!(redactor.redact("was lab-1234, is lab"), "was [redacted], is [redacted]");
    }
}
