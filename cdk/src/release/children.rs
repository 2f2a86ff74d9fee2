//! Child processes in groups of their own: a signal that ends this program alone would not reach what a child started, as
//! the compilers of a build are. So whoever gets the signal ends the groups too.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The groups that run, by their first process.
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// How often a group is asked whether it is gone, and the wait in between.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

fn groups() -> MutexGuard<'static, Vec<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command to its end in a group of its own. Its streams are as they were set.
pub fn output(command: &mut Command) -> io::Result<Output> {
    let child = command.process_group(0).spawn()?;
    let id = child.id();
    groups().push(id);
    let output = child.wait_with_output();
    groups().retain(|group| *group != id);
    output
}

/// Ends every group that runs, and waits a few seconds for that. Whether all of them are gone.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "called when the runtime has nothing left to do")]
pub fn end_all() -> bool {
    let all = groups().clone();
    for group in &all {
        signal(*group, "TERM");
    }
    let is_gone = |group: &u32| !signal(*group, "0");
    (0..LOOKS).any(|_| {
        let is_over = all.iter().all(is_gone);
        if !is_over {
            thread::sleep(BETWEEN_LOOKS);
        }
        is_over
    })
}

/// Sends a signal to a group; whether there is one.
fn signal(group: u32, name: &str) -> bool {
    // The shell's own: every POSIX shell has it, and none needs a separator after the signal's name.
    let kill = format!("kill -{name} -{group}");
    let sent = Command::new("sh").args(["-c", &kill]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    sent.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "no runtime here")]
    fn what_a_child_started_ends_with_it() -> Result<(), Box<dyn std::error::Error>> {
        // The shell waits for a process of its own, as cargo does for a compiler.
        let running = thread::spawn(|| output(Command::new("sh").args(["-c", "sleep 20 & wait"]).stdin(Stdio::null())));
        while groups().is_empty() {
            thread::sleep(Duration::from_millis(10));
        }
        let group = groups().first().copied().ok_or("no group")?;
        assert!(signal(group, "0"), "it runs");
        assert!(end_all());
        assert!(!signal(group, "0"), "and nothing of it does any more");
        let ended = running.join().map_err(|_| "the thread panicked")??;
        assert!(!ended.status.success());
        Ok(())
    }
}
