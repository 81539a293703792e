//! A client that knows nothing but `WIRE.md`: numbers from its tables, and no code that the server shares.

mod blake3;
mod wire;

use super::harness::{Server, bounded};
use std::net::SocketAddr;
use wire::{Fields, Link, Reader};

const BLOCK: usize = 1_048_576;
const CHUNK: usize = 262_144;
const TEXT: u8 = 1;
const FILE: u8 = 8;

/// The content of the document's example.
fn content() -> Vec<u8> {
    (0..2 * BLOCK).map(|n| u8::try_from(n % 251).expect("less than 251")).collect()
}

fn hello(link: &mut Link, purpose: u8) -> Vec<u8> {
    let versions = Fields::new().u16(1).u16(1).u64(0);
    let who = versions.raw(&[0xd0; 16]).u8(1).raw(&[0x5e; 32]).u8(purpose);
    link.say(0x10, who.string(b"reader").string(b"from the document/1"));
    link.wait(0x40)
}

fn post(chat: &mut Link, counter: u64, room: u64, kind: u8, body: &[u8]) {
    let target = Fields::new().u64(counter).u8(0).u64(room);
    chat.say(0x15, target.u8(kind).u64(0).u64(0).string(body));
    let ack = chat.wait(0x43);
    assert_eq!(Reader(&ack).u64(), counter);
}

/// The kind and body of an entry, whose length is in front of it.
fn entry(fields: &mut Reader<'_>) -> (u64, u8, Vec<u8>) {
    let len = usize::from(fields.u16());
    let mut entry = Reader(fields.raw(len));
    let seq = entry.varint();
    let (_time, _written, _person) = (entry.varint(), entry.varint(), entry.varint());
    let name = usize::try_from(entry.varint()).expect("short");
    assert_eq!(entry.raw(name), b"reader");
    let (_device, counter) = (entry.varint(), entry.varint());
    let (kind, revision, reply_to) = (entry.u8(), entry.u8(), entry.varint());
    assert_eq!((seq, revision, reply_to), (counter, 0, 0), "the only writer of a new room");
    (seq, kind, entry.string())
}

/// Uploads two blocks, with the value of the one that the other follows.
fn upload(bulk: &mut Link, room: u64, content: &[u8]) {
    let begin = Fields::new().u32(1).raw(&[0xb0; 16]).u8(0).u64(room).u64(content.len() as u64);
    bulk.say(0x20, begin.raw(&blake3::hash(&content[..BLOCK])).string(b"two blocks.bin"));
    let at = bulk.wait(0x50);
    let mut at = Reader(&at);
    assert_eq!((at.u32(), at.u64()), (1, 0));
    let (mut credit, mut sent) = (at.u32() as usize, 0);
    assert_eq!(at.u8(), 0, "nobody has brought it before");
    while sent < content.len() {
        if credit == 0 {
            let more = bulk.wait(0x52);
            let mut more = Reader(&more);
            assert_eq!(more.u32(), 1);
            credit += more.u32() as usize;
            continue;
        }
        let len = CHUNK.min(credit).min(BLOCK - sent % BLOCK);
        let piece = &content[sent..sent + len];
        bulk.say(0x21, Fields::new().u32(1).u64(sent as u64).blob(piece));
        (sent, credit) = (sent + len, credit - len);
        if sent == BLOCK {
            let value = blake3::value(0, &content[..BLOCK]);
            bulk.say(0x27, Fields::new().u32(1).u64(0).raw(&value));
        }
    }
    bulk.say(0x22, Fields::new().u32(1).raw(&blake3::hash(content)));
    let end = bulk.wait(0x53);
    assert_eq!(end, Fields::new().u32(1).u64(sent as u64).raw(&blake3::hash(content)).into_bytes());
}

fn download(bulk: &mut Link, hash: &[u8; 32]) -> Vec<u8> {
    bulk.say(0x24, Fields::new().u32(2).u8(0).raw(hash).u64(0).u32(0x0004_0000));
    let (mut content, mut checked) = (Vec::new(), 0);
    loop {
        let (ty, payload) = bulk.hear();
        let mut fields = Reader(&payload);
        // A credit of the upload that was still on its way.
        if ty == 0x52 {
            continue;
        }
        assert_eq!(fields.u32(), 2, "of frame {ty:#x}");
        match ty {
            0x51 => {
                assert_eq!(fields.u64(), content.len() as u64);
                let piece = fields.blob();
                bulk.say(0x25, Fields::new().u32(2).u32(u32::try_from(piece.len()).expect("short")));
                content.extend_from_slice(&piece);
            }
            0x54 => {
                assert_eq!((fields.u64(), content.len()), (checked, BLOCK));
                assert_eq!(fields.raw(32), blake3::value(0, &content));
                checked += 1;
            }
            0x53 => {
                assert_eq!((fields.u64(), checked), (content.len() as u64, 1));
                assert_eq!(fields.raw(32), blake3::hash(&content));
                return content;
            }
            other => panic!("a frame of type {other:#x} in a download"),
        }
    }
}

fn talk(addr: SocketAddr) {
    let mut chat = Link::connect(addr);
    let welcome = hello(&mut chat, 0);
    assert_eq!(Reader(&welcome).u16(), 1, "the version");
    let rooms = chat.wait(0x41);
    let mut rooms = Reader(&rooms);
    assert_eq!((rooms.u32(), rooms.u8(), rooms.u8(), rooms.u16()), (0, 0, 0, 1), "only the lobby");
    chat.say(0x11, Fields::new().u32(2).string(b"dev"));
    let added = chat.wait(0x41);
    let mut added = Reader(&added);
    assert_eq!((added.u32(), added.u8(), added.u8(), added.u16()), (2, 1, 0, 1));
    let room = added.u64();
    chat.say(0x13, Fields::new().u32(3).u64(room).u8(1).u16(50));
    let opened = chat.wait(0x42);
    assert_eq!(Reader(&opened).u32(), 3);
    post(&mut chat, 1, room, TEXT, "good morning ☀".as_bytes());
    let entries = chat.wait(0x44);
    let mut entries = Reader(&entries);
    assert_eq!((entries.u64(), entries.u16()), (room, 1));
    assert_eq!(entry(&mut entries), (1, TEXT, "good morning ☀".as_bytes().to_vec()));

    let content = content();
    let hash = blake3::hash(&content);
    let mut bulk = Link::connect(addr);
    hello(&mut bulk, 1);
    upload(&mut bulk, room, &content);
    let body = Fields::new().raw(&hash).u64(content.len() as u64).string(b"two blocks.bin").u8(0);
    let body = body.into_bytes();
    post(&mut chat, 2, room, FILE, &body);
    assert!(download(&mut bulk, &hash) == content, "what came is what went");

    chat.say(0x16, Fields::new().u32(4).u64(room).u8(0).u16(10));
    let page = chat.wait(0x45);
    let mut page = Reader(&page);
    assert_eq!((page.u32(), page.u8(), page.u16()), (4, 0, 2));
    assert_eq!((page.u64(), entry(&mut page).1), (room, TEXT));
    assert_eq!((page.u64(), entry(&mut page)), (room, (2, FILE, body)));
    chat.say(0x1d, Fields::new());
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client that shares nothing, the runtime included")]
async fn a_client_written_from_the_document_alone_works() {
    bounded(90, async {
        let server = Server::start().await;
        let addr = server.addr();
        tokio::task::spawn_blocking(move || talk(addr)).await.expect("it works");
    })
    .await;
}

/// The values in the document, held against code that did not make them.
#[test]
fn the_values_of_blocks_in_the_document_are_those_of_the_paper() {
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let content = content();
    let (first, second) = content.split_at(BLOCK);
    let values =
        [blake3::hash(first), blake3::value(0, first), blake3::value(1, second), blake3::hash(&content)];
    let document = include_str!("../../crates/protocol/WIRE.md");
    let section = document.split("\n## Values of blocks\n").nth(1).expect("a section");
    let rows = section.split("\n## ").next().unwrap_or_default().lines();
    let told: Vec<_> = rows.filter_map(|row| row.split('`').rfind(|part| part.len() == 64)).collect();
    assert_eq!(told, values.map(hex));
}
