//! Promise P13 with a store that is slow: what was accepted is committed and acknowledged before the end, or left
//! to be sent again, and nothing is in the log twice.

use super::harness::{Identity, Native, bounded};
use protocol::entry::Entry;
use protocol::id::{Epoch, RoomId, Seq};
use protocol::limits::HEADER;
use protocol::message::{ClientMsg, Durability, OpenFrom, Range, Target, ty};
use server::clock::{Clock, SystemClock};
use server::config::Plaintext;
use server::files::{Contents, Disk};
use server::hub::FileRules;
use server::hub::Settings;
use server::keep::Retention;
use server::listener::Listen;
use server::run::serve_until;
use server::store::{
    Batch, Commit, Hits, MemoryLimits, MemoryStore, Oldest, Query, Read, Snapshot, Store, StoreError,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(3);

/// A store whose commits take their time: some of it before the entries are there, and some behind it, when they
/// are there and nobody was told.
#[derive(Clone, Debug)]
struct Slow {
    store: MemoryStore,
    before: Duration,
    behind: Duration,
}

impl Oldest for Slow {
    fn oldest(&self, room: RoomId) -> Seq {
        self.store.oldest(room)
    }
}

impl Store for Slow {
    fn durability(&self) -> Durability {
        Durability::Disk
    }

    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.store.load().await
    }

    async fn append(&self, batch: Batch) -> Result<Commit, StoreError> {
        // What is logged in without a post is not what this is about.
        let slow = !batch.posts.is_empty();
        if slow {
            sleep(self.before).await;
        }
        let commit = self.store.append(batch).await;
        if slow {
            sleep(self.behind).await;
        }
        commit
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        self.store.read(room, range, limit, bytes).await
    }

    async fn search(&self, query: Query) -> Result<Hits, StoreError> {
        self.store.search(query).await
    }
}

/// A server in this process.
pub struct Here {
    /// Where clients reach it.
    pub addr: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<Result<(), StoreError>>,
    _files: tempfile::TempDir,
}

impl Here {
    /// Starts one on this store.
    pub async fn start(store: impl Store) -> Self {
        Self::start_at(store, Arc::new(SystemClock::start())).await
    }

    /// The same by another clock.
    pub async fn start_at(store: impl Store, clock: Arc<dyn Clock>) -> Self {
        Self::start_with(store, clock, |_| {}).await
    }

    /// The same with other settings.
    pub async fn start_with(
        store: impl Store,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::launch(|listener| listener, store, clock, Plaintext::Loopback, change).await
    }

    /// The same from everywhere behind what is made of the listener, where one address may have so many connections.
    pub async fn start_with_places<L: Listen + 'static>(
        wrap: impl FnOnce(TcpListener) -> L,
        store: impl Store,
        per_address: usize,
    ) -> Self {
        let clock = Arc::new(SystemClock::start());
        let change = |settings: &mut Settings| settings.limits.connections.per_address = per_address;
        Self::launch(wrap, store, clock, Plaintext::Anywhere, change).await
    }

    /// The same behind what is made of the listener, for plaintext from there.
    pub async fn start_behind<L: Listen + 'static>(
        wrap: impl FnOnce(TcpListener) -> L,
        store: impl Store,
        clock: Arc<dyn Clock>,
        plaintext: Plaintext,
    ) -> Self {
        Self::launch(wrap, store, clock, plaintext, |_| {}).await
    }

    async fn launch<L: Listen + 'static>(
        wrap: impl FnOnce(TcpListener) -> L,
        store: impl Store,
        clock: Arc<dyn Clock>,
        plaintext: Plaintext,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it listens");
        let listener = wrap(listener);
        let files = tempfile::tempdir().expect("a temporary folder can be made");
        let contents = Contents::new(Disk, files.path().to_owned(), 1 << 20);
        let zone = |_| chrono::FixedOffset::east_opt(0).expect("UTC is a time zone");
        let (motd, keep) = (String::new(), Retention::default());
        let mut settings = Settings {
            max_clients: 100,
            max_file: 1 << 20,
            motd,
            zone,
            keep,
            files: FileRules::default(),
            accept_clock: false,
            run_key: 7,
            limits: server::limits::Limits::default(),
            gauges: None,
        };
        change(&mut settings);
        let (stop, stopped) = watch::channel(false);
        let serving = serve_until(listener.into(), store, contents, clock, settings, plaintext, stopped);
        Self { addr, stop, served: tokio::spawn(serving), _files: files }
    }

    /// Ends it without another word.
    pub fn kill(self) {
        self.served.abort();
    }

    /// Stops it as SIGTERM does, and tells how long that took.
    pub async fn stop(self) -> Duration {
        let begun = Instant::now();
        self.stop.send_replace(true);
        self.served.await.expect("it does not panic").expect("the store holds");
        begun.elapsed()
    }
}

/// Posts while commits are slow, stops the server in the middle of it, and goes on with another one.
async fn check(before: u64, behind: u64, some_are_acknowledged: bool) {
    let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
    let slow = Slow {
        store: store.clone(),
        before: Duration::from_millis(before),
        behind: Duration::from_millis(behind),
    };
    let server = Here::start(slow).await;
    let identity = Identity::new("alice");
    let mut alice = Native::login(server.addr, &identity).await;
    let room = alice.lobby();
    let texts: Vec<_> = (1..=100).map(|n| format!("line {n}")).collect();
    for text in &texts {
        alice.say(room, text);
        tokio::task::yield_now().await;
    }
    // All were accepted by now, since the server answers only behind them.
    alice.settle().await;
    let took = server.stop().await;
    assert!(took < DRAIN, "it took {took:?}");
    alice.ended().await;
    let acked = alice.view(|view| view.acked);
    let kept = entries(&store, room).await;
    assert!(kept.len() as u64 >= acked, "{} kept, {acked} acknowledged", kept.len());
    assert_eq!(acked > 0, some_are_acknowledged, "{acked} acknowledged of 100");

    let quick = Slow { store: store.clone(), before: Duration::ZERO, behind: Duration::ZERO };
    let server = Here::start(quick).await;
    let mut alice = Native::login(server.addr, &identity).await;
    alice.open(room, OpenFrom::Last { count: 1_000 }).await;
    // What was not acknowledged is sent again under its old number, stored or not.
    for counter in acked + 1..=100 {
        let at = usize::try_from(counter - 1).expect("less than 100");
        alice.post_as(counter, Target::Room { room }, &texts[at]);
    }
    alice.acked(100).await;
    assert_eq!(alice.reads(room, 100).await, texts, "each once and in order");
    assert!(server.stop().await < DRAIN);
}

async fn entries(store: &MemoryStore, room: RoomId) -> Vec<Entry> {
    store.read(room, Range::Latest, 1_000, usize::MAX >> 1).await.expect("memory is read").entries
}

#[tokio::test]
async fn a_commit_that_is_nearly_done_is_awaited_and_acknowledged() {
    bounded(60, check(400, 0, true)).await;
}

#[tokio::test]
async fn a_commit_that_takes_too_long_is_left_and_its_posts_are_sent_again() {
    bounded(60, check(60_000, 0, false)).await;
}

#[tokio::test]
async fn a_commit_that_nobody_was_told_of_is_not_made_twice() {
    bounded(60, check(0, 60_000, false)).await;
}

/// How a connection ends that comes back at once.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Bye,
    Cut,
    Fenced,
}

/// A client without memory says something new under the next number that it is told, while the posts of its last
/// connection may still be on their way to the store.
async fn check_return(ending: Ending, before: u64, trials: u64) {
    let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
    let slow = Slow { store: store.clone(), before: Duration::from_millis(before), behind: Duration::ZERO };
    let server = Here::start(slow).await;
    for trial in 0..trials {
        let identity = Identity::new(&format!("alice{trial}"));
        let alice = Native::login(server.addr, &identity).await;
        let room = alice.lobby();
        for n in 0..20 {
            alice.say(room, &format!("{trial}: line {n}"));
        }
        let older = match ending {
            Ending::Bye => {
                alice.send(&ClientMsg::Bye {});
                Some(alice)
            }
            Ending::Cut => None,
            Ending::Fenced => Some(alice),
        };
        let again = Native::login(server.addr, &identity).await;
        let new = format!("{trial}: something new");
        let counter = again.say(room, &new).value();
        again.acked(counter).await;
        drop(older);
        let kept = entries(&store, room).await;
        let own = kept.iter().filter(|entry| entry.person == Some(again.person)).count() as u64;
        let is_new = |entry: &&Entry| entry.body == new.as_bytes();
        assert_eq!(
            kept.iter().filter(is_new).count(),
            1,
            "{ending:?}, trial {trial}: acknowledged and not stored"
        );
        assert_eq!(own, counter, "{ending:?}, trial {trial}: every number that was used is of a stored post");
    }
    server.kill();
}

#[tokio::test]
async fn what_is_new_after_a_goodbye_is_stored_if_it_is_acknowledged() {
    bounded(60, check_return(Ending::Bye, 0, 50)).await;
    bounded(60, check_return(Ending::Bye, 30, 10)).await;
}

#[tokio::test]
async fn what_is_new_after_a_cut_is_stored_if_it_is_acknowledged() {
    bounded(60, check_return(Ending::Cut, 0, 50)).await;
    bounded(60, check_return(Ending::Cut, 30, 10)).await;
}

#[tokio::test]
async fn what_is_new_after_a_fence_is_stored_if_it_is_acknowledged() {
    bounded(60, check_return(Ending::Fenced, 0, 50)).await;
    bounded(60, check_return(Ending::Fenced, 30, 10)).await;
}

#[tokio::test]
async fn nothing_comes_in_front_of_a_welcome_that_waits() {
    bounded(60, async {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        let slow = Slow { store, before: Duration::from_millis(200), behind: Duration::ZERO };
        let server = Here::start(slow).await;
        let identity = Identity::new("alice");
        let mut other = Native::login(server.addr, &identity.other_device()).await;
        let gone = Native::login(server.addr, &identity).await;
        for n in 0..5 {
            gone.say(gone.lobby(), &format!("line {n}"));
            sleep(Duration::from_millis(10)).await;
        }
        drop(gone);
        let joined = async {
            sleep(Duration::from_millis(30)).await;
            other.join("dev").await
        };
        let first = async {
            let mut again = TcpStream::connect(server.addr).await.expect("the server listens");
            again.write_all(&identity.hello().encode()).await.expect("it takes a login");
            let mut head = [0; HEADER];
            again.read_exact(&mut head).await.expect("it answers");
            head[4]
        };
        let (first, _) = tokio::join!(first, joined);
        assert_eq!(first, ty::WELCOME);
        server.kill();
    })
    .await;
}
