//! A server with one room and one device, in memory, which breaks as a test wants.

use super::super::{Connect, Connecting};
use bytes::{Bytes, BytesMut};
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::frame::{Deframer, Item};
use protocol::id::{Counter, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, Seq};
use protocol::message::{
    ClientMsg, Durability, Limits, OpenFrom, Reply, RoomInfo, RoomKind, RoomsChange, ServerMsg,
};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

/// Bytes in the pipe of each direction.
const PIPE: usize = 4_096;

#[derive(Debug, Default)]
struct State {
    log: Vec<Entry>,
    /// How far the client has said that it has read, each time.
    marks: Vec<u64>,
    last: u64,
    refuse: usize,
    nonsense: bool,
    dismiss: bool,
    /// Posts after which the coming connections break, in order.
    breaks: VecDeque<usize>,
}

/// The server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    /// Changes when the log grows.
    grown: watch::Sender<u64>,
    /// Connections with a smaller number break.
    cut: watch::Sender<u64>,
    /// Connections with a smaller number say nothing more.
    mute: watch::Sender<u64>,
    connections: watch::Sender<u64>,
}

/// Connects to it.
#[derive(Debug)]
pub(super) struct Pipes(Server);

impl Connect for Pipes {
    type Stream = DuplexStream;

    fn connect(&self) -> Connecting<DuplexStream> {
        let server = self.0.clone();
        Box::pin(async move { server.accept() })
    }
}

impl Server {
    pub(super) fn start() -> Self {
        let zero = || watch::channel(0).0;
        Self { state: Arc::default(), grown: zero(), cut: zero(), mute: zero(), connections: zero() }
    }

    pub(super) fn connect(&self) -> Pipes {
        Pipes(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.lock().log.iter().map(|entry| entry.text().into_owned()).collect()
    }

    /// What the lines say after all changes.
    pub(super) fn lines(&self) -> Vec<String> {
        let log = self.lock().log.clone();
        let mut lines: Vec<Option<String>> = Vec::new();
        for entry in log {
            let target = entry.reply_to.and_then(|seq| usize::try_from(seq.value() - 1).ok());
            let text = entry.text().into_owned();
            match (entry.kind, target) {
                (EntryKind::Edit, Some(at)) => lines[at] = lines[at].is_some().then_some(text),
                (EntryKind::Delete, Some(at)) => lines[at] = None,
                _ => {
                    lines.push(Some(text));
                    continue;
                }
            }
            lines.push(None);
        }
        lines.into_iter().flatten().collect()
    }

    pub(super) fn marks(&self) -> Vec<u64> {
        self.lock().marks.clone()
    }

    pub(super) fn append(&self, text: &str) {
        let mut state = self.lock();
        let entry = entry(state.log.len(), None, EntryKind::Text, None, text.as_bytes());
        state.log.push(entry);
        drop(state);
        self.grown.send_modify(|grown| *grown += 1);
    }

    pub(super) fn break_after(&self, posts: &[usize]) {
        self.lock().breaks = posts.iter().copied().collect();
    }

    pub(super) fn refuse(&self, attempts: usize) {
        self.lock().refuse = attempts;
    }

    pub(super) fn talk_nonsense(&self) {
        self.lock().nonsense = true;
    }

    /// Closes each connection right behind its welcome.
    pub(super) fn dismiss(&self, dismiss: bool) {
        self.lock().dismiss = dismiss;
    }

    pub(super) fn connections(&self) -> u64 {
        *self.connections.borrow()
    }

    pub(super) fn cut(&self) {
        self.cut.send_replace(*self.connections.borrow());
    }

    pub(super) fn fall_silent(&self) {
        self.mute.send_replace(*self.connections.borrow());
    }

    fn accept(&self) -> io::Result<DuplexStream> {
        let mut state = self.lock();
        if state.refuse > 0 {
            state.refuse -= 1;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(PIPE);
        self.connections.send_modify(|n| *n += 1);
        let breaks_after = state.breaks.pop_front().unwrap_or(usize::MAX);
        let connection = Connection {
            server: self.clone(),
            number: *self.connections.borrow(),
            stream: ours,
            cursor: None,
            breaks_after,
        };
        tokio::spawn(connection.run());
        Ok(theirs)
    }
}

struct Connection {
    server: Server,
    number: u64,
    stream: DuplexStream,
    /// Entries that were sent, once the room is open.
    cursor: Option<usize>,
    breaks_after: usize,
}

impl Connection {
    /// Runs until something breaks; the error says only that it did.
    async fn run(mut self) -> io::Result<()> {
        let mut deframer = Deframer::new(65_536);
        let mut buffer = vec![0; 4_096];
        let (mut grown, mut cut) = (self.server.grown.subscribe(), self.server.cut.subscribe());
        let number = self.number;
        let nonsense = self.server.lock().nonsense;
        if nonsense {
            self.stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await?;
        }
        loop {
            self.flow().await?;
            tokio::select! {
                // Cut first: what is appended after it must not come over the old connection.
                biased;
                () = async { drop(cut.wait_for(|cut| *cut >= number).await) } => return Ok(()),
                read = self.stream.read(&mut buffer) => {
                    let read = read?;
                    let mut input = &buffer[..read];
                    if read == 0 { return Ok(()) }
                    while let Ok(Some(Item::Frame(frame))) = deframer.next(&mut input) {
                        let message = ClientMsg::decode(frame.ty, frame.payload);
                        self.answer(message.expect("clients send good frames").expect("known ones")).await?;
                    }
                }
                _ = grown.changed() => {}
            }
        }
    }

    async fn say(&mut self, message: &ServerMsg) -> io::Result<()> {
        if *self.server.mute.borrow() >= self.number {
            return Ok(());
        }
        let mut out = BytesMut::new();
        message.encode_into(&mut out);
        self.stream.write_all(&out).await
    }

    /// Sends the entries behind the cursor.
    async fn flow(&mut self) -> io::Result<()> {
        while let Some(at) = self.cursor {
            let entries: Vec<_> = self.server.lock().log.iter().skip(at).take(50).cloned().collect();
            if entries.is_empty() {
                break;
            }
            self.cursor = Some(at + entries.len());
            self.say(&ServerMsg::Entries { room: RoomId::FIRST, entries }).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, message: ClientMsg) -> io::Result<()> {
        match message {
            ClientMsg::Hello { .. } => self.log_in().await,
            ClientMsg::Open { req, from, .. } => self.open(req, &from).await,
            ClientMsg::Post { counter, kind, reply_to, body, .. } => {
                self.take(counter, kind, reply_to, &body).await
            }
            ClientMsg::Mark { req, seq, .. } => {
                self.server.lock().marks.push(seq.value());
                self.say(&ServerMsg::Answer { req, more: false, reply: Reply::Done }).await
            }
            ClientMsg::Ping { nonce } => self.say(&ServerMsg::Pong { nonce, time: Millis(0) }).await,
            ClientMsg::Bye {} => Err(io::ErrorKind::ConnectionReset.into()),
            other => panic!("this server does not know {other:?}"),
        }
    }

    async fn log_in(&mut self) -> io::Result<()> {
        let last_counter = Counter::new(self.server.lock().last);
        self.say(&welcome(last_counter)).await?;
        if self.server.lock().dismiss {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let newest = Seq::new(self.server.lock().log.len() as u64);
        let rooms = vec![lobby(newest)];
        self.say(&ServerMsg::Rooms { req: Req(0), change: RoomsChange::All, more: false, rooms }).await
    }

    async fn open(&mut self, req: Req, from: &OpenFrom) -> io::Result<()> {
        let len = self.server.lock().log.len();
        let at = match from {
            OpenFrom::Now => len,
            OpenFrom::Last { count } => len.saturating_sub(usize::from(*count)),
            OpenFrom::After { seq, .. } => seq.map_or(0, |seq| usize::try_from(seq.value()).expect("small")),
        };
        self.cursor = Some(at);
        let next = Seq::new(at as u64 + 1).expect("at least 1");
        let newest = Seq::new(len as u64);
        let (room, topic, oldest) = (RoomId::FIRST, String::new(), Seq::FIRST);
        self.say(&ServerMsg::Opened { req, room, topic, oldest, newest, next }).await
    }

    /// Keeps a post that is next; breaks when it is time, before this is acknowledged or before it is kept.
    async fn take(
        &mut self,
        counter: Counter,
        kind: EntryKind,
        reply_to: Option<Seq>,
        body: &Bytes,
    ) -> io::Result<()> {
        let broken = || Err(io::ErrorKind::ConnectionReset.into());
        if self.breaks_after == 0 && counter.value().is_multiple_of(2) {
            return broken();
        }
        let expected = self.server.lock().last + 1;
        assert!(counter.value() <= expected, "{counter} comes before {expected}");
        if counter.value() == expected {
            let mut state = self.server.lock();
            state.last = expected;
            let entry = entry(state.log.len(), Some(counter), kind, reply_to, body);
            state.log.push(entry);
        }
        if self.breaks_after == 0 {
            return broken();
        }
        self.breaks_after -= 1;
        self.say(&ServerMsg::Ack { counter, room: None, seq: None }).await
    }
}

fn entry(at: usize, counter: Option<Counter>, kind: EntryKind, reply_to: Option<Seq>, body: &[u8]) -> Entry {
    Entry {
        seq: Seq::new(at as u64 + 1).expect("at least 1"),
        time: Millis(1_783_000_000_000),
        written: Millis(0),
        person: Some(PersonId::FIRST),
        name: "alice".into(),
        device: Some(DeviceNo::FIRST),
        counter,
        kind,
        revision: Revision::Original,
        reply_to,
        body: Bytes::copy_from_slice(body),
    }
}

fn lobby(newest: Option<Seq>) -> RoomInfo {
    RoomInfo {
        room: RoomId::FIRST,
        kind: RoomKind::Public,
        name: "lobby".into(),
        topic: String::new(),
        oldest: Seq::FIRST,
        newest,
        read: None,
        unread: 0,
        mentions: 0,
    }
}

fn welcome(last_counter: Option<Counter>) -> ServerMsg {
    ServerMsg::Welcome {
        version: 1,
        features: 0,
        limits: Limits {
            frame: 65_536,
            body: 16_384,
            chunk: 0,
            window_posts: 8,
            window_bytes: 262_144,
            ping_after_ms: 5_000,
            dead_after_ms: 15_000,
            file: 0,
        },
        person: PersonId::FIRST,
        name: "alice".into(),
        device: DeviceNo::FIRST,
        last_counter,
        epoch: Epoch([1; 16]),
        durability: Durability::Memory,
        time: Millis(0),
        storage: String::new(),
        motd: String::new(),
        server: None,
    }
}
