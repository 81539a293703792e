//! Signals: SIGTERM and SIGHUP leave well if that is possible soon, SIGINT at once.

use crate::drive::Input;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How long leaving well may take. A terminal that takes nothing keeps lines, and with them the wish to leave, waiting
/// for ever; two seconds each for what is not acknowledged, the last bytes and the last lines are less than this.
const LEAVING: Duration = Duration::from_secs(8);

/// Returns when the program is to end at once: at SIGINT, or if it can't leave well. SIGTERM and SIGHUP become a
/// wish to leave. Never returns if signals can't be heard.
pub(super) async fn interrupted(input: mpsc::WeakSender<Input>) {
    let signals =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        return std::future::pending().await;
    };
    let mut patience = None;
    loop {
        let over = async {
            match patience {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => return,
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = over => return,
        }
        patience.get_or_insert(Instant::now() + LEAVING);
        let asked = input.upgrade().and_then(|input| input.try_send(Input::Leave).ok());
        if asked.is_none() {
            return;
        }
    }
}
