//! The account in memory answers as IAM does, as far as two emulators and a reviewed list of differences can tell.

use cavatica_tests::Outcome;
use cavatica_tests::conformance::differences::{DIFFERENCES, Side};
use cavatica_tests::conformance::{compare, sequences};

/// Random sequences beside those that probe a rule each.
const RANDOM: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn the_account_in_memory_is_honest() -> Outcome {
    let mut all = sequences::by_rule()?;
    all.extend(sequences::about_buckets()?);
    for seed in 0..RANDOM {
        all.push(sequences::random(seed)?);
    }
    let compared = compare(&all).await?;
    for side in [Side::Engine, Side::Moto] {
        let met = DIFFERENCES.iter().zip(&compared.met).filter(|(known, _)| known.side == side);
        println!(
            "{side:?}: {} known differences, met {} times",
            met.clone().count(),
            met.map(|(_, n)| n).sum::<usize>()
        );
    }
    println!("{} sequences, {} answers compared", compared.sequences, compared.answers);
    assert!(compared.unknown.is_empty(), "{}", compared.unknown.join("\n"));
    let not_met: Vec<_> = DIFFERENCES.iter().zip(&compared.met).filter(|(_, n)| **n == 0).map(|(d, _)| d).collect();
    assert!(not_met.is_empty(), "known differences that are none any more: {not_met:#?}");
    Ok(())
}
