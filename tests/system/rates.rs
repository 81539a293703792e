//! Senders that go too fast, and what the server holds for peers that take nothing: small limits, and a flood of each
//! message beside somebody honest.

use super::harness::{Bent, Classic, Identity, Native, Raw, Refusal, Server, bounded};
use super::slow_store::Here;
use protocol::classic::ClassicMsg;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Counter, Millis, Req, RoomId, Seq};
use protocol::limits::rates::{Bucket, NewPeople, Rate};
use protocol::message::{Action, ClientMsg, OpenFrom, Question, Range, StateChange, Target};
use server::clock::SystemClock;
use server::limits::Limits;
use server::rate::{BucketRates, LocalAddresses};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// A server for whom this machine's own programs are as others, and that takes this much of something.
async fn limited(bucket: Bucket, burst: u32, every_ms: u32, max_hold_ms: u64) -> Here {
    let rate = Rate { burst, every_ms };
    let rates = BucketRates { person: rate, network: Rate { burst: 100_000, every_ms: 1 }, new_people: None };
    let change = |limits: &mut Limits| {
        limits.local = LocalAddresses::Limited;
        limits.max_hold_ms = max_hold_ms;
        limits.rates = std::mem::take(&mut limits.rates).with(bucket, rates);
    };
    let clock = Arc::new(SystemClock::start());
    Here::start_with(Bent::new(), clock, |settings| change(&mut settings.limits)).await
}

#[tokio::test]
async fn lines_that_come_too_fast_are_held_and_none_is_refused() {
    bounded(60, async {
        let server = limited(Bucket::Posts, 20, 5, 3_000).await;
        let mut alice = Native::enter(server.addr, "alice").await;
        let begun = Instant::now();
        for n in 1..=600 {
            alice.post_as(n, Target::Room { room: alice.lobby() }, &n.to_string());
        }
        alice.acked(600).await;
        // What is on its way is taken at its word: at most two bundles of 64, and one that waits.
        let least = Duration::from_millis(5 * (600 - 20 - 3 * 64));
        assert!(begun.elapsed() >= least, "all were there after {:?}", begun.elapsed());
        let refused = alice.view(|view| view.mail.iter().filter_map(Refusal::of).count());
        assert_eq!(refused, 0);
        alice.settle().await;
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn lines_that_would_be_held_for_too_long_are_refused_with_the_wait() {
    bounded(60, async {
        let server = limited(Bucket::Posts, 5, 100, 0).await;
        let alice = Native::enter(server.addr, "alice").await;
        for n in 1..=10 {
            alice.post_as(n, Target::Room { room: alice.lobby() }, &n.to_string());
        }
        let refusal = alice.refusal().await;
        assert_eq!((refusal.code, refusal.close), (Code::TooFast, false));
        assert!((1..=100).contains(&refusal.detail), "{refusal:?}");
        alice.acked(5).await;
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_what_is_refused_is_read_a_bundle_at_a_time() {
    bounded(60, async {
        let server = limited(Bucket::Requests, 50, 60_000, 1_000).await;
        let alice = Native::enter(server.addr, "alice").await;
        let room = alice.lobby();
        for n in 1..=5_000 {
            alice.send(&ClientMsg::Close { req: Req(n), room });
        }
        alice.refusal().await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        // Two bundles of 64 are on their way and one waits, at most so often.
        let refused = alice.view(|view| view.mail.iter().filter_map(Refusal::of).count());
        assert!(refused <= 3 * 3 * 64, "{refused} were refused at once");
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn connections_that_come_too_fast_are_held_then_asked_to_come_back() {
    bounded(60, async {
        let rate = |burst, every_ms| Rate { burst, every_ms };
        let new_people = Some(NewPeople { share: rate(1, 60_000), together: rate(1, 800) });
        let rates = BucketRates { person: rate(1, 1), network: rate(100, 1), new_people };
        let clock = Arc::new(SystemClock::start());
        let server = Here::start_with(Bent::new(), clock, |settings| {
            settings.limits.local = LocalAddresses::Limited;
            settings.limits.max_hold_ms = 1_000;
            settings.limits.rates =
                std::mem::take(&mut settings.limits.rates).with(Bucket::Connections, rates);
        });
        let server = server.await;
        let begun = Instant::now();
        let enter = async |n: u32| {
            let mut raw = Raw::connect(server.addr).await;
            raw.say(&Identity::new(&format!("alice{n}")).hello()).await;
            raw
        };
        let [mut first, mut second, mut third] = [enter(1).await, enter(2).await, enter(3).await];
        let refusal = enter(4).await.find(|msg| Refusal::of(&msg)).await.expect("a reason");
        assert_eq!((refusal.code, refusal.close), (Code::Busy, true));
        for raw in [&mut first, &mut second] {
            raw.frame().await.expect("it is welcome");
        }
        assert!(begun.elapsed() < Duration::from_millis(700), "nobody had to wait before the third");
        third.frame().await.expect("it is welcome");
        assert!(begun.elapsed() >= Duration::from_millis(790), "it was not held");
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_classic_line_is_held_and_never_refused() {
    bounded(60, async {
        let server = limited(Bucket::Posts, 5, 5, 0).await;
        let mut alice = Native::enter(server.addr, "alice").await;
        let room = alice.lobby();
        alice.open(room, OpenFrom::Now).await;
        let mut bob = Classic::enter(server.addr, "bob").await;
        for n in 1..=200 {
            bob.say(&n.to_string()).await;
        }
        let said: Vec<_> = (1..=200).map(|n| n.to_string()).collect();
        assert_eq!(alice.reads(room, said.len()).await, said);
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn what_is_not_held_is_refused_with_the_wait() {
    bounded(60, async {
        for bucket in [Bucket::Searches, Bucket::Topics, Bucket::Names, Bucket::Rooms, Bucket::Directs] {
            let server = limited(bucket, 2, 60_000, 3_000).await;
            let mut alice = Native::enter(server.addr, "alice").await;
            let bob = Native::enter(server.addr, "bob").await;
            let room = alice.lobby();
            let mut refused = Vec::new();
            for n in 0..3 {
                let asked = match bucket {
                    Bucket::Searches => alice.ask(|req| search(req, "tea")).await,
                    Bucket::Topics => alice.ask(|req| topic(req, room, "tea")).await,
                    Bucket::Names => alice.ask(|req| name(req, &format!("alice{n}"))).await,
                    Bucket::Rooms => alice.ask(|req| join(req, &format!("room{n}"))).await,
                    _ => break,
                };
                refused.extend(asked.err());
            }
            if bucket == Bucket::Directs {
                for name in ["carol", "dave", "eve"] {
                    let other = Native::enter(server.addr, name).await;
                    let person = alice.person_named(name).await;
                    alice.post(Target::Person { person }, EntryKind::Text, "hi");
                    other.leave().await;
                }
                refused.push(alice.refusal().await);
            }
            let [refusal] = &refused[..] else { panic!("{bucket:?}: {refused:?}") };
            assert_eq!((refusal.code, refusal.close), (Code::TooFast, false), "{bucket:?}");
            assert!((50_000..=60_000).contains(&refusal.detail), "{bucket:?}: {refusal:?}");
            drop(bob);
            server.kill();
        }
    })
    .await;
}

#[tokio::test]
async fn too_many_new_people_of_one_address_are_asked_to_come_back() {
    bounded(60, async {
        let none = Rate { burst: 1, every_ms: 60_000 };
        let rates = BucketRates { person: none, network: none, new_people: None };
        let clock = Arc::new(SystemClock::start());
        let server = Here::start_with(Bent::new(), clock, |settings| {
            settings.limits.local = LocalAddresses::Limited;
            settings.limits.rates = std::mem::take(&mut settings.limits.rates).with(Bucket::People, rates);
        });
        let server = server.await;
        let identity = Identity::new("alice");
        Native::login(server.addr, &identity).await.leave().await;
        let mut raw = Raw::connect(server.addr).await;
        raw.say(&Identity::new("bob").hello()).await;
        let refusal = raw.find(|msg| Refusal::of(&msg)).await.expect("a reason");
        assert_eq!((refusal.code, refusal.close), (Code::Busy, true));
        assert!((50_000..=60_000).contains(&refusal.detail), "{refusal:?}");
        let _again = Native::login(server.addr, &identity).await;
        server.kill();
    })
    .await;
}

fn search(req: Req, words: &str) -> ClientMsg {
    ClientMsg::Search { req, room: None, words: words.to_owned(), limit: 1, before_room: None, before: None }
}

fn topic(req: Req, room: RoomId, text: &str) -> ClientMsg {
    ClientMsg::Do { req, room: Some(room), action: Action::Topic { text: text.to_owned() } }
}

fn name(req: Req, name: &str) -> ClientMsg {
    ClientMsg::State { req, change: StateChange::Name { name: name.to_owned() } }
}

fn join(req: Req, name: &str) -> ClientMsg {
    ClientMsg::Join { req, name: name.to_owned() }
}

/// Another device of a person who joins and leaves a room without end, which reads nothing.
#[tokio::test]
async fn a_connection_that_does_not_take_what_it_is_told_is_ended() {
    bounded(60, async {
        let clock = Arc::new(SystemClock::start());
        let small = |settings: &mut server::hub::Settings| settings.limits.max_unasked = 64 * 1_024;
        let server = Here::start_with(Bent::new(), clock, small).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        let stalled = Native::login(server.addr, &identity.other_device()).await;
        stalled.set_reading(false);
        let lobby = alice.lobby();
        let long = "t".repeat(500);
        alice.ask(|req| topic(req, lobby, &long)).await.expect("it is set");
        // More than both sockets hold.
        for n in 0..60 {
            for m in 0..200 {
                let req = Req(1_000 + n * 1_000 + 2 * m);
                alice.send(&ClientMsg::Part { req, room: lobby });
                alice.send(&join(Req(req.0 + 1), "lobby"));
            }
            alice.settle().await;
        }
        stalled.set_reading(true);
        stalled.ended().await;
        alice.ask(|req| topic(req, lobby, "short")).await.expect("who reads is not ended");
        server.kill();
    })
    .await;
}

/// Every message that a client may send, as often as it goes, by somebody who reads nothing.
#[tokio::test]
async fn a_flood_of_any_message_from_a_peer_that_reads_nothing_costs_bounded_memory() {
    bounded(300, async {
        let server = Server::start().await;
        let mut honest = Native::enter(server.addr(), "honest").await;
        let room = honest.lobby();
        honest.open(room, OpenFrom::Now).await;
        for (what, flood) in floods(room) {
            let identity = Identity::new("greedy");
            let other = Native::login(server.addr(), &identity.other_device()).await;
            let greedy = Native::login(server.addr(), &identity).await;
            greedy.set_reading(false);
            other.set_reading(false);
            let memory = server.memory();
            for n in 1..=20_000 {
                greedy.send(&flood(n));
            }
            let mut worst = Duration::ZERO;
            for n in 0..20 {
                let begun = Instant::now();
                honest.say(room, &format!("{what} {n}"));
                honest.hears(&format!("{what} {n}")).await;
                worst = worst.max(begun.elapsed());
            }
            let grown = server.memory().saturating_sub(memory);
            assert!(grown < 32 * 1_024, "{what}: the server has grown by {grown} KiB");
            assert!(worst < Duration::from_secs(5), "{what}: others wait for {worst:?}");
        }
        let log = server.err().text().len();
        assert!(log < 256 * 1_024, "{log} bytes of log");
    })
    .await;
}

type Flood = Box<dyn Fn(u32) -> ClientMsg>;

fn floods(room: RoomId) -> Vec<(&'static str, Flood)> {
    let seq = |n: u32| Seq::new(u64::from(n)).expect("it begins at 1");
    vec![
        ("join", Box::new(move |n| join(Req(n), "lobby"))),
        ("part", Box::new(move |n| ClientMsg::Part { req: Req(n), room })),
        ("rooms", Box::new(move |n| join(Req(n), &format!("room{}", n % 400)))),
        ("again", Box::new(move |n| join(Req(n), "lobby"))),
        ("open", Box::new(move |n| ClientMsg::Open { req: Req(n), room, from: OpenFrom::Now })),
        ("close", Box::new(move |n| ClientMsg::Close { req: Req(n), room })),
        (
            "post",
            Box::new(move |n| ClientMsg::Post {
                counter: Counter::new(u64::from(n)).expect("it begins at 1"),
                target: Target::Room { room },
                kind: EntryKind::Text,
                reply_to: None,
                written: Millis(0),
                body: "hello".into(),
            }),
        ),
        (
            "fetch",
            Box::new(move |n| ClientMsg::Fetch { req: Req(n), room, range: Range::Latest, limit: 1_000 }),
        ),
        ("search", Box::new(move |n| search(Req(n), "hello"))),
        ("mark", Box::new(move |n| ClientMsg::Mark { req: Req(n), room, seq: seq(n) })),
        (
            "typing",
            Box::new(move |n| ClientMsg::State {
                req: Req(n),
                change: StateChange::Typing { room, on: n % 2 == 0 },
            }),
        ),
        (
            "away",
            Box::new(move |n| ClientMsg::State {
                req: Req(n),
                change: StateChange::Away { text: format!("{n:0>250}") },
            }),
        ),
        ("name", Box::new(move |n| name(Req(n), &format!("greedy{n}")))),
        (
            "list",
            Box::new(move |n| ClientMsg::Ask {
                req: Req(n),
                question: Question::Rooms { after: String::new() },
            }),
        ),
        (
            "people",
            Box::new(move |n| ClientMsg::Ask {
                req: Req(n),
                question: Question::People { room: None, after: None },
            }),
        ),
        (
            "whois",
            Box::new(move |n| ClientMsg::Ask {
                req: Req(n),
                question: Question::Whois { name: "honest".into() },
            }),
        ),
        (
            "files",
            Box::new(move |n| ClientMsg::Ask {
                req: Req(n),
                question: Question::Files { room, before: None },
            }),
        ),
        ("topic", Box::new(move |n| topic(Req(n), room, &format!("{n:0>500}")))),
        ("fetched", Box::new(move |n| ClientMsg::Fetched { req: Req(n), room, seq: seq(n) })),
        ("ping", Box::new(move |n| ClientMsg::Ping { nonce: u64::from(n) })),
        ("drop", Box::new(move |n| ClientMsg::Drop { req: Req(n) })),
    ]
}

/// A classic user's commands, each of which is answered.
#[tokio::test]
async fn a_flood_of_commands_from_a_classic_user_that_reads_nothing_costs_bounded_memory() {
    bounded(120, async {
        let server = Server::start().await;
        let mut honest = Native::enter(server.addr(), "honest").await;
        let room = honest.lobby();
        honest.open(room, OpenFrom::Now).await;
        for command in
            ["/nick greedy", "/topic t", "/join r", "/away x", "/help", "/list", "/who", "/history"]
        {
            let mut greedy = TcpStream::connect(server.addr()).await.expect("the server listens");
            greedy.write_all(&ClassicMsg::Join("greedy").encode()).await.expect("it is taken");
            let memory = server.memory();
            let flood = async {
                for n in 0..20_000 {
                    let line = format!("{command}{n}");
                    greedy.write_all(&ClassicMsg::Text(&line).encode()).await.expect("it is taken");
                }
            };
            // It is not read any more once its answers pile up, so that it may not even get all of that out.
            let _ = timeout(Duration::from_secs(2), flood).await;
            let text = command.trim_start_matches('/');
            honest.say(room, text);
            honest.hears(text).await;
            let grown = server.memory().saturating_sub(memory);
            assert!(grown < 32 * 1_024, "{command}: the server has grown by {grown} KiB");
        }
    })
    .await;
}
