//! Which of a role's or policy's tags somebody asked for: a note among them, since others may set tags too.
//!
//! The properties before an update tell of one life only. A role that comes back into use, because the clean-up that
//! should have removed it never came, carries the tags of an earlier one; what was asked for then goes, what others set
//! stays. The keys are noted as digests, since up to 45 keys of 128 characters each share one value of 256.
//!
//! Frozen for ever, like the tags of [`crate::owner`].

use crate::owner::{TagKeys, Tags};

/// The key of the note, on role and policy. It is there once a tag was asked for.
pub const REQUESTED: &str = "cavatica-connect:tags";

/// Characters of one digest: 30 bits. That of another's key is the same once in a billion.
const DIGEST: usize = 5;

/// 64 of the characters that an IAM tag takes.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The note of keys that are asked for.
#[must_use]
pub fn note<'k>(of: TagKeys, keys: impl Iterator<Item = &'k String>) -> String {
    let mut digests: Vec<_> = keys.map(|key| digest(&of.normal(key))).collect();
    digests.sort_unstable();
    digests.concat()
}

/// True if a note among some tags says that a key was asked for.
#[must_use]
pub fn has_requested(of: TagKeys, tags: &Tags, key: &str) -> bool {
    let wanted = digest(&of.normal(key));
    let note = tags.get(REQUESTED).map(String::as_bytes).unwrap_or_default();
    note.chunks(DIGEST).any(|digest| digest == wanted.as_bytes())
}

/// FNV-1a, folded to 30 bits. Source: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm", RFC 9923.
fn digest(key: &str) -> String {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let folded = hash ^ (hash >> 30);
    (0..DIGEST).map(|at| char::from(ALPHABET[(folded >> (6 * at)) as usize & 63])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::owner::OUR_TAGS;

    #[test]
    fn a_note_tells_its_keys_from_others_as_iam_does() {
        let keys = ["team".to_owned(), "Cost Centre".to_owned()];
        for (of, ignores_case) in [(TagKeys::OfRole, true), (TagKeys::OfPolicy, false)] {
            let tags = Tags::from([(REQUESTED.to_owned(), note(of, keys.iter()))]);
            assert!(has_requested(of, &tags, "team") && has_requested(of, &tags, "Cost Centre"));
            assert_eq!(has_requested(of, &tags, "TEAM"), ignores_case);
            assert!(!has_requested(of, &tags, "env") && !has_requested(of, &Tags::new(), "team"));
        }
    }

    #[test]
    fn the_note_is_the_same_for_ever() {
        assert_eq!(note(TagKeys::OfPolicy, ["team".to_owned(), "env".to_owned()].iter()), FROZEN);
        assert_eq!(note(TagKeys::OfPolicy, ["env".to_owned(), "team".to_owned()].iter()), FROZEN);
    }

    /// Written by the first release.
    const FROZEN: &str = "3Oyk7QSKIx";

    #[test]
    fn as_many_keys_as_there_can_be_fit_one_value() {
        let keys: Vec<_> = (0..limits::TAGS - OUR_TAGS).map(|number| format!("key {number}")).collect();
        let note = note(TagKeys::OfRole, keys.iter());
        assert!(note.len() <= limits::TAG_VALUE, "{}", note.len());
        let tags = Tags::from([(REQUESTED.to_owned(), note)]);
        assert!(keys.iter().all(|key| has_requested(TagKeys::OfRole, &tags, key)));
    }
}
