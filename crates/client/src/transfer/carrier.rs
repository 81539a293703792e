//! Moves files, one after another, each until it has arrived or failed for good.

use super::download::Incoming;
use super::fault::Stop;
use super::link::Link;
use super::upload::upload;
use super::{
    Download, Failure, JobId, News, Opened, Order, Received, Shape, Source, Step, Trouble, Upload,
    candidates, transfer_id,
};
use crate::backoff::Backoff;
use crate::drive::Connect;
use protocol::id::DeviceId;
use protocol::limits::VERSION;
use protocol::message::{ClientMsg, Limits, Proof, Purpose, Secret};
use rand::{Rng, RngExt};
use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{sleep, timeout};

/// The longest time for a connection to come up.
const CONNECT: Duration = Duration::from_secs(10);

/// What a bulk connection logs in with: the same as the chat.
#[derive(Clone, Debug)]
pub struct Login {
    /// This device.
    pub device: DeviceId,
    /// Who this is.
    pub secret: Secret,
    /// The wanted name.
    pub name: String,
    /// Program and version.
    pub agent: String,
}

/// Moves files of one direction.
#[derive(Debug)]
pub struct Carrier<C, R> {
    /// Connects.
    pub connect: C,
    /// Who this is.
    pub login: Login,
    /// Spreads the attempts, and makes names.
    pub rng: R,
    /// Where news go. When nobody reads them any more, the carrier stops.
    pub news: Sender<News>,
}

impl<C: Connect, R: Rng> Carrier<C, R> {
    /// Sends files until there are no more jobs, or nobody wants to hear of them. Paths that begin with `~` lie
    /// below `home`.
    pub async fn drive_uploads(mut self, mut jobs: UnboundedReceiver<Order<Upload>>, home: Option<PathBuf>) {
        let news = self.news.clone();
        let work = async {
            while let Some(order) = jobs.recv().await {
                let Order::Begin(job) = order else { continue };
                let paths = candidates(&job.path, home.as_deref());
                let end = self.upload(&job, &paths).await;
                self.tell(job.id, end).await;
            }
        };
        tokio::select! {
            biased;
            () = news.closed() => {}
            () = work => {}
        }
    }

    /// Receives files into this folder until there are no more jobs, or nobody wants to hear of them.
    pub async fn drive_downloads(mut self, mut jobs: UnboundedReceiver<Order<Download>>, folder: Received) {
        let news = self.news.clone();
        let work = async {
            while let Some(order) = jobs.recv().await {
                let Order::Begin(job) = order else { continue };
                let end = self.download(&job, &folder).await;
                self.tell(job.id, end).await;
            }
        };
        tokio::select! {
            biased;
            () = news.closed() => {}
            () = work => {}
        }
    }

    async fn tell(&self, id: JobId, step: Step) {
        // Nobody to hear it is the end of all work.
        let _ = self.news.send(News { id, step }).await;
    }

    async fn upload(&mut self, job: &Upload, paths: &[PathBuf]) -> Step {
        let mut backoff = Backoff::default();
        loop {
            let progress = Cell::new(0);
            let stop = match self.attempt_upload(job, paths, &progress).await {
                Ok(step) => return step,
                Err(stop) => stop,
            };
            if let Some(failed) = self.pause(job.id, stop, progress.get(), &mut backoff).await {
                return failed;
            }
        }
    }

    async fn attempt_upload(
        &mut self,
        job: &Upload,
        paths: &[PathBuf],
        progress: &Cell<u64>,
    ) -> Result<Step, Stop> {
        let mut source = Source::open_any(paths)?;
        let transfer = transfer_id(&mut self.rng);
        let (name, size, path) = (source.name().to_owned(), source.size(), job.path.clone());
        let opened = Opened { transfer, path, name, size, stamp: 0, shape: Shape::File };
        self.tell(job.id, Step::Opened(opened)).await;
        let (mut link, limits) = self.connect().await?;
        let moved = self.moved(job.id, progress);
        let file = upload(&mut link, &limits, &mut source, transfer, job.target.clone(), moved).await?;
        let sent = file.size;
        Ok(Step::Uploaded { file, sent })
    }

    async fn download(&mut self, job: &Download, folder: &Received) -> Step {
        self.tell(job.id, Step::Begun).await;
        let mut incoming = match folder.begin(self.rng.random()) {
            Ok(partial) => Incoming::new(partial),
            Err(failure) => return Step::Failed(failure),
        };
        let mut backoff = Backoff::default();
        loop {
            let progress = Cell::new(0);
            let stop = match self.attempt_download(job, &mut incoming, &progress).await {
                Ok(()) => return incoming.finish(job).map_or_else(Step::Failed, Step::Received),
                Err(stop) => stop,
            };
            if let Some(failed) = self.pause(job.id, stop, progress.get(), &mut backoff).await {
                return failed;
            }
        }
    }

    async fn attempt_download(
        &mut self,
        job: &Download,
        incoming: &mut Incoming,
        progress: &Cell<u64>,
    ) -> Result<(), Stop> {
        let (mut link, _) = self.connect().await?;
        incoming.receive(&mut link, job, self.moved(job.id, progress)).await
    }

    /// Tells how far it has come; not each time if nobody listens that fast.
    fn moved<'a>(&'a self, id: JobId, progress: &'a Cell<u64>) -> impl Fn(u64) + 'a {
        move |bytes| {
            progress.set(bytes);
            let _ = self.news.try_send(News { id, step: Step::Moved(bytes) });
        }
    }

    /// Waits until the next attempt; the end if there is to be none.
    async fn pause(&mut self, id: JobId, stop: Stop, progress: u64, backoff: &mut Backoff) -> Option<Step> {
        let trouble = match stop {
            Stop::Passing(trouble) => trouble,
            Stop::Failed(failure) => return Some(Step::Failed(failure)),
        };
        if progress > 0 {
            *backoff = Backoff::default();
        }
        self.tell(id, Step::Broken(trouble)).await;
        sleep(Duration::from_millis(backoff.next_wait(&mut self.rng))).await;
        None
    }

    async fn connect(&self) -> Result<(Link<C::Stream>, Limits), Trouble> {
        let stream = match timeout(CONNECT, self.connect.connect()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Trouble::NotReached(super::source::plain_words(&error))),
            Err(_) => return Err(Trouble::NotReached("no answer within 10 s".to_owned())),
        };
        Link::log_in(stream, &self.hello()).await
    }

    fn hello(&self) -> ClientMsg {
        ClientMsg::Hello {
            min_version: VERSION,
            max_version: VERSION,
            features: 0,
            device: self.login.device,
            proof: Proof::Secret { secret: self.login.secret.clone() },
            purpose: Purpose::Bulk,
            name: self.login.name.clone(),
            agent: self.login.agent.clone(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Unwritable(super::source::plain_words(&error))
    }
}
