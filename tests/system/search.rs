//! Searches: by words and their beginnings, newest first, and only where one may read.

use super::harness::{Classic, Home, Identity, Native, Server, bounded};
use super::revisions::revise;
use protocol::entry::EntryKind;
use protocol::id::{RoomId, Seq};
use protocol::message::{ClientMsg, OpenFrom, ServerMsg, Target};

/// What is found, as room and number, and whether there is more.
async fn search(
    client: &mut Native,
    room: Option<RoomId>,
    words: &str,
    limit: u16,
    before: Option<(RoomId, Seq)>,
) -> (Vec<(RoomId, Seq)>, bool) {
    let ((before_room, before), words) = (before.unzip(), words.to_owned());
    let answer = client.ask(|req| ClientMsg::Search { req, room, words, limit, before_room, before }).await;
    let Ok(ServerMsg::Page { found, more, .. }) = answer else { panic!("not a page: {answer:?}") };
    (found.iter().map(|found| (found.room, found.entry.seq)).collect(), more)
}

/// Numbers of what is found in one room.
async fn numbers(client: &mut Native, room: RoomId, words: &str) -> Vec<u64> {
    let (found, more) = search(client, Some(room), words, 100, None).await;
    assert!(!more && found.iter().all(|(place, _)| *place == room), "{found:?}");
    found.iter().map(|(_, seq)| seq.value()).collect()
}

#[tokio::test]
async fn words_are_found_newest_first_as_they_are_now() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let room = alice.lobby();
        let said = ["Lunch at noon?", "lunchtime", "no LUNCH today", "dinner"];
        alice.say_all(room, said.map(str::to_owned)).await;
        assert_eq!(numbers(&mut alice, room, "lunch").await, [3, 2, 1]);
        assert_eq!(numbers(&mut alice, room, "lunch today").await, [3]);
        assert_eq!(numbers(&mut alice, room, "lunch* noon").await, [1]);
        assert_eq!(numbers(&mut alice, room, "noon LUNCH").await, [1]);
        assert_eq!(numbers(&mut alice, room, "breakfast").await, [0; 0]);
        let counter = revise(&alice, room, EntryKind::Edit, 4, "lunch after all");
        alice.acked(counter.value()).await;
        let counter = revise(&alice, room, EntryKind::Delete, 3, "");
        alice.acked(counter.value()).await;
        assert_eq!(numbers(&mut alice, room, "lunch").await, [4, 2, 1]);
        assert_eq!(numbers(&mut alice, room, "dinner").await, [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn the_last_word_of_a_search_is_a_beginning_and_scripts_without_spaces_are_found_by_two_characters() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let room = alice.lobby();
        let said = ["there is cake", "日本語を話す", "ภาษาไทย", "ca va", "日"];
        alice.say_all(room, said.map(str::to_owned)).await;
        for (words, found) in [
            ("cak", vec![1]),
            ("is cak", vec![1]),
            ("cak is", vec![]),
            ("ca", vec![4]),
            ("日本", vec![2]),
            ("本語", vec![2]),
            ("日", vec![5]),
            ("日本*", vec![2]),
            ("ไท", vec![3]),
        ] {
            assert_eq!(numbers(&mut alice, room, words).await, found, "{words}");
        }
        let counter = revise(&alice, room, EntryKind::Edit, 1, "英語も話す");
        alice.acked(counter.value()).await;
        let counter = revise(&alice, room, EntryKind::Delete, 2, "");
        alice.acked(counter.value()).await;
        assert_eq!(numbers(&mut alice, room, "話す").await, [1]);
        assert_eq!(numbers(&mut alice, room, "cak").await, [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_search_that_finds_nothing_says_how_to_look_in_all_rooms() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let mut alice = home.natter(server.addr(), "alice");
        alice.type_lines(["no cocoa", "/join dev", "/search cocoa"]).await;
        alice.shows("nothing was found in #dev: cocoa; /search -a cocoa looks in all rooms").await;
        alice.type_line("/search -a coc").await;
        alice.shows("alice: no cocoa").await;
        alice.type_line("/search -a tea").await;
        let line = alice.shows("nothing was found in all rooms: tea").await;
        assert!(line.ends_with("tea"), "{line}");
    })
    .await;
}

#[tokio::test]
async fn without_a_connection_search_and_who_answer_from_what_came_and_say_so() {
    bounded(60, async {
        let mut server = Server::start_to_be_restarted().await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let home = Home::new();
        let mut alice = home.natter(server.addr(), "alice");
        alice.type_line("I read").await;
        bob.hears("I read").await;
        bob.say_all(bob.lobby(), ["a cake for all".to_owned()]).await;
        bob.settle().await;
        alice.shows("a cake for all").await;
        server.stop().await;
        alice.says("connection lost").await;
        alice.type_lines(["/search cak", "/who"]).await;
        alice.shows("not connected: only what came since natter began was looked through").await;
        alice
            .until("the hit", |lines| {
                lines.iter().filter(|line| line.contains("a cake for all")).count() == 2
            })
            .await;
        let who = alice.shows("not connected; when the connection broke: ").await;
        assert!(who.contains("alice") && who.contains("bob"), "{who}");
    })
    .await;
}

#[tokio::test]
async fn a_search_of_all_rooms_looks_only_where_one_is_a_member() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let lobby = alice.lobby();
        let dev = alice.join("dev").await;
        alice.say_all(dev, ["a secret of dev".to_owned()]).await;
        alice.say_all(lobby, ["no secret".to_owned()]).await;
        let direct = Target::Person { person: bob.person };
        let counter = alice.post(direct, EntryKind::Text, "a secret of two");
        alice.acked(counter.value()).await;
        let of =
            |found: (Vec<(RoomId, Seq)>, bool)| found.0.iter().map(|(room, _)| *room).collect::<Vec<_>>();
        let two = alice.room("bob").expect("the conversation is there");
        assert_eq!(of(search(&mut alice, None, "secret", 10, None).await), [two, lobby, dev]);
        assert_eq!(of(search(&mut bob, None, "secret", 10, None).await), [two, lobby]);
        let mut carol = Native::enter(server.addr(), "carol").await;
        assert_eq!(of(search(&mut carol, None, "secret", 10, None).await), [lobby]);
        bob.join("dev").await;
        assert_eq!(of(search(&mut bob, None, "secret", 10, None).await), [two, lobby, dev]);
    })
    .await;
}

#[tokio::test]
async fn pages_of_a_search_hold_everything_once() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let lobby = alice.lobby();
        let dev = alice.join("dev").await;
        alice.open(dev, OpenFrom::Now).await;
        for n in 0..30 {
            // Some are so long that a frame does not hold many.
            let text = format!("word {}", "x".repeat(if n % 3 == 0 { 12_000 } else { 10 }));
            alice.say_all(if n % 2 == 0 { lobby } else { dev }, [text]).await;
        }
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let (found, more) = search(&mut alice, None, "word", 7, before).await;
            before = found.last().copied();
            all.extend(found);
            if !more {
                break;
            }
        }
        let place =
            |n: u64| (if n.is_multiple_of(2) { lobby } else { dev }, Seq::new(n / 2 + 1).expect("a number"));
        assert_eq!(all, (0..30).rev().map(place).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn many_searches_at_once_are_all_answered() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let room = alice.lobby();
        alice.say_all(room, (0..200).map(|n| format!("word {n}"))).await;
        let mut bob = Native::login(server.addr(), &Identity::new("bob")).await;
        for n in 1_000..1_200 {
            let req = protocol::id::Req(n);
            let (words, limit) = ("word".to_owned(), 100);
            bob.send(&ClientMsg::Search { req, room: None, words, limit, before_room: None, before: None });
        }
        for n in 1_000..1_200 {
            let page = |msg: &ServerMsg| match msg {
                ServerMsg::Page { req, found, .. } if req.0 == n => Some(found.len()),
                _ => None,
            };
            assert_eq!(bob.take("a page", page).await, 100);
        }
        bob.settle().await;
    })
    .await;
}

#[tokio::test]
async fn classic_users_find_lines_too() {
    bounded(60, async {
        let server = Server::start().await;
        let mut nat = Native::enter(server.addr(), "nat").await;
        let mut alice = Classic::enter(server.addr(), "alice").await;
        let (lobby, dev) = (nat.lobby(), nat.join("dev").await);
        nat.say_all(lobby, ["tea at four".to_owned(), "coffee".to_owned()]).await;
        nat.say_all(dev, ["no tea here".to_owned()]).await;
        alice.say("/search TEA").await;
        alice.notice("nat: tea at four").await;
        alice.notice("1 found").await;
        alice.say("/search -a tea").await;
        alice.notice("1 found").await;
        alice.say("/join dev").await;
        alice.say("/search -a tea").await;
        alice.notice("[#lobby] nat: tea at four").await;
        alice.notice("[#dev] nat: no tea here").await;
        alice.notice("2 found").await;
        alice.say("/search cocoa").await;
        alice.notice("Nothing was found. /search -a WORDS").await;
    })
    .await;
}
