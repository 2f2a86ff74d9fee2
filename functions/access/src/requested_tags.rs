//! Record of the tags that an event requested, kept as a tag on the role and the policy.
//!
//! An update removes the tags that earlier properties requested, and keeps the tags that other people set. The old
//! properties alone do not tell them apart: a role that comes back into use, because its clean-up never happened,
//! carries tags of properties that no event mentions any more. So every role and policy records the keys of its
//! requested tags.
//!
//! # Flow
//!
//! 1. [`digests`] is written with the requested tags, as the tag [`REQUESTED`].
//! 2. An update removes each tag whose key [`is_requested`] and that it does not request itself.
//!
//! # Guarantees
//!
//! - 45 keys of 128 characters fit one tag value of 256: each is a digest of five characters.
//! - Keys are compared as IAM compares them ([`TagKeys`]).
//!
//! # Assumptions
//!
//! - Two keys have the same digest once in a billion. Then a tag that somebody else set is removed.
//! - The form never changes: the code of one release reads the tags of another.
//!
//! # Errors
//!
//! None: everything here is pure. Without the record, only the old properties count.

use crate::owner::{TagKeys, Tags};

/// Key of the tag. A role or policy has it once tags were requested.
pub const REQUESTED: &str = "cavatica-connect:tags";

/// Characters of one digest, of six bits each.
const DIGEST: usize = 5;

/// Characters of a digest: 64 that the value of an IAM tag may contain.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the digests of keys, sorted and concatenated.
#[must_use]
pub fn digests<'k>(of: TagKeys, keys: impl Iterator<Item = &'k String>) -> String {
    let mut digests: Vec<_> = keys.map(|key| digest(&of.normal(key))).collect();
    digests.sort_unstable();
    digests.concat()
}

/// True if the record among a role's or policy's tags contains a key.
#[must_use]
pub fn is_requested(of: TagKeys, tags: &Tags, key: &str) -> bool {
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
            let tags = Tags::from([(REQUESTED.to_owned(), digests(of, keys.iter()))]);
            assert!(is_requested(of, &tags, "team") && is_requested(of, &tags, "Cost Centre"));
            assert_eq!(is_requested(of, &tags, "TEAM"), ignores_case);
            assert!(!is_requested(of, &tags, "env") && !is_requested(of, &Tags::new(), "team"));
        }
    }

    #[test]
    fn the_note_is_the_same_for_ever() {
        assert_eq!(digests(TagKeys::OfPolicy, ["team".to_owned(), "env".to_owned()].iter()), FROZEN);
        assert_eq!(digests(TagKeys::OfPolicy, ["env".to_owned(), "team".to_owned()].iter()), FROZEN);
    }

    /// Written by the first release.
    const FROZEN: &str = "3Oyk7QSKIx";

    #[test]
    fn as_many_keys_as_there_can_be_fit_one_value() {
        let keys: Vec<_> = (0..limits::TAGS - OUR_TAGS).map(|number| format!("key {number}")).collect();
        let note = digests(TagKeys::OfRole, keys.iter());
        assert!(note.len() <= limits::TAG_VALUE, "{}", note.len());
        let tags = Tags::from([(REQUESTED.to_owned(), note)]);
        assert!(keys.iter().all(|key| is_requested(TagKeys::OfRole, &tags, key)));
    }
}
