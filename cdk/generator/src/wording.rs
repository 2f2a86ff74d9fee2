//! Words of error messages: the beginning of a typed value, and the known word that was meant.

/// Returns the end of a sentence about an unknown word: the one that was meant, or something else.
pub fn did_you_mean(meant: Option<&'static str>, otherwise: impl FnOnce() -> String) -> String {
    meant.map_or_else(otherwise, |meant| format!(": did you mean {meant}?"))
}

/// Returns the known word that is most like a text, if any is.
#[must_use]
pub fn most_alike(text: &str, known: &[&'static str]) -> Option<&'static str> {
    /// Likeness from 0 to 1 from which on a slip is likelier than another word.
    const ALIKE: f64 = 0.8;
    let likeness = |known: &str| strsim::jaro_winkler(&text.to_lowercase(), &known.to_lowercase());
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= ALIKE).then_some(best)
}

/// Returns the beginning of a value that somebody typed: as much of it as an error message repeats.
#[must_use]
pub fn excerpt(value: &str) -> String {
    const MOST_CHARACTERS: usize = 80;
    match value.char_indices().nth(MOST_CHARACTERS) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}
