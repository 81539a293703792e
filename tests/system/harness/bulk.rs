//! A connection for files that does what it is told, piece by piece.

use super::{Identity, Native, Raw};
use bytes::Bytes;
use protocol::blocks::{hash_of_first, value_of};
use protocol::entry::{Entry, EntryKind};
use protocol::id::{BlockValue, ContentHash, Millis, Req, RoomId, Seq, TransferId};
use protocol::limits::{BLOCK, MAX_CHUNK};
use protocol::message::{
    Blob, ClientMsg, FileBody, FileListing, OfferBody, Question, Range, Reply, ServerMsg, Shape, Source,
    Target,
};
use std::net::SocketAddr;

const REQ: Req = Req(7);

/// Bytes that no compression and no shift leaves alike.
pub fn content(len: u64, seed: u64) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(len).expect("it fits memory")];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes()).finalize_xof().fill(&mut content);
    content
}

pub fn hash_of(content: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(content).as_bytes())
}

/// A file that somebody sends.
#[derive(Clone)]
pub struct Sent {
    pub transfer: TransferId,
    pub target: Target,
    pub content: Bytes,
}

impl Sent {
    pub fn new(number: u8, target: Target, content: Vec<u8>) -> Self {
        Self { transfer: TransferId([number; 16]), target, content: content.into() }
    }

    pub fn size(&self) -> u64 {
        self.content.len() as u64
    }

    pub fn hash(&self) -> ContentHash {
        hash_of(&self.content)
    }

    pub fn put(&self) -> ClientMsg {
        ClientMsg::Put {
            req: REQ,
            transfer: self.transfer,
            target: self.target.clone(),
            size: self.size(),
            first: hash_of_first(&self.content[..self.content.len().min(1 << 20)]),
            name: "sent.bin".into(),
        }
    }

    /// The entry that offers it.
    pub fn offer(&self) -> Bytes {
        let (transfer, size) = (self.transfer, self.size());
        OfferBody { transfer, size, name: "sent.bin".into(), shape: Shape::File }.encode()
    }

    /// The entry that names it.
    pub fn body(&self) -> Bytes {
        FileBody { hash: self.hash(), size: self.size(), name: "sent.bin".into(), shape: Shape::File }
            .encode()
    }

    /// The value of a block.
    pub fn value(&self, index: u64) -> BlockValue {
        let from = usize::try_from(index * BLOCK).expect("small");
        value_of(index, &self.content[from..from + (1 << 20)])
    }
}

/// Posts an entry about a file, and waits until it is stored: its place.
pub async fn post(
    client: &mut Native,
    target: &Target,
    kind: EntryKind,
    reply_to: Option<Seq>,
    body: Bytes,
) -> Seq {
    let counter = client.post_with(|counter| ClientMsg::Post {
        counter,
        target: target.clone(),
        kind,
        reply_to,
        written: Millis(0),
        body: body.clone(),
    });
    client.acked(counter.value()).await;
    let newest = entries(client, target).await.pop().expect("the entry");
    assert_eq!(newest.kind, kind);
    newest.seq
}

/// The newest entries of a room.
pub async fn entries(client: &mut Native, target: &Target) -> Vec<Entry> {
    let Target::Room { room } = *target else { panic!("a room") };
    let page = client.ask(|req| ClientMsg::Fetch { req, room, range: Range::Latest, limit: 100 }).await;
    match page.expect("it may read") {
        ServerMsg::Page { found, .. } => found.into_iter().map(|found| found.entry).collect(),
        other => panic!("{other:?} instead of a page"),
    }
}

/// The files of a room.
pub async fn files(client: &mut Native, room: RoomId) -> Vec<FileListing> {
    let question = Question::Files { room, before: None };
    match client.reply(|req| ClientMsg::Ask { req, question }).await {
        Reply::Files { files } => files,
        other => panic!("{other:?} instead of files"),
    }
}

/// What a download gave.
#[derive(Debug, Default)]
pub struct Got {
    pub content: Vec<u8>,
    pub hash: Option<ContentHash>,
    /// The code that ended it.
    pub refused: Option<u16>,
}

/// A connection for files.
pub struct Bulk {
    raw: Raw,
    credit: u64,
}

impl Bulk {
    pub async fn login(addr: SocketAddr, identity: &Identity) -> Self {
        let mut raw = Raw::connect_bulk(addr).await;
        raw.say(&identity.hello_bulk()).await;
        raw.find(|msg| matches!(msg, ServerMsg::Welcome { .. }).then_some(())).await.expect("a welcome");
        Self { raw, credit: 0 }
    }

    pub async fn say(&mut self, msg: &ClientMsg) {
        self.raw.say(msg).await;
    }

    /// The next message but signs of life; `None` when the server has closed.
    pub async fn hear(&mut self) -> Option<ServerMsg> {
        self.raw
            .find(|msg| {
                (!matches!(msg, ServerMsg::Credit { bytes: 0, .. } | ServerMsg::Pong { .. })).then_some(msg)
            })
            .await
    }

    /// Waits until the server has taken everything that was sent.
    pub async fn settle(&mut self) {
        self.say(&ClientMsg::Ping { nonce: 77 }).await;
        let pong = |msg| matches!(msg, ServerMsg::Pong { nonce: 77, .. }).then_some(());
        self.raw.find(pong).await.expect("an answer");
    }

    /// The code of the next error.
    pub async fn refusal(&mut self) -> u16 {
        let code = |msg| match msg {
            ServerMsg::Error { code, .. } => Some(code),
            _ => None,
        };
        self.raw.find(code).await.expect("an error")
    }

    /// Begins or goes on; tells where, and whether the content may be known.
    ///
    /// # Errors
    /// The code of the refusal and its number.
    pub async fn put(&mut self, sent: &Sent) -> Result<(u64, bool), (u16, u64)> {
        self.say(&sent.put()).await;
        self.admitted().await
    }

    pub async fn admitted(&mut self) -> Result<(u64, bool), (u16, u64)> {
        loop {
            match self.hear().await.expect("an answer") {
                ServerMsg::PutAt { offset, credit, likely, .. } => {
                    self.credit = u64::from(credit);
                    return Ok((offset, likely));
                }
                ServerMsg::Error { code, detail, .. } => return Err((code, detail)),
                _ => {}
            }
        }
    }

    /// Sends the bytes from one place to another, with the values of the blocks that end there.
    pub async fn send(&mut self, sent: &Sent, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            self.credited(1).await;
            let border = (at / BLOCK + 1) * BLOCK;
            let end = border.min(to).min(at + self.credit.min(u64::from(MAX_CHUNK)));
            self.chunk(sent, at, end).await;
            at = end;
            if at == border && at < sent.size() {
                self.check(at / BLOCK - 1, sent.value(at / BLOCK - 1)).await;
            }
        }
    }

    /// Waits for credit for so many bytes.
    async fn credited(&mut self, bytes: u64) {
        while self.credit < bytes {
            match self.hear().await {
                Some(ServerMsg::Credit { bytes, .. }) => self.credit += u64::from(bytes),
                other => panic!("{other:?} instead of credit"),
            }
        }
    }

    /// Sends one piece when there is credit for it.
    pub async fn chunk(&mut self, sent: &Sent, from: u64, to: u64) {
        self.credited(to - from).await;
        self.credit -= to - from;
        let range = usize::try_from(from).expect("small")..usize::try_from(to).expect("small");
        let data = Blob(sent.content.slice(range));
        self.say(&ClientMsg::Chunk { req: REQ, offset: from, data }).await;
    }

    pub async fn check(&mut self, index: u64, value: BlockValue) {
        self.say(&ClientMsg::Check { req: REQ, index, value }).await;
    }

    pub async fn done(&mut self, hash: ContentHash) {
        self.say(&ClientMsg::Done { req: REQ, hash }).await;
    }

    /// Says that it is complete.
    ///
    /// # Errors
    /// The code of the refusal.
    pub async fn finish(&mut self, sent: &Sent) -> Result<(), u16> {
        self.done(sent.hash()).await;
        loop {
            match self.hear().await.expect("an answer") {
                ServerMsg::End { hash, size, .. } => {
                    assert_eq!((hash, size), (sent.hash(), sent.size()));
                    return Ok(());
                }
                ServerMsg::Error { code, .. } => return Err(code),
                _ => {}
            }
        }
    }

    /// Sends all of a file, or what is missing of it.
    pub async fn upload(&mut self, sent: &Sent) {
        let (at, _) = self.put(sent).await.expect("it may begin");
        self.send(sent, at, sent.size()).await;
        self.finish(sent).await.expect("it is stored");
    }

    pub async fn give_up(&mut self) {
        self.say(&ClientMsg::Drop { req: REQ }).await;
    }

    pub async fn get(&mut self, source: Source, offset: u64, credit: u32) {
        self.say(&ClientMsg::Get { req: REQ, source, offset, credit }).await;
    }

    /// Reads on up to so many bytes or the end, holding each block against its value.
    pub async fn read(&mut self, got: &mut Got, begin: u64, most: u64) {
        while begin + (got.content.len() as u64) < most {
            match self.hear().await.expect("more") {
                ServerMsg::Data { offset, data, .. } => {
                    let at = begin + got.content.len() as u64;
                    assert_eq!(offset, at, "pieces come in order");
                    assert!(
                        at / BLOCK == (at + data.0.len() as u64 - 1) / BLOCK,
                        "a piece lies in one block"
                    );
                    got.content.extend_from_slice(&data.0);
                    let bytes = u32::try_from(data.0.len()).expect("small");
                    self.say(&ClientMsg::Grant { req: REQ, bytes }).await;
                }
                ServerMsg::Check { index, value, .. } => {
                    let at = got.content.len() as u64;
                    assert_eq!(begin + at, (index + 1) * BLOCK, "right after its block");
                    let from = usize::try_from(at - BLOCK).expect("small");
                    assert_eq!(value, value_of(index, &got.content[from..]), "block {index}");
                }
                ServerMsg::End { hash, size, .. } => {
                    assert_eq!(size, begin + got.content.len() as u64);
                    got.hash = Some(hash);
                    return;
                }
                ServerMsg::Error { code, .. } => {
                    got.refused = Some(code);
                    return;
                }
                _ => {}
            }
        }
    }

    /// Gets a whole file.
    pub async fn download(&mut self, source: Source, offset: u64) -> Got {
        self.get(source, offset, 1 << 20).await;
        let mut got = Got::default();
        self.read(&mut got, offset, u64::MAX).await;
        got
    }
}
