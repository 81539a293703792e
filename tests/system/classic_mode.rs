//! Our client on a classic server, which is written here from the dialect's table, faults included.

use super::harness::{Cli, Home, bounded};
use protocol::classic::{ClassicMsg, ClassicReply, NAME_TAKEN, QUIT_ACK, UNKNOWN_COMMAND, WELCOME};
use protocol::frame::frame;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A classic server, of which the test is the other people.
struct ClassicServer {
    listener: TcpListener,
    addr: SocketAddr,
}

impl ClassicServer {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        Self { listener, addr }
    }

    /// Starts our client in its classic mode.
    fn natter(&self, home: &Home, name: &str, more: &[&str]) -> Cli {
        home.natter_with(self.addr, name, &[&["--classic"], more].concat())
    }

    async fn accept(&self) -> Connection {
        Connection(self.listener.accept().await.expect("the client connects").0)
    }
}

/// The server's side of one connection.
struct Connection(TcpStream);

impl Connection {
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let len = self.0.read_u32().await.ok()? as usize;
        let mut frame = vec![0; len];
        self.0.read_exact(&mut frame).await.ok()?;
        Some((frame.remove(0), frame))
    }

    async fn hears(&mut self, expected: ClassicMsg<'_>) {
        let (ty, payload) = self.frame().await.expect("the client says more");
        let heard = ClassicMsg::decode(ty, &payload).expect("the client speaks the dialect");
        // A file is too long to be shown.
        assert!(heard == expected, "heard type {ty} with {} bytes instead", payload.len());
    }

    async fn say(&mut self, reply: ClassicReply<'_>) {
        self.0.write_all(&reply.encode()).await.expect("the client reads");
    }

    async fn greet(&mut self, name: &str) {
        self.hears(ClassicMsg::Join(name)).await;
        self.say(ClassicReply::Text(WELCOME)).await;
    }

    async fn part(mut self) {
        self.hears(ClassicMsg::Text("/quit")).await;
        self.say(ClassicReply::Command(QUIT_ACK)).await;
        assert_eq!(self.frame().await, None);
    }
}

fn content(len: usize) -> Vec<u8> {
    let mut content = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    content
}

#[tokio::test]
async fn a_whole_conversation_with_files_is_held_on_a_classic_server() {
    bounded(120, async {
        let server = ClassicServer::start().await;
        let home = Home::new();
        let (large, dog) = (content(5_000_000), content(3_000_000));
        fs::write(home.path().join("my cat.png"), &large).expect("written");
        let mut bob = server.natter(&home, "bob", &[]);
        let mut peer = server.accept().await;
        peer.greet("bob").await;
        bob.says("connected; you are bob").await;
        bob.shows(WELCOME).await;

        peer.say(ClassicReply::Join("alice joined the chat.")).await;
        bob.shows("* alice is here").await;
        peer.say(ClassicReply::Text("alice::hi, bob::friend")).await;
        bob.shows("alice: hi, bob::friend").await;
        bob.type_line("hi, alice").await;
        peer.hears(ClassicMsg::Text("hi, alice")).await;
        bob.shows("bob: hi, alice").await;

        bob.type_line("/users").await;
        peer.hears(ClassicMsg::Text("/users")).await;
        peer.say(ClassicReply::Text("[Server] Online users: alice, bob")).await;
        bob.shows("[Server] Online users: alice, bob").await;
        bob.type_line("/nonsense").await;
        peer.hears(ClassicMsg::Text("/nonsense")).await;
        peer.say(ClassicReply::Error(UNKNOWN_COMMAND)).await;
        bob.says("Unknown command").await;
        bob.type_line("/help").await;
        bob.shows("/send PATH").await;

        bob.type_lines([&format!("/send {}/my cat.png", home.path().display()), "and?"]).await;
        peer.hears(ClassicMsg::File { name: "my cat.png", content: &large }).await;
        peer.hears(ClassicMsg::Text("and?")).await;
        bob.shows("bob sends 'my cat.png' (4.7 MiB)").await;
        peer.say(ClassicReply::File { from: "alice", name: "dog.png", content: &dog }).await;
        peer.say(ClassicReply::Text("alice::mine")).await;
        bob.shows("alice sends 'dog.png' (2.8 MiB)").await;
        bob.shows("received 'dog.png' (2.8 MiB) from alice").await;
        bob.shows("alice: mine").await;
        assert!(fs::read(home.received().join("dog.png")).expect("there") == dog);

        peer.say(ClassicReply::Leave("alice left the chat.")).await;
        bob.shows("* alice left").await;
        bob.close_input();
        peer.part().await;
        // The unknown command was refused, which a script must be able to see.
        assert_eq!(bob.finished().await.code, Some(5));
    })
    .await;
}

#[tokio::test]
async fn a_line_in_a_pipe_is_said_and_then_it_leaves() {
    bounded(60, async {
        let server = ClassicServer::start().await;
        let home = Home::new();
        let mut bob = server.natter(&home, "bob", &[]);
        bob.type_line("hi").await;
        bob.close_input();
        let mut peer = server.accept().await;
        peer.greet("bob").await;
        peer.hears(ClassicMsg::Text("hi")).await;
        peer.part().await;
        let ended = bob.finished().await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.out.contains("bob: hi"), "{}", ended.out);
    })
    .await;
}

#[tokio::test]
async fn a_taken_name_ends_it_with_a_hint_instead_of_a_dead_end() {
    bounded(60, async {
        let server = ClassicServer::start().await;
        let home = Home::new();
        let mut bob = server.natter(&home, "bob", &[]);
        bob.type_line("never said").await;
        let mut peer = server.accept().await;
        peer.hears(ClassicMsg::Join("bob")).await;
        peer.say(ClassicReply::Error(NAME_TAKEN)).await;
        assert_eq!(peer.frame().await, None, "nothing is said after that");
        let ended = bob.finished().await;
        assert_eq!(ended.code, Some(5), "{}", ended.err);
        assert!(ended.err.contains("'bob'") && ended.err.contains("hint: choose another one: -u bob-2"));
    })
    .await;
}

#[tokio::test]
async fn nothing_of_a_classic_server_reaches_the_screen_or_the_disk_raw() {
    bounded(90, async {
        let server = ClassicServer::start().await;
        let home = Home::new();
        fs::write(home.path().join("canary"), "canary").expect("written");
        let mut bob = server.natter(&home, "bob", &["--max-receive", "1"]);
        let mut peer = server.accept().await;
        peer.greet("bob").await;
        peer.say(ClassicReply::Text("mal\u{1b}[2Jlory::\u{1b}]0;owned\u{7}\u{202e}txt")).await;
        peer.say(ClassicReply::Error("\u{1b}[31mred")).await;
        let names = ["../canary", "/etc/passwd", ".bashrc", "a\u{1b}[2Jb", "CON", "..", "x\0y", "C:\\z"];
        for name in names {
            peer.say(ClassicReply::File { from: "mallory", name, content: b"x" }).await;
        }
        peer.say(ClassicReply::File { from: "m", name: "large", content: &content(2 << 20) }).await;
        for (ty, payload) in [(2, &b"no names"[..]), (2, b""), (1, b"\xff"), (0x42, b"?"), (4, b"")] {
            peer.0.write_all(&frame(ty, payload)).await.expect("the client reads");
        }
        peer.say(ClassicReply::Text("alice::the end")).await;
        bob.shows("alice: the end").await;
        bob.says("'large' not received from m: it is too large: 2.0 MiB, and you take at most 1.0 MiB").await;
        let files = fs::read_dir(home.received()).expect("there").count();
        assert_eq!(files, names.len());
        assert_eq!(fs::read_to_string(home.path().join("canary")).expect("there"), "canary");
        let raw = |line: &String| line.contains(|c: char| c.is_control() || c == '\u{202e}');
        assert!(!bob.lines().iter().any(raw) && !bob.diagnostics().iter().any(raw));
        bob.type_line("/quit").await;
        peer.part().await;
        bob.finished().await;
    })
    .await;
}

#[tokio::test]
async fn a_broken_link_is_told_honestly_and_a_file_is_sent_again() {
    bounded(120, async {
        let server = ClassicServer::start().await;
        let home = Home::new();
        let large = content(9_000_000);
        fs::write(home.path().join("large"), &large).expect("written");
        let mut bob = server.natter(&home, "bob", &[]);
        let mut peer = server.accept().await;
        peer.greet("bob").await;
        bob.type_line("did this arrive?").await;
        peer.hears(ClassicMsg::Text("did this arrive?")).await;
        bob.type_line(&format!("/send {}", home.path().join("large").display())).await;
        assert!(peer.0.read_u32().await.expect("a frame begins") > 9_000_000);
        drop(peer);
        bob.says("may not have arrived: 'did this arrive?'").await;
        let mut peer = server.accept().await;
        // The server has not noticed yet that the old connection is gone.
        peer.hears(ClassicMsg::Join("bob")).await;
        peer.say(ClassicReply::Error(NAME_TAKEN)).await;
        assert_eq!(peer.frame().await, None);
        let mut peer = server.accept().await;
        peer.greet("bob").await;
        peer.hears(ClassicMsg::File { name: "large", content: &large }).await;
        bob.says("reconnected").await;
        bob.close_input();
        peer.part().await;
        // A line may be lost, and a script must be able to see that.
        assert_eq!(bob.finished().await.code, Some(3));
    })
    .await;
}

#[tokio::test]
async fn our_client_in_its_classic_mode_gets_on_with_our_server() {
    bounded(90, async {
        let server = super::harness::Server::start().await;
        let (alice_home, bob_home) = (Home::new(), Home::new());
        let mut alice = alice_home.natter_with(server.addr(), "alice", &["--classic"]);
        alice.shows(WELCOME).await;
        let mut bob = bob_home.natter(server.addr(), "bob");
        alice.shows("* bob is here").await;
        bob.type_line("hi, alice").await;
        alice.shows("bob: hi, alice").await;
        fs::write(alice_home.path().join("cat"), "meow").expect("written");
        alice.type_line(&format!("/send {}/cat", alice_home.path().display())).await;
        bob.shows("received 'cat' (4 bytes) from alice").await;
        fs::write(bob_home.path().join("dog"), "woof").expect("written");
        bob.type_line(&format!("/send {}/dog", bob_home.path().display())).await;
        alice.shows("received 'dog' (4 bytes) from bob").await;
        assert_eq!(fs::read_to_string(alice_home.received().join("dog")).expect("there"), "woof");
        alice.close_input();
        assert_eq!(alice.finished().await.code, Some(0));
        bob.type_line("/quit").await;
        assert_eq!(bob.finished().await.code, Some(0));
    })
    .await;
}
