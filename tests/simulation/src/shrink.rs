//! Makes a failing history shorter, as long as it still fails.

use std::time::Duration;

use super::history::{Delays, EventFaults, History, HistoryStep};

/// Most histories that are tried.
const MOST_TRIES: u32 = 4_000;

/// Returns a shortest history that can be found for which `fails` still holds.
pub fn shrink(history: &History, mut fails: impl FnMut(&History) -> bool) -> History {
    let mut best = history.clone();
    let mut tries = 0;
    loop {
        let shorter = simpler(&best).into_iter().find(|candidate| {
            tries += 1;
            tries <= MOST_TRIES && fails(candidate)
        });
        match shorter {
            Some(shorter) => best = shorter,
            None => return best,
        }
    }
}

/// Returns every history that is one thing simpler, the simplest first.
fn simpler(history: &History) -> Vec<History> {
    let mut all = Vec::new();
    for at in (0..history.steps.len()).rev() {
        let mut fewer = history.clone();
        fewer.steps.remove(at);
        all.push(fewer);
    }
    for delays in calmer(&history.delays) {
        all.push(History { delays, ..history.clone() });
    }
    for at in 0..history.steps.len() {
        let mut change = |simplify: &dyn Fn(&mut HistoryStep) -> bool| {
            let mut simpler = history.clone();
            if simplify(&mut simpler.steps[at]) {
                all.push(simpler);
            }
        };
        let event_faults = history.steps[at].clone().troubles_mut().cloned().unwrap_or_default();
        change(&|history_step| match history_step {
            HistoryStep::Create { sibling_fails, .. } | HistoryStep::Update { sibling_fails, .. } => {
                std::mem::take(sibling_fails)
            }
            _ => false,
        });
        change(&|history_step| match history_step {
            HistoryStep::Update { rollback, .. } => std::mem::take(&mut rollback.forgets_failed_id),
            _ => false,
        });
        change(&|history_step| match history_step {
            HistoryStep::Update { rollback, .. } => std::mem::take(&mut rollback.resource_first),
            _ => false,
        });
        for (number, faults) in event_faults.iter().enumerate().filter(|(_, faults)| !faults.is_calm()) {
            for calmer in [vec![EventFaults::default()], parts(faults)].concat() {
                change(&|history_step| {
                    let faults = history_step.troubles_mut().and_then(|event_faults| event_faults.get_mut(number));
                    faults.map(|faults| *faults = calmer.clone()).is_some()
                });
            }
        }
        let names: Vec<_> = history.steps[at]
            .clone()
            .asked_mut()
            .map(|requested| requested.keys().copied().collect())
            .unwrap_or_default();
        for name in names {
            // A parameter that nobody asks for, in this act alone or in all that follow.
            change(&|history_step| history_step.asked_mut().is_some_and(|requested| requested.remove(name).is_some()));
        }
    }
    let names: std::collections::BTreeSet<_> = history
        .steps
        .iter()
        .flat_map(|history_step| {
            history_step
                .clone()
                .asked_mut()
                .map(|requested| requested.keys().copied().collect::<Vec<_>>())
                .unwrap_or_default()
        })
        .collect();
    for name in names {
        let mut simpler = history.clone();
        for requested in simpler.steps.iter_mut().filter_map(HistoryStep::asked_mut) {
            requested.remove(name);
        }
        all.push(simpler);
    }
    if history.seed > 8 {
        all.extend((0..8).map(|seed| History { seed, ..history.clone() }));
    }
    all
}

/// Returns the delays with one of them removed.
fn calmer(delays: &Delays) -> Vec<Delays> {
    let mut all = Vec::new();
    let no_faults = Duration::ZERO;
    let short = Duration::from_millis(50);
    if delays.lag != no_faults {
        all.push(Delays { lag: no_faults, ..delays.clone() });
    }
    if delays.provider_rights != no_faults {
        all.push(Delays { provider_rights: no_faults, ..delays.clone() });
    }
    if delays.latency > short {
        all.push(Delays { latency: short, ..delays.clone() });
    }
    all
}

/// Returns the trouble without one of its parts.
fn parts(faults: &EventFaults) -> Vec<EventFaults> {
    let mut all = Vec::new();
    for at in 0..faults.call_faults.len() {
        let mut fewer = faults.clone();
        fewer.call_faults.remove(at);
        all.push(fewer);
    }
    for at in 0..faults.answer_faults.len() {
        let mut fewer = faults.clone();
        fewer.answer_faults.remove(at);
        all.push(fewer);
    }
    if !faults.kills.is_empty() {
        let mut fewer = faults.clone();
        fewer.kills.pop();
        all.push(fewer);
    }
    let without = [
        faults.denied.map(|_| EventFaults { denied: None, ..faults.clone() }),
        faults.silent.map(|_| EventFaults { silent: None, ..faults.clone() }),
        faults.duplicate.map(|_| EventFaults { duplicate: None, ..faults.clone() }),
        faults.cancelled.map(|_| EventFaults { cancelled: None, ..faults.clone() }),
        faults.too_late.then(|| EventFaults { too_late: false, ..faults.clone() }),
    ];
    all.extend(without.into_iter().flatten());
    all
}
