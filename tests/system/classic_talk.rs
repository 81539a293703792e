//! Promise P8: unmodified classic clients and native ones hold one conversation on one port.

use super::harness::{Classic, Native, Server, Shown, bounded};
use protocol::classic::{QUIT_ACK, UNKNOWN_COMMAND, WELCOME};
use protocol::command::COMMANDS;
use protocol::entry::EntryKind;
use protocol::message::{OpenFrom, RoomsChange, ServerMsg, Target};

async fn conversation(server: &Server) -> (Native, Classic, Classic) {
    let native = Native::enter(server.addr(), "nat").await;
    let alice = Classic::enter(server.addr(), "alice").await;
    let bob = Classic::enter(server.addr(), "bob").await;
    alice.shows(&Shown::Came("bob joined the chat.".into())).await;
    (native, alice, bob)
}

#[tokio::test]
async fn both_dialects_hold_one_conversation() {
    bounded(60, async {
        let server = Server::start().await;
        let (native, mut alice, mut bob) = conversation(&server).await;
        alice.say("hello from alice").await;
        assert_eq!(native.hears("hello from alice").await.name, "alice");
        bob.hears("alice", "hello from alice").await;
        native.say(native.lobby(), "hello from nat");
        alice.hears("nat", "hello from nat").await;
        bob.hears("nat", "hello from nat").await;
        bob.say("hello from bob").await;
        alice.hears("bob", "hello from bob").await;
        native.hears("hello from bob").await;
    })
    .await;
}

#[tokio::test]
async fn a_sender_does_not_get_its_own_line_back() {
    bounded(60, async {
        let server = Server::start().await;
        let (native, mut alice, mut bob) = conversation(&server).await;
        for n in 0..20 {
            alice.say(&format!("alice {n}")).await;
            bob.say(&format!("bob {n}")).await;
        }
        let texts = native.reads(native.lobby(), 40).await;
        native.say(native.lobby(), "the end");
        alice.hears("nat", "the end").await;
        bob.hears("nat", "the end").await;
        for (me, other, client) in [("alice", "bob", &alice), ("bob", "alice", &bob)] {
            let heard: Vec<_> = client
                .shown()
                .into_iter()
                .filter_map(|shown| match shown {
                    Shown::Said(who, what) if who == me || who == other => Some(what),
                    _ => None,
                })
                .collect();
            let others: Vec<_> = texts.iter().filter(|text| text.starts_with(other)).cloned().collect();
            assert_eq!(heard, others, "the same order, less one's own lines");
        }
    })
    .await;
}

#[tokio::test]
async fn coming_and_leaving_are_told_to_all_others() {
    bounded(60, async {
        let server = Server::start().await;
        let (_native, alice, mut bob) = conversation(&server).await;
        assert_eq!(bob.shown().first(), Some(&Shown::Notice(WELCOME.into())), "greeted first");
        bob.quit().await;
        alice.shows(&Shown::Left("bob left the chat.".into())).await;
        let carol = Native::enter(server.addr(), "carol").await;
        alice.shows(&Shown::Came("carol joined the chat.".into())).await;
        carol.leave().await;
        alice.shows(&Shown::Left("carol left the chat.".into())).await;
        let own = |shown: &Shown| matches!(shown, Shown::Came(text) if text.starts_with("alice"));
        assert!(!alice.shown().iter().any(own), "not to oneself");
    })
    .await;
}

#[tokio::test]
async fn a_classic_client_that_just_hangs_up_is_gone_too() {
    bounded(60, async {
        let server = Server::start().await;
        let (_native, alice, bob) = conversation(&server).await;
        drop(bob);
        alice.shows(&Shown::Left("bob left the chat.".into())).await;
    })
    .await;
}

#[tokio::test]
async fn users_lists_both_dialects() {
    bounded(60, async {
        let server = Server::start().await;
        let (_native, mut alice, _bob) = conversation(&server).await;
        alice.say("/users").await;
        let list = alice.notice("[Server] Online users: ").await;
        let mut names: Vec<_> = list["[Server] Online users: ".len()..].split(", ").collect();
        names.sort_unstable();
        assert_eq!(names, ["alice", "bob", "nat"]);
    })
    .await;
}

#[tokio::test]
async fn help_names_the_commands_that_the_server_has() {
    bounded(60, async {
        let server = Server::start().await;
        let (_native, mut alice, _bob) = conversation(&server).await;
        alice.say("/help").await;
        for command in ["/join", "/msg", "/history", "/who", "/quit"] {
            let named = |shown: &Shown| matches!(shown, Shown::Notice(text) if text.contains(command));
            alice.until(command, |screen| screen.iter().any(named)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_command_is_an_error_and_never_said() {
    bounded(60, async {
        let server = Server::start().await;
        let (native, mut alice, bob) = conversation(&server).await;
        alice.say("/dance wildly").await;
        alice.shows(&Shown::Error(UNKNOWN_COMMAND.into())).await;
        alice.say("//dance").await;
        bob.hears("alice", "/dance").await;
        assert_eq!(native.reads(native.lobby(), 1).await, ["/dance"]);
    })
    .await;
}

#[tokio::test]
async fn quit_is_acknowledged_and_then_the_connection_closes() {
    bounded(60, async {
        let server = Server::start().await;
        let (_native, mut alice, mut bob) = conversation(&server).await;
        alice.say("last words").await;
        alice.quit().await;
        bob.hears("alice", "last words").await;
        bob.shows(&Shown::Left("alice left the chat.".into())).await;
        bob.quit().await;
    })
    .await;
}

#[tokio::test]
async fn a_classic_user_goes_to_another_room_and_still_hears_the_first() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut native, mut alice, mut bob) = conversation(&server).await;
        let dev = native.join("dev").await;
        native.open(dev, OpenFrom::Now).await;
        alice.say("/join dev").await;
        alice.notice("dev").await;
        alice.say("in the other room").await;
        native.hears("in the other room").await;
        assert_eq!(native.texts(dev), ["in the other room"]);
        native.say(dev, "hello here");
        alice.hears("nat", "hello here").await;
        bob.say("hello there").await;
        alice.hears("[#lobby] bob", "hello there").await;
        let lines = bob.shown();
        assert!(!lines.iter().any(|line| format!("{line:?}").contains("other room")), "{lines:?}");
        bob.say("/join dev").await;
        bob.notice("dev").await;
        alice.say("/join lobby").await;
        alice.notice("lobby").await;
        bob.say("after you have gone").await;
        alice.hears("[#dev] bob", "after you have gone").await;
    })
    .await;
}

#[tokio::test]
async fn direct_messages_cross_the_dialects() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut native, mut alice, mut bob) = conversation(&server).await;
        alice.say("/msg bob between us").await;
        bob.hears("[@alice] alice", "between us").await;
        bob.say("/msg nat psst").await;
        let added = |msg: &ServerMsg| match msg {
            ServerMsg::Rooms { change: RoomsChange::Added, rooms, .. } => Some(rooms[0].clone()),
            _ => None,
        };
        let room = native.take("a direct room", added).await;
        assert_eq!(room.name, "bob");
        native.open(room.room, OpenFrom::Last { count: 5 }).await;
        native.hears("psst").await;
        let person = native.person_named("alice").await;
        native.post(Target::Person { person }, EntryKind::Text, "you too");
        alice.hears("[@nat] nat", "you too").await;
        alice.say("/msg nobody hello?").await;
        alice.notice("no such person").await;
        let heard = format!("{:?}", bob.shown());
        assert!(!heard.contains("you too") && !heard.contains("hello?"), "{heard}");
    })
    .await;
}

#[tokio::test]
async fn a_classic_user_asks_for_history() {
    bounded(60, async {
        let server = Server::start().await;
        let native = Native::enter(server.addr(), "nat").await;
        native.say_all(native.lobby(), (1..=5).map(|n| format!("early words {n}"))).await;
        let mut late = Classic::enter(server.addr(), "late").await;
        late.say("/history 3").await;
        for n in 3..=5 {
            let line = late.notice(&format!("early words {n}")).await;
            assert!(line.starts_with("[Server] ") && line.contains("nat"), "{line}");
        }
        let lines = format!("{:?}", late.shown());
        assert!(!lines.contains("early words 2"), "{lines}");
    })
    .await;
}

#[tokio::test]
async fn what_a_person_does_and_the_topic_reach_classic_users() {
    bounded(60, async {
        let server = Server::start().await;
        let (native, mut alice, bob) = conversation(&server).await;
        alice.say("/me waves").await;
        bob.hears("alice", "* waves").await;
        assert_eq!(native.hears("waves").await.kind, EntryKind::Action);
        alice.say("/topic tea at five").await;
        let told = |shown: &Shown| format!("{shown:?}").contains("tea at five").then_some(());
        bob.find("the topic", told).await;
        assert_eq!(native.hears("tea at five").await.kind, EntryKind::Topic);
        alice.say("/nick alicia").await;
        bob.notice("alice is now alicia").await;
    })
    .await;
}

#[tokio::test]
async fn every_command_of_the_table_is_done_for_classic_users() {
    bounded(60, async {
        let server = Server::start_with(&["--motd", "be kind"]).await;
        let (native, _alice, _bob) = conversation(&server).await;
        native.say_all(native.lobby(), ["something to answer".to_owned()]).await;
        for spec in COMMANDS.iter().filter(|spec| spec.classic) {
            let mut user = Classic::enter(server.addr(), "user").await;
            let arguments = match spec.name {
                "join" => "dev",
                "part" | "who" => "lobby",
                "msg" => "alice hello",
                "query" | "whois" => "alice",
                "nick" => "somebody-else",
                "history" => "1h",
                "help" => "join",
                "quit" => "",
                _ => "some words",
            };
            for name in spec.names() {
                user.say(&format!("/{name} {arguments}")).await;
                if spec.name == "quit" {
                    user.shows(&Shown::Command(QUIT_ACK.into())).await;
                    user = Classic::enter(server.addr(), "user").await;
                }
            }
            // Answered in order: what has not come before this does not come.
            user.say("/users").await;
            user.notice("Online users").await;
            let error = |shown: &&Shown| matches!(shown, Shown::Error(_));
            assert_eq!(user.shown().iter().find(error), None, "/{}", spec.name);
            user.quit().await;
        }
    })
    .await;
}
