//! Patterns of IAM policies, as actions and resources have them.

/// True if a text is one of a pattern: `*` stands for any characters, `?` for one.
#[must_use]
pub fn matches(pattern: &str, text: &str, ignores_case: bool) -> bool {
    let fold = |text: &str| if ignores_case { text.to_lowercase() } else { text.to_owned() };
    let (pattern, text): (Vec<char>, Vec<char>) = (fold(pattern).chars().collect(), fold(text).chars().collect());
    // Column by column: reached[i] is true if the pattern so far matches the first i characters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for symbol in pattern {
        let mut next = vec![false; text.len() + 1];
        for i in 0..=text.len() {
            next[i] = match symbol {
                '*' => reached[i] || i > 0 && next[i - 1],
                '?' => i > 0 && reached[i - 1],
                plain => i > 0 && reached[i - 1] && text[i - 1] == plain,
            };
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_in_iam() {
        for (pattern, text, is_match) in [
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get*Version", "s3:GetObjectVersion", true),
            ("s3:GetObject", "s3:GetObjectVersion", false),
            ("S3:getobject", "s3:GetObject", true),
            ("s3:?etObject", "s3:GetObject", true),
            ("s3:?", "s3:", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text, true), is_match, "{pattern} {text}");
        }
        assert!(!matches("S3:getobject", "s3:GetObject", false));
    }
}
