//! How the system shares the processor among threads.

/// The niceness of a thread that comes last (setpriority(2)): beside another one it gets about a tenth of a core, and
/// whoever wakes up there goes first.
const LAST: i32 = 10;

/// Has the thread that calls it get what the others leave.
pub fn come_last() {
    // On other systems this would be about the whole process.
    if cfg!(target_os = "linux") {
        // Where it may not be done, it slows down others: nothing is wrong.
        let _ = rustix::process::setpriority_process(None, LAST);
    }
}
