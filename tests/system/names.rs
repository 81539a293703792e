//! Names: new ones look like nothing else on a screen, and those that were given out stay.

use super::harness::{Classic, Home, Identity, Native, Server, bounded};
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::Epoch;
use protocol::message::{ClientMsg, Durability, Proof, Reply, StateChange, Target};
use server::store::{Batch, Change, CredentialHash, Folder, Options, SqliteStore, Store};
use std::path::Path;

/// What new names may not be, and what they become.
const FORGED: [(&str, &str); 6] = [
    ("*", "guest"),
    ("│", "guest-2"),
    ("\u{301}", "guest-3"),
    ("\u{e000}", "guest-4"),
    ("bob│12:00", "bob-12:00"),
    ("natter", "natter-2"),
];

#[tokio::test]
async fn a_new_name_that_forges_structure_is_made_safe_and_told() {
    bounded(60, async {
        let server = Server::start().await;
        let mut all = Vec::new();
        for (wanted, given) in FORGED {
            let client = Native::login(server.addr(), &Identity::new(wanted)).await;
            assert_eq!(client.name, given, "{wanted:?}");
            all.push(client);
        }
        let classic = Classic::enter(server.addr(), "*").await;
        classic.notice("The name '*' is").await;
        let home = Home::new();
        let mut program = home.natter(server.addr(), "*alice");
        program.says("you are alice").await;
        program.says("the name *alice is not allowed").await;
        program.type_line("/quit").await;
        assert_eq!(program.finished().await.code, Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_person_or_a_room_takes_no_new_name_that_forges_structure() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        for (name, _) in FORGED {
            let change = StateChange::Name { name: name.into() };
            let refused = alice.ask(|req| ClientMsg::State { req, change }).await.expect_err(name);
            assert_eq!(refused.code, Code::BadName, "{name:?}");
            let joined = alice.ask(|req| ClientMsg::Join { req, name: name.into() }).await;
            // Nothing stands in front of a line under the name of a room alone.
            let refused = joined.err().map(|refused| refused.code);
            assert_eq!(refused, (name != "natter").then_some(Code::BadName), "{name:?}");
        }
    })
    .await;
}

/// Makes a person who got their name before there were rules for new ones.
async fn with_old_name(data: &Path, identity: &Identity, name: &str) {
    let options = Options { durability: Durability::Disk, fresh_epoch: Epoch([3; 16]), accept_loss: false };
    let store = SqliteStore::open(Folder::create(data).expect("a folder"), &options).expect("a store");
    let ClientMsg::Hello { proof: Proof::Secret { secret }, .. } = identity.hello() else {
        panic!("somebody with a secret");
    };
    let credential = Some(CredentialHash::of(&secret));
    let person = protocol::id::PersonId::FIRST;
    let change = Change::Person { person, name: name.into(), credential };
    store.append(Batch { posts: Vec::new(), changes: vec![change] }).await.expect("it is stored");
    store.close().await.expect("it is closed");
}

#[tokio::test]
async fn a_name_that_somebody_has_is_always_theirs() {
    bounded(60, async {
        let data = tempfile::tempdir().expect("a folder");
        let identity = Identity::new("*│");
        with_old_name(data.path(), &identity, "*│").await;
        let server = Server::start_in(data.path()).await;
        let mut old = Native::login(server.addr(), &identity).await;
        assert_eq!(old.name, "*│");
        let change = StateChange::Name { name: "*│".into() };
        let reply = old.reply(|req| ClientMsg::State { req, change }).await;
        assert_eq!(reply, Reply::Named { name: "*│".into() });
        let change = StateChange::Name { name: "**".into() };
        let refused = old.ask(|req| ClientMsg::State { req, change }).await.expect_err("a new one");
        assert_eq!(refused.code, Code::BadName);
        drop(old);
        let other = Native::login(server.addr(), &identity.wanting("*")).await;
        assert_eq!(other.name, "*│", "nothing of the other one could be saved");
        let mut bob = Native::enter(server.addr(), "bob").await;
        assert_eq!(bob.person_named("*│").await, other.person);
    })
    .await;
}

#[tokio::test]
async fn a_message_with_nothing_to_see_is_refused_like_white_space() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let room = alice.lobby();
        for text in [" ", "\u{200b}", "\u{2800}\u{2800}", " \u{feff}\n\u{2060}", "\u{3164}", "\u{e0041}"] {
            alice.post(Target::Room { room }, EntryKind::Text, text);
            assert_eq!(alice.refusal().await.code, Code::EmptyText, "{text:?}");
            alice.forget_posts(1);
        }
        let mut classic = Classic::enter(server.addr(), "carol").await;
        classic.say("\u{200b}").await;
        classic.say("I see").await;
        let heard = alice.hears("I see").await;
        assert_eq!(heard.body, Bytes::from_static(b"I see"));
        assert_eq!(alice.texts(room), ["I see"]);
    })
    .await;
}
