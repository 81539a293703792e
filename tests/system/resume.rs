//! Uploads that are cut go on where they stopped, and what is wrong is refused before anybody sees it.

use super::harness::bulk::{Bulk, Sent, content, files, post};
use super::harness::{Identity, Native, Server, bounded};
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::limits::BLOCK;
use protocol::message::{FileState, Source, Target};

/// Alice, who is in the lobby, and her connection for files.
async fn alice(server: &Server) -> (Identity, Native, Bulk, Target) {
    let identity = Identity::new("alice");
    let client = Native::login(server.addr(), &identity).await;
    let bulk = Bulk::login(server.addr(), &identity).await;
    let target = Target::Room { room: client.lobby() };
    (identity, client, bulk, target)
}

#[tokio::test]
async fn an_upload_cut_at_any_byte_goes_on_at_that_byte() {
    bounded(90, async {
        let server = Server::start().await;
        let (identity, mut client, mut bulk, target) = alice(&server).await;
        let sent = Sent::new(1, target.clone(), content(4 * BLOCK + 9, 1));
        let mut at = 0;
        // On both sides of a border, in the middle of a piece, and right behind a value.
        for cut in [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 70_000, 4 * BLOCK, 4 * BLOCK + 8] {
            let (offset, likely) = bulk.put(&sent).await.expect("it may go on");
            assert_eq!((offset, likely), (at, false), "nothing is sent again");
            bulk.send(&sent, offset, cut).await;
            bulk.settle().await;
            at = cut;
            drop(bulk);
            bulk = Bulk::login(server.addr(), &identity).await;
        }
        bulk.upload(&sent).await;
        post(&mut client, &target, EntryKind::File, None, sent.body()).await;
        let got = bulk.download(Source::Content { hash: sent.hash() }, 0).await;
        assert_eq!(got.hash, Some(sent.hash()));
        assert!(got.content == sent.content, "byte for byte");
    })
    .await;
}

#[tokio::test]
async fn a_killed_server_goes_on_with_an_upload_at_the_last_block() {
    bounded(90, async {
        let mut server = Server::start_durable().await;
        let (identity, client, mut bulk, target) = alice(&server).await;
        let sent = Sent::new(1, target.clone(), content(70 * BLOCK + 9, 1));
        let mut at = 0;
        for cut in [2 * BLOCK + 5, 40 * BLOCK + 5, 69 * BLOCK + 5] {
            let (offset, _) = bulk.put(&sent).await.expect("it may go on");
            assert_eq!(offset, at / BLOCK * BLOCK, "at most the block under way is sent again");
            bulk.send(&sent, offset, cut).await;
            bulk.settle().await;
            at = cut;
            server.restart().await;
            bulk = Bulk::login(server.addr(), &identity).await;
        }
        bulk.upload(&sent).await;
        drop(client);
        server.restart().await;
        // Between its end and its entry it is still its sender's.
        let mut client = Native::login(server.addr(), &identity).await;
        post(&mut client, &target, EntryKind::File, None, sent.body()).await;
        server.restart().await;
        let mut bulk = Bulk::login(server.addr(), &identity).await;
        let got = bulk.download(Source::Content { hash: sent.hash() }, 64 * BLOCK).await;
        assert_eq!(got.hash, Some(sent.hash()));
        assert!(got.content == sent.content[64 << 20..], "byte for byte");
    })
    .await;
}

#[tokio::test]
async fn a_newer_connection_takes_an_upload_over() {
    bounded(60, async {
        let server = Server::start().await;
        let (identity, _client, mut old, target) = alice(&server).await;
        let sent = Sent::new(1, target, content(3 * BLOCK, 1));
        old.put(&sent).await.expect("it may begin");
        old.send(&sent, 0, BLOCK + 5).await;
        let mut new = Bulk::login(server.addr(), &identity).await;
        let (offset, _) = new.put(&sent).await.expect("it may go on");
        assert_eq!(old.refusal().await, Code::NoSuchTransfer.number());
        new.send(&sent, offset, sent.size()).await;
        new.finish(&sent).await.expect("it is stored");
        let (whole, _) = old.put(&sent).await.expect("it is known");
        assert_eq!(whole, sent.size(), "only its hash is missing");
        old.finish(&sent).await.expect("it is stored");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_block_is_thrown_away_and_sent_again() {
    bounded(60, async {
        let server = Server::start().await;
        let (_, _client, mut bulk, target) = alice(&server).await;
        let sent = Sent::new(1, target.clone(), content(3 * BLOCK, 1));
        let mut damaged = sent.content.to_vec();
        damaged[(1 << 20) + 7] ^= 1;
        let damaged = Sent { content: damaged.into(), ..sent.clone() };
        bulk.put(&sent).await.expect("it may begin");
        bulk.send(&sent, 0, BLOCK).await;
        bulk.send(&damaged, BLOCK, 2 * BLOCK - 1).await;
        bulk.chunk(&damaged, 2 * BLOCK - 1, 2 * BLOCK).await;
        bulk.check(1, sent.value(1)).await;
        assert_eq!(bulk.refusal().await, Code::WrongContent.number());
        let (offset, _) = bulk.put(&sent).await.expect("it may go on");
        assert_eq!(offset, BLOCK);
        bulk.send(&sent, offset, sent.size()).await;
        bulk.finish(&sent).await.expect("it is stored");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_as_announced_is_refused() {
    bounded(90, async {
        let server = Server::start().await;
        let (_, _client, mut bulk, target) = alice(&server).await;
        let wrong = Code::WrongContent.number();
        let sent = Sent::new(1, target.clone(), content(2 * BLOCK, 1));
        let longer = Sent { content: content(2 * BLOCK + 1, 1).into(), ..sent.clone() };

        bulk.put(&sent).await.expect("it may begin");
        bulk.done(sent.hash()).await;
        assert_eq!(bulk.refusal().await, wrong, "nothing came");

        bulk.put(&sent).await.expect("it may begin");
        bulk.chunk(&sent, 5, 10).await;
        assert_eq!(bulk.refusal().await, wrong, "a hole");

        bulk.put(&sent).await.expect("it may begin");
        bulk.chunk(&sent, 0, 1 << 14).await;
        bulk.chunk(&sent, 0, 1 << 14).await;
        assert_eq!(bulk.refusal().await, wrong, "a piece twice");

        let (at, _) = bulk.put(&sent).await.expect("it may go on");
        bulk.chunk(&sent, at, at).await;
        assert_eq!(bulk.refusal().await, wrong, "a piece of nothing");

        let (at, _) = bulk.put(&sent).await.expect("it may go on");
        bulk.send(&sent, at, BLOCK - 10).await;
        bulk.chunk(&sent, BLOCK - 10, BLOCK + 10).await;
        assert_eq!(bulk.refusal().await, wrong, "a piece across a border");

        let (at, _) = bulk.put(&sent).await.expect("it may go on");
        bulk.send(&sent, at, sent.size()).await;
        bulk.chunk(&longer, 2 * BLOCK, 2 * BLOCK + 1).await;
        assert_eq!(bulk.refusal().await, wrong, "more than was announced");

        assert_eq!(bulk.put(&longer).await, Err((wrong, 0)), "another size under the same number");
        let other = Sent::new(2, target, content(100, 2));
        let lying = Sent { content: content(100, 3).into(), ..other.clone() };
        bulk.put(&lying).await.expect("it may begin");
        bulk.chunk(&other, 0, 100).await;
        bulk.done(other.hash()).await;
        assert_eq!(bulk.refusal().await, wrong, "another beginning than was announced");
        bulk.put(&lying).await.expect("it may begin");
        bulk.chunk(&lying, 0, 100).await;
        bulk.done(other.hash()).await;
        assert_eq!(bulk.refusal().await, wrong, "another hash");
    })
    .await;
}

#[tokio::test]
async fn nobody_goes_on_with_the_upload_of_another() {
    bounded(60, async {
        let server = Server::start().await;
        let (_, _client, mut bulk, target) = alice(&server).await;
        let sent = Sent::new(1, target, content(2 * BLOCK, 1));
        bulk.put(&sent).await.expect("it may begin");
        let mallory = Identity::new("mallory");
        let _chat = Native::login(server.addr(), &mallory).await;
        let mut bulk = Bulk::login(server.addr(), &mallory).await;
        assert_eq!(bulk.put(&sent).await, Err((Code::NotAllowed.number(), 0)));
        let got = bulk.download(Source::Transfer { transfer: sent.transfer }, 0).await;
        assert_eq!(got.refused, Some(Code::NoSuchTransfer.number()), "it was never offered");
    })
    .await;
}

#[tokio::test]
async fn what_the_room_has_costs_no_bytes() {
    bounded(60, async {
        let server = Server::start().await;
        let (_, mut client, mut bulk, target) = alice(&server).await;
        let sent = Sent::new(1, target.clone(), content(3 * BLOCK, 1));
        bulk.upload(&sent).await;
        post(&mut client, &target, EntryKind::File, None, sent.body()).await;

        let bob = Identity::new("bob");
        let mut chat = Native::login(server.addr(), &bob).await;
        let mut bulk = Bulk::login(server.addr(), &bob).await;
        let again = Sent { transfer: protocol::id::TransferId([2; 16]), ..sent.clone() };
        assert_eq!(bulk.put(&again).await, Ok((0, true)));
        bulk.finish(&again).await.expect("it is there");
        post(&mut chat, &target, EntryKind::File, None, again.body()).await;

        // The same beginning, and another end: the bytes follow.
        let mut other = sent.content.to_vec();
        *other.last_mut().expect("bytes") ^= 1;
        let other = Sent::new(3, target, other);
        assert_eq!(bulk.put(&other).await, Ok((0, true)));
        bulk.done(other.hash()).await;
        assert_eq!(bulk.admitted().await, Ok((0, false)));
        bulk.send(&other, 0, other.size()).await;
        bulk.finish(&other).await.expect("it is stored");
        let listed = files(&mut chat, client.lobby()).await;
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|file| file.state == FileState::Here));
    })
    .await;
}

#[tokio::test]
async fn a_hash_alone_opens_nothing() {
    bounded(60, async {
        let server = Server::start().await;
        let (_, mut client, mut bulk, _) = alice(&server).await;
        let room = client.join("closed").await;
        let target = Target::Room { room };
        let sent = Sent::new(1, target.clone(), content(2 * BLOCK, 1));
        bulk.upload(&sent).await;
        post(&mut client, &target, EntryKind::File, None, sent.body()).await;

        let mallory = Identity::new("mallory");
        let chat = Native::login(server.addr(), &mallory).await;
        let mut bulk = Bulk::login(server.addr(), &mallory).await;
        let got = bulk.download(Source::Content { hash: sent.hash() }, 0).await;
        assert_eq!(got.refused, Some(Code::NoSuchFile.number()));
        let lobby = Target::Room { room: chat.lobby() };
        let probe = Sent { target: lobby, transfer: protocol::id::TransferId([9; 16]), ..sent.clone() };
        assert_eq!(bulk.put(&probe).await, Ok((0, false)), "nothing is told of what may not be read");
    })
    .await;
}
