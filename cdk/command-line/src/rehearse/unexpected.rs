//! Surprises: events and delays of AWS's that the documents of this project do not say.

use std::time::Duration;

use cavatica_generator::template::{Config, provided};

use crate::deploy::follow::Event;

/// The statuses of a resource and of a stack. Source: "Understand CloudFormation stack creation events".
const STATUSES: [&str; 3] = ["CREATE", "UPDATE", "DELETE"];
const ENDINGS: [&str; 3] = ["IN_PROGRESS", "COMPLETE", "FAILED"];
const OF_STACKS: [&str; 9] = [
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE",
    "REVIEW_IN_PROGRESS",
    // A resource that is made, while CloudFormation waits until it can be seen.
    "CONFIGURATION_COMPLETE",
    "VALIDATION_COMPLETE",
];

/// The beginnings of the reasons that CloudFormation gives for what goes well, and of those that follow from a failure.
const REASONS: [&str; 9] = [
    "User Initiated",
    "Resource creation Initiated",
    "Resource creation cancelled",
    "Resource update cancelled",
    "Eventual consistency check initiated",
    "Requested update requires the creation of a new physical resource",
    "The following resource(s) failed",
    // These two the local engine gives.
    "Rollback requested",
    "Rollback complete",
];

/// Longest time in which IAM is assumed to show a change. Source: ARCHITECTURE.md, known limits.
pub(super) const IAM_SHOWS_WITHIN: Duration = Duration::from_secs(5);

/// Returns the events that are told of no operation here: of things that the template has not, in other states, or for
/// other reasons. Those of a failure that was provoked are not looked at.
pub(super) fn of_events(events: &[Event], stack: &str) -> Vec<String> {
    let template = provided::template(&Config::default());
    let is_known = |event: &Event| {
        let is_status = OF_STACKS.contains(&event.status.as_str())
            || event.status.split_once('_').is_some_and(|(s, e)| STATUSES.contains(&s) && ENDINGS.contains(&e));
        let is_thing =
            event.logical_id == stack || template.resources.iter().any(|it| it.logical_id == event.logical_id);
        let is_reason = event.is_failure()
            || event.reason.is_empty()
            || REASONS.iter().any(|known| event.reason.starts_with(known));
        is_status && is_thing && is_reason && event.hook.is_none()
    };
    let told = |event: &Event| format!("event {} {}: {}", event.logical_id, event.status, event.reason);
    events.iter().filter(|event| !is_known(event)).map(told).collect()
}

/// Returns a wait for IAM that was longer than it is assumed to be.
pub(super) fn of_wait(what: &str, waited: Duration) -> Option<String> {
    (waited > IAM_SHOWS_WITHIN).then(|| {
        format!(
            "AWS showed {what} only after {:.0} s, and is assumed to within {} s",
            waited.as_secs_f64(),
            IAM_SHOWS_WITHIN.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::follow::Hook;

    #[test]
    fn reports_unexpected_events() {
        let event = |logical_id: &str, status: &str, reason: &str| Event {
            logical_id: logical_id.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            ..Event::default()
        };
        let usual = [
            event("s", "CREATE_IN_PROGRESS", "User Initiated"),
            event("Boundary", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
            event("VolumeAccess", "UPDATE_FAILED", "whatever the function says"),
            event("s", "UPDATE_ROLLBACK_COMPLETE", ""),
        ];
        assert_eq!(of_events(&usual, "s"), Vec::<String>::new());
        let hook = Event {
            hook: Some(Hook { id: "1".to_owned(), only_warns: true }),
            ..event("Boundary", "HOOK_FAILED", "hook X")
        };
        let unusual = [
            event("Boundary", "CREATE_IN_PROGRESS", "Waiting for something new"),
            event("Macro", "CREATE_COMPLETE", ""),
            event("Boundary", "IMPORT_COMPLETE", ""),
            hook,
        ];
        assert_eq!(of_events(&unusual, "s").len(), 4);
    }

    #[test]
    fn reports_waits_that_exceed_the_assumption() {
        assert_eq!(of_wait("a role", Duration::from_secs(5)), None);
        let told = of_wait("that a role is gone", Duration::from_secs(9)).unwrap_or_default();
        assert_eq!(told, "AWS showed that a role is gone only after 9 s, and is assumed to within 5 s");
    }
}
