//! Limits of the whole server: how many it lets in, and what it lets one of them do.

use super::harness::{Classic, Identity, Native, Raw, Refusal, Server, bounded};
use protocol::code::Code;
use protocol::limits::{MAX_ROOMS_PER_PERSON, WINDOW_POSTS};
use protocol::message::{ClientMsg, OpenFrom, ServerMsg, Target};

#[tokio::test]
async fn a_full_server_says_so_and_lets_the_next_in_when_somebody_leaves() {
    bounded(60, async {
        let server = Server::start_with(&["-m", "2"]).await;
        let alice = Native::enter(server.addr(), "alice").await;
        let _bob = Classic::enter(server.addr(), "bob").await;
        let mut third = Raw::connect(server.addr()).await;
        third.say(&Identity::new("third").hello()).await;
        let refusal = third.find(|msg| Refusal::of(&msg)).await.expect("a reason");
        assert_eq!((refusal.code, refusal.close), (Code::ServerFull, true));
        assert_eq!(third.frame().await, None);
        let fourth = Classic::connect(server.addr(), "fourth").await;
        fourth.notice("[Server] ").await;
        fourth.ended().await;
        alice.leave().await;
        Native::enter(server.addr(), "third").await;
    })
    .await;
}

#[tokio::test]
async fn a_person_is_in_so_many_rooms_and_no_more() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr(), &identity).await;
        for n in 1..MAX_ROOMS_PER_PERSON {
            alice.join(&format!("room-{n}")).await;
        }
        let name = "one-too-many".to_owned();
        let refused = alice.ask(|req| ClientMsg::Join { req, name }).await;
        assert_eq!(refused.expect_err("too many").code, Code::TooManyRooms);
        // The list is longer than a page, and comes whole.
        alice.leave().await;
        let alice = Native::login(server.addr(), &identity).await;
        assert_eq!(alice.view(|view| view.rooms.len()), MAX_ROOMS_PER_PERSON);
    })
    .await;
}

#[tokio::test]
async fn posts_beyond_the_window_wait_and_none_is_lost() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let room = alice.lobby();
        let many = u64::from(WINDOW_POSTS) * 20;
        for n in 1..=many {
            alice.post_as(n, Target::Room { room }, &n.to_string());
        }
        alice.acked(many).await;
        let all: Vec<_> = (1..=many).map(|n| n.to_string()).collect();
        assert_eq!(alice.reads(room, all.len()).await, all);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_asks_without_end_and_reads_nothing_costs_bounded_memory() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let room = alice.lobby();
        let body = "x".repeat(16_000);
        alice.say_all(room, (0..200).map(|_| body.clone())).await;
        let greedy = Native::login(server.addr(), &Identity::new("greedy")).await;
        greedy.set_reading(false);
        let memory = server.memory();
        for n in 1..=20_000 {
            let (req, range) = (protocol::id::Req(n), protocol::message::Range::Latest);
            greedy.send(&ClientMsg::Fetch { req, room, range, limit: 1_000 });
        }
        // Meanwhile others are served; a gigabyte of answers is not held for somebody who takes none.
        for n in 0..50 {
            alice.open(room, OpenFrom::Now).await;
            alice.say(room, &format!("still served {n}"));
            alice.hears(&format!("still served {n}")).await;
        }
        let grown = server.memory().saturating_sub(memory);
        assert!(grown < 16 * 1024, "the server has grown by {grown} KiB");
    })
    .await;
}

#[tokio::test]
async fn the_welcome_tells_the_limits_and_the_operators_words() {
    bounded(60, async {
        let server = Server::start_with(&["--motd", "be kind"]).await;
        let mut raw = Raw::connect(server.addr()).await;
        raw.say(&Identity::new("alice").hello()).await;
        let welcome = |msg: ServerMsg| match msg {
            ServerMsg::Welcome { motd, storage, limits, .. } => Some((motd, storage, limits)),
            _ => None,
        };
        let (motd, storage, limits) = raw.find(welcome).await.expect("a welcome");
        assert_eq!(motd, "be kind");
        assert!(storage.contains("memory"), "what is kept and how long: {storage}");
        assert_eq!((limits.body, limits.frame), (16 * 1024, 64 * 1024));
        assert_eq!((limits.window_posts, limits.window_bytes), (256, 256 * 1024));
    })
    .await;
}
