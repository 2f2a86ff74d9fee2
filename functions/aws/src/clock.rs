//! Real time and chance, for the domain's clock port.

use std::time::Duration;

use cavatica_access::port::Clock;
use cavatica_access::waits::UNTIL_POLICY_IN_FORCE;
use tokio::time::Instant;

/// The time until an instant, and since the event came.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    begun: Instant,
    end: Instant,
}

impl Deadline {
    /// So long from now.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, end: begun + duration }
    }

    /// Returns the same for whoever has had their rights for long: a denial is none that passes.
    #[must_use]
    pub fn of_old_rights(self) -> Self {
        Self { begun: self.begun.checked_sub(UNTIL_POLICY_IN_FORCE).unwrap_or(self.begun), ..self }
    }

    /// Returns the instant itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.end
    }

    /// Returns the same, so much earlier.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self { end: self.end.checked_sub(by).unwrap_or(self.end), ..self }
    }
}

impl Clock for Deadline {
    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn chance(&self) -> f64 {
        fastrand::f64()
    }
}
