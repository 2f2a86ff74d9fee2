//! Waits and numbers of attempts of the function, in one table. [`crate::retry`] names the failures that they are for.
//!
//! A function runs for at most 180 seconds (`cdk/generator/src/template/provided.rs`), and all of these have to fit
//! into that. A value without a source has none: IAM promises no bound for how long a change takes to show.

use std::time::Duration;

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Wait between a change and the observation that has to show it. IAM takes seconds. If IAM says that something exists
/// and does not show it, the second and third wait are twice and three times as long.
pub const UNTIL_SHOWN: Duration = seconds(5);

/// The first wait before a call is tried again; doubles from there, and is shortened at random by up to half.
pub const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest one. IAM's changes spread within seconds, so a longer one would only lose time.
pub const LONGEST_RETRY: Duration = seconds(4);

/// From when the event came, a provider role that was changed a second before may be denied what it was just given.
/// After CloudFormation's express mode, which does not wait for IAM, others were denied for longer than a minute.
pub const UNTIL_POLICY_IN_FORCE: Duration = seconds(100);
/// Until a create, a detach or a removal has reached every replica.
pub const UNTIL_REPLICATED: Duration = seconds(15);
/// Until a detach of ours shows.
pub const UNTIL_DETACHED: Duration = seconds(2);
/// A check may say that it could not be made.
pub const UNTIL_UNCHECKED: Duration = seconds(20);

/// Rounds of looking and applying. Two functions at once converge in three; a removal that is denied, because the
/// provider role is not in force or because it is done, is looked at again every [`UNTIL_REPLICATED`].
pub const MOST_ROUNDS: u32 = 8;
/// Rounds for a change that fails in the same way: IAM says that something is there and does not show it yet.
pub const ROUNDS_FOR_THE_SAME_FAILURE: u32 = 3;

/// Time for which nothing new must show of a Create that CloudFormation gave up. The Create may still be running: it
/// waits up to [`UNTIL_POLICY_IN_FORCE`] for its role, and then makes some calls.
pub const UNTIL_QUIET: Duration = seconds(115);
/// Between two looks for what such a Create makes.
pub const BETWEEN_LOOKS: Duration = seconds(5);
/// Time that one of those looks needs.
pub const FOR_ONE_LOOK: Duration = seconds(20);
/// Time that taking CORS rules out needs.
pub const FOR_CORS_RULES: Duration = seconds(20);

/// Time for which the simulator may not know a new role. Its verdicts before that are not final.
pub const UNTIL_SIMULATED: Duration = seconds(15);
/// The first wait until it is asked again; doubles from there.
pub const FIRST_SIMULATION: Duration = seconds(1);

/// S3's share of an event's time where IAM still has to be changed.
pub const FOR_BUCKETS: Duration = seconds(15);
/// IAM's share of an event's time, whatever S3 does.
pub const FOR_IAM: Duration = seconds(50);
/// Times that a bucket's CORS rules are written. Two functions at once need two.
pub const MOST_CORS_WRITES: u32 = 5;

/// One connection to AWS. Within AWS it takes milliseconds.
pub const AWS_CONNECTION: Duration = seconds(3);
/// One answer of AWS. IAM answers within a second; what hangs is better asked again.
pub const AWS_ATTEMPT: Duration = seconds(8);

/// Time that the answer needs.
pub const FOR_THE_ANSWER: Duration = seconds(10);
/// One attempt to deliver the answer. S3 takes it within a second; a connection that hangs is better made again.
pub const DELIVERY_ATTEMPT: Duration = seconds(5);
/// The first wait before the next attempt; doubles from there.
pub const FIRST_DELIVERY_RETRY: Duration = Duration::from_millis(200);
/// The longest one.
pub const LONGEST_DELIVERY_RETRY: Duration = seconds(5);
