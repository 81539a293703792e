//! Signals: SIGTERM and SIGHUP leave well, SIGINT at once.

use crate::drive::Input;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Returns when the program is to end at once: at SIGINT, or if it can't leave well. SIGTERM and SIGHUP become a
/// wish to leave. Never returns if signals can't be heard.
pub(super) async fn interrupted(input: mpsc::WeakSender<Input>) {
    let signals =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => return,
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        let asked = input.upgrade().and_then(|input| input.try_send(Input::Leave).ok());
        if asked.is_none() {
            return;
        }
    }
}
