//! A machine: a thread with a runtime of its own, which can die at any time.

use crate::panics::REAL;
use std::future::Future;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// How long its threads may take to come to the next await.
const DYING: Duration = Duration::from_secs(5);

/// A machine that runs; it dies when this is dropped.
pub(super) struct Machine {
    kill: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How many threads work on a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cores {
    One,
    /// So many, beside the one that waits for the machine's own future.
    Beside(usize),
}

impl Machine {
    /// Starts a machine, and on it what `work` makes.
    ///
    /// # Errors
    /// The system has no threads.
    pub(super) fn start<F>(
        name: &str,
        cores: Cores,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()>,
    {
        let name = format!("{REAL}{name}");
        let runtime = build(&name, cores)?;
        let (kill, killed) = oneshot::channel();
        let thread = Builder::new().name(name).spawn(move || live(runtime, killed, work))?;
        Ok(Self { kill: Some(kill), thread: Some(thread) })
    }
}

fn build(name: &str, cores: Cores) -> io::Result<Runtime> {
    let mut builder = match cores {
        Cores::One => runtime::Builder::new_current_thread(),
        Cores::Beside(_) => runtime::Builder::new_multi_thread(),
    };
    if let Cores::Beside(cores) = cores {
        builder.worker_threads(cores);
    }
    builder.thread_name(name).enable_all().build()
}

/// Works until it is done or killed. Then everything that still lived on it is dropped: the system says goodbye to its
/// peers, as it does for a process that is killed.
fn live<F: Future<Output = ()>>(runtime: Runtime, killed: oneshot::Receiver<()>, work: impl FnOnce() -> F) {
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        tokio::select! {
            biased;
            _ = killed => {}
            () = work() => {}
        }
    });
    drop(local);
    runtime.shutdown_timeout(DYING);
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.kill.take());
        if let Some(thread) = self.thread.take() {
            // A panic on it was noted when it happened.
            let _ = thread.join();
        }
    }
}
