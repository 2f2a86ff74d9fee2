//! Every call of every event of a stack's life, each spoilt in every way, on the real binary.

use cavatica_tests::{Outcome, sweep};

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_every_event_may_be_spoilt_in_every_way() -> Outcome {
    let swept = sweep::run(|_, _| {}).await?;
    println!("{}", swept.table());
    assert!(swept.failures().is_empty(), "{}", swept.failures().join("\n"));
    let (passed, all) = swept.passed();
    assert!(passed == all && all > 300, "{passed} of {all}");
    Ok(())
}
