//! Secrets that must never reach a log: the `ResponseURL` (whoever has it can answer for us) and external IDs that
//! somebody gave.

use std::fmt;

/// A presigned URL. Its `Debug` shows nothing, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseUrl(String);

impl ResponseUrl {
    /// Wraps it.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url)
    }

    /// The URL itself, for the one place that sends to it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseUrl([redacted])")
    }
}

/// Takes secrets out of a text before it is logged.
#[derive(Clone, Default)]
pub struct Scrubber {
    secrets: Vec<String>,
}

impl Scrubber {
    /// Shorter texts would take more out of a sentence than they protect.
    const SHORTEST: usize = 3;

    /// Takes these out.
    #[must_use]
    pub fn of(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<_> = secrets.into_iter().filter(|secret| secret.len() >= Self::SHORTEST).collect();
        // A secret may be part of another one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// The text without them.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber({} secrets)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_url_shows_nothing_of_itself() {
        let url = ResponseUrl::new("https://bucket.s3.amazonaws.com/x?Signature=abc".to_owned());
        assert_eq!(format!("{url:?}"), "ResponseUrl([redacted])");
    }

    #[test]
    fn longer_secrets_are_taken_out_before_their_parts() {
        let scrubber = Scrubber::of(["lab".to_owned(), "lab-1234".to_owned(), String::new()]);
        assert_eq!(scrubber.scrub("was lab-1234, is lab"), "was [redacted], is [redacted]");
    }
}
