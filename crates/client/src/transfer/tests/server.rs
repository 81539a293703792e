//! A server's side of bulk connections, in memory, with faults on demand. It holds the client to its credit.

use crate::drive::{Connect, Connecting};
use bytes::Bytes;
use protocol::blocks::{BlockHasher, hash_of_first};
use protocol::code::Code;
use protocol::frame::{Deframer, Item};
use protocol::id::{BlockValue, ContentHash, DeviceNo, Epoch, Millis, PersonId, Req, TransferId};
use protocol::limits::{MAX_BULK_FRAME, MAX_CHUNK};
use protocol::message::{Blob, ClientMsg, Durability, Limits, Purpose, Reply, ServerMsg, Source};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// What goes wrong with one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Fault {
    #[default]
    None,
    /// It does not come up.
    Unreachable,
    /// The login is refused.
    Login(Code),
    /// What is asked for is refused.
    Request(Code),
    /// It breaks after so many bytes of a file.
    Break(usize),
    /// One byte of this block of a download is wrong.
    Damage(u64),
    /// One byte of this block of an upload arrives wrong.
    Spoil(u64),
    /// It breaks in the middle of the file's end: the server has it, and its sender does not hear of it.
    Deaf,
    /// Nothing is heard from it after the login.
    Freeze,
}

#[derive(Default)]
struct State {
    faults: VecDeque<Fault>,
    contents: BTreeMap<ContentHash, Vec<u8>>,
    /// Uploads that are not complete, whole blocks of them.
    partials: BTreeMap<TransferId, Vec<u8>>,
    /// Uploads that others receive: so many bytes of a content are there.
    growing: BTreeMap<TransferId, (ContentHash, usize)>,
    /// Transfers that were dropped.
    dropped: Vec<TransferId>,
    /// Bytes of files that came.
    taken: usize,
    /// Where each download began.
    offsets: Vec<u64>,
    connections: usize,
}

/// The server.
#[derive(Clone)]
pub(super) struct FakeServer {
    state: Arc<Mutex<State>>,
    pub(super) limits: Limits,
}

/// Bytes that an upload may be ahead.
const CREDIT: u32 = 300_000;

/// Bytes of a block.
pub(super) const BLOCK_LEN: usize = 1 << 20;

impl FakeServer {
    pub(super) fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let state = State { faults: faults.into_iter().collect(), ..State::default() };
        let limits = Limits {
            frame: MAX_BULK_FRAME,
            body: 1,
            chunk: MAX_CHUNK,
            window_posts: 1,
            window_bytes: 1,
            ping_after_ms: 1,
            dead_after_ms: 1,
            file: 100_000_000,
        };
        Self { state: Arc::new(Mutex::new(state)), limits }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// Puts a content there.
    pub(super) fn store(&self, content: &[u8]) -> ContentHash {
        let hash = ContentHash(*blake3::hash(content).as_bytes());
        self.state().contents.insert(hash, content.to_vec());
        hash
    }

    pub(super) fn content(&self, hash: ContentHash) -> Option<Vec<u8>> {
        self.state().contents.get(&hash).cloned()
    }

    pub(super) fn offsets(&self) -> Vec<u64> {
        self.state().offsets.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    /// Serves until the connection ends, or a fault ends it.
    async fn serve(self, stream: DuplexStream, fault: Fault) -> Option<()> {
        let mut peer = Peer { stream, deframer: Deframer::new(MAX_BULK_FRAME), input: Vec::new() };
        let ClientMsg::Hello { purpose: Purpose::Bulk, .. } = peer.next().await? else {
            panic!("a bulk connection begins with a Hello for files");
        };
        if let Fault::Login(code) = fault {
            return peer.refuse(code, true).await;
        }
        peer.send(&self.welcome()).await?;
        loop {
            match (peer.next().await?, fault) {
                (ClientMsg::Put { .. } | ClientMsg::Get { .. }, Fault::Request(code)) => {
                    peer.refuse(code, false).await?;
                }
                (_, Fault::Freeze) => tokio::time::sleep(Duration::from_secs(3_600)).await,
                (put @ ClientMsg::Put { .. }, fault) => self.take(&mut peer, put, fault).await?,
                (ClientMsg::Get { req, source, offset, credit }, fault) => {
                    self.state().offsets.push(offset);
                    self.give(&mut peer, (req, source), (offset, u64::from(credit)), fault).await?;
                }
                _ => {}
            }
        }
    }

    async fn take(&self, peer: &mut Peer, put: ClientMsg, fault: Fault) -> Option<()> {
        let ClientMsg::Put { req, transfer, size, first, .. } = put else { panic!("{put:?}") };
        let known = |content: &&Vec<u8>| {
            let probe = &content[..content.len().min(BLOCK_LEN)];
            content.len() as u64 == size && hash_of_first(probe) == first
        };
        let mut likely = self.state().contents.values().find(known).is_some();
        let mut content = self.state().partials.remove(&transfer).unwrap_or_default();
        let offset = content.len() as u64;
        peer.send(&ServerMsg::PutAt { req, offset, credit: CREDIT, likely }).await?;
        let mut granted = offset + u64::from(CREDIT);
        loop {
            let Some(said) = peer.next().await else {
                content.truncate(content.len().saturating_sub(1) / BLOCK_LEN * BLOCK_LEN);
                self.state().partials.insert(transfer, content);
                return None;
            };
            match said {
                ClientMsg::Chunk { offset, data, .. } => {
                    assert_eq!(offset, content.len() as u64, "pieces come in order");
                    content.extend_from_slice(&data.0);
                    self.state().taken += data.0.len();
                    assert!(content.len() as u64 <= granted.min(size), "more than the credit or the size");
                    if matches!(fault, Fault::Break(at) if content.len() >= at) {
                        content.truncate((content.len() - 1) / BLOCK_LEN * BLOCK_LEN);
                        self.state().partials.insert(transfer, content);
                        return None;
                    }
                    granted += data.0.len() as u64;
                    let bytes = u32::try_from(data.0.len()).expect("a chunk is small");
                    peer.send(&ServerMsg::Credit { req, bytes }).await?;
                }
                ClientMsg::Check { index, value, .. } => {
                    let begin = usize::try_from(index).expect("small") * BLOCK_LEN;
                    assert_eq!(content.len(), begin + BLOCK_LEN, "a check follows its block");
                    if fault == Fault::Spoil(index) || value_of(&content, index) != value {
                        content.truncate(begin);
                        self.state().partials.insert(transfer, content);
                        return peer.refuse(Code::WrongContent, false).await;
                    }
                }
                ClientMsg::Done { hash, .. } if std::mem::take(&mut likely) => {
                    if self.content(hash).is_some() {
                        return peer.send(&ServerMsg::End { req, size, hash }).await;
                    }
                    peer.send(&ServerMsg::PutAt { req, offset, credit: CREDIT, likely }).await?;
                }
                ClientMsg::Done { hash, .. } => {
                    assert_eq!(content.len() as u64, size);
                    assert_eq!(self.store(&content), hash, "the hash is that of what was sent");
                    if fault == Fault::Deaf {
                        self.state().partials.insert(transfer, content);
                        return None;
                    }
                    return peer.send(&ServerMsg::End { req, size, hash }).await;
                }
                ClientMsg::Drop { .. } => {
                    self.state().dropped.push(transfer);
                    return peer.send(&ServerMsg::Answer { req, more: false, reply: Reply::Done }).await;
                }
                ClientMsg::Ping { .. } => {}
                other => panic!("{other:?} in an upload"),
            }
        }
    }

    /// So many bytes of a content, which is there, are there by this transfer.
    pub(super) fn grow(&self, transfer: TransferId, hash: ContentHash, bytes: usize) {
        self.state().growing.insert(transfer, (hash, bytes));
    }

    pub(super) fn forget(&self, transfer: TransferId) {
        self.state().growing.remove(&transfer);
    }

    pub(super) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    pub(super) fn dropped(&self) -> Vec<TransferId> {
        self.state().dropped.clone()
    }

    pub(super) fn taken(&self) -> usize {
        self.state().taken
    }

    async fn give(
        &self,
        peer: &mut Peer,
        (req, source): (Req, Source),
        (offset, mut credit): (u64, u64),
        fault: Fault,
    ) -> Option<()> {
        let mut at = usize::try_from(offset).expect("small");
        loop {
            let found = match &source {
                Source::Content { hash } => Some((*hash, usize::MAX)),
                Source::Transfer { transfer } => self.state().growing.get(transfer).copied(),
            };
            let Some((hash, there)) = found else {
                return peer.refuse(Code::NoSuchTransfer, false).await;
            };
            let Some(content) = self.content(hash) else {
                return peer.refuse(Code::NoSuchFile, false).await;
            };
            if at == content.len() {
                return peer.send(&ServerMsg::End { req, size: content.len() as u64, hash }).await;
            }
            if at >= there {
                peer.send(&ServerMsg::Credit { req, bytes: 0 }).await?;
                tokio::time::sleep(Duration::from_secs(5)).await;
                continue;
            }
            while credit == 0 {
                if let ClientMsg::Grant { bytes, .. } = peer.next().await? {
                    credit += u64::from(bytes);
                }
            }
            let border = (at / BLOCK_LEN + 1) * BLOCK_LEN;
            let most = at + usize::try_from(credit.min(100_000)).expect("small");
            let end = content.len().min(most).min(border).min(there);
            let mut piece = content[at..end].to_vec();
            if fault == Fault::Damage((at / BLOCK_LEN) as u64) {
                piece[0] ^= 1;
            }
            if matches!(fault, Fault::Break(most) if at >= most) {
                return None;
            }
            let data = Blob(Bytes::from(piece));
            peer.send(&ServerMsg::Data { req, offset: at as u64, data }).await?;
            credit -= (end - at) as u64;
            at = end;
            if at == border && at < content.len() {
                let index = (at / BLOCK_LEN) as u64 - 1;
                let value = value_of(&content, index);
                peer.send(&ServerMsg::Check { req, index, value }).await?;
            }
        }
    }

    fn welcome(&self) -> ServerMsg {
        ServerMsg::Welcome {
            version: 1,
            features: 0,
            limits: self.limits.clone(),
            person: PersonId::FIRST,
            name: "alice".into(),
            device: DeviceNo::FIRST,
            last_counter: None,
            epoch: Epoch([1; 16]),
            durability: Durability::Memory,
            time: Millis(0),
            storage: String::new(),
            motd: String::new(),
            server: None,
        }
    }
}

/// The value of a block of a content, which more bytes follow.
fn value_of(content: &[u8], index: u64) -> BlockValue {
    let begin = usize::try_from(index).expect("small") * BLOCK_LEN;
    let mut hasher = BlockHasher::default();
    hasher.update(&content[..begin + BLOCK_LEN], |_, _| {});
    hasher.value().expect("a whole block")
}

impl Connect for FakeServer {
    type Stream = DuplexStream;

    fn connect(&self) -> Connecting<DuplexStream> {
        let fault = {
            let mut state = self.state();
            state.connections += 1;
            state.faults.pop_front().unwrap_or_default()
        };
        if fault == Fault::Unreachable {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        let (ours, theirs) = duplex(64 * 1024);
        tokio::spawn(self.clone().serve(theirs, fault));
        Box::pin(async { Ok(ours) })
    }
}

struct Peer {
    stream: DuplexStream,
    deframer: Deframer,
    input: Vec<u8>,
}

impl Peer {
    async fn next(&mut self) -> Option<ClientMsg> {
        loop {
            let mut rest = self.input.as_slice();
            let item = self.deframer.next(&mut rest).expect("whole frames");
            let message = item.map(|item| {
                let Item::Frame(frame) = item else { panic!("a frame over the limit") };
                ClientMsg::decode(frame.ty, frame.payload).expect("readable").expect("known")
            });
            let taken = self.input.len() - rest.len();
            self.input.drain(..taken);
            if message.is_some() {
                return message;
            }
            let mut buffer = vec![0; 32 * 1024];
            let read = self.stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
            self.input.extend_from_slice(&buffer[..read]);
        }
    }

    async fn send(&mut self, message: &ServerMsg) -> Option<()> {
        self.stream.write_all(&message.encode()).await.ok()
    }

    async fn refuse(&mut self, code: Code, close: bool) -> Option<()> {
        let (code, text) = (code.number(), code.text().to_owned());
        self.send(&ServerMsg::Error { code, about: 0, req: 1, close, detail: 7, text }).await
    }
}
