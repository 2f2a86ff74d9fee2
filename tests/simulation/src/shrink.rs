//! Makes a failing history shorter, as long as it still fails.

use std::time::Duration;

use super::history::{Act, History, Trouble, Weather};

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
    for at in (0..history.acts.len()).rev() {
        let mut fewer = history.clone();
        fewer.acts.remove(at);
        all.push(fewer);
    }
    for weather in calmer(&history.weather) {
        all.push(History { weather, ..history.clone() });
    }
    for at in 0..history.acts.len() {
        let mut change = |simplify: &dyn Fn(&mut Act) -> bool| {
            let mut simpler = history.clone();
            if simplify(&mut simpler.acts[at]) {
                all.push(simpler);
            }
        };
        let troubles = history.acts[at].clone().troubles_mut().cloned().unwrap_or_default();
        change(&|act| match act {
            Act::Create { sibling_fails, .. } | Act::Update { sibling_fails, .. } => std::mem::take(sibling_fails),
            _ => false,
        });
        change(&|act| match act {
            Act::Update { rollback, .. } => std::mem::take(&mut rollback.forgets_failed_id),
            _ => false,
        });
        change(&|act| match act {
            Act::Update { rollback, .. } => std::mem::take(&mut rollback.resource_first),
            _ => false,
        });
        for (number, trouble) in troubles.iter().enumerate().filter(|(_, trouble)| !trouble.is_calm()) {
            for calmer in [vec![Trouble::default()], parts(trouble)].concat() {
                change(&|act| {
                    let trouble = act.troubles_mut().and_then(|troubles| troubles.get_mut(number));
                    trouble.map(|trouble| *trouble = calmer.clone()).is_some()
                });
            }
        }
        let names: Vec<_> =
            history.acts[at].clone().asked_mut().map(|asked| asked.keys().copied().collect()).unwrap_or_default();
        for name in names {
            // A parameter that nobody asks for, in this act alone or in all that follow.
            change(&|act| act.asked_mut().is_some_and(|asked| asked.remove(name).is_some()));
        }
    }
    let names: std::collections::BTreeSet<_> = history
        .acts
        .iter()
        .flat_map(|act| {
            act.clone().asked_mut().map(|asked| asked.keys().copied().collect::<Vec<_>>()).unwrap_or_default()
        })
        .collect();
    for name in names {
        let mut simpler = history.clone();
        for asked in simpler.acts.iter_mut().filter_map(Act::asked_mut) {
            asked.remove(name);
        }
        all.push(simpler);
    }
    if history.dice > 8 {
        all.extend((0..8).map(|dice| History { dice, ..history.clone() }));
    }
    all
}

/// Returns the weather with one thing calmer.
fn calmer(weather: &Weather) -> Vec<Weather> {
    let mut all = Vec::new();
    let calm = Duration::ZERO;
    let short = Duration::from_millis(50);
    if weather.lag != calm {
        all.push(Weather { lag: calm, ..weather.clone() });
    }
    if weather.authority != calm {
        all.push(Weather { authority: calm, ..weather.clone() });
    }
    if weather.latency > short {
        all.push(Weather { latency: short, ..weather.clone() });
    }
    all
}

/// Returns the trouble without one of its parts.
fn parts(trouble: &Trouble) -> Vec<Trouble> {
    let mut all = Vec::new();
    for at in 0..trouble.strikes.len() {
        let mut fewer = trouble.clone();
        fewer.strikes.remove(at);
        all.push(fewer);
    }
    for at in 0..trouble.posts.len() {
        let mut fewer = trouble.clone();
        fewer.posts.remove(at);
        all.push(fewer);
    }
    if !trouble.kills.is_empty() {
        let mut fewer = trouble.clone();
        fewer.kills.pop();
        all.push(fewer);
    }
    let without = [
        trouble.denied.map(|_| Trouble { denied: None, ..trouble.clone() }),
        trouble.silent.map(|_| Trouble { silent: None, ..trouble.clone() }),
        trouble.duplicate.map(|_| Trouble { duplicate: None, ..trouble.clone() }),
        trouble.cancelled.map(|_| Trouble { cancelled: None, ..trouble.clone() }),
        trouble.too_late.then(|| Trouble { too_late: false, ..trouble.clone() }),
    ];
    all.extend(without.into_iter().flatten());
    all
}
