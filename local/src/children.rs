//! Child processes in groups of their own: a signal that ends this program alone would not reach what a child started,
//! as the compilers of a build are. So whoever gets the signal ends the groups too.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The groups that run, by their first process.
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Number of checks of whether a process group has ended, and the wait in between.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

fn groups() -> MutexGuard<'static, Vec<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command to its end in a group of its own, and hands on each line of its standard error as it comes.
pub fn output(command: &mut Command, mut tell: impl FnMut(&str) + Send) -> io::Result<Output> {
    let mut child =
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let id = child.id();
    groups().push(id);
    let stderr = child.stderr.take();
    let output = thread::scope(|scope| {
        let lines = scope.spawn(move || {
            let mut said = Vec::new();
            // By bytes: a name that is not UTF-8 must not end the reading, nor with it the child.
            let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).split(b'\n').map_while(Result::ok));
            for line in lines {
                tell(&String::from_utf8_lossy(&line));
                said.extend(line);
                said.push(b'\n');
            }
            said
        });
        let output = child.wait_with_output()?;
        Ok(Output { stderr: lines.join().unwrap_or_default(), ..output })
    });
    groups().retain(|group| *group != id);
    output
}

/// Ends every group that runs, and says how that went.
#[must_use]
pub fn end_all() -> &'static str {
    if try_to_end_all() { "Nothing is left running." } else { "The build goes on and ends by itself." }
}

/// Ends every group that runs, and waits a few seconds for that. True if all of them are gone.
#[allow(clippy::disallowed_methods, reason = "called when the runtime has nothing left to do")]
fn try_to_end_all() -> bool {
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

    /// One test: the groups are the whole process's, so that two would end each other's.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "no runtime here")]
    fn child_output_is_forwarded_and_its_process_group_ends_with_it() -> Result<(), Box<dyn std::error::Error>> {
        let mut told = Vec::new();
        let script = r"printf 'o\377e\n' >&2; echo result; echo two >&2";
        let ended = output(Command::new("sh").args(["-c", script]), |line| told.push(line.to_owned()))?;
        assert_eq!(told, ["o\u{fffd}e", "two"]);
        assert_eq!((ended.stdout.as_slice(), ended.stderr.as_slice()), (&b"result\n"[..], &b"o\xffe\ntwo\n"[..]));

        // The shell waits for a process of its own, as cargo does for a compiler.
        let running = thread::spawn(|| output(Command::new("sh").args(["-c", "sleep 20 & wait"]), |_| ()));
        while groups().is_empty() {
            thread::sleep(Duration::from_millis(10));
        }
        let group = groups().first().copied().ok_or("no group")?;
        assert!(signal(group, "0"), "it runs");
        assert!(try_to_end_all());
        assert!(!signal(group, "0"), "and nothing of it does any more");
        let ended = running.join().map_err(|_| "the thread panicked")??;
        assert!(!ended.status.success());
        Ok(())
    }
}
