//! The checks whether Cavatica can use the bucket, as far as they can be made from this account.
//!
//! [`preflight`] judges the buckets before anything is made, [`verification`] the role afterwards. Neither sees a bucket
//! policy, a resource control policy, a key policy or Cavatica's own side.

pub mod preflight;
pub mod verification;

use serde_json::Value;

use crate::desired::Desired;
use crate::document::same_meaning;
use crate::plan::Plan;
use crate::port::Change;
use crate::request::Checks;

/// Something that an administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its consequence where checks are enforced.
    pub severity: Severity,
    /// The finding and the remedy, as whole sentences.
    pub sentence: String,
}

/// The consequence of a finding where checks are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It fails: Cavatica cannot work like this.
    Fails,
    /// It is only reported: it need not be so, or only others can tell.
    Reported,
}

impl Finding {
    fn fails(sentence: String) -> Self {
        Self { severity: Severity::Fails, sentence }
    }

    pub(crate) fn reported(sentence: String) -> Self {
        Self { severity: Severity::Reported, sentence }
    }

    /// True if a stack whose checks are enforced fails for it.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.severity == Severity::Fails
    }
}

/// True if findings make the event fail: only where it opens something that was not open before. What goes back
/// to how it was, as a rollback does, must not fail for what is no better and no worse than before.
#[must_use]
pub fn is_enforced(desired: &Desired, plan: &Plan, older: &[Value]) -> bool {
    let is_older = |document: &str| {
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        older.iter().any(|older| same_meaning(older, &document))
    };
    let opens = |change: &Change| match change {
        Change::CreateRole(_) => desired.replaced_role.is_some(),
        Change::CreatePolicyVersion { document, .. } => !is_older(document),
        _ => false,
    };
    desired.blueprint.request.checks == Checks::Enforce && (desired.is_new || plan.changes().any(opens))
}

/// Said where nobody looked.
const UNCHECKED: &str = "not checked, because Checks is Off";

/// The findings of an event as one text: that nobody looked is not that nothing was found.
#[must_use]
pub fn reported(checks: Checks, findings: &[Finding]) -> String {
    match (checks, findings) {
        (Checks::Off, []) => UNCHECKED.to_owned(),
        (Checks::Off, findings) => format!("{UNCHECKED}; but: {}", told(findings)),
        (Checks::Enforce | Checks::Report, findings) => told(findings),
    }
}

/// All of them as one text.
#[must_use]
pub fn told(findings: &[Finding]) -> String {
    match findings {
        [] => "none".to_owned(),
        [single] => single.sentence.clone(),
        several => {
            let numbered = several.iter().enumerate().map(|(i, finding)| format!("{}) {}", i + 1, finding.sentence));
            numbered.collect::<Vec<_>>().join(" ")
        }
    }
}
