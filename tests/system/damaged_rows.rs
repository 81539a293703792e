//! A damaged row of a table, seen by those whom it is about and by the others.

use super::harness::{Identity, Native, Raw, Refusal, Server, bounded, run};
use protocol::code::Code;
use protocol::id::Req;
use protocol::message::{ClientMsg, OpenFrom, ServerMsg};
use rusqlite::Connection;
use std::net::SocketAddr;
use std::path::Path;

/// How a login is refused, and whether the connection is closed.
async fn refused(addr: SocketAddr, identity: &Identity) -> Option<(u16, bool)> {
    let mut raw = Raw::connect(addr).await;
    raw.say(&identity.hello()).await;
    raw.find(|msg| match msg {
        ServerMsg::Error { code, close, .. } => Some(Some((code, close))),
        ServerMsg::Welcome { .. } => Some(None),
        _ => None,
    })
    .await
    .flatten()
}

fn damage(data: &Path, sql: &str) {
    let db = Connection::open(data.join("natter.db")).expect("the folder is the test's own");
    db.execute_batch(sql).expect("the rows are there");
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("nobody reads it");
}

async fn natterd(command: &str, data: &Path) -> (Option<i32>, String) {
    let folder = data.to_str().expect("temporary folders have plain names");
    let finished = run("natterd", &[command, "--data", folder]).await;
    (finished.code, finished.out + &finished.err)
}

#[tokio::test]
async fn a_damaged_room_person_or_device_alone_is_closed() {
    bounded(120, async {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let data = parent.path().join("data");
        let mut server = Server::start_in(&data).await;
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(Identity::new);
        let second = bob.other_device();
        let mut a = Native::login(server.addr(), &alice).await;
        let plans = a.join("plans").await;
        let (lobby, _) = (a.lobby(), a.say_all(plans, (0..5).map(|n| format!("plan {n}"))).await);
        a.say_all(lobby, (0..5).map(|n| format!("line {n}"))).await;
        let mut others = Vec::new();
        for identity in [&bob, &carol, &second] {
            others.push(Native::login(server.addr(), identity).await);
        }
        // Who says nothing is not stored.
        for other in &others[..2] {
            other.say_all(lobby, ["one".to_owned(), "two".to_owned()]).await;
        }
        others[2].say_all(lobby, ["from the second device".to_owned()]).await;
        let number = a.person_named("carol").await;
        for other in others {
            other.leave().await;
        }
        a.leave().await;
        assert_eq!(server.stop().await.code, Some(0));
        damage(
            &data,
            "UPDATE room SET topic = 'what was never set' WHERE name = 'plans';
             UPDATE person SET name = 'carol' || char(7, 8, 9) WHERE name = 'carol';
             UPDATE device SET seen = 70707 WHERE counter = 1",
        );
        let (code, said) = natterd("verify", &data).await;
        assert_ne!(code, Some(0), "{said}");
        for table in ["room", "person", "device"] {
            assert!(said.contains(&format!("of table '{table}' does not fit")), "{table}: {said}");
        }
        server = Server::start_in(&data).await;
        let mut a = Native::login(server.addr(), &alice).await;
        assert_eq!(a.lobby(), lobby);
        a.say_all(lobby, ["everybody else goes on".to_owned()]).await;
        let code = |refusal: Result<ServerMsg, Refusal>| refusal.err().map(|refusal| refusal.code);
        let open = |req: Req| ClientMsg::Open { req, room: plans, from: OpenFrom::Now };
        assert_eq!(code(a.ask(open).await), Some(Code::Damaged));
        let join = |req: Req| ClientMsg::Join { req, name: "plans".into() };
        assert_eq!(code(a.ask(join).await), Some(Code::Damaged), "its name is not free");
        a.say(plans, "into the closed room");
        assert_eq!(a.refusal().await.code, Code::Damaged);
        let damaged = Some((Code::Damaged.number(), true));
        assert_eq!(refused(server.addr(), &carol).await, damaged);
        assert_eq!(refused(server.addr(), &second).await, damaged);
        assert_eq!(refused(server.addr(), &bob).await, None, "the other device goes on");
        let dave = Native::login(server.addr(), &Identity::new("dave")).await;
        assert!(a.person_named("dave").await > number, "no number is given again");
        dave.say(lobby, "and somebody new comes");
        a.open(lobby, OpenFrom::Last { count: 100 }).await;
        a.reads(lobby, 12).await;
        let finished = server.stop().await;
        assert_eq!(finished.code, Some(0));
        assert!(finished.err.contains("of table 'room' does not fit"), "{}", finished.err);
        let (code, said) = natterd("repair", &data).await;
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = natterd("verify", &data).await;
        assert_eq!(code, Some(0), "{said}");
        let server = Server::start_in(&data).await;
        let mut a = Native::login(server.addr(), &alice).await;
        a.open(lobby, OpenFrom::Last { count: 100 }).await;
        a.reads(lobby, 12).await;
    })
    .await;
}
