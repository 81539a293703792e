//! Edits and deletes: entries that change what was said, for everybody who reads it from then on.

use super::harness::{Classic, Identity, Native, Server, bounded};
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{Counter, Millis, RoomId, Seq};
use protocol::message::{ClientMsg, OpenFrom, Range, ServerMsg, Target};

fn seq(n: u64) -> Seq {
    Seq::new(n).expect("tests count from 1")
}

/// Posts an edit or a delete with the next counter.
pub fn revise(client: &Native, room: RoomId, kind: EntryKind, target: u64, text: &str) -> Counter {
    client.post_with(|counter| ClientMsg::Post {
        counter,
        target: Target::Room { room },
        kind,
        reply_to: Some(seq(target)),
        written: Millis(0),
        body: Bytes::copy_from_slice(text.as_bytes()),
    })
}

async fn edit(client: &Native, room: RoomId, target: u64, text: &str) {
    let counter = revise(client, room, EntryKind::Edit, target, text);
    client.acked(counter.value()).await;
}

async fn delete(client: &Native, room: RoomId, target: u64) {
    let counter = revise(client, room, EntryKind::Delete, target, "");
    client.acked(counter.value()).await;
}

fn told(entries: &[Entry]) -> Vec<(String, Revision)> {
    entries.iter().map(|entry| (entry.text().into_owned(), entry.revision)).collect()
}

/// What somebody who comes now reads through a cursor, and what they read as a page: the same.
async fn read_anew(server: &Server, name: &str, count: usize) -> Vec<(String, Revision)> {
    let mut client = Native::login(server.addr(), &Identity::new(name)).await;
    let room = client.lobby();
    client.open(room, OpenFrom::Last { count: 1_000 }).await;
    client.reads(room, count).await;
    let through_cursor = client.view(|view| told(&view.open[&room].entries));
    let page = client.ask(|req| ClientMsg::Fetch { req, room, range: Range::Latest, limit: 1_000 }).await;
    let Ok(ServerMsg::Page { found, .. }) = page else { panic!("not a page: {page:?}") };
    let entries: Vec<_> = found.into_iter().map(|found| found.entry).collect();
    let newest = &through_cursor[through_cursor.len() - entries.len()..];
    assert!(!entries.is_empty() && told(&entries) == newest, "a cursor and a page tell the same");
    through_cursor
}

#[tokio::test]
async fn readers_get_the_edit_and_those_who_come_later_what_it_made() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        alice.say_all(room, ["helo".to_owned(), "x".to_owned()]).await;
        edit(&alice, room, 1, "hello").await;
        let heard = bob.hears("hello").await;
        assert_eq!((heard.kind, heard.reply_to, heard.seq), (EntryKind::Edit, Some(seq(1)), seq(3)));
        assert_eq!(bob.texts(room), ["helo", "x", "hello"], "what was given stays given");
        let (as_written, edited) = (Revision::Original, Revision::Edited);
        let now = [("hello", edited), ("x", as_written), ("hello", as_written)];
        assert_eq!(read_anew(&server, "carol", 3).await, now.map(|(text, how)| (text.to_owned(), how)));
    })
    .await;
}

#[tokio::test]
async fn a_deleted_line_is_told_to_nobody_any_more() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        // Long ones, so that the blocks in memory have to be cut anew.
        let secret = |n: usize| format!("secret {n} {}", "x".repeat(16_000));
        alice.say_all(room, (1..=6).map(secret)).await;
        edit(&alice, room, 3, &secret(33)).await;
        delete(&alice, room, 3).await;
        let is_delete = |entry: &Entry| entry.kind == EntryKind::Delete && entry.reply_to == Some(seq(3));
        bob.wait("the delete", |view| view.open[&room].entries.iter().any(is_delete).then_some(())).await;
        let now = read_anew(&server, "carol", 8).await;
        let gone: Vec<_> = now.iter().map(|(text, how)| (text.is_empty(), *how)).collect();
        let (there, deleted) = ((false, Revision::Original), (true, Revision::Deleted));
        let delete = (true, Revision::Original);
        assert_eq!(gone, [there, there, deleted, there, there, there, deleted, delete]);
    })
    .await;
}

#[tokio::test]
async fn a_refused_edit_counts_for_nothing_and_what_came_behind_it_is_sent_again() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        alice.say_all(room, ["mine".to_owned()]).await;
        for n in 0..20 {
            let first = revise(&bob, room, EntryKind::Edit, 1, "yours").value();
            let second = bob.say(room, "behind it").value();
            let (a, b) = (bob.refusal().await, bob.refusal().await);
            assert_eq!((a.code, a.req), (Code::NotAllowed, first));
            assert_eq!((b.code, b.req, b.detail), (Code::OutOfOrder, second, first));
            bob.forget_posts(2);
            bob.say_all(room, [format!("again {n}")]).await;
        }
        let now = read_anew(&server, "carol", 21).await;
        assert_eq!(now[0], ("mine".to_owned(), Revision::Original));
    })
    .await;
}

#[tokio::test]
async fn classic_users_are_told_of_corrections_in_words() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        alice.say_all(room, ["helo".to_owned(), "oops".to_owned()]).await;
        edit(&alice, room, 1, "hello").await;
        bob.hears("alice", "* corrected: hello").await;
        delete(&alice, room, 2).await;
        bob.hears("alice", "* deleted a message").await;
        bob.say("/history").await;
        bob.notice("hello (edited)").await;
        let told = bob.shown();
        assert_eq!(told.iter().filter(|shown| format!("{shown:?}").contains("oops")).count(), 1, "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn classic_users_change_their_last_line_and_take_it_back() {
    bounded(60, async {
        let server = Server::start().await;
        let nat = Native::enter(server.addr(), "nat").await;
        let mut alice = Classic::enter(server.addr(), "alice").await;
        let room = nat.lobby();
        alice.say("/edit what?").await;
        alice.notice("nothing here").await;
        alice.say("helo").await;
        nat.hears("helo").await;
        alice.say("/edit hello").await;
        alice.notice("Message changed").await;
        alice.say("/delete").await;
        alice.notice("Message deleted").await;
        assert_eq!(nat.reads(room, 3).await, ["helo", "hello", ""]);
        let now = read_anew(&server, "carol", 3).await;
        assert!(now.iter().all(|(text, _)| text.is_empty()), "{now:?}");
        // A line that can't be changed holds up none of those behind it.
        nat.say_all(room, ["mine".to_owned()]).await;
        for n in 0..20 {
            alice.say("/edit #4 yours").await;
            alice.say(&format!("line {n}")).await;
            alice.notice("Not sent").await;
        }
        let texts = nat.reads(room, 24).await;
        assert_eq!(texts[4..], (0..20).map(|n| format!("line {n}")).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn what_a_guest_said_belongs_to_nobody_of_the_same_name() {
    bounded(60, async {
        let server = Server::start().await;
        let nat = Native::enter(server.addr(), "nat").await;
        let mut alice = Classic::enter(server.addr(), "alice").await;
        alice.say("hello").await;
        nat.hears("hello").await;
        alice.quit().await;
        let mut alice = Classic::enter(server.addr(), "alice").await;
        alice.say("/delete #1").await;
        alice.notice("Not sent").await;
        assert_eq!(read_anew(&server, "carol", 1).await[0].0, "hello");
    })
    .await;
}

#[tokio::test]
async fn a_line_of_a_conversation_is_changed_by_naming_the_other_one() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let to = Target::Person { person: bob.person };
        let said = alice.post(to.clone(), EntryKind::Text, "psst");
        alice.acked(said.value()).await;
        let revise = |kind, text: &'static str| {
            alice.post_with(|counter| ClientMsg::Post {
                counter,
                target: to,
                kind,
                reply_to: Some(seq(1)),
                written: Millis(0),
                body: Bytes::from_static(text.as_bytes()),
            })
        };
        let counter = revise(EntryKind::Edit, "psssst");
        alice.acked(counter.value()).await;
        let room = alice.room("bob").expect("the conversation is there");
        let page = alice.ask(|req| ClientMsg::Fetch { req, room, range: Range::Latest, limit: 9 }).await;
        let Ok(ServerMsg::Page { found, .. }) = page else { panic!("not a page: {page:?}") };
        assert_eq!(found[0].entry.text(), "psssst");
    })
    .await;
}
