//! The threads that move files: their disks may block, and must not hold up the chat.

use super::clock::a_week_ago;
use super::run::spawn;
use super::tcp::Tcp;
use crate::drive::Freight;
use crate::files::Files;
use crate::transfer::{Carrier, JobId, Login, News, Piped, Received, Step};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// How long the end waits for them.
const PATIENCE: Duration = Duration::from_secs(1);

/// The threads that move files.
pub(super) struct Carriers {
    /// Closed when each has ended; nothing comes of it before.
    ended: Receiver<()>,
}

impl Carriers {
    /// Starts them. Files are received into `received`; what is hashed of those to be sent is kept in `files`.
    pub(super) fn start(
        freight: Freight,
        connect: &Tcp,
        login: &Login,
        rng: &mut StdRng,
        received: Received,
        files: impl Files + Send + 'static,
        piped: Option<Piped>,
    ) -> Self {
        let Freight { uploads, downloads, news } = freight;
        let mut carrier = || Carrier {
            connect: connect.clone(),
            login: login.clone(),
            rng: StdRng::from_seed(rng.random()),
            news: news.clone(),
            piped: None,
        };
        let (mut up, down) = (carrier(), carrier());
        up.piped = piped;
        let home = env::var_os("HOME").map(PathBuf::from);
        let (running, ended) = channel();
        let also_running = running.clone();
        let (up_stops, down_stops) =
            (Stops { news: news.clone(), up: true }, Stops { news: news.clone(), up: false });
        spawn(move || {
            let _stops = up_stops;
            let _running = running;
            drive(up.drive_uploads(uploads, home, files));
        });
        spawn(move || {
            let _stops = down_stops;
            let _running = also_running;
            // What can't be cleaned can't be written either, and that is told when something comes.
            let _ = received.clean(a_week_ago());
            drive(down.drive_downloads(downloads, received));
        });
        Self { ended }
    }

    /// Waits until they have cleaned up behind them, which they begin when nobody hears their news any more.
    pub(super) fn join(self) {
        // A disk that does not answer must not hold up the end: the next start cleans up.
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// Tells the session when the thread that has it panics: the chat goes on, and must know that its files do not.
struct Stops {
    news: Sender<News>,
    up: bool,
}

impl Drop for Stops {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let step = Step::Stopped { up: self.up };
            // Nobody to hear it is the end anyway.
            let _ = self.news.blocking_send(News { id: JobId::default(), step });
        }
    }
}

fn drive(work: impl Future<Output = ()>) {
    // Without a runtime nothing is moved; the chat has one already, so this fails only if memory is out.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        runtime.block_on(work);
        // A name being looked up must not hold up the end.
        runtime.shutdown_background();
    }
}
