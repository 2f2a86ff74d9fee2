//! The CORS rule that lets a browser that shows Cavatica read a bucket's objects: merged into what is there, and taken
//! out alone.
//!
//! S3 replaces a bucket's whole CORS configuration at once and has no compare-and-swap. So what was written is read back;
//! where it does not show, somebody else wrote meanwhile, and their rules are merged again.

use crate::limits;
use crate::names::RoleName;
use crate::owner::StackId;
use crate::port::CorsRule;

/// The origins of Cavatica's interface. Source: Cavatica's manual, additional configuration.
const ORIGIN: &str = "https://cavatica.sbgenomics.com";
/// The headers that a browser may send. Source: as above.
const ALLOWED_HEADERS: [&str; 6] = ["Authorization", "Content-Range", "Accept", "Content-Type", "Origin", "Range"];
/// The headers of an answer that a page may see. Source: as above.
const EXPOSED_HEADERS: [&str; 3] = ["Content-Range", "Content-Length", "ETag"];
/// How long a browser may keep an answer, in seconds. Source: as above.
const MAX_AGE: i32 = 3_000;

/// Why a rule does not go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The ID of the rule that serves a role: unique in a bucket, since a role's name is in its account.
#[must_use]
pub fn rule_id(stack: &StackId, role: &RoleName) -> String {
    format!("cavatica-connect:{}:{role}", stack.uuid())
}

/// The rule that serves a role.
#[must_use]
pub fn rule(stack: &StackId, role: &RoleName) -> CorsRule {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    CorsRule {
        id: Some(rule_id(stack, role)),
        allowed_origins: texts(&[ORIGIN]),
        allowed_methods: texts(&["GET"]),
        allowed_headers: texts(&ALLOWED_HEADERS),
        expose_headers: texts(&EXPOSED_HEADERS),
        max_age_seconds: Some(MAX_AGE),
    }
}

/// The rules as they should be: ours is there or not, older ones of ours are not, and others' stay as and where they are.
pub fn merged(there: &[CorsRule], wanted: Option<&CorsRule>, ours: &[String]) -> Result<Vec<CorsRule>, Full> {
    let is_ours = |rule: &&CorsRule| rule.id.as_ref().is_some_and(|id| ours.contains(id));
    if let Some(wanted) = wanted
        && there.iter().filter(is_ours).eq([wanted])
    {
        return Ok(there.to_vec());
    }
    let others = there.iter().filter(|rule| !is_ours(rule));
    let rules: Vec<_> = others.chain(wanted).cloned().collect();
    if rules.len() > limits::CORS_RULES { Err(Full) } else { Ok(rules) }
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
        rule(&stack, &role)
    }

    fn ids() -> Vec<String> {
        [ours("role"), ours("older")].into_iter().filter_map(|rule| rule.id).collect()
    }

    #[test]
    fn others_rules_stay_as_and_where_they_are() {
        let others = [theirs(None), theirs(Some("web"))];
        let with = merged(&others, Some(&ours("role")), &ids());
        assert_eq!(with, Ok(vec![theirs(None), theirs(Some("web")), ours("role")]));
        assert_eq!(merged(&with.unwrap_or_default(), None, &ids()), Ok(others.to_vec()));
    }

    #[test]
    fn an_older_rule_of_ours_gives_way_to_the_new_one() {
        let mut changed = ours("role");
        changed.max_age_seconds = Some(1);
        for old in [changed, ours("older")] {
            assert_eq!(merged(&[old, theirs(None)], Some(&ours("role")), &ids()), Ok(vec![theirs(None), ours("role")]));
        }
    }

    #[test]
    fn what_is_as_wanted_stays_in_its_place() {
        let rules = [ours("role"), theirs(None)];
        assert_eq!(merged(&rules, Some(&ours("role")), &ids()), Ok(rules.to_vec()));
    }

    #[test]
    fn a_hundred_rules_of_others_leave_no_place() {
        let full = vec![theirs(None); 100];
        assert_eq!(merged(&full, Some(&ours("role")), &ids()), Err(Full));
        assert_eq!(merged(&full[1..], Some(&ours("role")), &ids()).map(|rules| rules.len()), Ok(100));
        assert_eq!(merged(&full, None, &ids()), Ok(full));
    }
}
