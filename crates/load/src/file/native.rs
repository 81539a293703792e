//! A file by natter's own way: uploaded and stored once, named by an entry, fetched by everybody who reads it.

use super::Gauge;
use super::line::Line;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::identity::spread;
use crate::process::Process;
use crate::report::Figures;
use bytes::Bytes;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Counter, Millis, Req, RoomId, TransferId};
use protocol::limits::MAX_CHUNK;
use protocol::message::{Blob, ClientMsg, FileBody, Purpose, ServerMsg, Shape, Source, Target};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// Bytes of a download that may be under way.
const CREDIT: u32 = 1 << 20;

const TRANSFER: Req = Req(7);

/// Where and as whom a run goes.
#[derive(Clone, Copy)]
struct Run {
    server: SocketAddr,
    number: u64,
    patience: Duration,
}

impl Run {
    fn line(&self, member: usize, purpose: Purpose) -> Result<Line, Fault> {
        Line::log_in(self.server, member, self.number, purpose, self.patience)
    }
}

/// Sends a file of so many bytes to so many receivers, all of which fetch it at once and hold each byte against
/// what was sent.
///
/// # Errors
/// [`Fault`] if the server refuses something, or somebody gets something else.
pub fn carry(
    server: SocketAddr,
    receivers: usize,
    bytes: u64,
    clock: Clock,
    patience: Duration,
    process: Option<Process>,
) -> Result<Figures, Fault> {
    let run = Run { server, number: std::process::id().into(), patience };
    let content = content(bytes);
    let mut sender = run.line(receivers, Purpose::Chat)?;
    let room = sender.enter("load-file")?;
    let mut crowd = Vec::with_capacity(receivers);
    for member in 0..receivers {
        let mut chat = run.line(member, Purpose::Chat)?;
        chat.enter("load-file")?;
        crowd.push((member, chat));
    }
    let gauge = Gauge::start(clock, process)?;
    thread::scope(|scope| {
        let content = &content[..];
        let fetching: Vec<_> = crowd
            .into_iter()
            .map(|(member, chat)| scope.spawn(move || receive(run, member, chat, content)))
            .collect();
        let sent = send(run, receivers, &mut sender, room, content);
        // Those who wait for a file that never comes give up by themselves.
        let received = fetching.into_iter().map(|thread| thread.join().unwrap_or(Err(Fault::Closed(0))));
        received.fold(sent, Result::and)
    })?;
    gauge.stop(bytes, receivers)
}

fn send(run: Run, member: usize, chat: &mut Line, room: RoomId, content: &[u8]) -> Result<(), Fault> {
    let mut bulk = run.line(member, Purpose::Bulk)?;
    let (size, name) = (content.len() as u64, "load.bin".to_owned());
    bulk.say(&ClientMsg::Put {
        req: TRANSFER,
        transfer: TransferId(spread(member as u64, run.number)),
        target: Target::Room { room },
        size,
        first: hash_of(&content[..content.len().min(1 << 20)]),
        name: name.clone(),
    })?;
    let mut credit = bulk.hear_until(|msg| match msg {
        ServerMsg::PutAt { req: TRANSFER, offset: 0, credit, .. } => Some(u64::from(credit)),
        _ => None,
    })?;
    let mut offset = 0;
    for piece in content.chunks(MAX_CHUNK as usize) {
        while credit < piece.len() as u64 {
            credit += bulk.hear_until(|msg| match msg {
                ServerMsg::Credit { req: TRANSFER, bytes } => Some(u64::from(bytes)),
                _ => None,
            })?;
        }
        let data = Blob(Bytes::copy_from_slice(piece));
        bulk.say(&ClientMsg::Chunk { req: TRANSFER, offset, data })?;
        offset += piece.len() as u64;
        credit -= piece.len() as u64;
    }
    let hash = hash_of(content);
    bulk.say(&ClientMsg::Done { req: TRANSFER, hash })?;
    bulk.hear_until(|msg| matches!(msg, ServerMsg::End { req: TRANSFER, .. }).then_some(()))?;
    chat.say(&ClientMsg::Post {
        counter: Counter::FIRST,
        target: Target::Room { room },
        kind: EntryKind::File,
        reply_to: None,
        written: Millis(0),
        body: FileBody { hash, size, name, shape: Shape::File }.encode(),
    })?;
    chat.hear_until(|msg| matches!(msg, ServerMsg::Ack { .. }).then_some(()))
}

fn receive(run: Run, member: usize, mut chat: Line, content: &[u8]) -> Result<(), Fault> {
    let file = chat.hear_until(|msg| match msg {
        ServerMsg::Entries { entries, .. } => {
            let entry = entries.into_iter().find(|entry| entry.kind == EntryKind::File)?;
            FileBody::decode(&entry.body).ok()
        }
        _ => None,
    })?;
    let mut bulk = run.line(member, Purpose::Bulk)?;
    bulk.say(&ClientMsg::Get {
        req: TRANSFER,
        source: Source::Content { hash: file.hash },
        offset: 0,
        credit: CREDIT,
    })?;
    let (mut at, mut owed) = (0, 0);
    loop {
        let data = bulk.hear_until(|msg| match msg {
            ServerMsg::Data { req: TRANSFER, offset, data } => Some(Some((offset, data.0))),
            ServerMsg::End { req: TRANSFER, .. } => Some(None),
            _ => None,
        })?;
        let Some((offset, data)) = data else { break };
        let due = content.get(at..at + data.len());
        if offset != at as u64 || due != Some(&data[..]) {
            let expected = format!("byte {at} of the file");
            return Err(Fault::WrongText { receiver: member, expected, got: format!("byte {offset}") });
        }
        at += data.len();
        owed += u32::try_from(data.len()).unwrap_or(u32::MAX);
        if owed >= CREDIT / 2 {
            bulk.say(&ClientMsg::Grant { req: TRANSFER, bytes: owed })?;
            owed = 0;
        }
    }
    if at == content.len() {
        return Ok(());
    }
    let (expected, got) = (format!("{} bytes", content.len()), format!("{at} bytes"));
    Err(Fault::WrongText { receiver: member, expected, got })
}

/// Bytes that no part of the way can make shorter: a Weyl sequence through a multiplication.
fn content(bytes: u64) -> Vec<u8> {
    let words = (0..bytes.div_ceil(8)).map(|at| {
        let mixed = (at ^ (at >> 13)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes()
    });
    let mut content: Vec<u8> = words.flatten().collect();
    content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
    content
}

fn hash_of(content: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(content).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_has_its_size_and_no_two_pieces_alike() {
        let content = content(100_001);
        assert_eq!(content.len(), 100_001);
        assert_ne!(content[..1_000], content[1_000..2_000]);
    }
}
