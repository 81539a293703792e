//! `natter send` and `natter get` that wait: they say for what, and not for longer than they are given.

use super::harness::bulk::{Bulk, Sent, content, post};
use super::harness::{Finished, Home, Identity, Native, Server, bounded};
use protocol::entry::EntryKind;
use protocol::limits::BLOCK;
use protocol::message::Target;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

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
    let mut errand = home.errand("get", addr, "bob", &["sent.bin", "-o", &to, "--timeout", timeout]);
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
async fn what_is_here_already_is_not_received_again_unless_that_is_wished() {
    bounded(120, async {
        let server = Server::start().await;
        let home = Home::new();
        let from = home.path().join("x.txt");
        fs::write(&from, "hello").expect("written");
        let mut send = home.errand("send", server.addr(), "alice", &[&from.display().to_string()]);
        assert_eq!(send.finished().await.code, Some(0));
        let folder = home.path().join("got");
        fs::create_dir(&folder).expect("made");
        let to = folder.display().to_string();
        let get = async |more: &[&str]| {
            let args = [&["x.txt", "-o", to.as_str()], more].concat();
            let mut errand = home.errand("get", server.addr(), "bob", &args);
            let ended = errand.finished().await;
            assert_eq!(ended.code, Some(0), "{}", ended.err);
            (ended.out.trim_end().to_owned(), ended.err)
        };
        let first = folder.join("x.txt").display().to_string();
        assert_eq!(get(&[]).await.0, first);
        let (path, told) = get(&[]).await;
        assert_eq!(path, first);
        assert!(told.contains("'x.txt' is here already"), "{told}");
        assert_eq!(get(&["-f"]).await.0, folder.join("x (1).txt").display().to_string());
        fs::write(&first, "other").expect("written");
        assert_eq!(get(&[]).await.0, folder.join("x (1).txt").display().to_string());
        assert_eq!(fs::read_dir(&folder).expect("there").count(), 2);
        // Whoever names a new file wants it there.
        let new = folder.join("new").display().to_string();
        let mut errand = home.errand("get", server.addr(), "bob", &["x.txt", "-o", &new]);
        assert_eq!(errand.finished().await.out.trim_end(), new);
    })
    .await;
}

#[tokio::test]
async fn a_file_can_be_got_into_a_device_or_a_named_pipe() {
    bounded(120, async {
        let server = Server::start().await;
        let home = Home::new();
        let from = home.path().join("x.txt");
        fs::write(&from, "hello").expect("written");
        let mut send = home.errand("send", server.addr(), "alice", &[&from.display().to_string()]);
        assert_eq!(send.finished().await.code, Some(0));
        let get = async |to: &str| {
            let mut errand = home.errand("get", server.addr(), "bob", &["x.txt", "-o", to]);
            let ended = errand.finished().await;
            assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{to}: {}", ended.err);
        };
        get("/dev/null").await;
        let pipe = home.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("made");
        let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let reader = reader.expect("there is a cat");
        get(&pipe.display().to_string()).await;
        assert_eq!(reader.wait_with_output().await.expect("it ends").stdout, b"hello");
    })
    .await;
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_and_a_name_that_is_no_text_say_what_to_do() {
    bounded(60, async {
        let home = Home::new();
        let pipe = home.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("made");
        let addr = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut send = home.errand("send", addr, "alice", &[&pipe.display().to_string()]);
        let ended = send.finished().await;
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains("is a pipe") && ended.err.contains("hint: use - "), "{}", ended.err);
        let script = format!(
            "'{0}' send 127.0.0.1:9 $(printf 'caf\\351.txt'); '{0}' send 127.0.0.1:9 - <&-",
            super::harness::program("natter").display()
        );
        let shell = Command::new("sh").args(["-c", &script]).env("HOME", home.path()).output();
        let output = shell.await.expect("there is a shell");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("the argument 'caf\\xE9.txt' is not UTF-8"), "{told}");
        assert!(told.contains("stdin is closed") && told.contains("use - with"), "{told}");
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
