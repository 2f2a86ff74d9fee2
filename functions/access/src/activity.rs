//! The calls that are under way, for the answer that has to be given when time runs out.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everything under way. Several calls can be at once.
#[derive(Debug, Default)]
pub struct Activities {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    under_way: BTreeMap<u64, String>,
}

impl Activities {
    /// Says that something begins; it ends when the guard is dropped.
    #[must_use]
    pub fn begin(&self, what: &dyn Display) -> Activity<'_> {
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        inner.under_way.insert(id, what.to_string());
        Activity { all: self, id }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves a list of sentences: still good to read.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Display for Activities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        if inner.under_way.is_empty() {
            return f.write_str("nothing in particular");
        }
        for (i, what) in inner.under_way.values().enumerate() {
            write!(f, "{}{what}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// One thing under way.
#[derive(Debug)]
pub struct Activity<'a> {
    all: &'a Activities,
    id: u64,
}

impl Activity<'_> {
    /// Replaces its description.
    pub fn now(&self, what: &dyn Display) {
        self.all.lock().under_way.insert(self.id, what.to_string());
    }
}

impl Drop for Activity<'_> {
    fn drop(&mut self) {
        // A panic's answer says what it interrupted.
        if std::thread::panicking() {
            return;
        }
        self.all.lock().under_way.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_calls_until_they_end() {
        let activities = Activities::default();
        let first = activities.begin(&"creating role a");
        let second = activities.begin(&"creating policy a");
        first.now(&"creating role a, AWS last answered Throttling");
        assert_eq!(activities.to_string(), "creating role a, AWS last answered Throttling; creating policy a");
        drop(first);
        assert_eq!(activities.to_string(), "creating policy a");
        drop(second);
        assert_eq!(activities.to_string(), "nothing in particular");
    }
}
