//! What is not stored yet is seen by nobody.

use super::harness::{Bent, Identity, Native, Refusal, bounded};
use super::slow_store::Here;
use protocol::code::Code;
use protocol::id::Req;
use protocol::message::{Action, ClientMsg, OpenFrom, Question, Reply, ServerMsg, StateChange};

async fn topic_seen_by(person: &mut Native) -> String {
    match person.reply(|req| ClientMsg::Ask { req, question: Question::Rooms { after: String::new() } }).await
    {
        Reply::Rooms { rooms } => rooms[0].topic.clone(),
        other => panic!("not rooms: {other:?}"),
    }
}

async fn whois(person: &mut Native, name: &str) -> Result<String, Code> {
    let question = Question::Whois { name: name.to_owned() };
    match person.ask(|req| ClientMsg::Ask { req, question }).await {
        Ok(ServerMsg::Answer { reply: Reply::Whois { person, .. }, .. }) => Ok(person.name),
        Ok(other) => panic!("not a whois: {other:?}"),
        Err(Refusal { code, .. }) => Err(code),
    }
}

#[tokio::test]
async fn a_topic_and_a_name_are_seen_when_they_are_stored() {
    bounded(60, async {
        let store = Bent::new();
        let server = Here::start(store.clone()).await;
        let mut alice = Native::login(server.addr, &Identity::new("alice")).await;
        let mut bob = Native::enter(server.addr, "bob").await;
        let room = alice.lobby();

        store.open.send_replace(false);
        let (topic, named) = (Req(1_001), Req(1_002));
        alice.send(&ClientMsg::Do {
            req: topic,
            room: Some(room),
            action: Action::Topic { text: "tea".to_owned() },
        });
        let name = |name: &str| StateChange::Name { name: name.to_owned() };
        alice.send(&ClientMsg::State { req: named, change: name("carol") });
        alice.settle().await;
        assert_eq!(topic_seen_by(&mut bob).await, "");
        assert_eq!(bob.open(room, OpenFrom::Now).await.topic, "");
        assert_eq!(whois(&mut bob, "alice").await.as_deref(), Ok("alice"));
        assert_eq!(whois(&mut bob, "carol").await, Err(Code::NoSuchPerson));
        let taken = bob.ask(|req| ClientMsg::State { req, change: name("carol") }).await;
        assert_eq!(taken.map_err(|refusal| refusal.code), Err(Code::NameTaken), "it is alice's already");
        alice.say(room, "hello");

        store.open.send_replace(true);
        let answers = |msg: &ServerMsg, to| matches!(msg, ServerMsg::Answer { req, .. } if *req == to);
        for req in [topic, named] {
            alice.take("an answer", |msg| answers(msg, req).then_some(())).await;
        }
        assert_eq!(topic_seen_by(&mut bob).await, "tea");
        assert_eq!(whois(&mut bob, "carol").await.as_deref(), Ok("carol"));
        assert_eq!(whois(&mut bob, "alice").await, Err(Code::NoSuchPerson));
        assert_eq!(bob.hears("hello").await.name, "carol");
        server.kill();
    })
    .await;
}
