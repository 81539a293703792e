//! Links that die without a word: both sides notice, and nothing is lost.

use super::harness::{Cut, Home, Identity, Native, Proxy, Raw, Server, Way, bounded};
use protocol::code::Code;
use protocol::limits::{DEAD_AFTER_MS, FIRST_FRAME_MS};
use protocol::message::{ClientMsg, ServerMsg};
use std::time::Duration;
use tokio::time::Instant;

/// Reads until the server refuses to go on, and says why and after how long.
async fn end_of(connection: &mut Raw) -> (Code, Duration) {
    let begun = Instant::now();
    let refused = |msg: ServerMsg| match msg {
        ServerMsg::Error { code, close: true, .. } => Code::from_number(code),
        _ => None,
    };
    let code = connection.find(refused).await.expect("a reason before the end");
    assert_eq!(connection.frame().await, None, "then the connection ends");
    (code, begun.elapsed())
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_the_time_that_welcome_told() {
    bounded(60, async {
        let server = Server::start().await;
        let mut silent = Raw::connect(server.addr()).await;
        silent.say(&Identity::new("silent").hello()).await;
        let limits = |msg: ServerMsg| match msg {
            ServerMsg::Welcome { limits, .. } => Some(limits),
            _ => None,
        };
        let limits = silent.find(limits).await.expect("a welcome");
        assert_eq!(u64::from(limits.dead_after_ms), DEAD_AFTER_MS);
        let (code, after) = end_of(&mut silent).await;
        assert_eq!(code, Code::Silent);
        let dead = Duration::from_millis(DEAD_AFTER_MS);
        assert!(after > dead / 2 && after < dead * 2, "closed after {after:?}");
    })
    .await;
}

#[tokio::test]
async fn pings_keep_a_connection_and_are_answered_in_order() {
    bounded(60, async {
        let server = Server::start().await;
        let mut client = Raw::connect(server.addr()).await;
        client.say(&Identity::new("alice").hello()).await;
        for nonce in [7, 0, u64::MAX] {
            client.say(&ClientMsg::Ping { nonce }).await;
            let pong = |msg: ServerMsg| match msg {
                ServerMsg::Pong { nonce, .. } => Some(nonce),
                _ => None,
            };
            assert_eq!(client.find(pong).await, Some(nonce));
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_who_says_nothing_is_shown_out() {
    bounded(60, async {
        let server = Server::start().await;
        let mut stranger = Raw::connect(server.addr()).await;
        let (code, after) = end_of(&mut stranger).await;
        assert_eq!(code, Code::LoginTimeout);
        let limit = Duration::from_millis(FIRST_FRAME_MS);
        assert!(after > limit / 2 && after < limit * 3, "shown out after {after:?}");
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_stops_half_way_does_not_hold_its_place_for_ever() {
    bounded(60, async {
        let server = Server::start().await;
        let mut client = Raw::connect(server.addr()).await;
        client.say(&Identity::new("alice").hello()).await;
        client.send(&[0, 0, 0, 100, 0x15, 1, 2, 3]).await;
        let (code, _) = end_of(&mut client).await;
        assert!(matches!(code, Code::Stalled | Code::Silent), "{code:?}");
    })
    .await;
}

#[tokio::test]
async fn a_client_on_a_half_open_link_comes_back_and_loses_nothing() {
    bounded(120, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let room = observer.lobby();
        let proxy = Proxy::start(server.addr()).await;
        let home = Home::new();
        let mut alice = home.natter(proxy.addr(), "alice");
        proxy.logged_in().await;
        alice.type_line("before").await;
        observer.hears("before").await;

        proxy.make_half_open();
        alice.type_lines(["lost on the way?", "typed into the void"]).await;
        observer.say(room, "said meanwhile");
        // The client hears nothing, gives the link up and takes another one; the old one stays as it is.
        alice.shows("said meanwhile").await;
        observer.hears("typed into the void").await;
        let texts = observer.texts(room);
        for text in ["before", "lost on the way?", "typed into the void"] {
            assert_eq!(texts.iter().filter(|seen| *seen == text).count(), 1, "{text}: {texts:?}");
        }
        proxy.cut(Cut::Close);
    })
    .await;
}

#[tokio::test]
async fn acknowledgements_that_never_arrive_cause_no_double() {
    bounded(120, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let proxy = Proxy::start(server.addr()).await;
        let home = Home::new();
        let mut alice = home.natter(proxy.addr(), "alice");
        proxy.logged_in().await;
        proxy.stall(Way::Down);
        alice.type_line("said once").await;
        observer.hears("said once").await;
        proxy.holds_unacknowledged().await;
        assert_eq!(proxy.cut(Cut::Reset), 1, "the cut fell on a post without its acknowledgement");
        alice.type_line("and then").await;
        observer.hears("and then").await;
        assert_eq!(observer.texts(observer.lobby()), ["said once", "and then"]);
    })
    .await;
}
