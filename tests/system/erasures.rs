//! Deletes: they are acknowledged when the text has left the server's files, and hold up nobody else.

use super::folder_accidents::{check, natterd};
use super::harness::{Bent, Identity, Native, Raw, Server, bounded};
use super::revisions::revise;
use super::slow_store::Here;
use bytes::Bytes;
use protocol::entry::EntryKind;
use protocol::id::{Millis, Seq};
use protocol::message::{ClientMsg, OpenFrom, ServerMsg, Target};
use rusqlite::Connection;

#[tokio::test]
async fn a_post_of_another_device_is_acknowledged_while_a_delete_waits_for_a_reader() {
    bounded(60, async {
        let store = Bent::new();
        let server = Here::start(store.clone()).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        let mut bob = Native::enter(server.addr, "bob").await;
        let room = alice.lobby();
        alice.open(room, OpenFrom::Now).await;
        bob.open(room, OpenFrom::Now).await;
        let target = alice.say(room, "soon gone");
        alice.acked(target.value()).await;
        let seq = alice.hears("soon gone").await.seq.value();

        store.erases.send_replace(false);
        let before = alice.say(room, "in front of it");
        let deleted = revise(&alice, room, EntryKind::Delete, seq, "");
        let behind = alice.say(room, "behind it");
        alice.acked(before.value()).await;
        let said = bob.say(room, "meanwhile");
        bob.acked(said.value()).await;
        for person in [&alice, &bob] {
            person.hears("meanwhile").await;
            person.hears("behind it").await;
        }
        // Sent again, it is acknowledged no sooner.
        alice.send(&ClientMsg::Post {
            counter: deleted,
            target: Target::Room { room },
            kind: EntryKind::Delete,
            reply_to: Seq::new(seq),
            written: Millis(0),
            body: Bytes::new(),
        });
        alice.settle().await;
        assert_eq!(alice.view(|view| view.acked), before.value());
        // Nor does a login tell of it, but that of another device does not wait.
        let mut again = Raw::connect(server.addr).await;
        again.say(&identity.hello()).await;
        Native::login(server.addr, &identity.other_device()).await.settle().await;
        store.erases.send_replace(true);
        let counter = again.find(|msg| match msg {
            ServerMsg::Welcome { last_counter, .. } => Some(last_counter),
            _ => None,
        });
        assert_eq!(counter.await, Some(Some(behind)));
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_program_that_reads_for_too_long_is_told_of_in_the_log_and_by_verify() {
    bounded(60, async {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        let server = Server::start_in(&data).await;
        let alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        let said = alice.say(room, "zebracrossing");
        alice.acked(said.value()).await;
        let reader = Connection::open(data.join("natter.db")).expect("it is there");
        reader.execute_batch("BEGIN").expect("it can be read");
        reader.query_row("SELECT count(*) FROM entry", [], |_| Ok(())).expect("it can be read");

        let deleted = revise(&alice, room, EntryKind::Delete, 1, "");
        bob.say_all(room, (0..100).map(|n| n.to_string())).await;
        bob.acked(100).await;
        assert!(alice.view(|view| view.acked) < deleted.value(), "nobody else waits for it");
        alice.acked(deleted.value()).await;
        server.err().line("what was deleted is still in the write-ahead log").await;
        let still = "deleted messages are still in the write-ahead log";
        check(&natterd(&data, &["verify"]).await, 0, &[still]);
        drop(reader);
        server.err().line("what was deleted is erased").await;
        let verified = natterd(&data, &["verify"]).await;
        check(&verified, 0, &[]);
        assert!(!(verified.out + &verified.err).contains(still));
    })
    .await;
}
