//! Waits, limits of time and numbers of attempts of the command line, in one table. Those of the function are in
//! [`cavatica_access::waits`].

use std::time::Duration;

use cavatica_access::retry::Backoff;

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Answer to the question whose credentials these are: the first answer of AWS, all attempts together.
pub const IDENTITY_WITHIN: Duration = seconds(8);
/// Answer of a service that hands out credentials.
pub const CREDENTIALS_WITHIN: Duration = seconds(4);
/// One answer of AWS, the sending of the function's code included.
pub const ANSWER_WITHIN: Duration = seconds(60);
/// Silence of a server before the user is told.
pub const NOTICE_AFTER: Duration = seconds(5);

/// Two looks at a change set that CloudFormation computes.
pub const BETWEEN_CHANGE_SET_LOOKS: Duration = milliseconds(300);
/// Computation of a change set.
pub const CHANGE_SET_WITHIN: Duration = seconds(900);
/// First event of an operation. Reads of CloudFormation are behind by seconds.
pub const OPERATION_SHOWN_WITHIN: Duration = seconds(180);
/// Time after which a deletion without events is looked for by the stack's ID: an empty stack has none.
pub const DELETION_WITHOUT_EVENTS: Duration = seconds(20);
/// Failed reads of an operation before the user is told.
pub const TROUBLE_AFTER: Duration = seconds(30);
/// Failed reads of an operation before it is no longer followed.
pub const TROUBLE_WITHIN: Duration = seconds(900);
/// A look at an account by the function's own plan.
pub const PLAN_WITHIN: Duration = seconds(60);
/// Appearance of a new bucket. S3 shows one within seconds.
pub const BUCKET_SHOWN_WITHIN: Duration = seconds(60);

/// New role that a platform cannot use yet. IAM usually shows a role within 30 seconds.
pub const ROLE_IN_FORCE_WITHIN: Duration = seconds(120);

/// Change of IAM in a rehearsal: until it shows, and two looks for it.
pub const REHEARSED_CHANGE_WITHIN: Duration = seconds(60);
/// Two looks for a change of IAM in a rehearsal.
pub const BETWEEN_REHEARSED_LOOKS: Duration = milliseconds(500);
/// Lists of the account after a rehearsal, until they are as they were before.
pub const LISTS_WITHIN: Duration = seconds(20);
/// Two readings of these lists.
pub const BETWEEN_LISTS: Duration = seconds(4);

/// Silence of a step in a pipe before it is announced.
pub const ANNOUNCED_AFTER: Duration = seconds(10);
/// Two signs of life in a pipe.
pub const BETWEEN_HEARTBEATS: Duration = seconds(9);
/// Two pictures of a spinner.
pub const BETWEEN_TICKS: Duration = milliseconds(100);
/// Arrival of a signal here. It reaches child processes too, and the failure of one may be here first.
pub const SIGNAL_WITHIN: Duration = milliseconds(100);
/// Clean-up of files by tasks that still run when a command has ended.
pub const CLEAN_UP_WITHIN: Duration = seconds(5);

/// Pace of looks at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// First wait.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
    /// Longest time until a stack shows the state of its last event.
    pub fresh_within: Duration,
}

impl Pace {
    /// Pace for AWS, whose API throttles an account as a whole.
    pub const AWS: Self = Self { first: seconds(2), longest: seconds(10), fresh_within: seconds(60) };
    /// Pace for an emulator on this machine, which throttles nobody.
    pub const EMULATOR: Self = Self { first: milliseconds(200), longest: milliseconds(200), fresh_within: seconds(15) };
}

/// Policy for repeating a call that failed, or whose answer shows an old state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Retry {
    /// Calls of CloudFormation that are throttled, fail or are not answered.
    pub const CALL: Self = Self { first: seconds(2), longest: seconds(16), attempts: 5 };
    /// Conditional writes to S3: others may be writing too.
    pub const CONDITIONAL_WRITE: Self = Self { first: milliseconds(100), longest: seconds(1), attempts: 8 };
    /// Public policies on a new bucket: S3 takes seconds to notice that Block Public Access was switched off.
    pub const PUBLIC_POLICY: Self = Self { first: seconds(3), longest: seconds(3), attempts: 6 };
    /// Looks for parts of a deleted stack: reads of IAM are behind by seconds.
    pub const REMAINS: Self = Self { first: seconds(2), longest: seconds(3), attempts: 8 };
    /// Looks at IAM after a repair.
    pub const REPAIRED: Self = Self { first: seconds(4), longest: seconds(4), attempts: 6 };
    /// Looks for the end of a run in the function's log.
    pub const FUNCTION_LOG: Self = Self { first: seconds(1), longest: seconds(2), attempts: 6 };

    /// Returns the attempts of one call.
    #[must_use]
    pub fn attempts(self) -> Attempts {
        Attempts { left: self.attempts.saturating_sub(1), backoff: Backoff::new(self.first, self.longest) }
    }
}

/// Attempts of one call, the first of which is under way.
#[derive(Debug, Clone)]
pub struct Attempts {
    left: u32,
    backoff: Backoff,
}

impl Attempts {
    /// Waits before the next attempt; false if there is none.
    pub async fn next(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        tokio::time::sleep(self.backoff.pause(chance())).await;
        true
    }
}

/// Returns a random number from 0 to 1.
pub fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
