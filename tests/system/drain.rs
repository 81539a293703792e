//! Promise P13: it stops well.

use super::harness::{Home, Native, Server, all_of, bounded};
use protocol::message::ServerMsg;
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::Instant;

/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(3);

#[tokio::test]
async fn sigterm_says_so_and_exits_with_0_soon() {
    bounded(60, async {
        let mut server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let begun = Instant::now();
        let finished = server.stop().await;
        assert!(begun.elapsed() < DRAIN, "it took {:?}", begun.elapsed());
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        alice.ended().await;
        let go_away = |msg: &ServerMsg| matches!(msg, ServerMsg::GoAway { .. });
        alice.view(|view| assert!(view.mail.iter().any(go_away), "{:?}", view.mail));
    })
    .await;
}

#[tokio::test]
async fn a_closed_terminal_and_ctrl_backslash_drain_like_sigterm_and_user_signals_are_ignored() {
    for signal in [Signal::HUP, Signal::QUIT] {
        bounded(60, async {
            let mut server = Server::start().await;
            let alice = Native::enter(server.addr(), "alice").await;
            server.signal(Signal::USR1);
            server.signal(Signal::USR2);
            alice.say(alice.lobby(), "still here");
            alice.reads(alice.lobby(), 1).await;
            let finished = server.stop_by(signal).await;
            assert_eq!(finished.code, Some(0), "{signal:?}: {}", finished.err);
            alice.ended().await;
            let go_away = |msg: &ServerMsg| matches!(msg, ServerMsg::GoAway { .. });
            alice.view(|view| assert!(view.mail.iter().any(go_away), "{:?}", view.mail));
        })
        .await;
    }
}

#[tokio::test]
async fn clients_that_do_not_read_do_not_hold_up_the_end() {
    bounded(60, async {
        let mut server = Server::start().await;
        let sleeper = Native::enter(server.addr(), "sleeper").await;
        sleeper.set_reading(false);
        let writer = Native::enter(server.addr(), "writer").await;
        let body = "x".repeat(16 * 1024);
        writer.say_all(writer.lobby(), (0..400).map(|_| body.clone())).await;
        let begun = Instant::now();
        assert_eq!(server.stop().await.code, Some(0));
        assert!(begun.elapsed() < DRAIN, "it took {:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test]
async fn posts_in_flight_are_acknowledged_or_not_stored_at_all() {
    bounded(60, async {
        let mut server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let mut senders = Vec::new();
        for n in 0..4 {
            senders.push(Native::enter(server.addr(), &format!("sender-{n}")).await);
        }
        let room = observer.lobby();
        for n in 0..50 {
            for sender in &senders {
                sender.say(room, &format!("{n}"));
            }
        }
        // Some are stored by now, some are on their way.
        observer.reads(room, 1).await;
        assert_eq!(server.stop().await.code, Some(0));
        observer.ended().await;
        all_of(senders.iter().map(Native::ended)).await;
        for sender in &senders {
            let acked = sender.view(|view| view.acked);
            let seen = observer.view(|view| {
                let entries = &view.open[&room].entries;
                let own = entries.iter().filter(|entry| entry.device == Some(sender.device));
                own.count() as u64
            });
            assert_eq!(acked, seen, "what {} was told is what others read", sender.name);
        }
    })
    .await;
}

#[tokio::test]
async fn programs_come_back_after_a_stop_and_talk_on() {
    bounded(120, async {
        let mut server = Server::start_to_be_restarted().await;
        let (alice_home, bob_home) = (Home::new(), Home::new());
        let mut alice = alice_home.natter(server.addr(), "alice");
        let bob = bob_home.natter(server.addr(), "bob");
        alice.type_line("before the stop").await;
        bob.shows("before the stop").await;
        assert_eq!(server.stop().await.code, Some(0));
        alice.type_line("typed while it was away").await;
        server.start_again().await;
        bob.shows("typed while it was away").await;
        alice.type_line("after the stop").await;
        bob.shows("after the stop").await;
    })
    .await;
}
