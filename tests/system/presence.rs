//! Presence: who is there, told soon but calmly.

use super::harness::{Classic, Identity, Native, Server, Shown, bounded};
use protocol::limits::PRESENCE_GRACE_MS;
use protocol::message::{ClientMsg, Reply, RosterItem, StateChange};
use std::time::Duration;
use tokio::time::Instant;

/// Waits until the lobby's roster, as `observer` knows it, has somebody like this.
async fn sees(observer: &Native, what: &str, is: impl Fn(&RosterItem) -> bool) -> RosterItem {
    let lobby = observer.lobby();
    let find = |view: &mut super::harness::View| {
        let people = &view.open.get(&lobby)?.roster.people;
        people.values().find(|item| is(item)).cloned()
    };
    observer.wait(what, find).await
}

/// What `observer` was told of this person after the first snapshot.
fn changes_of(observer: &Native, name: &str) -> Vec<RosterItem> {
    let lobby = observer.lobby();
    observer.view(|view| {
        let changes = &view.open[&lobby].roster.changes;
        changes.iter().filter(|item| item.name == name).cloned().collect()
    })
}

async fn online(observer: &Native, name: &str, online: bool) {
    let what = format!("{name} to be online: {online}");
    sees(observer, &what, |item| item.name == name && item.presence.online == online).await;
}

#[tokio::test]
async fn who_comes_and_who_says_goodbye_is_told_at_once() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        online(&alice, "alice", true).await;
        let bob = Native::enter(server.addr(), "bob").await;
        online(&alice, "bob", true).await;
        online(&bob, "alice", true).await;
        let begun = Instant::now();
        bob.leave().await;
        online(&alice, "bob", false).await;
        let grace = Duration::from_millis(PRESENCE_GRACE_MS);
        assert!(begun.elapsed() < grace, "a goodbye needs no grace: {:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test]
async fn an_errand_is_in_the_roster_like_everybody_and_marked_as_one() {
    bounded(60, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let classic = Classic::enter(server.addr(), "classic").await;
        let identity = Identity::new("ci");
        let errand = Native::login(server.addr(), &identity.on_an_errand()).await;
        let seen = sees(&observer, "an errand", |item| item.name == "ci" && item.presence.errand).await;
        assert!(seen.presence.online);
        classic.shows(&Shown::Came("ci joined the chat.".into())).await;
        // With a chat beside it somebody sits there, until the chat ends.
        let chat = Native::login(server.addr(), &identity.other_device()).await;
        sees(&observer, "a chat", |item| item.name == "ci" && item.presence.online && !item.presence.errand)
            .await;
        chat.leave().await;
        sees(&observer, "an errand again", |item| item.name == "ci" && item.presence.errand).await;
        errand.leave().await;
        online(&observer, "ci", false).await;
        classic.shows(&Shown::Left("ci left the chat.".into())).await;
        let told = changes_of(&observer, "observer");
        assert!(told.iter().all(|item| !item.presence.errand), "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn a_flapping_link_prints_no_leaving_and_no_coming() {
    bounded(90, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let classic = Classic::enter(server.addr(), "classic").await;
        let flapping = Identity::new("flapping");
        let first = Native::login(server.addr(), &flapping).await;
        online(&observer, "flapping", true).await;
        classic.shows(&Shown::Came("flapping joined the chat.".into())).await;
        let gone = Native::enter(server.addr(), "gone").await;
        online(&observer, "gone", true).await;

        // Both links break; one comes back at once. When the other's grace is over, so would be the first one's.
        drop(first);
        let _second = Native::login(server.addr(), &flapping).await;
        drop(gone);
        online(&observer, "gone", false).await;
        classic.shows(&Shown::Left("gone left the chat.".into())).await;
        let told = changes_of(&observer, "flapping");
        assert!(told.iter().all(|item| item.presence.online), "{told:?}");
        let lines = classic.shown();
        let about = |shown: &&Shown| matches!(shown, Shown::Came(text) | Shown::Left(text) if text.starts_with("flapping"));
        assert_eq!(lines.iter().filter(about).count(), 1, "{lines:?}");
    })
    .await;
}

#[tokio::test]
async fn a_person_is_there_as_long_as_one_device_is() {
    bounded(60, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let identity = Identity::new("alice");
        let desk = Native::login(server.addr(), &identity).await;
        let phone = Native::login(server.addr(), &identity.other_device()).await;
        online(&observer, "alice", true).await;
        desk.leave().await;
        let last = Native::enter(server.addr(), "last").await;
        online(&observer, "last", true).await;
        online(&observer, "alice", true).await;
        phone.leave().await;
        online(&observer, "alice", false).await;
        drop(last);
    })
    .await;
}

#[tokio::test]
async fn away_and_back_are_told_with_their_words() {
    bounded(60, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let change = StateChange::Away { text: "out for tea".into() };
        assert_eq!(alice.reply(|req| ClientMsg::State { req, change }).await, Reply::Done);
        let item = sees(&observer, "alice to be away", |item| item.presence.away).await;
        assert_eq!((item.name.as_str(), item.away.as_str()), ("alice", "out for tea"));
        let change = StateChange::Back;
        assert_eq!(alice.reply(|req| ClientMsg::State { req, change }).await, Reply::Done);
        sees(&observer, "alice to be back", |item| item.name == "alice" && !item.presence.away).await;
    })
    .await;
}

#[tokio::test]
async fn typing_is_told_to_the_room_and_ends_by_itself() {
    bounded(60, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let alice = Native::enter(server.addr(), "alice").await;
        let typing = |on| ClientMsg::State {
            req: protocol::id::Req(0),
            change: StateChange::Typing { room: alice.lobby(), on },
        };
        let is_typing = |on| move |item: &RosterItem| item.name == "alice" && item.presence.typing == on;
        online(&observer, "alice", true).await;
        alice.send(&typing(true));
        sees(&observer, "alice to type", is_typing(true)).await;
        alice.send(&typing(false));
        sees(&observer, "alice to stop typing", is_typing(false)).await;
        alice.send(&typing(true));
        sees(&observer, "alice to type again", is_typing(true)).await;
        sees(&observer, "alice's typing to end by itself", is_typing(false)).await;
    })
    .await;
}

#[tokio::test]
async fn a_new_name_is_told_to_everybody() {
    bounded(60, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let classic = Classic::enter(server.addr(), "classic").await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        online(&observer, "alice", true).await;
        let change = StateChange::Name { name: "carol".into() };
        alice.reply(|req| ClientMsg::State { req, change }).await;
        let item = sees(&observer, "carol", |item| item.name == "carol").await;
        assert_eq!(item.person, alice.person);
        classic.notice("alice is now carol").await;
        alice.say(alice.lobby(), "under the new name");
        classic.hears("carol", "under the new name").await;
        assert_eq!(observer.hears("under the new name").await.name, "carol");
    })
    .await;
}

#[tokio::test]
async fn above_two_hundred_members_only_counts_are_told_and_below_it_names_again() {
    bounded(90, async {
        let server = Server::start().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let lobby = observer.lobby();
        let told = async |online: u32| {
            let count = |view: &mut super::harness::View| {
                let roster = &view.open.get(&lobby)?.roster;
                (roster.online == online)
                    .then(|| roster.people.values().filter(|item| item.presence.online).count())
            };
            observer.wait(&format!("{online} to be online"), count).await
        };
        let mut crowd = Vec::new();
        for n in 1..=150 {
            crowd.push(Native::login(server.addr(), &Identity::new(&format!("one-of-many-{n}"))).await);
        }
        assert_eq!(told(151).await, 151, "all by name");
        for n in 151..=210 {
            crowd.push(Native::login(server.addr(), &Identity::new(&format!("one-of-many-{n}"))).await);
        }
        assert_eq!(told(211).await, 0, "a snapshot without names takes the old names away");
        for one in crowd.drain(100..) {
            one.leave().await;
        }
        assert_eq!(told(101).await, 101, "all by name again");
    })
    .await;
}
