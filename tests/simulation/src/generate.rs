//! From a seed to a history. The same seed draws the same history for ever, as long as this file stays as it is.

use std::time::Duration;

use cavatica_access::port::Action;
use fastrand::Rng;

use super::history::{
    AnswerFault, CallFault, CallFilter, Delays, EventFaults, Fault, History, HistoryStep, ManualChange, Parameters,
};
use crate::cloudformation::Rollback;

/// Values of the parameters; the first of each is the default.
const PARAMETERS: [(&str, &[&str]); 16] = [
    ("RoleName", &["", "new", "third", "NEW"]),
    ("PolicyName", &["", "shared"]),
    ("IamPath", &["/", "/labs/"]),
    ("BucketName", &super::BUCKETS),
    ("Prefix", &["", "raw"]),
    ("AccessMode", &["ReadOnly", "ReadWrite"]),
    ("ExternalId", &["auto", "none", "lab-1234"]),
    ("Tags", &["", "team=genomics", "Team=other,cost centre=42"]),
    ("Description", &["", "For the lab"]),
    ("MaxSessionDuration", &["3600", "7200"]),
    (super::published::TRUSTS_SIBLING, &["", "sibling"]),
    ("PermissionsBoundaryArn", &["", super::ORGANISATIONS_BOUNDARY]),
    ("RestrictListing", &["false", "true"]),
    ("OmitObjectAcls", &["false", "true"]),
    ("ConfigureCors", &["false", "true"]),
    ("Checks", &["Enforce", "Report", "Off"]),
];

/// Frequency of changes of each parameter, out of 100. Names change often, because renames are the hardest case.
const WEIGHTS: [u32; 16] = [28, 8, 4, 10, 6, 10, 7, 6, 3, 2, 2, 2, 1, 1, 8, 2];

/// Names that somebody else may take.
const NAMES: [&str; 3] = ["new", "third", "shared"];

/// Returns the history of a seed.
#[must_use]
pub fn history(seed: u64) -> History {
    let mut rng = Rng::with_seed(seed);
    let delays = delays(&mut rng);
    let has_hands = rng.u8(..10) < 3;
    let mut steps = Vec::new();
    if has_hands && rng.u8(..4) == 0 {
        steps.push(HistoryStep::ManualChange(foreign(&mut rng)));
    }
    let mut requested = Parameters::new();
    if rng.u8(..4) > 0 {
        // Checks only look; most histories do without so that there can be more of them.
        requested.insert("Checks", "Off");
    }
    change(&mut rng, &mut requested, has_hands);
    let mut event_faults = event_faults(&mut rng);
    if rng.u8(..24) == 0 {
        // Nobody else fails it meanwhile: a function that dies is run again after a minute, and by then there is none.
        event_faults[0] =
            EventFaults { cancelled: Some(Duration::from_millis(rng.u64(..20_000))), ..EventFaults::default() };
    }
    steps.push(HistoryStep::Create { requested: requested.clone(), sibling_fails: rng.u8(..12) == 0, event_faults });
    for _ in 0..rng.u8(..4) {
        if has_hands && rng.bool() {
            steps.push(HistoryStep::ManualChange(manual_change(&mut rng)));
        }
        let before = requested.clone();
        change(&mut rng, &mut requested, has_hands);
        let sibling_fails = rng.u8(..4) == 0;
        let rollback = Rollback { resource_first: rng.bool(), forgets_failed_id: rng.u8(..4) == 0 };
        steps.push(HistoryStep::Update {
            requested: requested.clone(),
            sibling_fails,
            rollback,
            event_faults: self::event_faults(&mut rng),
        });
        if sibling_fails {
            requested = before;
        }
        if rng.u8(..4) == 0 {
            steps.push(HistoryStep::ContinueRollback { event_faults: self::event_faults(&mut rng) });
        }
    }
    if has_hands && rng.bool() {
        steps.push(HistoryStep::ManualChange(manual_change(&mut rng)));
    }
    steps.push(HistoryStep::Delete { retain: false, event_faults: self::event_faults(&mut rng) });
    if rng.u8(..20) == 0 {
        steps.push(HistoryStep::Delete { retain: true, event_faults: Vec::new() });
    }
    History { seed: rng.u64(..), delays, steps }
}

fn delays(rng: &mut Rng) -> Delays {
    let millis = |choices: &[u64], rng: &mut Rng| Duration::from_millis(choices[rng.usize(..choices.len())]);
    Delays {
        lag: millis(&[0, 0, 500, 2_000, 4_000], rng),
        latency: millis(&[50, 50, 500, 3_000], rng),
        provider_rights: millis(&[0, 0, 5_000, 35_000, 90_000], rng),
    }
}

/// Changes one to three parameters. The path stays where there are hands: with a role that somebody deletes goes what
/// tells under which path its policy is.
fn change(rng: &mut Rng, requested: &mut Parameters, has_hands: bool) {
    for _ in 0..rng.u8(1..=3) {
        let mut at = rng.u32(..WEIGHTS.iter().sum::<u32>());
        let heavier = |severity: &u32| {
            let is_it = at < *severity;
            at = at.saturating_sub(*severity);
            is_it
        };
        let index = WEIGHTS.iter().position(heavier).unwrap_or_default();
        let (name, values) = PARAMETERS[index];
        match values[rng.usize(..values.len())] {
            _ if has_hands && name == "IamPath" => None,
            value if value == values[0] => requested.remove(name),
            value => requested.insert(name, value),
        };
    }
}

fn event_faults(rng: &mut Rng) -> Vec<EventFaults> {
    // The operation's own event, the one of its rollback, and the one of the clean-up.
    (0..3).map(|_| if rng.u8(..5) < 2 { faults(rng) } else { EventFaults::default() }).collect()
}

fn faults(rng: &mut Rng) -> EventFaults {
    let mut faults = EventFaults::default();
    let any = |rng: &mut Rng| Action::ALL[rng.usize(..Action::ALL.len())];
    match rng.u8(..16) {
        0..6 => faults.call_faults = (0..rng.u8(1..=4)).map(|_| call_fault(rng)).collect(),
        6..9 => faults.kills = (0..rng.u8(1..=3)).map(|_| rng.u32(1..40)).collect(),
        9 | 10 => faults.duplicate = Some(Duration::from_millis(rng.u64(..4_000))),
        11 | 12 => faults.denied = Some(any(rng)),
        13 => faults.silent = Some(any(rng)),
        14 => faults.answer_faults = (0..rng.u8(1..=3)).map(|_| posting(rng)).collect(),
        _ => faults.too_late = true,
    }
    // Troubles rarely come alone.
    if rng.u8(..4) == 0 {
        faults.call_faults.push(call_fault(rng));
    }
    if rng.u8(..8) == 0 {
        faults.duplicate = Some(Duration::from_millis(rng.u64(..4_000)));
    }
    if rng.u8(..8) == 0 {
        faults.kills.push(rng.u32(1..40));
    }
    faults
}

fn call_fault(rng: &mut Rng) -> CallFault {
    CallFault { call: CallFilter::All, nth: rng.u32(1..20), fault: Fault::ALL[rng.usize(..Fault::ALL.len())] }
}

fn posting(rng: &mut Rng) -> AnswerFault {
    match rng.u8(..5) {
        0 => AnswerFault::Status(403),
        1 => AnswerFault::Status(500),
        2 => AnswerFault::Status(503),
        3 => AnswerFault::Lost,
        _ => AnswerFault::LostAfter,
    }
}

fn foreign(rng: &mut Rng) -> ManualChange {
    let name = NAMES[rng.usize(..NAMES.len())];
    if rng.bool() { ManualChange::MakesRole(name) } else { ManualChange::MakesPolicy(name) }
}

fn manual_change(rng: &mut Rng) -> ManualChange {
    match rng.u8(..15) {
        0 | 1 => foreign(rng),
        2 => ManualChange::Detaches,
        3 => ManualChange::DeletesPolicy,
        4 => ManualChange::DeletesRole,
        5 => ManualChange::UntagsPolicy,
        6 => ManualChange::UntagsRole,
        7 => ManualChange::AttachesOursToARole,
        14 => ManualChange::AttachesOursToPeople,
        8 => ManualChange::AttachesAnotherToOurs,
        9 => ManualChange::PutsInline,
        10 => ManualChange::PutsIntoProfile,
        11 => ManualChange::ReplacesCors,
        12 => ManualChange::DeletesBucket,
        _ => ManualChange::CapsWithOurs,
    }
}
