//! Whom somebody blocks: nothing that they write to that person alone is taken, in either dialect, until it is taken back.

use super::harness::{Classic, Identity, Native, Server, bounded};
use super::slow_store::Here;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Epoch, PersonId, RoomId};
use protocol::limits::{MAX_BLOCKS, MAX_PAGE};
use protocol::message::{Action, ClientMsg, Question, Reply, Target};
use server::store::{MemoryLimits, MemoryStore, Store};

async fn set_block(client: &mut Native, person: PersonId, on: bool) -> Result<(), Code> {
    let action = if on { Action::Block { person } } else { Action::Unblock { person } };
    let done = client.ask(|req| ClientMsg::Do { req, room: None, action }).await;
    done.map(drop).map_err(|refusal| refusal.code)
}

async fn blocked(client: &mut Native) -> Vec<String> {
    let question = Question::Blocks { after: None };
    match client.reply(|req| ClientMsg::Ask { req, question }).await {
        Reply::People { people } => people.into_iter().map(|person| person.name).collect(),
        other => panic!("not a list: {other:?}"),
    }
}

async fn write(from: &Native, to: PersonId) -> Result<(), Code> {
    from.try_post(Target::Person { person: to }, EntryKind::Text, "word").await
}

async fn say(from: &Native, room: RoomId) -> Result<(), Code> {
    from.try_post(Target::Room { room }, EntryKind::Text, "word").await
}

#[tokio::test]
async fn nobody_who_is_blocked_writes_to_one_directly() {
    bounded(60, async {
        let mut server = Server::start_durable().await;
        let identities = ["alice", "bob", "carol"].map(Identity::new);
        let mut alice = Native::login(server.addr(), &identities[0]).await;
        let bob = Native::login(server.addr(), &identities[1]).await;
        let carol = Native::login(server.addr(), &identities[2]).await;
        let me = alice.person;
        write(&bob, me).await.expect("not blocked yet");
        let direct = bob.wait("the conversation", |view| {
            view.rooms.values().find(|room| room.name == "alice").map(|room| room.room)
        });
        let direct = direct.await;
        assert_eq!(set_block(&mut alice, me, true).await, Err(Code::NotAllowed), "oneself");
        assert_eq!(
            set_block(&mut alice, PersonId::new(999).expect("a number"), true).await,
            Err(Code::NoSuchPerson)
        );
        for other in [bob.person, carol.person] {
            set_block(&mut alice, other, true).await.expect("one may block");
        }
        assert_eq!(write(&bob, me).await, Err(Code::Blocked), "in a conversation that there is");
        assert_eq!(say(&bob, direct).await, Err(Code::Blocked), "by its number");
        assert_eq!(write(&carol, me).await, Err(Code::Blocked), "in a new one");
        assert_eq!(carol.room("alice"), None, "none is made");
        say(&bob, bob.lobby()).await.expect("rooms with others are as they were");
        let (people, lobby) = ((bob.person, carol.person), bob.lobby());
        server.kill().await;
        server.restart().await;
        let mut alice = Native::login(server.addr(), &identities[0]).await;
        let bob = Native::login(server.addr(), &identities[1]).await;
        assert_eq!((bob.person, bob.lobby()), (people.0, lobby));
        assert_eq!(blocked(&mut alice).await, ["bob", "carol"], "also after a restart");
        assert_eq!(write(&bob, me).await, Err(Code::Blocked));
        set_block(&mut alice, people.0, false).await.expect("one may take it back");
        write(&bob, me).await.expect("and is written to again");
        assert_eq!(blocked(&mut alice).await, ["carol"]);
    })
    .await;
}

#[tokio::test]
async fn a_classic_user_who_is_blocked_gets_a_plain_error_and_may_block_others() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let mut old = Classic::enter(server.addr(), "old").await;
        old.say("/msg alice hello").await;
        alice
            .wait("the conversation", |view| view.rooms.values().any(|room| room.name == "old").then_some(()))
            .await;
        let person = alice.person_named("old").await;
        set_block(&mut alice, person, true).await.expect("one may block");
        old.say("/msg alice hello?").await;
        old.notice("That did not work: that person takes no messages of yours.").await;
        old.say("/query alice").await;
        old.notice("That did not work: that person takes no messages of yours.").await;
        old.say("/block").await;
        old.notice("Nobody is blocked.").await;
        old.say("/block alice").await;
        old.notice("alice is blocked now.").await;
        old.say("/block").await;
        old.notice("Blocked: alice").await;
        assert_eq!(write(&alice, person).await, Err(Code::Blocked));
        old.say("/unblock alice").await;
        old.notice("alice is not blocked.").await;
        write(&alice, person).await.expect("she may write again");
    })
    .await;
}

#[tokio::test]
async fn one_person_blocks_so_many_and_no_more() {
    bounded(120, async {
        let server = Here::start(MemoryStore::new(Epoch([1; 16]), MemoryLimits::default())).await;
        let mut alice = Native::enter(server.addr, "alice").await;
        for n in 0..=MAX_BLOCKS {
            let stranger = Native::login(server.addr, &Identity::new(&format!("stranger{n}"))).await;
            let person = stranger.person;
            stranger.leave().await;
            let done = set_block(&mut alice, person, true).await;
            assert_eq!(done, if n < MAX_BLOCKS { Ok(()) } else { Err(Code::NotAllowed) }, "{n}");
        }
        assert_eq!(blocked(&mut alice).await.len(), MAX_PAGE, "a page");
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn no_block_outlives_a_guest() {
    bounded(60, async {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        let server = Here::start(store.clone()).await;
        let mut alice = Native::enter(server.addr, "alice").await;
        let mut guest = Native::login(server.addr, &Identity::guest("guest")).await;
        set_block(&mut alice, guest.person, true).await.expect("one may block");
        set_block(&mut guest, alice.person, true).await.expect("one may block");
        let blocks = async || store.load().await.expect("memory does not fail").blocks.len();
        assert_eq!(blocks().await, 2);
        guest.leave().await;
        while blocks().await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(blocked(&mut alice).await, [""; 0]);
        server.kill();
    })
    .await;
}
