//! What comes to the screen beside keys: events, and signals. It wakes the screen, which waits for keys.

use super::super::run::spawn;
use crate::session::View;
use crate::session::event::Event;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Events that wait for the screen.
const WAITING: usize = 64;

/// SIGTSTP and SIGCONT, which tokio has no names for.
const STOP: i32 = rustix::process::Signal::TSTP.as_raw();
const CONTINUE: i32 = rustix::process::Signal::CONT.as_raw();

/// What has happened since the screen looked.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The terminal has another size.
    pub(super) resized: AtomicBool,
    /// The process is to stop.
    pub(super) stop: AtomicBool,
    /// The process was stopped, and goes on.
    pub(super) continued: AtomicBool,
}

/// Where the screen looks for what has come.
pub(super) struct Inlet {
    /// Readable when there is something.
    pub(super) awake: UnixStream,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) flags: Arc<Flags>,
}

impl Inlet {
    /// Starts what listens. Must be called in the runtime.
    pub(super) fn start(
        mut events: tokio::sync::mpsc::Receiver<Event>,
        mut view: watch::Receiver<View>,
    ) -> io::Result<Self> {
        let (awake, waker) = UnixStream::pair()?;
        awake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let flags = Arc::new(Flags::default());
        listen(waker.try_clone()?, Arc::clone(&flags))?;
        super::raw::wakes(waker.try_clone()?);
        let (events_in, events_out) = mpsc::sync_channel(WAITING);
        let runtime = Handle::current();
        spawn(move || {
            let mut seen = true;
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        biased;
                        event = events.recv() => {
                            // Waits for the screen, which waits for nobody but the terminal.
                            let taken = event.is_some_and(|event| events_in.send(event).is_ok());
                            if !taken {
                                break;
                            }
                        }
                        changed = view.changed(), if seen => seen = changed.is_ok(),
                    }
                    wake(&waker);
                }
            });
            drop(events_in);
            wake(&waker);
        });
        Ok(Self { awake, events: events_out, flags })
    }

    /// Forgets that it was woken; what woke it is looked for afterwards.
    pub(super) fn rest(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.awake.read(&mut bytes), Ok(read) if read > 0) {}
    }
}

/// A full socket wakes it as well.
fn wake(mut waker: &UnixStream) {
    let _ = waker.write(&[0]);
}

/// Marks signals as flags, until the runtime ends.
fn listen(waker: UnixStream, flags: Arc<Flags>) -> io::Result<()> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut stop = signal(SignalKind::from_raw(STOP))?;
    let mut continued = signal(SignalKind::from_raw(CONTINUE))?;
    tokio::spawn(async move {
        loop {
            let flag = tokio::select! {
                Some(()) = resized.recv() => &flags.resized,
                Some(()) = stop.recv() => &flags.stop,
                Some(()) = continued.recv() => &flags.continued,
                else => return,
            };
            flag.store(true, Ordering::SeqCst);
            wake(&waker);
        }
    });
    Ok(())
}
