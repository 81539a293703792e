//! Signals: which ones stop the server, and which ones it ignores.

use crate::logging;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Turns `stop` at the first SIGINT, SIGTERM, SIGQUIT or SIGHUP; at a second one the process ends at once.
///
/// A terminal that is closed may send SIGHUP more than once, so that alone never hurries the end. SIGUSR1 and
/// SIGUSR2 mean nothing to the server, and by default they would kill it.
pub fn watch_signals(stop: watch::Sender<bool>) -> io::Result<JoinHandle<()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hangup = if hangups_are_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    // A signal that was listened to once is never again done what the system does by default.
    drop(signal(SignalKind::user_defined1())?);
    drop(signal(SignalKind::user_defined2())?);
    Ok(tokio::spawn(async move {
        loop {
            let is_hangup = tokio::select! {
                biased;
                _ = interrupt.recv() => false,
                _ = terminate.recv() => false,
                _ = quit.recv() => false,
                Some(_) = async { hangup.as_mut()?.recv().await } => true,
            };
            let is_stopping = stop.send_replace(true);
            if !is_stopping {
                tracing::info!("stopping: everything in flight is settled first");
            } else if !is_hangup {
                logging::finish("");
                std::process::exit(130);
            }
        }
    }))
}

/// Whether whoever started this process had it ignore SIGHUP, as `nohup` does: then it stays ignored.
fn hangups_are_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangups(&status))
}

/// Looks at the mask of ignored signals in this status of a process; SIGHUP is its lowest bit.
fn ignores_hangups(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_a_process_tells_whether_nohup_started_it() {
        assert!(ignores_hangups("Name:\tnatterd\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n"));
        assert!(!ignores_hangups("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangups(""));
    }
}
