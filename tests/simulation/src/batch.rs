//! Many histories on all cores, until one shows a violation.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::generate;
use super::history::History;
use super::published::Published;
use super::shrink::shrink;
use super::simulator::{HistoryResult, simulate};
use crate::Error;

/// Result of many histories.
#[derive(Debug, Default)]
pub struct BatchResult {
    /// Histories that were played.
    pub histories: u64,
    /// Events that were sent in them.
    pub events: u64,
    /// Seeds of histories that showed a violation, with the violation.
    pub violations: Vec<(u64, String)>,
}

/// Most violations that are collected before a campaign ends.
const ENOUGH: usize = 20;

/// Plays the histories of so many seeds from the first one on. `progress` is told how many are done, now and then.
pub fn run(first: u64, histories: u64, progress: &(dyn Fn(u64) + Sync)) -> Result<BatchResult, Error> {
    let published = Published::new();
    let next = AtomicU64::new(0);
    let events = AtomicU64::new(0);
    let is_enough = AtomicBool::new(false);
    let violations = Mutex::new(Vec::new());
    let worker = || -> Result<(), Error> {
        while !is_enough.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= histories {
                break;
            }
            let seed = first.wrapping_add(number);
            let seen = simulate(&generate::history(seed), &published, false)?;
            events.fetch_add(u64::from(seen.events), Ordering::Relaxed);
            if let Some(violation) = seen.violations.first() {
                let mut violations = violations.lock().unwrap_or_else(PoisonError::into_inner);
                violations.push((seed, violation.clone()));
                is_enough.store(violations.len() >= ENOUGH, Ordering::Relaxed);
            }
            if number % 1_000 == 999 {
                progress(number + 1);
            }
        }
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    for result in results {
        result.map_err(|_| "the simulator itself panicked")??;
    }
    let mut violations = violations.into_inner().unwrap_or_else(PoisonError::into_inner);
    violations.sort();
    let played = next.into_inner().min(histories);
    Ok(BatchResult { histories: played, events: events.into_inner(), violations })
}

/// Tells what happens in the histories of so many seeds, line by line.
pub fn tell(first: u64, histories: u64, mut line: impl FnMut(&str)) -> Result<(), Error> {
    let published = Published::new();
    for number in 0..histories {
        let seed = first.wrapping_add(number);
        line(&format!("seed {seed}"));
        simulate(&generate::history(seed), &published, true)?.trace.iter().for_each(|described| line(described));
    }
    Ok(())
}

/// Returns the history of a seed that showed a violation, made as short as can be, and what is seen of it.
pub fn explain(seed: u64) -> Result<(History, HistoryResult), Error> {
    let published = Published::new();
    let history = generate::history(seed);
    let kind =
        |seen: &HistoryResult| seen.violations.first().map(|violation| violation.chars().take(3).collect::<String>());
    let wanted = kind(&simulate(&history, &published, false)?);
    let fails = |candidate: &History| simulate(candidate, &published, false).is_ok_and(|seen| kind(&seen) == wanted);
    let shortest = if wanted.is_some() { shrink(&history, fails) } else { history };
    let seen = simulate(&shortest, &published, true)?;
    Ok((shortest, seen))
}
