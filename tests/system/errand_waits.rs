//! `natter send` and `natter get` that wait: they say for what, and not for longer than they are given.

use super::harness::bulk::{Bulk, Sent, content, post};
use super::harness::{Finished, Home, Identity, Native, Server, bounded};
use protocol::entry::EntryKind;
use protocol::limits::BLOCK;
use protocol::message::Target;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Alice, who has begun to send a file to the lobby and has not sent all of it.
async fn sends_half(addr: SocketAddr) -> (Native, Bulk, Sent) {
    let identity = Identity::new("alice");
    let mut client = Native::login(addr, &identity).await;
    let mut up = Bulk::login(addr, &identity).await;
    let target = Target::Room { room: client.lobby() };
    let sent = Sent::new(1, target.clone(), content(3 * BLOCK, 1));
    up.put(&sent).await.expect("it may begin");
    post(&mut client, &target, EntryKind::FileOffer, None, sent.offer()).await;
    up.send(&sent, 0, BLOCK + 5).await;
    (client, up, sent)
}

async fn get(home: &Home, addr: SocketAddr, to: &Path, timeout: &str) -> Finished {
    let to = to.display().to_string();
    let mut errand = home.errand("get", addr, "bob", &["x", "-o", &to, "--timeout", timeout]);
    errand.close_input();
    errand.finished().await
}

#[tokio::test]
async fn a_get_whose_sender_is_gone_says_so_and_ends_when_its_time_is_over() {
    bounded(120, async {
        let server = Server::start().await;
        let home = Home::new();
        let to = home.path().join("got");
        let (client, up, _) = sends_half(server.addr()).await;
        drop((client, up));
        let ended = get(&home, server.addr(), &to, "25s").await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{}", ended.err);
        assert!(
            ended.err.contains("waiting for alice, who is not online, to send the rest"),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("natter: not done within 25 s: waiting for alice"), "{}", ended.err);
        assert!(ended.err.contains("hint: the same command goes on"), "{}", ended.err);
        assert!(!to.exists());
    })
    .await;
}

#[tokio::test]
async fn a_get_that_was_given_up_in_time_goes_on_with_the_same_command() {
    bounded(120, async {
        let server = Server::start().await;
        let home = Home::new();
        let to = home.path().join("got");
        let (mut client, mut up, sent) = sends_half(server.addr()).await;
        assert_eq!(get(&home, server.addr(), &to, "5s").await.code, Some(3));
        up.send(&sent, BLOCK + 5, sent.size()).await;
        up.finish(&sent).await.expect("it is stored");
        let target = Target::Room { room: client.lobby() };
        post(&mut client, &target, EntryKind::File, None, sent.body()).await;
        let got = get(&home, server.addr(), &to, "60s").await;
        assert_eq!(got.code, Some(0), "{}", got.err);
        assert!(fs::read(&to).expect("it is there") == sent.content[..]);
    })
    .await;
}

#[tokio::test]
async fn a_time_that_is_none_is_a_mistake_of_the_command_line() {
    bounded(60, async {
        let home = Home::new();
        for time in ["0", "5x", "-1s", "", "1.5h"] {
            let addr = SocketAddr::from(([127, 0, 0, 1], 9));
            let mut errand = home.errand("get", addr, "bob", &["1", &format!("--timeout={time}")]);
            let ended = errand.finished().await;
            assert_eq!(ended.code, Some(2), "{time}: {}", ended.err);
            assert!(ended.err.contains("not a time such as 90s, 5m or 2h"), "{time}: {}", ended.err);
        }
    })
    .await;
}
