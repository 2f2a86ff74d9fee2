//! From a seed to a history. The same seed draws the same history for ever, as long as this file stays as it is.

use std::time::Duration;

use cavatica_access::port::Action;
use fastrand::Rng;

use super::history::{Act, Calls, Fault, Hand, History, Parameters, Posting, Strike, Trouble, Weather};
use crate::cloudformation::Rollback;

/// What an administrator may ask for; the first value of each is the default.
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

/// How often each parameter is changed, out of 100 changes: names often, since renames are where the danger is.
const WEIGHTS: [u32; 16] = [28, 8, 4, 10, 6, 10, 7, 6, 3, 2, 2, 2, 1, 1, 8, 2];

/// Names that somebody else may take.
const NAMES: [&str; 3] = ["new", "third", "shared"];

/// Returns the history of a seed.
#[must_use]
pub fn history(seed: u64) -> History {
    let mut rng = Rng::with_seed(seed);
    let weather = weather(&mut rng);
    let has_hands = rng.u8(..10) < 3;
    let mut acts = Vec::new();
    if has_hands && rng.u8(..4) == 0 {
        acts.push(Act::Hand(foreign(&mut rng)));
    }
    let mut asked = Parameters::new();
    if rng.u8(..4) > 0 {
        // Checks only look; most histories do without so that there can be more of them.
        asked.insert("Checks", "Off");
    }
    change(&mut rng, &mut asked, has_hands);
    let mut troubles = troubles(&mut rng);
    if rng.u8(..24) == 0 {
        // Nobody else fails it meanwhile: a function that dies is run again after a minute, and by then there is none.
        troubles[0] = Trouble { cancelled: Some(Duration::from_millis(rng.u64(..20_000))), ..Trouble::default() };
    }
    acts.push(Act::Create { asked: asked.clone(), sibling_fails: rng.u8(..12) == 0, troubles });
    for _ in 0..rng.u8(..4) {
        if has_hands && rng.bool() {
            acts.push(Act::Hand(hand(&mut rng)));
        }
        let before = asked.clone();
        change(&mut rng, &mut asked, has_hands);
        let sibling_fails = rng.u8(..4) == 0;
        let rollback = Rollback { resource_first: rng.bool(), forgets_failed_id: rng.u8(..4) == 0 };
        acts.push(Act::Update { asked: asked.clone(), sibling_fails, rollback, troubles: self::troubles(&mut rng) });
        if sibling_fails {
            asked = before;
        }
        if rng.u8(..4) == 0 {
            acts.push(Act::ContinueRollback { troubles: self::troubles(&mut rng) });
        }
    }
    if has_hands && rng.bool() {
        acts.push(Act::Hand(hand(&mut rng)));
    }
    acts.push(Act::Delete { retain: false, troubles: self::troubles(&mut rng) });
    if rng.u8(..20) == 0 {
        acts.push(Act::Delete { retain: true, troubles: Vec::new() });
    }
    History { dice: rng.u64(..), weather, acts }
}

fn weather(rng: &mut Rng) -> Weather {
    let millis = |choices: &[u64], rng: &mut Rng| Duration::from_millis(choices[rng.usize(..choices.len())]);
    Weather {
        lag: millis(&[0, 0, 500, 2_000, 4_000], rng),
        latency: millis(&[50, 50, 500, 3_000], rng),
        authority: millis(&[0, 0, 5_000, 35_000, 90_000], rng),
    }
}

/// Changes one to three parameters. The path stays where there are hands: with a role that somebody deletes goes what
/// tells under which path its policy is.
fn change(rng: &mut Rng, asked: &mut Parameters, has_hands: bool) {
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
            value if value == values[0] => asked.remove(name),
            value => asked.insert(name, value),
        };
    }
}

fn troubles(rng: &mut Rng) -> Vec<Trouble> {
    // The operation's own event, the one of its rollback, and the one of the clean-up.
    (0..3).map(|_| if rng.u8(..5) < 2 { trouble(rng) } else { Trouble::default() }).collect()
}

fn trouble(rng: &mut Rng) -> Trouble {
    let mut trouble = Trouble::default();
    let any = |rng: &mut Rng| Action::ALL[rng.usize(..Action::ALL.len())];
    match rng.u8(..16) {
        0..6 => trouble.strikes = (0..rng.u8(1..=4)).map(|_| strike(rng)).collect(),
        6..9 => trouble.kills = (0..rng.u8(1..=3)).map(|_| rng.u32(1..40)).collect(),
        9 | 10 => trouble.duplicate = Some(Duration::from_millis(rng.u64(..4_000))),
        11 | 12 => trouble.denied = Some(any(rng)),
        13 => trouble.silent = Some(any(rng)),
        14 => trouble.posts = (0..rng.u8(1..=3)).map(|_| posting(rng)).collect(),
        _ => trouble.too_late = true,
    }
    // Troubles rarely come alone.
    if rng.u8(..4) == 0 {
        trouble.strikes.push(strike(rng));
    }
    if rng.u8(..8) == 0 {
        trouble.duplicate = Some(Duration::from_millis(rng.u64(..4_000)));
    }
    if rng.u8(..8) == 0 {
        trouble.kills.push(rng.u32(1..40));
    }
    trouble
}

fn strike(rng: &mut Rng) -> Strike {
    Strike { call: Calls::All, nth: rng.u32(1..20), fault: Fault::ALL[rng.usize(..Fault::ALL.len())] }
}

fn posting(rng: &mut Rng) -> Posting {
    match rng.u8(..5) {
        0 => Posting::Status(403),
        1 => Posting::Status(500),
        2 => Posting::Status(503),
        3 => Posting::Lost,
        _ => Posting::LostAfter,
    }
}

fn foreign(rng: &mut Rng) -> Hand {
    let name = NAMES[rng.usize(..NAMES.len())];
    if rng.bool() { Hand::MakesRole(name) } else { Hand::MakesPolicy(name) }
}

fn hand(rng: &mut Rng) -> Hand {
    match rng.u8(..15) {
        0 | 1 => foreign(rng),
        2 => Hand::Detaches,
        3 => Hand::DeletesPolicy,
        4 => Hand::DeletesRole,
        5 => Hand::UntagsPolicy,
        6 => Hand::UntagsRole,
        7 => Hand::AttachesOursToARole,
        14 => Hand::AttachesOursToPeople,
        8 => Hand::AttachesAnotherToOurs,
        9 => Hand::PutsInline,
        10 => Hand::PutsIntoProfile,
        11 => Hand::ReplacesCors,
        12 => Hand::DeletesBucket,
        _ => Hand::CapsWithOurs,
    }
}
