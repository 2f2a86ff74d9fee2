//! Every call of every event of a stack's life, spoilt on the real binary: each in some ways here, in every way by
//! `cargo sweep`.

use cavatica_simulation::size::ORDINARY;
use cavatica_tests::{Outcome, sweep, system};

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_every_event_may_be_spoilt() -> Outcome {
    let swept = sweep::run(system::binary().await?, ORDINARY.one_cell_in, |_, _| {}).await?;
    println!("{}", swept.table());
    assert!(swept.failures().is_empty(), "{}", swept.failures().join("\n"));
    let (passed, all) = swept.passed();
    assert!(passed == all && all > 200, "{passed} of {all}");
    Ok(())
}
