//! The operator and a running server: who and what there is, through a socket of its own.

use super::harness::{Classic, Finished, Identity, Native, Raw, Server, bounded, run};
use protocol::code::Code;
use protocol::id::Req;
use protocol::message::{ClientMsg, OpenFrom, Order};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

/// Runs `natterd` on a folder.
async fn natterd(data: &Path, args: &[&str]) -> Finished {
    let data = data.to_str().expect("temporary folders have plain names");
    run("natterd", &[args, &["--data", data]].concat()).await
}

/// What a command prints that works.
async fn printed(data: &Path, args: &[&str]) -> String {
    let finished = natterd(data, args).await;
    assert_eq!((finished.code, &finished.err[..]), (Some(0), ""), "{args:?}");
    finished.out
}

fn refused(finished: &Finished, code: i32, said: &[&str]) {
    assert_eq!((finished.code, &finished.out[..]), (Some(code), ""), "{finished:?}");
    for part in said {
        assert!(finished.err.contains(part), "no {part:?} in {finished:?}");
    }
}

/// The cells of the row that begins with this.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(name));
    row.unwrap_or_else(|| panic!("no {name} in {table}")).split_whitespace().collect()
}

#[tokio::test]
async fn the_operator_sees_people_and_rooms_while_the_server_runs() {
    bounded(60, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let server = Server::start_in(data.path()).await;
        let socket = std::fs::metadata(data.path().join("admin.sock")).expect("there is a socket");
        assert!(socket.file_type().is_socket() && socket.permissions().mode() & 0o777 == 0o600);
        let mut alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let dev = alice.join("dev").await;
        alice.say_all(dev, ["one".to_owned(), "two".to_owned()]).await;
        let bob_number = bob.person.to_string();
        bob.leave().await;

        let people = printed(data.path(), &["people", "list"]).await;
        let [alice_row, bob_row] = ["alice", "bob"].map(|name| row(&people, name));
        assert_eq!(
            (alice_row[1], &alice_row[4..]),
            (&*alice.person.to_string(), &["yes", "2"][..]),
            "{people}"
        );
        assert_eq!((bob_row[1], &bob_row[4..]), (&*bob_number, &["no", "1"][..]), "{people}");
        let rooms = printed(data.path(), &["rooms", "list"]).await;
        assert_eq!(row(&rooms, "dev")[4..], ["2", "1", "1"], "{rooms}");
        assert_eq!(row(&rooms, "lobby")[3..], ["0", "2", "1"], "{rooms}");

        let shown = printed(data.path(), &["people", "show", "ALICE"]).await;
        for part in [&format!("alice (person {})", alice.person), "yes, from 127.0.0.1", "2: lobby, dev"] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        assert!(printed(data.path(), &["people", "show", &bob_number]).await.starts_with("bob (person"));
        let shown = printed(data.path(), &["rooms", "show", "dev"]).await;
        assert!(shown.contains("messages    2\n") && shown.contains("members     1: alice"), "{shown}");
        refused(
            &natterd(data.path(), &["people", "show", "nobody"]).await,
            1,
            &["'nobody': no such person", "hint: natterd people list"],
        );
        refused(
            &natterd(data.path(), &["rooms", "show", "99"]).await,
            1,
            &["'99': no such room", "hint: natterd rooms list"],
        );
    })
    .await;
}

#[tokio::test]
async fn without_a_server_the_operator_is_told_to_start_it() {
    bounded(60, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        for args in [&["people", "list"][..], &["rooms", "show", "lobby"]] {
            let told = natterd(data.path(), args).await;
            refused(&told, 3, &["no server runs here", "admin.sock", "hint: start it"]);
        }
        let told = natterd(&data.path().join("none"), &["people", "list"]).await;
        refused(&told, 1, &["there is no data folder", "hint: "]);
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_a_killed_server_left_is_in_nobodys_way() {
    bounded(90, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
        let mut server = Server::start_in(data.path()).await;
        let alice = Native::enter(server.addr(), "alice").await;
        alice.say_all(alice.lobby(), ["hello".to_owned()]).await;
        alice.leave().await;
        server.kill().await;
        assert!(data.path().join("admin.sock").exists());
        refused(&natterd(data.path(), &["people", "list"]).await, 3, &["no server runs here"]);
        let saved = elsewhere.path().join("saved");
        for args in [&["verify"][..], &["backup", saved.to_str().expect("plain")], &["compact"], &["repair"]]
        {
            printed(data.path(), args).await;
        }
        server.start_again().await;
        assert!(printed(data.path(), &["people", "list"]).await.contains("alice"));
        assert_eq!(server.stop().await.code, Some(0));
        assert!(!data.path().join("admin.sock").exists(), "a server that ends takes it away");
    })
    .await;
}

#[tokio::test]
async fn a_full_server_answers_its_operator() {
    bounded(60, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let server = Server::start_in_with(data.path(), &["--max-clients", "1"]).await;
        let _alice = Native::enter(server.addr(), "alice").await;
        assert!(printed(data.path(), &["people", "list"]).await.contains("alice"));
    })
    .await;
}

#[tokio::test]
async fn a_server_without_a_folder_says_where_its_socket_is() {
    bounded(60, async {
        let server = Server::start().await;
        let line = server.out().line("the operator's socket:").await;
        let socket = line.split_whitespace().last().expect("a path").to_owned();
        let _alice = Native::enter(server.addr(), "alice").await;
        let listed = run("natterd", &["people", "list", "--socket", &socket]).await;
        assert!(listed.code == Some(0) && listed.out.contains("alice"), "{listed:?}");
    })
    .await;
}

#[tokio::test]
async fn nobody_gives_orders_over_the_network() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let order = |req| ClientMsg::Operate { req, order: Order::People { after: None } };
        let refusal = alice.ask(order).await.expect_err("it is refused");
        assert_eq!((refusal.code, refusal.close), (Code::WrongPurpose, false));
        let mut raw = Raw::connect(server.addr()).await;
        raw.say(&order(Req(1))).await;
        let refusal = raw.find(|msg| super::harness::Refusal::of(&msg)).await.expect("a reason");
        assert_eq!((refusal.code, refusal.close), (Code::LoginFirst, true));
    })
    .await;
}

#[tokio::test]
async fn a_person_whom_the_operator_removes_is_a_new_one_when_they_come_again() {
    bounded(90, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let mut server = Server::start_in(data.path()).await;
        let identity = Identity::new("alice");
        let alice = Native::login(server.addr(), &identity).await;
        alice.say_all(alice.lobby(), ["what alice said".to_owned()]).await;
        alice.acked(1).await;
        let older = alice.person;
        let asked = natterd(data.path(), &["people", "remove", "alice"]).await;
        refused(&asked, 1, &["stdin is no terminal", "hint: add --yes"]);
        let removed = printed(data.path(), &["people", "remove", "alice", "--yes"]).await;
        assert_eq!(removed, format!("alice (person {older}) is removed"));
        assert_eq!(alice.refusal().await.code, Code::NotAllowed, "they are told");
        refused(&natterd(data.path(), &["people", "show", "alice"]).await, 1, &["no such person"]);
        server.restart().await;
        refused(&natterd(data.path(), &["people", "show", "alice"]).await, 1, &["no such person"]);
        let alice = Native::login(server.addr(), &identity).await;
        assert_ne!(alice.person, older, "a number is not given out again");
        assert_eq!(alice.name, "alice", "the name is free");
        let mut bob = Native::enter(server.addr(), "bob").await;
        let lobby = bob.lobby();
        bob.open(lobby, OpenFrom::After { epoch: bob.epoch, seq: None }).await;
        assert_eq!(bob.reads(lobby, 1).await, ["what alice said"]);
        assert_eq!(server.stop().await.code, Some(0));
        printed(data.path(), &["verify"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_room_that_the_operator_ends_has_no_members_and_no_history() {
    bounded(90, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let mut server = Server::start_in(data.path()).await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let dev = alice.join("dev").await;
        alice.say_all(dev, (0..30).map(|n| format!("line {n}"))).await;
        alice.acked(30).await;
        let mut kim = Classic::enter(server.addr(), "kim").await;
        kim.say("/join dev").await;
        kim.notice("You are in #dev now").await;
        refused(&natterd(data.path(), &["rooms", "remove", "lobby", "--yes"]).await, 5, &["you may not"]);
        let ended = printed(data.path(), &["rooms", "remove", "dev", "--yes"]).await;
        assert_eq!(ended, format!("dev (room {dev}) has ended"));
        kim.notice("The operator ended #dev.").await;
        kim.notice("You are in #lobby now").await;
        let search = |req| {
            let words = "line".to_owned();
            ClientMsg::Search { req, room: Some(dev), words, limit: 9, before_room: None, before: None }
        };
        let refusal = alice.ask(search).await.expect_err("it is refused");
        assert_eq!(refusal.code, Code::NotAMember);
        for _ in 0..2 {
            let rooms = printed(data.path(), &["rooms", "list"]).await;
            assert_eq!(row(&rooms, "dev")[4..], ["1", "0", "0"], "{rooms}");
            server.restart().await;
        }
        assert_eq!(server.stop().await.code, Some(0));
        printed(data.path(), &["verify"]).await;
        let left = printed(data.path(), &["export", "dev", "--jsonl"]).await;
        assert!(left.lines().count() == 1 && left.contains("The operator ended this room."), "{left}");
    })
    .await;
}
