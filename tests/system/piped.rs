//! `natter send -`: what a program writes is sent while it writes, and never more of it than the server takes.

use super::harness::bulk::{Bulk, content, hash_of};
use super::harness::{
    Cli, Cut, Finished, Home, Identity, Native, Proxy, Raw, Server, arrived, bounded, eventually, files,
    program,
};
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Req, TransferId};
use protocol::limits::{BLOCK, FEATURE_UNKNOWN_SIZE, UNKNOWN_SIZE};
use protocol::message::{Blob, ClientMsg, OfferBody, ServerMsg, Shape, Target};
use std::fs;
use std::net::SocketAddr;
use tokio::process::Command;

fn send(home: &Home, addr: SocketAddr) -> Cli {
    home.errand("send", addr, "ci", &["-", "--name", "out.log", "--json"])
}

fn sent(finished: &Finished, content: &[u8]) {
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    let told: serde_json::Value = serde_json::from_str(&finished.out).expect("a line of JSON");
    assert_eq!(told["size"], content.len());
    assert_eq!(told["blake3"], blake3::hash(content).to_string());
}

async fn get(home: &Home, addr: SocketAddr) -> Vec<u8> {
    let to = home.path().join("got");
    let mut get = home.errand("get", addr, "bob", &["out.log", "-o", &to.display().to_string()]);
    let got = get.finished().await;
    assert_eq!(got.code, Some(0), "{}", got.err);
    fs::read(to).expect("it is there")
}

#[tokio::test]
async fn what_a_program_writes_is_sent_while_it_writes() {
    bounded(120, async {
        let data = tempfile::tempdir().expect("a folder");
        let server = Server::start_in(data.path()).await;
        let home = Home::new();
        // A whole number of blocks and some more, a whole number, a few bytes, and none.
        for len in [3 * BLOCK + 9, 2 * BLOCK, 5, 0] {
            let content = content(len, len);
            let mut errand = send(&home, server.addr());
            let (front, rest) = content.split_at(content.len() * 3 / 4);
            assert!(errand.write(front).await);
            if len > BLOCK {
                arrived(data.path(), BLOCK).await;
            }
            assert!(errand.write(rest).await);
            errand.close_input();
            sent(&errand.finished().await, &content);
            if len > 5 {
                let home = Home::new();
                assert!(get(&home, server.addr()).await == content, "{len}");
            }
        }
        let left = files(&data.path().join("contents"));
        let uploads = left.iter().filter(|path| path.display().to_string().contains("upload-"));
        assert_eq!(uploads.count(), 0, "{left:?}");
    })
    .await;
}

#[tokio::test]
async fn endless_input_ends_at_the_servers_limit_and_leaves_nothing() {
    bounded(120, async {
        let data = tempfile::tempdir().expect("a folder");
        let all_space = ["--file-space-mib", "5", "--person-files", "5M"];
        for option in [&["--max-file-mib", "5"][..], &["--person-files", "5M"], &all_space] {
            let mut server = Server::start_in_with(data.path(), option).await;
            let home = Home::new();
            let script = "yes | \"$1\" send \"$2\" -u ci -";
            let natter = program("natter").display().to_string();
            let shell = Command::new("sh")
                .args(["-c", script, "sh", &natter, &server.addr().to_string()])
                .env("HOME", home.path())
                .env("TMPDIR", home.path())
                .kill_on_drop(true)
                .output();
            let ended = shell.await.expect("there is a shell");
            let told = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(5), "{option:?}: {told}");
            assert!(told.contains("too large") && told.contains("5.0 MiB"), "{option:?}: {told}");
            let contents = data.path().join("contents");
            eventually("nothing to be left", || files(&contents).is_empty().then_some(())).await;
            let left = files(home.path());
            assert!(left.iter().all(|path| !path.ends_with("stdin")), "{left:?}");
            // The next one serves the same folder.
            server.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_read_before_there_is_a_server() {
    bounded(60, async {
        let home = Home::new();
        let path = home.path().join("x");
        fs::write(&path, "still here").expect("written");
        // Both read from one place of the same file.
        let script = "(\"$1\" send 127.0.0.1:9 -u ci -; cat) < \"$2\"";
        let natter = program("natter").display().to_string();
        let shell = Command::new("sh")
            .args(["-c", script, "sh", &natter, &path.display().to_string()])
            .env("HOME", home.path())
            .output();
        let ended = shell.await.expect("there is a shell");
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "still here");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("refused the connection"));
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_after_its_link_or_its_server_broke() {
    bounded(170, async {
        for restart in [false, true] {
            let mut server = Server::start_durable().await;
            let proxy = Proxy::start(server.addr()).await;
            let home = Home::new();
            let content = content(12 * BLOCK + 77, 7);
            let mut errand = send(&home, if restart { server.addr() } else { proxy.addr() });
            for (n, piece) in content.chunks(3 << 20).enumerate() {
                assert!(errand.write(piece).await);
                if n == 1 {
                    match restart {
                        true => server.restart().await,
                        false => drop(proxy.cut(Cut::Reset)),
                    }
                }
            }
            errand.close_input();
            sent(&errand.finished().await, &content);
            assert!(get(&home, server.addr()).await == content);
        }
    })
    .await;
}

/// Begins an upload of unknown size.
async fn begin(addr: SocketAddr, identity: &Identity, target: Target) -> Raw {
    let mut raw = Raw::connect(addr).await;
    let mut hello = identity.hello_bulk();
    if let ClientMsg::Hello { features, .. } = &mut hello {
        *features = FEATURE_UNKNOWN_SIZE | 1 << 40;
    }
    raw.say(&hello).await;
    let both =
        raw.find(|msg| if let ServerMsg::Welcome { features, .. } = msg { Some(features) } else { None });
    assert_eq!(both.await, Some(FEATURE_UNKNOWN_SIZE), "those that both sides have");
    let (transfer, first) = (TransferId([9; 16]), ContentHash([0; 32]));
    let put = ClientMsg::Put { req: Req(7), transfer, target, size: UNKNOWN_SIZE, first, name: "x".into() };
    raw.say(&put).await;
    raw.find(|msg| matches!(msg, ServerMsg::PutAt { .. }).then_some(())).await.expect("it may begin");
    raw
}

#[tokio::test]
async fn what_has_no_size_is_not_offered_and_ends_with_the_right_hash_only() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let mut client = Native::login(server.addr(), &identity).await;
        let target = Target::Room { room: client.lobby() };
        let mut raw = begin(server.addr(), &identity, target.clone()).await;
        let offer = OfferBody {
            transfer: TransferId([9; 16]),
            size: UNKNOWN_SIZE,
            name: "x".into(),
            shape: Shape::File,
        };
        client.post_with(|counter| ClientMsg::Post {
            counter,
            target: target.clone(),
            kind: EntryKind::FileOffer,
            reply_to: None,
            written: protocol::id::Millis(0),
            body: offer.encode(),
        });
        assert_eq!(client.refusal().await.code, Code::NoSuchTransfer);
        let data = || Blob(bytes::Bytes::from_static(b"hello"));
        raw.say(&ClientMsg::Chunk { req: Req(7), offset: 0, data: data() }).await;
        raw.say(&ClientMsg::Done { req: Req(7), hash: hash_of(b"other") }).await;
        let refused = raw.find(|msg| if let ServerMsg::Error { code, .. } = msg { Some(code) } else { None });
        assert_eq!(refused.await, Some(Code::WrongContent.number()));
        let mut raw = begin(server.addr(), &identity, target).await;
        raw.say(&ClientMsg::Chunk { req: Req(7), offset: 0, data: data() }).await;
        raw.say(&ClientMsg::Done { req: Req(7), hash: hash_of(b"hello") }).await;
        let ended = raw.find(|msg| if let ServerMsg::End { size, .. } = msg { Some(size) } else { None });
        assert_eq!(ended.await, Some(5));
        client.settle().await;
        // A client of the build before hears of no feature.
        drop(Bulk::login(server.addr(), &identity).await);
    })
    .await;
}
