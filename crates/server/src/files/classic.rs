//! Files of classic clients: one frame of any size, streamed to the disk and from it, never kept in memory.

use super::{Begun, Contents, FileSystem, Header, Upload, UploadError};
use crate::conn::ConnId;
use crate::inbound::Event;
use crate::inbox::Inbox;
use crate::turns::Turns;
use bytes::{BufMut, Bytes, BytesMut};
use protocol::classic::{SEPARATOR, ty};
use protocol::id::ContentHash;
use protocol::limits::{BLOCK, PROGRESS_BYTES};
use protocol::message::{FileBody, Shape};
use protocol::text::sanitize_line;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};

/// The space that whoever sends a file may still take, which the hub counts.
#[derive(Debug)]
pub struct SenderSpace<'a> {
    /// The way to the hub.
    pub events: &'a mpsc::Sender<Event>,
    /// Who sends it.
    pub conn: ConnId,
    /// The turns that they wait for, and from where they come, if they are new.
    pub turns: Option<(&'a Turns, IpAddr)>,
}

impl SenderSpace<'_> {
    async fn wait_to_make_file(&self) {
        if let Some((turns, address)) = self.turns {
            turns.wait_for_file(address).await;
        }
    }

    /// Reserves so many bytes more, or tells how many are left. A sender who is too fast waits here, unread.
    async fn reserve(&self, bytes: u64) -> Result<(), u64> {
        let (answer, answered) = oneshot::channel();
        let event = Event::ClassicSpace { conn: self.conn, bytes, answer };
        self.events.send(event).await.map_err(|_| 0_u64)?;
        let hold = answered.await.unwrap_or(Err(0))?;
        if hold > 0 {
            Box::pin(tokio::time::sleep(Duration::from_millis(hold))).await;
        }
        Ok(())
    }
}

/// An upload whose sender checks nothing and can't go on with it: unless it is finished, nothing of it is kept.
struct ClassicUpload<F: FileSystem> {
    contents: Contents<F>,
    name: String,
    upload: Box<Upload<F>>,
    /// Hashes the first block, which nobody announced.
    first: blake3::Hasher,
}

impl<F: FileSystem> ClassicUpload<F> {
    async fn begin(contents: &Contents<F>, size: u64) -> Result<Self, UploadError> {
        let name = contents.fresh_name();
        let header = Header::nobodys(size, ContentHash([0; 32]));
        match contents.begin_named(name.clone(), header).await? {
            Begun::Going(upload) => {
                Ok(Self { contents: contents.clone(), name, upload, first: blake3::Hasher::new() })
            }
            Begun::Whole(_) => Err(UploadError::Elsewhere),
        }
    }

    async fn append(&mut self, piece: &[u8], space: &SenderSpace<'_>) -> Result<(), UploadError> {
        if let Some((least, most)) = self.upload.missing(self.upload.len() + piece.len() as u64)
            && self.reserve(most, space).await.is_err()
        {
            self.reserve(least, space).await.map_err(|left| UploadError::Full { left })?;
        }
        let room = usize::try_from(BLOCK.saturating_sub(self.first.count())).unwrap_or(usize::MAX);
        self.first.update(&piece[..room.min(piece.len())]);
        self.upload.append(Bytes::copy_from_slice(piece)).await
    }

    /// Reserves space on the disk, and on the account of the sender.
    async fn reserve(&self, bytes: u64, space: &SenderSpace<'_>) -> Result<(), u64> {
        self.upload.reserve(bytes)?;
        space.reserve(bytes).await.inspect_err(|_| self.upload.give_back(bytes))
    }

    async fn finish(mut self) -> Result<(ContentHash, u64), UploadError> {
        let first = ContentHash(*self.first.finalize().as_bytes());
        let size = self.upload.len();
        Ok((self.upload.finish_unchecked(first).await?, size))
    }
}

impl<F: FileSystem> Drop for ClassicUpload<F> {
    fn drop(&mut self) {
        // Of one that is finished nothing is left under this name.
        self.contents.give_up_named(&self.name);
    }
}

/// Bytes that a file's name may have on the wire.
const MAX_NAME: usize = 1_024;

/// A FILE frame that is arriving: first its name, then its content.
enum Receiving<F: FileSystem> {
    /// The name is not all there.
    Name(Vec<u8>),
    /// The content goes to the disk.
    Content {
        /// The name.
        name: String,
        /// Where it goes.
        upload: Box<ClassicUpload<F>>,
    },
    /// The rest is of no use; the line says why.
    Refused(String),
}

impl<F: FileSystem> Receiving<F> {
    /// A frame whose payload has `len` bytes.
    fn new(len: u32, cap: u64) -> Self {
        if u64::from(len) > cap {
            return Self::Refused(format!("File too large (limit {} MiB).", cap >> 20));
        }
        Self::Name(Vec::new())
    }

    /// Takes the next piece of the payload, of which `rest` bytes follow.
    async fn take(
        self,
        mut piece: &[u8],
        rest: u32,
        contents: &Contents<F>,
        space: &SenderSpace<'_>,
    ) -> Self {
        match self {
            Self::Refused(_) => self,
            Self::Content { name, upload } => write(name, upload, piece, space).await,
            Self::Name(mut known) => {
                let separator = SEPARATOR.as_bytes();
                while let Some((byte, after)) = piece.split_first() {
                    known.push(*byte);
                    piece = after;
                    if known.ends_with(separator) {
                        let limit = u64::from(rest) + piece.len() as u64;
                        let name = &known[..known.len() - separator.len()];
                        return begin(name, piece, (limit, contents), space).await;
                    }
                    if known.len() > MAX_NAME + separator.len() {
                        return Self::Refused("File not sent: it has no name.".to_owned());
                    }
                }
                Self::Name(known)
            }
        }
    }
}

async fn begin<F: FileSystem>(
    name: &[u8],
    piece: &[u8],
    (limit, contents): (u64, &Contents<F>),
    space: &SenderSpace<'_>,
) -> Receiving<F> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Receiving::Refused("File not sent: its name is not UTF-8.".to_owned());
    };
    if name.trim().is_empty() {
        return Receiving::Refused("File not sent: it has no name.".to_owned());
    }
    space.wait_to_make_file().await;
    match ClassicUpload::begin(contents, limit).await {
        Ok(upload) => write(name.to_owned(), Box::new(upload), piece, space).await,
        Err(error) => Receiving::Refused(sentence(&error)),
    }
}

async fn write<F: FileSystem>(
    name: String,
    mut upload: Box<ClassicUpload<F>>,
    piece: &[u8],
    space: &SenderSpace<'_>,
) -> Receiving<F> {
    match upload.append(piece, space).await {
        Ok(()) => Receiving::Content { name, upload },
        Err(error) => Receiving::Refused(sentence(&error)),
    }
}

fn sentence(error: &UploadError) -> String {
    if let UploadError::Io(source) = error {
        tracing::error!(error = %source, "a file could not be stored");
    }
    format!("File not sent: {error}.")
}

/// Receives the payload of one FILE frame, which has `len` bytes. Space for it is taken from the account of its
/// sender; `heard` is called for each [`PROGRESS_BYTES`] that came, and at first.
///
/// # Errors
/// The sentence that answers a file that can't be taken; `None` if the stream ended in its middle.
pub async fn receive_classic<F: FileSystem>(
    len: u32,
    cap: u64,
    contents: &Contents<F>,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    space: &SenderSpace<'_>,
    heard: impl Fn(),
) -> Result<FileBody, Option<String>> {
    let mut receiving = Receiving::new(len, cap);
    let (mut rest, mut unheard) = (len, PROGRESS_BYTES);
    while rest > 0 {
        // A byte now and then is no progress.
        if unheard >= PROGRESS_BYTES {
            unheard = 0;
            heard();
        }
        let Some((piece, after)) = inbox.next_piece().await else {
            return Err(None);
        };
        unheard += piece.len();
        receiving = receiving.take(&piece, after, contents, space).await;
        rest = after;
    }
    match receiving {
        Receiving::Content { name, upload } => match upload.finish().await {
            Ok((hash, size)) => {
                Ok(FileBody { hash, size, name: sanitize_line(&name).into_owned(), shape: Shape::File })
            }
            Err(error) => Err(Some(sentence(&error))),
        },
        Receiving::Name(_) => Err(Some("File not sent: it has no name.".to_owned())),
        Receiving::Refused(why) => Err(Some(why)),
    }
}

/// What stands in front of the content in a FILE frame for a classic client.
pub fn classic_head(from: &str, name: &str, size: u64) -> Option<Bytes> {
    // A `::` in the name would cut it short for a reader that splits at the first one.
    let name = sanitize_line(name).replace(SEPARATOR, "-");
    let names = format!("{from}{SEPARATOR}{name}{SEPARATOR}");
    let len = u32::try_from(1 + names.len() as u64 + size).ok()?;
    let mut head = BytesMut::with_capacity(5 + names.len());
    head.put_u32(len);
    head.put_u8(ty::FILE);
    head.extend_from_slice(names.as_bytes());
    Some(head.freeze())
}

/// A content on its way to a classic client, as the outlet asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicFile {
    /// Who sent it.
    pub from: String,
    /// Its name.
    pub name: String,
    /// Its content.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
}
