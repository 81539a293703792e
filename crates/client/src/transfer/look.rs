//! What is in a folder that is offered: the list with which its content begins, and nothing more of it.

use super::fault::Stop;
use super::link::{Heard, Link};
use super::{Failure, Origin, Trouble};
use crate::session::event::Loss;
use protocol::bundle::{HEAD, Index};
use protocol::id::Req;
use protocol::message::{ClientMsg, ServerMsg, Source};
use tokio::io::{AsyncRead, AsyncWrite};

/// The one request of a connection at a time.
const REQ: Req = Req(1);

/// Bytes that are asked for at first: most lists are shorter.
const FIRST: u32 = 64 * 1024;

/// Reads the list of a folder of so many bytes.
pub(super) async fn look<S: AsyncRead + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    origin: Origin,
    size: u64,
) -> Result<Index, Stop> {
    let source = match origin {
        Origin { hash: Some(hash), .. } => Source::Content { hash },
        Origin { transfer: Some(transfer), .. } => Source::Transfer { transfer },
        Origin { .. } => return Err(Failure::WrongContent.into()),
    };
    link.send(&ClientMsg::Get { req: REQ, source, offset: 0, credit: FIRST }).await?;
    let mut granted = u64::from(FIRST);
    let mut front = Vec::new();
    loop {
        match link.hear().await? {
            Heard::Data { offset, at } if offset == front.len() as u64 => {
                front.extend_from_slice(link.bytes(at));
            }
            Heard::Data { .. } => return Err(Trouble::Lost(Loss::Garbled).into()),
            Heard::Said(ServerMsg::End { .. }) => {
                return read(&front, size)?.ok_or(Failure::WrongContent.into());
            }
            Heard::Said(ServerMsg::Credit { .. }) => link.send(&ClientMsg::Ping { nonce: 0 }).await?,
            Heard::Said(_) => {}
        }
        if let Some(index) = read(&front, size)? {
            return Ok(index);
        }
        let whole = whole(&front)?.unwrap_or(granted);
        if whole > granted {
            let more = u32::try_from(whole - granted).unwrap_or(u32::MAX);
            link.send(&ClientMsg::Grant { req: REQ, bytes: more }).await?;
            granted = whole;
        }
    }
}

/// Bytes of the head and the list, once the head is there.
fn whole(front: &[u8]) -> Result<Option<u64>, Failure> {
    let Some(head) = front.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let length = Index::length(*head).map_err(|error| Failure::BadFolder(error.to_string()))?;
    Ok(Some((HEAD + length) as u64))
}

/// The list, once it is all there.
fn read(front: &[u8], size: u64) -> Result<Option<Index>, Failure> {
    let Some(list) = whole(front)?.and_then(|whole| front.get(HEAD..usize::try_from(whole).ok()?)) else {
        return Ok(None);
    };
    let index = Index::decode(list).map_err(|error| Failure::BadFolder(error.to_string()))?;
    if index.size() == size { Ok(Some(index)) } else { Err(Failure::WrongContent) }
}
