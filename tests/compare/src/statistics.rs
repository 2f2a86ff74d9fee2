//! Many runs as one figure: pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The middle of a figure's runs and their spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of the runs are below.
    pub median: f64,
    /// A quarter of the runs is below.
    pub lower: f64,
    /// A quarter of the runs is above.
    pub upper: f64,
}

impl Spread {
    /// Of at least one run.
    pub fn of(runs: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut runs: Vec<_> = runs.into_iter().collect();
        runs.sort_by(f64::total_cmp);
        Some(Self { median: quantile(&runs, 0.5)?, lower: quantile(&runs, 0.25)?, upper: quantile(&runs, 0.75)? })
    }
}

/// Returns a quantile of sorted figures, between two of them where it falls there.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)? as f64);
    let (below, above) = (*sorted.get(place.floor() as usize)?, *sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// Number of calls one behind the other: the most that can be picked without two at the same time.
pub fn in_sequence(calls: &[(Duration, Duration)]) -> usize {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|(_, ended)| *ended);
    let mut free_from = Duration::ZERO;
    let mut count = 0;
    for (began, ended) in calls {
        if began >= free_from {
            count += 1;
            free_from = ended;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread, Some(Spread { median: 2.5, lower: 1.75, upper: 3.25 }));
        assert_eq!(Spread::of([7.0]), Some(Spread { median: 7.0, lower: 7.0, upper: 7.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn calls_at_once_are_one_round_trip() {
        let calls = [(0, 20), (1, 21), (22, 42), (43, 63), (43, 64), (44, 62)];
        let calls = calls.map(|(began, ended)| (Duration::from_millis(began), Duration::from_millis(ended)));
        assert_eq!(in_sequence(&calls), 3);
        assert_eq!(in_sequence(&[]), 0);
    }
}
