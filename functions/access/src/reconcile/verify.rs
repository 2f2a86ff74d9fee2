//! Asks IAM's simulator what the role may do now, with patience for what was just made.

use futures_util::future::join_all;

use super::Context;
use crate::blueprint::Blueprint;
use crate::checks::{Finding, verification};
use crate::port::{Clock, Failure, FailureKind, ReadAccount, Verdict};
use crate::retry::Backoff;
use crate::waits::{FIRST_SIMULATION, UNTIL_SIMULATED};

/// Returns the findings of IAM's policy simulator about the role.
pub(super) async fn verify<I: ReadAccount, C: Clock>(
    context: &Context<'_, I, C>,
    blueprint: &Blueprint,
    is_recent: bool,
) -> Vec<Finding> {
    let observer = context.observer(&blueprint.owner);
    let questions = verification::questions(blueprint);
    let begun = context.clock.elapsed();
    let mut backoff = Backoff::new(FIRST_SIMULATION, UNTIL_SIMULATED);
    loop {
        let asked = context.clock.elapsed().saturating_sub(begun);
        let answers = join_all(questions.iter().map(|question| observer.verdicts(blueprint, question))).await;
        let answers: Result<Vec<Vec<Verdict>>, Failure> = answers.into_iter().collect();
        let may_pass = match &answers {
            Ok(verdicts) => verification::may_pass(verdicts.iter().flatten()),
            Err(failure) => failure.kind == FailureKind::NotFound,
        };
        if may_pass && is_recent && asked < UNTIL_SIMULATED {
            let pause = backoff.pause(context.clock.chance());
            if pause < context.clock.remaining() {
                context.clock.sleep(pause).await;
                continue;
            }
        }
        return match answers {
            Ok(verdicts) => verification::judge(blueprint, &verdicts.concat()),
            Err(failure) => vec![Finding::reported(format!(
                "What role {} may do could not be asked of IAM's simulator: {failure}.",
                blueprint.role.name
            ))],
        };
    }
}
