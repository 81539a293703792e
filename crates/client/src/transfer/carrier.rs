//! Moves files, each until it has arrived, is not wanted any more, or failed for good.

mod opening;
mod streaming;

use super::arriving::{Begun, Left};
use super::crew::{Crew, Signal};
use super::download::Incoming;
use super::fault::Stop;
use super::link::Link;
use super::look::look;
use super::upload::{Outgoing, give_up};
use super::{Download, Failure, JobId, News, Order, Piped, Received, Step, Trouble, Upload};
use crate::backoff::Backoff;
use crate::drive::Connect;
use crate::files::Files;
use protocol::code::Code;
use protocol::id::DeviceId;
use protocol::limits::{FEATURE_UNKNOWN_SIZE, VERSION};
use protocol::message::{ClientMsg, Limits, Proof, Purpose, Secret};
use protocol::system_words::plain_words;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// The longest time for a connection to come up.
const CONNECT: Duration = Duration::from_secs(10);

/// Files that are received at the same time; the others wait.
const AT_ONCE: usize = 4;

/// How often it is told how far a file is.
const OFTEN: Duration = Duration::from_millis(50);

/// The server does not know what it was to send, for so many attempts: it does not come any more.
const UNKNOWN: u32 = 10;

/// The longest time to tell a server that a file does not come.
const FAREWELL: Duration = Duration::from_secs(5);

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
    /// What a program writes, to be sent in place of a file whose path is [`PIPE`].
    pub piped: Option<Piped>,
}

/// The path that means what a program writes.
pub const PIPE: &str = "-";

/// What carries one file.
struct Job<'a, C> {
    id: JobId,
    connect: &'a C,
    login: &'a Login,
    rng: StdRng,
    news: &'a Sender<News>,
    signal: watch::Receiver<Signal>,
    /// When it was told last how far it is.
    told: Cell<Option<Instant>>,
    /// When the last login worked, until that connection has ended.
    logged_in: Cell<Option<Instant>>,
    /// Bytes that moved at the best of all attempts, and whether it was the last one.
    furthest: Cell<(u64, bool)>,
}

impl<'a, C> Job<'a, C> {
    fn new(
        id: JobId,
        connect: &'a C,
        login: &'a Login,
        rng: &mut impl Rng,
        news: &'a Sender<News>,
        signal: watch::Receiver<Signal>,
    ) -> Self {
        let rng = StdRng::from_seed(rng.random());
        let (told, logged_in, furthest) = (Cell::new(None), Cell::new(None), Cell::new((0, false)));
        Self { id, connect, login, rng, news, signal, told, logged_in, furthest }
    }
}

impl<C: Connect, R: Rng> Carrier<C, R> {
    /// Sends files, one after another, until there are no more jobs, or nobody wants to hear of them. Paths that begin
    /// with `~` lie below `home`; what was hashed is kept in `files`.
    pub async fn drive_uploads(
        mut self,
        mut orders: UnboundedReceiver<Order<Upload>>,
        home: Option<PathBuf>,
        files: impl Files,
    ) {
        let Self { connect, login, rng, news, piped } = &mut self;
        let (connect, login, news) = (&*connect, &*login, &*news);
        let (files, home) = (RefCell::new(files), home.as_deref());
        let mut job = |id, signal| Job::new(id, connect, login, rng, news, signal);
        let mut crew: Crew<'_, Upload, Step> = Crew::new(1);
        let work = async {
            let mut open = true;
            while open || !crew.is_empty() {
                while let Some((id, upload)) = crew.pop() {
                    let files = &files;
                    if let Some(piped) = piped.take_if(|_| upload.path == PIPE) {
                        crew.begin(id, |signal| {
                            let job = job(id, signal);
                            Box::pin(async move { job.stream(upload, piped, files).await })
                        });
                        continue;
                    }
                    crew.begin(id, |signal| {
                        let job = job(id, signal);
                        Box::pin(async move { job.upload(upload, home.map(PathBuf::from), files).await })
                    });
                }
                tokio::select! {
                    biased;
                    order = orders.recv(), if open => match order {
                        None => open = false,
                        Some(Order::Begin(upload)) => crew.push(upload.id, upload),
                        Some(Order::Cancel(id)) => match crew.withdraw(id) {
                            Some(_) => tell(news, id, Step::Cancelled).await,
                            None => crew.signal(id, |signal| signal.cancelled = true),
                        },
                        Some(Order::Look(_) | Order::Whole(..) | Order::Forget(_)) => {}
                    },
                    (id, step) = crew.next() => tell(news, id, step).await,
                }
            }
        };
        tokio::select! {
            biased;
            () = news.closed() => {}
            () = work => {}
        }
    }

    /// Receives files into this folder, a few at the same time, until there are no more jobs, or nobody wants to hear of
    /// them.
    pub async fn drive_downloads(mut self, mut orders: UnboundedReceiver<Order<Download>>, folder: Received) {
        let Self { connect, login, rng, news, .. } = &mut self;
        let (connect, login, news, folder) = (&*connect, &*login, &*news, &folder);
        let mut job = |id, signal| Job::new(id, connect, login, rng, news, signal);
        let mut crew: Crew<'_, Download, (Step, Option<Left>)> = Crew::new(AT_ONCE);
        let mut looks: Crew<'_, Download, Step> = Crew::new(AT_ONCE);
        let mut left: BTreeMap<JobId, Left> = BTreeMap::new();
        let work = async {
            let mut open = true;
            while open || !crew.is_empty() {
                while let Some((id, download)) = looks.pop() {
                    looks.begin(id, |signal| Box::pin(job(id, signal).look(download)));
                }
                while let Some((id, download)) = crew.pop() {
                    crew.begin(id, |signal| Box::pin(job(id, signal).download(download, folder)));
                }
                tokio::select! {
                    biased;
                    order = orders.recv(), if open => match order {
                        None => open = false,
                        Some(Order::Begin(download)) => crew.push(download.id, download),
                        Some(Order::Look(download)) => looks.push(download.id, download),
                        Some(Order::Cancel(id)) => match crew.withdraw(id) {
                            Some(download) => {
                                folder.discard(&download);
                                tell(news, id, Step::Cancelled).await;
                            }
                            None => crew.signal(id, |signal| signal.cancelled = true),
                        },
                        Some(Order::Whole(id, hash)) => match crew.waiting(id) {
                            Some(download) => download.origin.hash = Some(hash),
                            None => crew.signal(id, |signal| signal.hash = Some(hash)),
                        },
                        Some(Order::Forget(id)) => left.remove(&id).into_iter().for_each(Left::forget),
                    },
                    (id, step) = looks.next() => tell(news, id, step).await,
                    (id, (step, rest)) = crew.next() => {
                        left.extend(rest.map(|rest| (id, rest)));
                        tell(news, id, step).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = news.closed() => {}
            () = work => {}
        }
        // What the session has not kept before it ended is told again by the next process.
        while let Ok(order) = orders.try_recv() {
            if let Order::Forget(id) = order {
                left.remove(&id).into_iter().for_each(Left::forget);
            }
        }
    }
}

async fn tell(news: &Sender<News>, id: JobId, step: Step) {
    // Nobody to hear it is the end of all work.
    let _ = news.send(News { id, step }).await;
}

impl<C: Connect> Job<'_, C> {
    async fn tell(&self, step: Step) {
        if !step.is_progress() {
            return tell(self.news, self.id, step).await;
        }
        if let Step::Moved(offset) = step
            && offset > self.furthest.get().0
        {
            self.furthest.set((offset, true));
        }
        // Not each time, and not if nobody listens that fast.
        if self.told.get().is_none_or(|told| told.elapsed() >= OFTEN) {
            self.told.set(Some(Instant::now()));
            let _ = self.news.try_send(News { id: self.id, step });
        }
    }

    async fn upload<F: Files>(mut self, upload: Upload, home: Option<PathBuf>, files: &RefCell<F>) -> Step {
        let mut signal = self.signal.clone();
        let opened = tokio::select! {
            biased;
            opened = self.open(&upload, home, files) => opened,
            () = Signal::cancelled(&mut signal) => return Step::Cancelled,
        };
        let mut outgoing = match opened {
            Ok(outgoing) => outgoing,
            Err(step) => return step,
        };
        let mut backoff = Backoff::default();
        loop {
            let mut signal = self.signal.clone();
            let stop = tokio::select! {
                biased;
                () = Signal::cancelled(&mut signal) => {
                    let _ = timeout(FAREWELL, self.give_up(&outgoing)).await;
                    return Step::Cancelled;
                }
                attempt = self.attempt_upload(&mut outgoing) => match attempt {
                    Ok(step) => return step,
                    Err(stop) => stop,
                },
            };
            if let Some(failed) = self.pause(stop, &mut backoff).await {
                return failed;
            }
        }
    }

    async fn attempt_upload<F: Files>(&self, outgoing: &mut Outgoing<'_, F>) -> Result<Step, Stop> {
        let (mut link, limits, _) = self.connect().await?;
        outgoing.send(&mut link, &limits, async |step| self.tell(step).await).await
    }

    async fn give_up<F: Files>(&self, outgoing: &Outgoing<'_, F>) -> Result<(), Trouble> {
        let (mut link, ..) = self.connect().await?;
        give_up(&mut link, &outgoing.put()).await
    }

    async fn download(mut self, download: Download, folder: &Received) -> (Step, Option<Left>) {
        self.tell(Step::Begun).await;
        if let Some(path) = folder.find_same(&download).await {
            return (Step::There(path), None);
        }
        let mut incoming = match folder.arrive_with_room(&download, self.rng.random()) {
            Ok(Begun::Arriving(arriving)) => Incoming::new(download, arriving),
            Ok(Begun::There(path, left)) => return (Step::Received(path), Some(left)),
            Err(failure) => return (Step::Failed(failure), None),
        };
        match self.fetch(&mut incoming).await {
            Some(step) => {
                let (_, arriving) = incoming.into_arriving();
                arriving.discard();
                (step, None)
            }
            None => {
                let (download, arriving) = incoming.into_arriving();
                match arriving.keep(&download, async |step| self.tell(step).await).await {
                    Ok((path, left)) => (Step::Received(path), Some(left)),
                    Err(failure) => (Step::Failed(failure), None),
                }
            }
        }
    }

    /// Reads what is in a folder, trying for as long as the other way of receiving it would.
    async fn look(mut self, download: Download) -> Step {
        let mut backoff = Backoff::default();
        loop {
            let attempt = async {
                let (mut link, ..) = self.connect().await?;
                look(&mut link, download.origin, download.size).await
            };
            match attempt.await {
                Ok(index) => return Step::Listed(Ok(Arc::new(index))),
                Err(Stop::Failed(failure)) => return Step::Listed(Err(failure)),
                // Quietly: the chat's own connection is told of.
                Err(Stop::Passing(_)) => {
                    sleep(Duration::from_millis(backoff.next_wait(&mut self.rng))).await;
                }
            }
        }
    }

    /// Tries to get it until it is here (`None`), or does not come.
    async fn fetch(&mut self, incoming: &mut Incoming) -> Option<Step> {
        let mut backoff = Backoff::default();
        let mut unknown = 0;
        loop {
            let hash = self.signal.borrow_and_update().hash;
            hash.into_iter().for_each(|hash| incoming.set_hash(hash));
            let mut signal = self.signal.clone();
            let stop = tokio::select! {
                biased;
                () = Signal::cancelled(&mut signal) => return Some(Step::Cancelled),
                attempt = self.attempt_download(incoming) => match attempt {
                    Ok(()) => return None,
                    Err(stop) => stop,
                },
            };
            let stop = match stop {
                // It has ended meanwhile, or was given up: an entry says so soon.
                Stop::Failed(Failure::Refused(refusal))
                    if refusal.known() == Some(Code::NoSuchTransfer) && unknown < UNKNOWN =>
                {
                    unknown += 1;
                    Stop::Passing(Trouble::Refused(refusal))
                }
                stop => stop,
            };
            if let Some(failed) = self.pause(stop, &mut backoff).await {
                return Some(failed);
            }
        }
    }

    async fn attempt_download(&self, incoming: &mut Incoming) -> Result<(), Stop> {
        let (mut link, ..) = self.connect().await?;
        incoming.receive(&mut link, async |step| self.tell(step).await).await
    }

    /// Waits until the next attempt, or until there is something to know; the end if there is to be none.
    async fn pause(&mut self, stop: Stop, backoff: &mut Backoff) -> Option<Step> {
        let trouble = match stop {
            Stop::Passing(trouble) => trouble,
            Stop::Failed(failure) => return Some(Step::Failed(failure)),
        };
        self.told.set(None);
        let lasted = self.logged_in.take().map_or(0, |since| since.elapsed().as_millis());
        backoff.handle_end(u64::try_from(lasted).unwrap_or(u64::MAX));
        let (furthest, moved) = self.furthest.get();
        if moved {
            // What it has moved is not asked for again, so a link that breaks often gets to the end of the file.
            *backoff = Backoff::default();
            self.furthest.set((furthest, false));
        }
        self.tell(Step::Broken(trouble)).await;
        let wait = Duration::from_millis(backoff.next_wait(&mut self.rng));
        tokio::select! {
            biased;
            Ok(()) = self.signal.changed() => {}
            () = sleep(wait) => {}
        }
        None
    }

    async fn connect(&self) -> Result<(Link<C::Stream>, Limits, u64), Trouble> {
        let stream = match timeout(CONNECT, self.connect.connect()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Trouble::NotReached(plain_words(&error))),
            Err(_) => return Err(Trouble::NotReached("no answer within 10 s".to_owned())),
        };
        let link = Link::log_in(stream, &self.login.hello()).await?;
        self.logged_in.set(Some(Instant::now()));
        Ok(link)
    }
}

impl Login {
    fn hello(&self) -> ClientMsg {
        ClientMsg::Hello {
            min_version: VERSION,
            max_version: VERSION,
            features: FEATURE_UNKNOWN_SIZE,
            device: self.device,
            proof: Proof::Secret { secret: self.secret.clone() },
            purpose: Purpose::Bulk,
            name: self.name.clone(),
            agent: self.agent.clone(),
            attempt: None,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Unwritable(plain_words(&error))
    }
}
