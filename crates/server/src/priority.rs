//! How the system shares the processor among threads.

/// The niceness of a thread that comes last (setpriority(2)): beside another one it gets about a tenth of a core, and
/// whoever wakes up there goes first.
const LAST: i32 = 10;

/// The least urgent that a thread can be.
const LEAST: i32 = 19;

/// Has the thread that calls it come after those that serve people who are known.
pub fn come_last() {
    set_niceness(LAST);
}

/// Has the thread that calls it get what all others leave.
pub fn take_what_is_left() {
    set_niceness(LEAST);
}

fn set_niceness(niceness: i32) {
    // On other systems this would be about the whole process.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::setpriority_process(None, niceness)
    {
        tracing::debug!(%error, niceness, "a thread is as urgent as all others");
    }
}
