//! One attempt to send a file: hashed while it is sent, under the server's credit, in bounded memory.

use super::fault::Stop;
use super::link::Link;
use super::{Failure, Hasher, Source, Trouble};
use crate::session::event::Loss;
use bytes::Bytes;
use protocol::id::{Req, TransferId};
use protocol::limits::MAX_CHUNK;
use protocol::message::{Blob, ClientMsg, FileBody, Limits, ServerMsg, Shape, Target};
use tokio::io::{AsyncRead, AsyncWrite};

/// The one transfer of a connection at a time.
const REQ: Req = Req(1);

/// Bytes that are read, copied into a frame and sent at once.
const CHUNK: u32 = 128 * 1024;

/// Sends the file; it is on the server's disk then.
pub(super) async fn upload<S: AsyncRead + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    limits: &Limits,
    source: &mut Source,
    transfer: TransferId,
    target: Target,
    moved: impl Fn(u64),
) -> Result<FileBody, Stop> {
    let (size, name) = (source.size(), source.name().to_owned());
    match limits.file {
        0 => return Err(Failure::NoFiles.into()),
        limit if size > limit => return Err(Failure::TooLarge { size, limit }.into()),
        _ => {}
    }
    let first = source.hash_of_first()?;
    link.send(&ClientMsg::Put { req: REQ, transfer, target, size, first, name: name.clone() }).await?;
    let mut credit = begin(link).await?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK.min(limits.chunk).clamp(1, MAX_CHUNK) as usize];
    let mut offset = 0;
    while offset < size {
        while credit == 0 {
            if let ServerMsg::Credit { bytes, .. } = link.receive().await? {
                credit += u64::from(bytes);
            }
        }
        let most = (size - offset).min(credit).min(buffer.len() as u64);
        let most = usize::try_from(most).expect("at most the buffer's length, which is a usize");
        let read = match source.read(&mut buffer[..most]) {
            Ok(read) => read,
            Err(failure) => return give_up(link, failure).await,
        };
        hasher.update(&buffer[..read]);
        let data = Blob(Bytes::copy_from_slice(&buffer[..read]));
        link.send(&ClientMsg::Chunk { req: REQ, offset, data }).await?;
        offset += read as u64;
        credit -= read as u64;
        moved(offset);
    }
    if let Err(failure) = source.check_whole() {
        return give_up(link, failure).await;
    }
    let hash = hasher.hash();
    link.send(&ClientMsg::Done { req: REQ, hash }).await?;
    loop {
        // While it puts the file on its disk the server says now and then that it is alive.
        match link.receive().await? {
            ServerMsg::End { hash: stored, size: length, .. } if (stored, length) == (hash, size) => {
                return Ok(FileBody { hash, size, name, shape: Shape::File });
            }
            ServerMsg::End { .. } => return Err(Failure::WrongContent.into()),
            _ => {}
        }
    }
}

/// Where the server wants the file to begin, which is its beginning, and the first credit.
async fn begin<S: AsyncRead + AsyncWrite + Unpin>(link: &mut Link<S>) -> Result<u64, Trouble> {
    loop {
        match link.receive().await? {
            ServerMsg::PutAt { offset: 0, credit, .. } => return Ok(u64::from(credit)),
            ServerMsg::PutAt { .. } => return Err(Trouble::Lost(Loss::Garbled)),
            _ => {}
        }
    }
}

/// The file itself fails: the server need not wait for the rest.
async fn give_up<S: AsyncRead + AsyncWrite + Unpin, T>(
    link: &mut Link<S>,
    failure: Failure,
) -> Result<T, Stop> {
    // The connection ends anyway, which says the same.
    let _ = link.send(&ClientMsg::Drop { req: REQ }).await;
    Err(failure.into())
}
