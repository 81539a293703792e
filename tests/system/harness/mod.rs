//! What the tests drive the real programs with: processes, test clients of both dialects, and a proxy that breaks links.
//!
//! Nothing waits a fixed time: each wait is for a condition, gives up after [`PATIENCE`] and says what it saw instead.

mod bent;
mod binary;
pub mod bulk;
mod classic;
mod cli;
mod disk;
mod identity;
mod marks;
mod native;
mod process;
mod proxy;
mod pty;
mod raw;
mod server;
mod transcript;
mod view;

pub use bent::Bent;
pub use binary::program;
pub use classic::{Classic, Shown};
pub use cli::{Cli, Home};
pub use disk::{arrived, files, progress};
pub use identity::Identity;
pub use marks::{mark, marks, not_once};
pub use native::Native;
pub use process::{Finished, run};
pub use proxy::{Cut, Proxy, Way};
pub use pty::Pty;
pub use raw::Raw;
pub use server::Server;
pub use transcript::Transcript;
pub use view::{Refusal, View};

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long a single expected event may take: far more than it should, since the tests share two cores.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at that nobody announces.
const POLL: Duration = Duration::from_millis(5);

/// Runs a test within `seconds`; a test that hangs fails with its programs' logs instead of being killed.
pub async fn bounded(seconds: u64, test: impl Future<Output = ()>) {
    let test = Box::pin(test);
    assert!(timeout(Duration::from_secs(seconds), test).await.is_ok(), "the test took more than {seconds} s");
}

/// Runs all of them side by side, and gives their results in order.
pub async fn all_of<T>(parts: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut parts: Vec<_> = parts.into_iter().map(|part| (Box::pin(part), None)).collect();
    poll_fn(|cx| {
        for (part, result) in &mut parts {
            if result.is_none()
                && let Poll::Ready(ready) = part.as_mut().poll(cx)
            {
                *result = Some(ready);
            }
        }
        let done = parts.iter().all(|(_, result)| result.is_some());
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    parts.into_iter().filter_map(|(_, result)| result).collect()
}

/// Waits until `look` finds something, looking again every few milliseconds.
pub async fn eventually<R>(what: &str, mut look: impl FnMut() -> Option<R>) -> R {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(POLL).await;
    }
}

/// Waits until `look` finds something in a state that announces its changes; `show` tells what was there instead.
async fn wait_in<T, R>(
    state: &watch::Sender<T>,
    what: &str,
    mut look: impl FnMut(&mut T) -> Option<R>,
    show: impl Fn(&T) -> String,
) -> R {
    let mut changes = state.subscribe();
    let deadline = Instant::now() + PATIENCE;
    loop {
        changes.mark_unchanged();
        let mut found = None;
        state.send_if_modified(|state| {
            found = look(state);
            false
        });
        if let Some(found) = found {
            return found;
        }
        if timeout_at(deadline, changes.changed()).await.is_err() {
            panic!("waited in vain for {what}; instead: {}", show(&state.borrow()));
        }
    }
}
