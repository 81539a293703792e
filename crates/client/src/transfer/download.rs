//! Attempts to receive a file: each goes on where the one before it broke off.

use super::fault::Stop;
use super::link::Link;
use super::{Download, Failure, Hasher, Partial, Trouble};
use crate::session::event::Loss;
use protocol::id::Req;
use protocol::message::{ClientMsg, ServerMsg, Source};
use tokio::io::{AsyncRead, AsyncWrite};

/// The one transfer of a connection at a time.
const REQ: Req = Req(1);

/// Bytes that may be under way: enough for any link, little enough for the server's patience.
const WINDOW: u32 = 1024 * 1024;

/// A file as far as it has come.
#[derive(Debug)]
pub(super) struct Incoming {
    partial: Partial,
    hasher: Hasher,
    /// Bytes in both. Invariant: have <= the announced size.
    have: u64,
}

impl Incoming {
    /// A file of which nothing has come.
    pub(super) fn new(partial: Partial) -> Self {
        Self { partial, hasher: Hasher::default(), have: 0 }
    }

    /// Receives the rest.
    pub(super) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        file: &Download,
        moved: impl Fn(u64),
    ) -> Result<(), Stop> {
        let hash = file.origin.hash.ok_or(Failure::WrongContent)?;
        let source = Source::Content { hash };
        let get = ClientMsg::Get { req: REQ, source, offset: self.have, credit: WINDOW };
        link.send(&get).await?;
        let mut consumed = 0;
        loop {
            match link.receive_flowing().await? {
                ServerMsg::Data { offset, data, .. } => {
                    let len = data.0.len() as u64;
                    if offset != self.have || len > file.size - self.have {
                        return Err(Trouble::Lost(Loss::Garbled).into());
                    }
                    self.partial.write(&data.0)?;
                    self.hasher.update(&data.0);
                    self.have += len;
                    consumed += u32::try_from(len).unwrap_or(WINDOW);
                    if consumed >= WINDOW / 4 {
                        link.send(&ClientMsg::Grant { req: REQ, bytes: consumed }).await?;
                        consumed = 0;
                    }
                    moved(self.have);
                }
                ServerMsg::End { .. } if self.have == file.size => return Ok(()),
                ServerMsg::End { .. } => return Err(Failure::WrongContent.into()),
                _ => {}
            }
        }
    }

    /// Gives it its name, if it is what was announced; tells where it lies.
    pub(super) fn finish(self, file: &Download) -> Result<String, Failure> {
        if self.have != file.size || Some(self.hasher.hash()) != file.origin.hash {
            return Err(Failure::WrongContent);
        }
        self.partial.keep(&file.name)
    }
}
