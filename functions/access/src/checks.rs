//! Checks of whether the platform can use a volume, as far as this account can tell.
//!
//! [`preflight`] checks the buckets before anything is created, [`verification`] the role afterwards. Neither sees a
//! bucket policy, a resource control policy, a key policy or the platform's own side.

pub mod preflight;
pub mod verification;

use serde_json::Value;

use crate::desired::Desired;
use crate::document::same_meaning;
use crate::plan::Plan;
use crate::port::Change;
use crate::request::Checks;

/// Finding: a reason why the platform may not be able to use a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Consequence if checks are enforced.
    pub severity: Severity,
    /// The finding and the remedy, as whole sentences.
    pub sentence: String,
}

/// Consequence of a finding if checks are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The event fails: the platform cannot use the volume.
    Fails,
    /// The finding is only reported: it may be wrong, or only others can tell.
    Reported,
}

impl Finding {
    fn fails(sentence: String) -> Self {
        Self { severity: Severity::Fails, sentence }
    }

    pub(crate) fn reported(sentence: String) -> Self {
        Self { severity: Severity::Reported, sentence }
    }

    /// True if the event fails for it, provided that checks are enforced.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.severity == Severity::Fails
    }
}

/// True if findings fail the event: only if the event grants something new. A rollback must not fail for something that
/// was the same before.
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

/// Text of `Findings` if checks are off.
const UNCHECKED: &str = "not checked, because Checks is Off";

/// Returns the findings of an event as one text. "Not checked" differs from "nothing found".
#[must_use]
pub fn reported(checks: Checks, findings: &[Finding]) -> String {
    match (checks, findings) {
        (Checks::Off, []) => UNCHECKED.to_owned(),
        (Checks::Off, findings) => format!("{UNCHECKED}; but: {}", told(findings)),
        (Checks::Enforce | Checks::Report, findings) => told(findings),
    }
}

/// Returns findings as one text.
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
