//! Files that others begin to fetch before their uploads are complete, and the space that files take.

use super::harness::bulk::{Bulk, Got, Sent, content, entries, files, hash_of, post};
use super::harness::{Identity, Native, Raw, Server, all_of, bounded, eventually};
use protocol::code::Code;
use protocol::entry::{EntryKind, Revision};
use protocol::id::{Seq, TransferId};
use protocol::limits::BLOCK;
use protocol::message::{ClientMsg, FileState, ServerMsg, Source, Target};
use std::net::SocketAddr;
use std::path::Path;

/// A person who is in the lobby, and their connection for files.
async fn person(addr: SocketAddr, name: &str) -> (Native, Bulk, Target) {
    let identity = Identity::new(name);
    let client = Native::login(addr, &identity).await;
    let bulk = Bulk::login(addr, &identity).await;
    let target = Target::Room { room: client.lobby() };
    (client, bulk, target)
}

/// The files among the contents of a server that keeps everything in this folder.
fn on_disk(data: &Path) -> Vec<String> {
    let contents = std::fs::read_dir(data.join("contents")).expect("a folder");
    contents.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn who_begins_early_gets_all_of_it_while_it_grows() {
    bounded(90, async {
        let server = Server::start().await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let (mut bob, mut down, _) = person(server.addr(), "bob").await;
        let sent = Sent::new(1, target.clone(), content(5 * BLOCK + 9, 1));
        up.put(&sent).await.expect("it may begin");
        let offer = post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
        up.send(&sent, 0, 2 * BLOCK + 5).await;

        let source = Source::Transfer { transfer: sent.transfer };
        down.get(source.clone(), 0, 1 << 20).await;
        let mut got = Got::default();
        down.read(&mut got, 0, 2 * BLOCK).await;
        assert!(got.content == sent.content[..2 << 20], "what is there comes before the rest is");
        let listed = files(&mut bob, client.lobby()).await;
        assert_eq!(listed[0].state, FileState::Offered { bytes: 2 * BLOCK });
        assert_eq!((listed[0].seq, &listed[0].source), (offer, &source));
        let room = client.lobby();
        bob.reply(|req| ClientMsg::Fetched { req, room, seq: offer }).await;

        up.send(&sent, 2 * BLOCK + 5, sent.size()).await;
        up.finish(&sent).await.expect("it is stored");
        post(&mut client, &target, EntryKind::File, Some(offer), sent.body()).await;
        down.read(&mut got, 0, u64::MAX).await;
        assert_eq!(got.hash, Some(sent.hash()));
        assert!(got.content == sent.content, "byte for byte");

        let late = down.download(source, 5 * BLOCK).await;
        assert_eq!(late.hash, Some(sent.hash()), "who comes late gets what it has become");
        let listed = files(&mut bob, client.lobby()).await;
        assert_eq!((listed.len(), &listed[0].state), (1, &FileState::Here), "the offer has ended");
        assert_eq!(listed[0].fetched, 1, "who fetched it by its offer has fetched it");
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_told_and_leaves_nothing() {
    bounded(90, async {
        let data = tempfile::tempdir().expect("a folder");
        let server = Server::start_in(data.path()).await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let (mut bob, mut down, _) = person(server.addr(), "bob").await;
        let sent = Sent::new(1, target.clone(), content(5 * BLOCK, 1));
        up.put(&sent).await.expect("it may begin");
        let offer = post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
        up.send(&sent, 0, BLOCK + 5).await;
        down.get(Source::Transfer { transfer: sent.transfer }, 0, 1 << 20).await;
        let mut got = Got::default();
        down.read(&mut got, 0, BLOCK).await;
        assert_eq!(on_disk(data.path()).len(), 2);

        up.give_up().await;
        down.read(&mut got, 0, u64::MAX).await;
        assert_eq!(got.refused, Some(Code::NoSuchTransfer.number()));
        let taken_back = loop {
            let entries = entries(&mut bob, &target).await;
            let delete = entries.iter().find(|entry| entry.kind == EntryKind::Delete).cloned();
            if let Some(delete) = delete {
                break delete;
            }
        };
        assert_eq!((taken_back.person, taken_back.reply_to), (None, Some(offer)));
        eventually("an empty folder", || on_disk(data.path()).is_empty().then_some(())).await;
        assert_eq!(files(&mut bob, client.lobby()).await, []);
    })
    .await;
}

/// The limit of a file that somebody is told who logs in.
async fn file_limit(addr: SocketAddr, identity: &Identity) -> Option<u64> {
    let mut raw = Raw::connect(addr).await;
    raw.say(&identity.hello_bulk()).await;
    let limit = |msg| if let ServerMsg::Welcome { limits, .. } = msg { Some(limits.file) } else { None };
    raw.find(limit).await
}

#[tokio::test]
async fn the_limit_of_a_file_is_what_its_sender_may_still_send() {
    bounded(90, async {
        let server = Server::start_with(&["--person-files", "5M"]).await;
        let identity = Identity::new("alice");
        let mut client = Native::login(server.addr(), &identity).await;
        let mut up = Bulk::login(server.addr(), &identity).await;
        let target = Target::Room { room: client.lobby() };
        assert_eq!(file_limit(server.addr(), &identity).await, Some(5 * BLOCK));
        let first = Sent::new(1, target.clone(), content(3 * BLOCK, 1));
        up.upload(&first).await;
        let line = post(&mut client, &target, EntryKind::File, None, first.body()).await;
        assert_eq!(file_limit(server.addr(), &identity).await, Some(2 * BLOCK));
        // Who goes on with an upload is not told that it is too large.
        let second = Sent::new(2, target.clone(), content(2 * BLOCK, 2));
        up.put(&second).await.expect("it may begin");
        up.send(&second, 0, BLOCK + 5).await;
        assert_eq!(file_limit(server.addr(), &identity).await, Some(2 * BLOCK));
        up.send(&second, BLOCK + 5, second.size()).await;
        up.finish(&second).await.expect("it is stored");
        post(&mut client, &target, EntryKind::File, None, second.body()).await;
        assert_eq!(
            file_limit(server.addr(), &identity).await,
            Some(1),
            "0 says that there are no files at all"
        );
        post(&mut client, &target, EntryKind::Delete, Some(line), bytes::Bytes::new()).await;
        assert_eq!(file_limit(server.addr(), &identity).await, Some(3 * BLOCK));

        let server = Server::start_with(&["--person-files", "3000M"]).await;
        drop(Native::login(server.addr(), &identity).await);
        assert_eq!(file_limit(server.addr(), &identity).await, Some(3_000 * BLOCK), "1 GiB is no limit");
    })
    .await;
}

#[tokio::test]
async fn its_author_takes_an_offer_back_and_the_upload_goes_with_it() {
    bounded(90, async {
        let server = Server::start().await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let sent = Sent::new(1, target.clone(), content(5 * BLOCK, 1));
        up.put(&sent).await.expect("it may begin");
        let offer = post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
        up.send(&sent, 0, BLOCK + 5).await;
        post(&mut client, &target, EntryKind::Delete, Some(offer), bytes::Bytes::new()).await;
        assert_eq!(up.refusal().await, Code::NoSuchTransfer.number());
        let offered = entries(&mut client, &target).await.into_iter().find(|entry| entry.seq == offer);
        assert_eq!(offered.expect("it is kept").revision, Revision::Deleted);
    })
    .await;
}

#[tokio::test]
async fn an_offer_is_of_an_upload_of_its_author_that_goes_there() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let (mallory, _down, _) = person(server.addr(), "mallory").await;
        let sent = Sent::new(1, target.clone(), content(5 * BLOCK, 1));
        let offer = |sent: &Sent, client: &Native, target: &Target| {
            let (target, body) = (target.clone(), sent.offer());
            client.post_with(|counter| ClientMsg::Post {
                counter,
                target,
                kind: EntryKind::FileOffer,
                reply_to: None,
                written: protocol::id::Millis(0),
                body,
            });
        };
        offer(&sent, &client, &target);
        assert_eq!(client.refusal().await.code, Code::NoSuchTransfer, "it has not begun");
        client.forget_posts(1);
        up.put(&sent).await.expect("it may begin");
        offer(&sent, &mallory, &target);
        assert_eq!(mallory.refusal().await.code, Code::NoSuchTransfer, "it is another's");
        let room = client.join("elsewhere").await;
        offer(&sent, &client, &Target::Room { room });
        assert_eq!(client.refusal().await.code, Code::NoSuchTransfer, "it goes elsewhere");
        client.forget_posts(1);
        let larger = Sent { content: content(6 * BLOCK, 1).into(), ..sent.clone() };
        offer(&larger, &client, &target);
        assert_eq!(client.refusal().await.code, Code::NoSuchTransfer, "it has another size");
        client.forget_posts(1);
        post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
        offer(&sent, &client, &target);
        assert_eq!(client.refusal().await.code, Code::NoSuchTransfer, "it is offered already");
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_expires() {
    bounded(60, async {
        let server = Server::start_with(&["--keep-uploads", "1s"]).await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let sent = Sent::new(1, target.clone(), content(5 * BLOCK, 1));
        up.put(&sent).await.expect("it may begin");
        let offer = post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
        up.send(&sent, 0, BLOCK + 5).await;
        drop(up);
        let gone = loop {
            let entries = entries(&mut client, &target).await;
            if let Some(delete) = entries.into_iter().find(|entry| entry.kind == EntryKind::Delete) {
                break delete;
            }
        };
        assert_eq!((gone.person, gone.reply_to), (None, Some(offer)));
    })
    .await;
}

#[tokio::test]
async fn quotas_refuse_before_a_byte_and_what_is_deleted_makes_room() {
    bounded(60, async {
        let server = Server::start_with(&["--person-files", "3M", "--room-files", "5M"]).await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let one = Sent::new(1, target.clone(), content(2 * BLOCK, 1));
        let two = Sent::new(2, target.clone(), content(2 * BLOCK, 2));
        up.upload(&one).await;
        let quota = Code::Quota.number();
        assert_eq!(up.put(&two).await, Err((quota, BLOCK)), "what is left is told");
        let seq = post(&mut client, &target, EntryKind::File, None, one.body()).await;
        assert_eq!(up.put(&two).await, Err((quota, BLOCK)), "its entry takes what was reserved");
        post(&mut client, &target, EntryKind::Delete, Some(seq), bytes::Bytes::new()).await;
        up.upload(&two).await;

        // The room is another matter than its people.
        let (_bob, mut bobs, _) = person(server.addr(), "bob").await;
        let third = Sent::new(3, target.clone(), content(3 * BLOCK, 3));
        bobs.put(&third).await.expect("it fits");
        bobs.send(&third, 0, third.size()).await;
        bobs.settle().await;
        let (_carol, mut carols, _) = person(server.addr(), "carol").await;
        let fourth = Sent::new(4, target, content(BLOCK, 4));
        assert_eq!(carols.put(&fourth).await, Err((quota, 0)));
        bobs.give_up().await;
        bobs.say(&ClientMsg::Ping { nonce: 1 }).await;
        loop {
            match carols.put(&fourth).await {
                Ok(_) => break,
                refused => assert_eq!(refused, Err((quota, 0))),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn space_is_reserved_as_bytes_arrive_and_what_others_took_meanwhile_is_told() {
    bounded(60, async {
        let server = Server::start_with(&["--file-space-mib", "4", "--person-files", "4M"]).await;
        let (_client, mut up, target) = person(server.addr(), "alice").await;
        let one = Sent::new(1, target.clone(), content(3 * BLOCK, 1));
        up.put(&one).await.expect("it fits");
        let (_bob, mut other, _) = person(server.addr(), "bob").await;
        let two = Sent::new(2, target.clone(), content(2 * BLOCK, 2));
        // A promise without a byte takes nothing from others.
        other.upload(&two).await;
        let large = Sent::new(3, target.clone(), content(3 * BLOCK, 3));
        let (_carol, mut carols, _) = person(server.addr(), "carol").await;
        assert_eq!(carols.put(&large).await, Err((Code::Quota.number(), 2 * BLOCK)), "it does not fit now");
        up.send(&one, 0, 2 * BLOCK).await;
        up.chunk(&one, 2 * BLOCK, 2 * BLOCK + 100).await;
        assert_eq!(up.refusal().await, Code::Quota.number(), "others have the rest");
        other.say(&ClientMsg::Bye {}).await;
        let (at, _) = up.put(&one).await.expect("what came stays");
        assert_eq!(at, 2 * BLOCK);
    })
    .await;
}

#[tokio::test]
async fn an_upload_without_a_byte_ends_with_its_connection_and_one_with_some_does_not() {
    bounded(60, async {
        let server = Server::start_with(&["--file-space-mib", "64", "--person-files", "64M"]).await;
        let identity = Identity::new("alice");
        let client = Native::login(server.addr(), &identity).await;
        let target = Target::Room { room: client.lobby() };
        let (empty, begun) = (
            Sent::new(1, target.clone(), content(3 * BLOCK, 1)),
            Sent::new(2, target, content(3 * BLOCK, 2)),
        );
        let mut up = Bulk::login(server.addr(), &identity).await;
        up.put(&begun).await.expect("it may begin");
        up.send(&begun, 0, 100).await;
        up.settle().await;
        drop(up);
        let mut up = Bulk::login(server.addr(), &identity).await;
        up.put(&empty).await.expect("it may begin");
        drop(up);
        // An upload that is known belongs to whoever brings it. The server finds out in its own time that nobody does.
        let (_bob, mut bobs, _) = person(server.addr(), "bob").await;
        let foreign = Err((Code::NotAllowed.number(), 0));
        loop {
            match bobs.put(&empty).await {
                Ok(_) => break,
                refused => assert_eq!(refused, foreign),
            }
        }
        let (_carol, mut carols, _) = person(server.addr(), "carol").await;
        assert_eq!(carols.put(&begun).await, foreign);
    })
    .await;
}

#[tokio::test]
async fn a_content_goes_with_the_last_entry_that_names_it() {
    bounded(90, async {
        let data = tempfile::tempdir().expect("a folder");
        let server = Server::start_in(data.path()).await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let sent = Sent::new(1, target.clone(), content(3 * BLOCK, 1));
        up.upload(&sent).await;
        let one = post(&mut client, &target, EntryKind::File, None, sent.body()).await;
        let two = post(&mut client, &target, EntryKind::File, None, sent.body()).await;
        assert_eq!(on_disk(data.path()).len(), 2, "the content and its values");
        let source = Source::Content { hash: sent.hash() };
        post(&mut client, &target, EntryKind::Delete, Some(one), bytes::Bytes::new()).await;
        assert_eq!(up.download(source.clone(), 0).await.hash, Some(sent.hash()));
        post(&mut client, &target, EntryKind::Delete, Some(two), bytes::Bytes::new()).await;
        eventually("an empty folder", || on_disk(data.path()).is_empty().then_some(())).await;
        assert_eq!(up.download(source, 0).await.refused, Some(Code::NoSuchFile.number()));
    })
    .await;
}

#[tokio::test]
async fn the_list_tells_who_has_fetched_and_a_restart_forgets_nothing() {
    bounded(90, async {
        let mut server = Server::start_durable().await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let bob = Identity::new("bob");
        let mut bobs = Native::login(server.addr(), &bob).await;
        let (_carol, mut carols, _) = person(server.addr(), "carol").await;
        let sent = Sent::new(1, target.clone(), content(3 * BLOCK, 1));
        up.upload(&sent).await;
        let seq = post(&mut client, &target, EntryKind::File, None, sent.body()).await;
        let room = client.lobby();
        bobs.reply(|req| ClientMsg::Fetched { req, room, seq }).await;
        bobs.reply(|req| ClientMsg::Fetched { req, room, seq }).await;
        carols.say(&ClientMsg::Fetched { req: protocol::id::Req(9), room, seq }).await;
        carols.hear().await.expect("an answer");
        let wrong = bobs.ask(|req| ClientMsg::Fetched { req, room, seq: seq.next() }).await;
        assert_eq!(wrong.expect_err("no such entry").code, Code::NoSuchEntry);
        for _ in 0..2 {
            let listed = files(&mut bobs, room).await;
            let [file] = &listed[..] else { panic!("{listed:?}") };
            assert_eq!((file.fetched, file.members, file.size), (2, 2, sent.size()));
            assert_eq!((file.seq, file.person, file.sender.as_str()), (seq, client.person, "alice"));
            assert_eq!(file.source, Source::Content { hash: sent.hash() });
            assert_eq!((&file.state, file.expires.0), (&FileState::Here, 0));
            server.restart().await;
            bobs = Native::login(server.addr(), &bob).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_fetched_a_file_by_its_offer_may_say_so_after_a_restart() {
    bounded(90, async {
        let mut server = Server::start_durable().await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let bob = Identity::new("bob");
        drop(Native::login(server.addr(), &bob).await);
        let sent = Sent::new(1, target.clone(), content(2 * BLOCK, 1));
        up.put(&sent).await.expect("it may begin");
        let offer = post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
        up.send(&sent, 0, sent.size()).await;
        up.finish(&sent).await.expect("it is stored");
        post(&mut client, &target, EntryKind::File, Some(offer), sent.body()).await;
        server.restart().await;
        let mut bobs = Native::login(server.addr(), &bob).await;
        let room = bobs.lobby();
        bobs.reply(|req| ClientMsg::Fetched { req, room, seq: offer }).await;
        assert_eq!(files(&mut bobs, room).await[0].fetched, 1);
    })
    .await;
}

#[tokio::test]
async fn ten_uploads_and_ten_downloads_at_once_take_less_than_a_mebibyte_each() {
    bounded(120, async {
        let disk = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
        let server = Server::start_with(&["--temp", &disk.path().display().to_string()]).await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        // The first one shows what the way itself takes.
        let sent = Sent::new(1, target.clone(), content(8 * BLOCK, 1));
        up.upload(&sent).await;
        post(&mut client, &target, EntryKind::File, None, sent.body()).await;
        let mut people = Vec::new();
        for n in 0..10 {
            people.push(person(server.addr(), &format!("reader{n}")).await);
        }
        let files: Vec<_> =
            (2..12).map(|n| Sent::new(n, target.clone(), content(8 * BLOCK, n.into()))).collect();
        let before = server.peak_memory();
        all_of(people.iter_mut().zip(&files).map(|((_, bulk, _), sent)| bulk.upload(sent))).await;
        let hash = sent.hash();
        let got =
            all_of(people.iter_mut().map(|(_, bulk, _)| bulk.download(Source::Content { hash }, 0))).await;
        let all = server.peak_memory() - before;
        assert!(all <= 10 * 1_024, "ten at once took {all} KiB");
        assert!(got.iter().all(|got| got.hash == Some(hash) && hash_of(&got.content) == hash));
    })
    .await;
}

#[tokio::test]
async fn a_file_does_not_end_the_offer_of_another() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut client, mut up, target) = person(server.addr(), "alice").await;
        let (mut mallory, mut her, _) = person(server.addr(), "mallory").await;
        let sent = Sent::new(1, target.clone(), content(5 * BLOCK, 1));
        up.put(&sent).await.expect("it may begin");
        let offer: Seq = post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
        let own = Sent { transfer: TransferId([2; 16]), content: content(10, 1).into(), ..sent };
        her.upload(&own).await;
        let body = own.body();
        mallory.post_with(|counter| ClientMsg::Post {
            counter,
            target: target.clone(),
            kind: EntryKind::File,
            reply_to: Some(offer),
            written: protocol::id::Millis(0),
            body,
        });
        assert_eq!(mallory.refusal().await.code, Code::NoSuchEntry);
        assert_eq!(files(&mut mallory, client.lobby()).await.len(), 1);
        mallory.forget_posts(1);
        post(&mut mallory, &target, EntryKind::File, None, own.body()).await;
    })
    .await;
}
