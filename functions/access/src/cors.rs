//! The CORS rule that lets a browser that shows the platform read a bucket's objects: merged into what is there, and
//! taken out alone.
//!
//! S3 replaces a bucket's whole CORS configuration at once and has no compare-and-swap. So what was written is read
//! back; where it does not show, somebody else wrote meanwhile, and their rules are merged again.

use crate::limits;
use crate::names::RoleName;
use crate::owner::StackId;
use crate::platform::{CORS_EXPOSED_HEADERS, CORS_HEADERS, CORS_MAX_AGE};
use crate::port::CorsRule;

/// Why a rule does not go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Returns the ID of the rule that serves a role: unique in a bucket, since a role's name is in its account.
#[must_use]
pub fn rule_id(stack: &StackId, role: &RoleName) -> String {
    format!("cavatica-connect:{}:{role}", stack.uuid())
}

/// Returns the rule that serves a role: pages of an origin may read.
#[must_use]
pub fn rule(stack: &StackId, role: &RoleName, origin: &str) -> CorsRule {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    CorsRule {
        id: Some(rule_id(stack, role)),
        allowed_origins: texts(&[origin]),
        allowed_methods: texts(&["GET"]),
        allowed_headers: texts(&CORS_HEADERS),
        expose_headers: texts(&CORS_EXPOSED_HEADERS),
        max_age_seconds: Some(CORS_MAX_AGE),
    }
}

/// Returns the rules as they should be: the wanted one in force, no older ones of ours, and others' unchanged in their
/// order.
///
/// A rule that goes in goes first. S3 answers by the first rule that matches a request, and ours matches only the
/// platform's origin, so it takes no request from another rule that is meant for other origins.
/// Source: S3, "Elements of a CORS configuration".
pub fn merged(there: &[CorsRule], wanted: Option<&CorsRule>, ours: &[String]) -> Result<Vec<CorsRule>, Full> {
    let is_ours = |rule: &&CorsRule| rule.id.as_ref().is_some_and(|id| ours.contains(id));
    if let Some(wanted) = wanted
        && there.iter().filter(is_ours).eq([wanted])
        && is_in_force(wanted, there)
    {
        return Ok(there.to_vec());
    }
    let others = there.iter().filter(|rule| !is_ours(rule));
    let rules: Vec<_> = wanted.into_iter().chain(others).cloned().collect();
    if rules.len() > limits::CORS_RULES { Err(Full) } else { Ok(rules) }
}

/// True if S3 answers a rule's requests by that rule, or by an earlier one that differs only in its ID, such as the
/// rule of another stack.
#[must_use]
pub fn is_in_force(wanted: &CorsRule, rules: &[CorsRule]) -> bool {
    let anonymous = |rule: &CorsRule| CorsRule { id: None, ..rule.clone() };
    let takes_requests = |rule: &&CorsRule| {
        wanted.allowed_methods.iter().any(|method| rule.allowed_methods.contains(method))
            && wanted.allowed_origins.iter().any(|origin| rule.allowed_origins.iter().any(|it| matches(it, origin)))
    };
    let first = rules.iter().find(takes_requests);
    first.is_some_and(|first| anonymous(first) == anonymous(wanted)) && rules.contains(wanted)
}

/// True if an allowed origin, which may have one `*`, admits an origin. S3 compares the scheme and host as they are
/// written.
fn matches(allowed: &str, origin: &str) -> bool {
    match allowed.split_once('*') {
        None => allowed == origin,
        Some((head, tail)) => {
            origin.len() >= head.len() + tail.len() && origin.starts_with(head) && origin.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theirs(id: Option<&str>) -> CorsRule {
        CorsRule { id: id.map(str::to_owned), ..CorsRule { max_age_seconds: None, ..ours("theirs") } }
    }

    fn ours(role: &str) -> CorsRule {
        let stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000".parse();
        let (Ok(stack), Ok(role)) = (stack, role.parse()) else { unreachable!("both are valid") };
        rule(&stack, &role, "https://cavatica.sbgenomics.com")
    }

    fn ids() -> Vec<String> {
        [ours("role"), ours("older")].into_iter().filter_map(|rule| rule.id).collect()
    }

    #[test]
    fn others_rules_stay_as_and_where_they_are() {
        let others = [theirs(None), theirs(Some("web"))];
        let with = merged(&others, Some(&ours("role")), &ids());
        assert_eq!(with, Ok(vec![ours("role"), theirs(None), theirs(Some("web"))]));
        assert_eq!(merged(&with.unwrap_or_default(), None, &ids()), Ok(others.to_vec()));
    }

    #[test]
    fn an_older_rule_of_ours_gives_way_to_the_new_one() {
        let mut changed = ours("role");
        changed.max_age_seconds = Some(1);
        for old in [changed, ours("older")] {
            assert_eq!(merged(&[theirs(None), old], Some(&ours("role")), &ids()), Ok(vec![ours("role"), theirs(None)]));
        }
    }

    #[test]
    fn keeps_the_position_of_a_rule_that_is_as_desired() {
        let rules = [ours("role"), theirs(None)];
        assert_eq!(merged(&rules, Some(&ours("role")), &ids()), Ok(rules.to_vec()));
    }

    /// Genome browsers recommend such a rule. It exposes no header, so that Cavatica could not read a range.
    #[test]
    fn our_rule_moves_before_one_that_takes_its_requests() {
        let wide = |origin: &str, methods: &[&str]| CorsRule {
            id: None,
            allowed_origins: vec!["https://lab.example".to_owned(), origin.to_owned()],
            allowed_methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            allowed_headers: vec!["Authorization".to_owned()],
            expose_headers: Vec::new(),
            max_age_seconds: None,
        };
        let table = [
            ("*", &["GET", "HEAD"][..], true),
            ("https://*.sbgenomics.com", &["GET"], true),
            ("https://cavatica.sbgenomics.com", &["PUT", "GET"], true),
            ("https://cavatica*", &["GET"], true),
            ("*", &["PUT", "POST", "DELETE", "HEAD"], false),
            ("https://*.example.org", &["GET"], false),
            ("http://cavatica.sbgenomics.com", &["GET"], false),
            ("https://cavatica.sbgenomics.com.evil.example", &["GET"], false),
            ("https://cavatica.sbgenomics.com*://cavatica.sbgenomics.com", &["GET"], false),
        ];
        for (origin, methods, moves) in table {
            let there = [wide(origin, methods), ours("role")];
            assert_eq!(is_in_force(&ours("role"), &there), !moves, "{origin} {methods:?}");
            let expected = if moves { vec![ours("role"), wide(origin, methods)] } else { there.to_vec() };
            assert_eq!(merged(&there, Some(&ours("role")), &ids()), Ok(expected.clone()), "{origin} {methods:?}");
            assert_eq!(merged(&expected, None, &ids()), Ok(vec![wide(origin, methods)]), "{origin} {methods:?}");
        }
    }

    /// Two stacks with the same bucket must not move each other's rules in turn.
    #[test]
    fn the_rule_of_another_stack_may_stand_before_ours() {
        let there = [ours("another"), ours("role")];
        assert_eq!(merged(&there, Some(&ours("role")), &ids()), Ok(there.to_vec()));
    }

    #[test]
    fn a_hundred_rules_of_others_leave_no_place() {
        let full = vec![theirs(None); 100];
        assert_eq!(merged(&full, Some(&ours("role")), &ids()), Err(Full));
        assert_eq!(merged(&full[1..], Some(&ours("role")), &ids()).map(|rules| rules.len()), Ok(100));
        assert_eq!(merged(&full, None, &ids()), Ok(full));
    }
}
