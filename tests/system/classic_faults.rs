//! What classic clients do wrong, and what they can't bear: names, separators, broken and oversized frames.

use super::harness::{Classic, Native, Server, Shown, bounded};
use protocol::classic::{INVALID_JOIN, WELCOME, ty};
use protocol::frame::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that was shown the door gets this and nothing else.
async fn is_turned_away(client: &Classic) {
    client.shows(&Shown::Error(INVALID_JOIN.into())).await;
    client.ended().await;
    assert_eq!(client.shown().len(), 1, "{:?}", client.shown());
}

#[tokio::test]
async fn a_taken_name_is_numbered_and_its_bearer_is_told() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut second = Classic::enter(server.addr(), "alice").await;
        alice.shows(&Shown::Came("alice-2 joined the chat.".into())).await;
        let told = second.notice("alice-2").await;
        assert!(told.starts_with("[Server] "), "{told}");
        second.say("it is me").await;
        alice.hears("alice-2", "it is me").await;
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_not_allowed_is_made_safe() {
    bounded(60, async {
        let server = Server::start().await;
        let observer = Classic::enter(server.addr(), "observer").await;
        for (wanted, given) in [
            ("e::vil", "e-vil"),
            ("two words", "two-words"),
            ("bell\u{7}ringer", "bell-ringer"),
            ("tur\u{202e}ned", "tur-ned"),
            ("line\nbreak", "line-break"),
            ("#hash", "hash"),
            ("[Server]", "Server]"),
            ("Server", "guest"),
        ] {
            let client = Classic::enter(server.addr(), wanted).await;
            observer.shows(&Shown::Came(format!("{given} joined the chat."))).await;
            let told = client.notice(given).await;
            assert!(told.starts_with("[Server] "), "{told}");
        }
        let long = Classic::enter(server.addr(), &"x".repeat(100)).await;
        long.notice(&"x".repeat(32)).await;
    })
    .await;
}

#[tokio::test]
async fn a_text_with_the_separator_arrives_whole() {
    bounded(60, async {
        let server = Server::start().await;
        let native = Native::enter(server.addr(), "nat").await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        bob.say("std::fs::read").await;
        alice.hears("bob", "std::fs::read").await;
        native.hears("std::fs::read").await;
        native.say(native.lobby(), "a::b::c");
        alice.hears("nat", "a::b::c").await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_line_is_ignored() {
    bounded(60, async {
        let server = Server::start().await;
        let native = Native::enter(server.addr(), "nat").await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        for line in ["", " ", "\t", "something"] {
            bob.say(line).await;
        }
        alice.hears("bob", "something").await;
        assert_eq!(native.reads(native.lobby(), 1).await, ["something"]);
        bob.say("/users").await;
        bob.notice("Online users").await;
        assert!(!bob.shown().iter().any(|shown| matches!(shown, Shown::Error(_))), "{:?}", bob.shown());
    })
    .await;
}

#[tokio::test]
async fn unreadable_and_oversized_lines_are_answered_and_skipped() {
    bounded(60, async {
        let server = Server::start().await;
        let native = Native::enter(server.addr(), "nat").await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        bob.send(ty::TEXT, b"caf\xe9").await;
        bob.notice("[Server] ").await;
        bob.send(ty::TEXT, &[b'x'; 20_000]).await;
        bob.notice("[Server] ").await;
        bob.send(ty::TEXT, &vec![b'x'; 1 << 20]).await;
        bob.notice("[Server] ").await;
        bob.say("still here").await;
        alice.hears("bob", "still here").await;
        assert_eq!(native.reads(native.lobby(), 1).await, ["still here"]);
    })
    .await;
}

#[tokio::test]
async fn the_longest_line_that_is_allowed_arrives() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        let long = "é".repeat(8 * 1024);
        bob.say(&long).await;
        alice.hears("bob", &long).await;
    })
    .await;
}

#[tokio::test]
async fn what_could_move_a_cursor_is_made_harmless() {
    bounded(60, async {
        let server = Server::start().await;
        let native = Native::enter(server.addr(), "nat").await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        bob.say("red \u{1b}[31m and \u{202e}turned").await;
        let harmless = "red \u{fffd}[31m and \u{fffd}turned";
        alice.hears("bob", harmless).await;
        native.hears(harmless).await;
        native.say(native.lobby(), "two\nlines\tand a tab");
        alice.hears("nat", "two ⏎ lines and a tab").await;
        let said = |shown: &Shown| format!("{shown:?}");
        assert!(!alice.shown().iter().any(|shown| said(shown).contains("\\n")));
    })
    .await;
}

#[tokio::test]
async fn whatever_comes_instead_of_a_join_is_turned_away() {
    bounded(60, async {
        let server = Server::start().await;
        for (ty, payload) in [
            (ty::TEXT, &b"hello"[..]),
            (ty::COMMAND, b"/users"),
            (ty::FILE, b"a::b"),
            (ty::JOIN, b""),
            (ty::JOIN, b"\xff\xfe"),
        ] {
            let mut client = Classic::connect_silently(server.addr()).await;
            client.send(ty, payload).await;
            is_turned_away(&client).await;
        }
        Classic::enter(server.addr(), "next").await;
    })
    .await;
}

#[tokio::test]
async fn frames_in_pieces_and_frames_in_one_piece_are_the_same() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut bob = super::harness::Raw::connect(server.addr()).await;
        let stream = [frame(ty::JOIN, b"bob"), frame(ty::TEXT, b"one"), frame(ty::TEXT, b"two")].concat();
        for byte in &stream[..12] {
            bob.send(&[*byte]).await;
        }
        bob.send(&stream[12..]).await;
        alice.hears("bob", "one").await;
        alice.hears("bob", "two").await;
        let (ty, payload) = bob.frame().await.expect("a welcome");
        assert_eq!((ty, &payload[..]), (ty::TEXT, WELCOME.as_bytes()));
    })
    .await;
}

#[tokio::test]
async fn a_second_join_and_types_of_the_server_change_nothing() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Classic::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        bob.send(ty::JOIN, b"mallory").await;
        bob.send(ty::LEAVE, b"alice left the chat.").await;
        bob.send(ty::ERROR, b"oh no").await;
        bob.send(ty::COMMAND, b"/quit_ack").await;
        bob.send(0x99, b"what?").await;
        bob.say("still bob").await;
        alice.hears("bob", "still bob").await;
        let lines = format!("{:?}", alice.shown());
        assert!(!lines.contains("mallory") && !lines.contains("oh no"), "{lines}");
        assert!(!lines.contains("alice left"), "{lines}");
    })
    .await;
}

/// The type of the next frame and the bytes of its payload that follow.
async fn next_head(stream: &mut TcpStream) -> (u8, usize) {
    let len = stream.read_u32().await.expect("a frame");
    let ty = stream.read_u8().await.expect("its type");
    (ty, len as usize - 1)
}

#[tokio::test]
async fn a_file_arrives_whole_at_a_reader_that_says_nothing_more() {
    bounded(60, async {
        let server = Server::start().await;
        let mut reader = TcpStream::connect(server.addr()).await.expect("the server listens");
        reader.write_all(&frame(ty::JOIN, b"reader")).await.expect("it is read");
        let mut sender = Classic::enter(server.addr(), "sender").await;
        // More than the sockets hold, so that the server is in its middle.
        let content: Vec<u8> =
            (0_u32..4 << 20).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
        sender.send(ty::FILE, &[&b"a.bin::"[..], &content].concat()).await;
        let len = loop {
            let (kind, len) = next_head(&mut reader).await;
            if kind == ty::FILE {
                break len;
            }
            reader.read_exact(&mut vec![0; len]).await.expect("a frame");
        };
        reader.shutdown().await.expect("it is open");
        let mut payload = vec![0; len];
        reader.read_exact(&mut payload).await.expect("all of the file");
        assert!(payload == [&b"sender::a.bin::"[..], &content].concat(), "the file is another one");
    })
    .await;
}
