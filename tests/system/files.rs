//! Files through the real programs: whole, beside the chat, and never where or as what their senders please.

use super::harness::{Cli, Home, Identity, Native, Raw, Server, bounded};
use blake3::hash;
use bytes::Bytes;
use protocol::classic::{ClassicMsg, SEPARATOR, ty};
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Counter, Millis, Req, TransferId};
use protocol::message::{Blob, ClientMsg, FileBody, ServerMsg, Shape, Target};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Size of a large file; a release is checked with 100 MB.
const LARGE: usize = 32 << 20;

/// Bytes that no compression and no shift leaves alike.
fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut content = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes()).finalize_xof().fill(&mut content);
    content
}

/// Alice and bob, who have heard each other.
async fn two_people(server: &Server) -> ((Home, Cli), (Home, Cli)) {
    // The large file is larger than what is received unasked.
    let more = ["--max-receive", "256"];
    let (alice_home, bob_home) = (Home::new(), Home::new());
    let mut alice = alice_home.natter_with(server.addr(), "alice", &more);
    alice.type_line("here").await;
    alice.shows("alice: here").await;
    let mut bob = bob_home.natter_with(server.addr(), "bob", &more);
    bob.type_line("me too").await;
    alice.shows("bob: me too").await;
    ((alice_home, alice), (bob_home, bob))
}

fn write(home: &Home, name: &str, content: &[u8]) -> String {
    let path = home.path().join(name);
    fs::write(&path, content).expect("the disk has room");
    format!("/send {}", path.display())
}

#[tokio::test]
async fn two_programs_send_each_other_large_files_while_chat_goes_on() {
    bounded(170, async {
        let server = Server::start().await;
        let ((alice_home, mut alice), (bob_home, mut bob)) = two_people(&server).await;
        let (one, two) = (content(LARGE, 1), content(LARGE, 2));
        alice.type_line(&write(&alice_home, "from alice.bin", &one)).await;
        bob.type_line(&write(&bob_home, "from bob.bin", &two)).await;
        for n in 0..50 {
            alice.type_line(&format!("line {n}")).await;
            bob.shows(&format!("alice: line {n}")).await;
        }
        // The lines were heard one by one; what came in between is looked for in all that was shown.
        let received = |lines: &[String], name: &str| lines.iter().any(|line| line.contains(name));
        bob.until("alice's file", |lines| received(lines, "received 'from alice.bin' (32.0 MiB)")).await;
        alice.until("bob's file", |lines| received(lines, "received 'from bob.bin' (32.0 MiB)")).await;
        let read =
            |home: &Home, name: &str| hash(&fs::read(home.received().join(name)).expect("it is there"));
        assert_eq!(read(&bob_home, "from alice.bin"), hash(&one));
        assert_eq!(read(&alice_home, "from bob.bin"), hash(&two));
        let shown = |lines: &[String]| lines.iter().filter(|line| line.contains(" sends '")).count();
        assert_eq!((shown(&alice.lines()), shown(&bob.lines())), (2, 2));
    })
    .await;
}

#[tokio::test]
async fn a_script_sends_a_file_and_leaves_when_it_is_posted() {
    bounded(90, async {
        let server = Server::start().await;
        let ((alice_home, mut alice), (bob_home, bob)) = two_people(&server).await;
        alice.type_line(&write(&alice_home, "empty", b"")).await;
        alice.type_line(&write(&alice_home, "cat.png", b"meow")).await;
        alice.close_input();
        assert_eq!(alice.finished().await.code, Some(0));
        bob.shows("received 'cat.png' (4 bytes) from alice").await;
        assert_eq!(fs::read(bob_home.received().join("cat.png")).expect("there"), b"meow");
        assert_eq!(fs::read(bob_home.received().join("empty")).expect("there"), b"");
    })
    .await;
}

#[tokio::test]
async fn a_script_whose_file_can_not_be_sent_says_why_and_fails() {
    bounded(90, async {
        let server = Server::start_with(&["--max-file-mib", "1"]).await;
        let home = Home::new();
        let large = write(&home, "large", &content(2 << 20, 1));
        let turned = home.path().join("turned");
        fs::create_dir(&turned).expect("a folder");
        fs::write(turned.join("a\u{202e}b"), "").expect("the disk has room");
        let turned = format!("/send {}", turned.display());
        let too_large = "2.0 MiB, and the server takes at most 1.0 MiB";
        for (line, why, code) in [
            ("/send no such file", "no such file", 1),
            ("/send /dev/null", "that is no plain file", 1),
            (turned.as_str(), "a name can't contain U+202E", 1),
            (large.as_str(), too_large, 5),
        ] {
            let mut alice = home.natter_with(server.addr(), "alice", &["--quiet"]);
            alice.type_line(line).await;
            alice.close_input();
            let ended = alice.finished().await;
            assert_eq!(ended.code, Some(code), "{line}: {}", ended.err);
            assert!(ended.err.contains(why) && ended.err.contains("\nhint: "), "{line}: {}", ended.err);
        }
    })
    .await;
}

#[tokio::test]
async fn who_comes_later_sees_what_was_sent_and_receives_only_what_comes() {
    bounded(90, async {
        let server = Server::start().await;
        let home = Home::new();
        let mut alice = home.natter(server.addr(), "alice");
        alice.type_line(&write(&home, "old", b"old")).await;
        alice.shows("sends 'old'").await;
        let bob_home = Home::new();
        let mut bob = bob_home.natter(server.addr(), "bob");
        bob.shows("alice sends 'old' (3 bytes)").await;
        bob.close_input();
        assert_eq!(bob.finished().await.code, Some(0));
        alice.type_line(&write(&home, "missed", b"missed")).await;
        alice.shows("sends 'missed'").await;
        let mut bob = bob_home.natter(server.addr(), "bob");
        bob.shows("received 'missed'").await;
        bob.type_line("/quit").await;
        assert_eq!(bob.finished().await.code, Some(0));
        let names: Vec<_> = fs::read_dir(bob_home.received()).expect("there").collect();
        assert_eq!(names.len(), 1, "{names:?}");
    })
    .await;
}

/// Puts a content on the server over a bulk connection.
async fn upload(addr: SocketAddr, identity: &Identity, target: Target, content: &[u8]) -> ContentHash {
    let mut raw = Raw::connect(addr).await;
    raw.say(&identity.hello_bulk()).await;
    let (req, size, hash) = (Req(7), content.len() as u64, ContentHash(*hash(content).as_bytes()));
    let mut transfer = TransferId([1; 16]);
    transfer.0.copy_from_slice(&hash.0[..16]);
    raw.say(&ClientMsg::Put { req, transfer, target, size, first: hash, name: "x".into() }).await;
    raw.find(|msg| matches!(msg, ServerMsg::PutAt { .. }).then_some(())).await.expect("it may begin");
    let data = Blob(Bytes::copy_from_slice(content));
    raw.say(&ClientMsg::Chunk { req, offset: 0, data }).await;
    raw.say(&ClientMsg::Done { req, hash }).await;
    raw.find(|msg| matches!(msg, ServerMsg::End { .. }).then_some(())).await.expect("it is stored");
    hash
}

/// Names that somebody with bad intentions would give a file. The server refuses control characters.
fn hostile() -> Vec<String> {
    let names = [
        "../x",
        "../../canary",
        "../canary",
        "/etc/passwd",
        "/tmp/natter-canary",
        ".bashrc",
        "..",
        ".",
        "~/.ssh",
        "~/.ssh/authorized_keys",
        "-rf",
        "a/b/c",
        "C:\\x",
        "\\\\server\\share",
        "CON",
        "nul.txt",
        "COM1",
        "x. . .",
        "\u{200b}",
        "taken",
        "link",
        "a:b",
        ".natter-0000000000000001.part",
        " ",
    ];
    names.iter().map(|name| (*name).to_owned()).chain(["x".repeat(255)]).collect()
}

/// All files below a folder.
fn tree(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = entries
        .flat_map(|path| if path.is_dir() && !path.is_symlink() { tree(&path) } else { vec![path] })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn no_name_over_the_wire_leads_out_of_the_folder_or_replaces_anything() {
    bounded(120, async {
        let server = Server::start().await;
        let home = Home::new();
        let received = home.received();
        fs::create_dir(&received).expect("made");
        for name in ["canary", "x", ".bashrc", "received/taken"] {
            fs::write(home.path().join(name), "canary").expect("written");
        }
        std::os::unix::fs::symlink(home.path().join("canary"), received.join("link")).expect("a link");
        let mut bob = home.natter(server.addr(), "bob");
        bob.type_line("here").await;
        bob.shows("bob: here").await;
        let before = tree(home.path());

        let mallory = Identity::new("mallory");
        let client = Native::login(server.addr(), &mallory).await;
        let target = Target::Room { room: client.lobby() };
        let names = hostile();
        for (n, name) in names.iter().enumerate() {
            let content = format!("content {n}");
            let hash = upload(server.addr(), &mallory, target.clone(), content.as_bytes()).await;
            let body = FileBody { hash, size: content.len() as u64, name: name.clone(), shape: Shape::File }
                .encode();
            let counter = Counter::new(n as u64 + 1).expect("not 0");
            let (target, kind) = (target.clone(), EntryKind::File);
            client.send(&ClientMsg::Post { counter, target, kind, reply_to: None, written: Millis(0), body });
            bob.shows(" from mallory: ").await;
        }
        bob.type_line("/quit").await;
        assert_eq!(bob.finished().await.code, Some(0));
        let new: Vec<_> = tree(home.path()).into_iter().filter(|path| !before.contains(path)).collect();
        let new: Vec<_> = new.iter().filter(|path| !path.starts_with(home.path().join("state"))).collect();
        assert_eq!(new.len(), names.len(), "{new:?}");
        assert!(new.iter().all(|path| path.parent() == Some(&received)), "{new:?}");
        for name in ["canary", "x", ".bashrc", "received/taken", "received/link"] {
            assert_eq!(fs::read_to_string(home.path().join(name)).expect("there"), "canary", "{name}");
        }
        assert!(!Path::new("/tmp/natter-canary").exists());
    })
    .await;
}

/// A classic user who takes files byte by byte, as the table has them.
struct ClassicUser(TcpStream);

impl ClassicUser {
    async fn enter(addr: SocketAddr, name: &str) -> Self {
        let mut stream = TcpStream::connect(addr).await.expect("the server listens");
        stream.write_all(&ClassicMsg::Join(name).encode()).await.expect("the server reads");
        let mut user = Self(stream);
        user.until(|ty, text| ty == ty::TEXT && text.contains("Welcome!")).await;
        user
    }

    async fn header(&mut self) -> (u8, usize) {
        let len = self.0.read_u32().await.expect("the server says more");
        (self.0.read_u8().await.expect("a type"), len as usize - 1)
    }

    /// Reads frames up to one that matches.
    async fn until(&mut self, matches: impl Fn(u8, &str) -> bool) {
        loop {
            let (ty, len) = self.header().await;
            let mut payload = vec![0; len];
            self.0.read_exact(&mut payload).await.expect("a whole frame");
            if matches(ty, &String::from_utf8_lossy(&payload)) {
                return;
            }
        }
    }

    /// Sends a FILE, piece by piece.
    async fn send_file(&mut self, name: &str, content: &[u8]) {
        let len = 1 + name.len() + SEPARATOR.len() + content.len();
        self.0.write_u32(u32::try_from(len).expect("below 4 GiB")).await.expect("the server reads");
        self.0.write_u8(ty::FILE).await.expect("the server reads");
        let head = [name.as_bytes(), SEPARATOR.as_bytes()].concat();
        self.0.write_all(&head).await.expect("the server reads");
        for piece in content.chunks(100_000) {
            self.0.write_all(piece).await.expect("the server reads");
        }
    }

    /// The next FILE's names and the hash of its content; other frames are passed over.
    async fn file(&mut self) -> (String, blake3::Hash) {
        loop {
            let (ty, len) = self.header().await;
            let mut payload = vec![0; len];
            self.0.read_exact(&mut payload).await.expect("a whole frame");
            if ty != ty::FILE {
                continue;
            }
            let mut separators =
                payload.windows(2).enumerate().filter(|(_, two)| *two == b"::").map(|(at, _)| at);
            let end = separators.nth(1).expect("two names");
            return (String::from_utf8_lossy(&payload[..end]).into_owned(), hash(&payload[end + 2..]));
        }
    }
}

/// A folder on a disk, not in memory.
fn disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder takes files")
}

#[tokio::test]
async fn a_classic_file_of_64_mib_passes_without_4_mib_of_memory() {
    bounded(170, async {
        let disk = disk();
        let server = Server::start_with(&["--temp", &disk.path().display().to_string()]).await;
        let mut alice = ClassicUser::enter(server.addr(), "alice").await;
        let mut bob = ClassicUser::enter(server.addr(), "bob").await;
        // The first file shows what the way itself takes.
        let (small, large) = (content(1 << 20, 1), content(64 << 20, 2));
        alice.send_file("small", &small).await;
        assert_eq!(bob.file().await, ("alice::small".into(), hash(&small)));
        let before = server.peak_memory();
        alice.send_file("large", &large).await;
        assert_eq!(bob.file().await, ("alice::large".into(), hash(&large)));
        let grown = server.peak_memory() - before;
        assert!(grown <= 4 * 1024, "grown by {grown} KiB from {before} KiB");
    })
    .await;
}

#[tokio::test]
async fn a_classic_file_over_the_limit_is_refused_and_the_connection_goes_on() {
    bounded(90, async {
        let server = Server::start_with(&["--max-file-mib", "1"]).await;
        let mut alice = ClassicUser::enter(server.addr(), "alice").await;
        let mut bob = ClassicUser::enter(server.addr(), "bob").await;
        alice.send_file("large", &content(3 << 20, 1)).await;
        alice.until(|ty, text| ty == ty::ERROR && text.contains("too large") && text.contains("1 MiB")).await;
        alice.0.write_all(&ClassicMsg::Text("still here").encode()).await.expect("the server reads");
        alice.send_file("small", b"meow").await;
        bob.until(|_, text| text == "alice::still here").await;
        assert_eq!(bob.file().await, ("alice::small".into(), hash(b"meow")));
    })
    .await;
}

#[tokio::test]
async fn old_and_new_clients_send_each_other_files() {
    bounded(90, async {
        let server = Server::start().await;
        let mut carol = ClassicUser::enter(server.addr(), "carol").await;
        let home = Home::new();
        let mut bob = home.natter(server.addr(), "bob");
        bob.type_line("here").await;
        carol.until(|_, text| text == "bob::here").await;
        let (one, two) = (content(300_000, 1), content(400_000, 2));
        bob.type_line(&write(&home, "one", &one)).await;
        assert_eq!(carol.file().await, ("bob::one".into(), hash(&one)));
        carol.send_file("../two", &two).await;
        bob.shows("received ").await;
        assert_eq!(hash(&fs::read(home.received().join("two")).expect("there")), hash(&two));
    })
    .await;
}
