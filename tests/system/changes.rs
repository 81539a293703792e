//! Two people at two programs who correct themselves, look things up, and come back.

use super::harness::{Cli, Cut, Home, Identity, Native, Proxy, Server, Way, bounded};
use protocol::entry::{EntryKind, Revision};
use protocol::id::{RoomId, Seq};
use protocol::message::OpenFrom;
use std::collections::BTreeSet;

/// Waits until all lines of a program hold this one.
async fn has(program: &Cli, line: &str) {
    program.until(line, |lines| lines.iter().any(|shown| shown.ends_with(line))).await;
}

/// Somebody who comes in and has read all that there is.
async fn newcomer(server: &Server, name: &str) -> (Native, RoomId) {
    let mut client = Native::login(server.addr(), &Identity::new(name)).await;
    let room = client.lobby();
    let opened = client.open(room, OpenFrom::Last { count: 1_000 }).await;
    let newest = opened.newest.map_or(0, Seq::value);
    client.reads(room, usize::try_from(newest).expect("a small log")).await;
    (client, room)
}

#[tokio::test]
async fn who_corrects_a_line_corrects_it_for_everybody_and_who_takes_it_back_too() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice_home, bob_home) = (Home::new(), Home::new());
        let mut bob = bob_home.natter(server.addr(), "bob");
        bob.type_line("I listen").await;
        bob.shows("I listen").await;
        let mut alice = alice_home.natter(server.addr(), "alice");
        alice.type_lines(["teh end", "/edit the end", "/me waevs", "/edit waves", "/delete"]).await;
        alice.close_input();
        let finished = alice.finished().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        bob.shows("alice: the end (edited; it was 'teh end')").await;
        bob.shows("* alice waves (edited; it was 'waevs')").await;
        bob.shows("* alice deleted a message of").await;
        bob.type_line("/reply #2 really?").await;
        bob.shows("↪ alice: the end").await;
        bob.shows("really?").await;
        bob.type_line("/history").await;
        bob.shows("#2 alice: the end (edited)").await;
        bob.shows("#4 alice: (deleted)").await;
        bob.type_lines(["/edit #2 forged", "/delete #2"]).await;
        bob.says("line #2 is by alice").await;
        // Who comes later never sees what is gone.
        let (carol, room) = newcomer(&server, "carol").await;
        let texts = carol.texts(room).join("|");
        assert!(texts.contains("the end"), "{texts}");
        assert!(!texts.contains("teh") && !texts.contains("wav"), "{texts}");
    })
    .await;
}

#[tokio::test]
async fn a_search_finds_what_is_said_now_and_leads_there() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let mut kim = home.natter(server.addr(), "kim");
        kim.type_line("/join dev").await;
        let noise = |n| if n < 11 { format!("noisy {n}") } else { format!("noise {n}") };
        kim.type_lines((0..30).map(noise)).await;
        kim.type_lines(["the Needle is red", "/edit the Needle is blue", "/join lobby", "no needle here"])
            .await;
        has(&kim, "no needle here").await;
        kim.type_lines(["/search -a NEEDLE", "/jump 2", "/search red", "/search noise", "/search"]).await;
        kim.shows("found in all rooms: NEEDLE").await;
        let older = kim.shows("the Needle is blue").await;
        assert!(older.trim_start().starts_with("2 ") && older.contains("#dev"), "{older}");
        let newer = kim.shows("no needle here").await;
        assert!(newer.trim_start().starts_with("1 ") && newer.contains("#lobby"), "{newer}");
        kim.shows("around #31 in #dev:").await;
        kim.shows("> #31 kim: the Needle is blue").await;
        kim.shows("nothing was found in #lobby: red").await;
        kim.shows("nothing was found in #lobby: noise").await;
        kim.type_lines(["/join dev", "/search noisy*", "/search"]).await;
        kim.shows("found in #dev: noisy*").await;
        kim.shows("1  ").await;
        kim.shows("found in #dev: noisy*").await;
        kim.shows("noisy 0").await;
    })
    .await;
}

#[tokio::test]
async fn what_one_device_has_shown_is_not_new_on_another() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let mut desk = home.natter(server.addr(), "kim");
        desk.type_line("hello").await;
        has(&desk, "hello").await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let room = bob.lobby();
        bob.say_all(room, ["@kim one".to_owned(), "two".to_owned()]).await;
        has(&desk, "two").await;
        // A line counts as read a moment after it is there to be read: an answer that stands behind it is later than that.
        desk.type_line("/topic").await;
        has(&desk, "has no topic").await;
        desk.close_input();
        assert_eq!(desk.finished().await.code, Some(0));
        bob.say_all(room, ["@kim three".to_owned()]).await;
        bob.settle().await;
        // The second program of this profile has no cursors of its own: it knows from the server what is new.
        let phone = home.natter_with(server.addr(), "kim", &["--temporary"]);
        has(&phone, "@kim three").await;
        phone.says("new: #lobby 1 (1 names you)").await;
        phone.says("1 new line in #lobby:").await;
    })
    .await;
}

const KILLS: usize = 12;

#[tokio::test]
async fn a_client_killed_in_mid_change_changes_its_line_once() {
    bounded(120, async {
        let server = Server::start().await;
        let proxy = Proxy::start(server.addr()).await;
        let mut observer = Native::enter(server.addr(), "observer").await;
        let room = observer.lobby();
        let home = Home::new();
        for round in 0..KILLS {
            let mut kim = home.natter(proxy.addr(), "kim");
            proxy.logged_in().await;
            kim.type_line(&format!("draft {round}")).await;
            has(&kim, &format!("draft {round}")).await;
            let down = round % 2 == 0;
            proxy.stall(if down { Way::Down } else { Way::Up });
            let change = if round % 3 == 0 { "/delete".to_owned() } else { format!("/edit final {round}") };
            kim.type_line(&change).await;
            proxy.holds_post().await;
            kim.kill().await;
            proxy.cut(Cut::Reset);
            let mut kim = home.natter(proxy.addr(), "kim");
            kim.close_input();
            assert_eq!(kim.finished().await.code, Some(0));
        }
        observer.settle().await;
        let changes = observer.view(|view| {
            let entries = view.open[&room].entries.iter();
            let changes = entries.filter(|entry| matches!(entry.kind, EntryKind::Edit | EntryKind::Delete));
            changes.map(|entry| entry.reply_to).collect::<Vec<_>>()
        });
        let once: BTreeSet<_> = changes.iter().collect();
        assert_eq!((changes.len(), once.len()), (KILLS, KILLS), "{changes:?}");
        // Who reads it anew reads what became of each line.
        let (later, _) = newcomer(&server, "later").await;
        let lines = later.view(|view| {
            let entries = view.open[&room].entries.iter();
            let lines = entries.filter(|entry| entry.kind == EntryKind::Text);
            lines.map(|entry| (entry.revision, entry.text().into_owned())).collect::<Vec<_>>()
        });
        let wanted = (0..KILLS).map(|round| match round % 3 {
            0 => (Revision::Deleted, String::new()),
            _ => (Revision::Edited, format!("final {round}")),
        });
        assert_eq!(lines, wanted.collect::<Vec<_>>());
    })
    .await;
}
