//! A whole client, driven over pipes in memory against a small server, in paused time.

mod kept;
mod server;

use super::*;
use crate::files::MemoryFiles;
use crate::session::event::{Event, Said};
use crate::session::{Config, Tally};
use protocol::id::{Millis, RunId};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use server::{Pipes, Server};
use tokio::time::Instant;

/// tokio's clock, which stands still unless everybody waits.
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Now {
        let ms = Millis(u64::try_from(self.0.elapsed().as_millis()).expect("tests are short"));
        Now { steady: ms, wall: Millis(1_783_000_000_000 + ms.0) }
    }
}

type TestClient = Client<Pipes, MemoryFiles, Paused, SmallRng>;

fn client(server: &Server, files: &MemoryFiles) -> (TestClient, Face) {
    let mut rng = SmallRng::seed_from_u64(7);
    let profile = Profile::open(files.clone(), &mut rng).expect("a good profile");
    let config = Config {
        name: "alice".into(),
        device: profile.identity().device,
        secret: profile.identity().secret.clone(),
        agent: "test".into(),
        run: RunId([2; 16]),
        history: 20,
        interactive: false,
    };
    let session = Session::new(config, profile.kept().clone(), profile.records());
    let (ports, face) = ports(&session);
    let clock = Paused(Instant::now());
    let client = Client { session, profile, connect: server.connect(), clock, rng, ports };
    (client, face)
}

/// Drives the client to its end; its face hears of it then.
async fn run(mut client: TestClient) -> Result<End, DriveError> {
    client.drive().await
}

/// Reads events until one is what is wanted, and says that they were shown.
async fn until(face: &mut Face, mut wanted: impl FnMut(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    while let Some(event) = face.events.recv().await {
        face.shown.send_modify(|shown| *shown += 1);
        let found = wanted(&event);
        seen.push(event);
        if found {
            return seen;
        }
    }
    panic!("the session ended after {seen:?}");
}

async fn type_line(face: &Face, line: &str) {
    face.input.send(Input::Line(line.into())).await.expect("the client runs");
}

fn is_said(text: &str) -> impl FnMut(&Event) -> bool {
    move |event| matches!(event, Event::Said(Said { text: said, .. }) if said == text)
}

async fn read_all(face: &mut Face) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(event) = face.events.recv().await {
        face.shown.send_modify(|shown| *shown += 1);
        if let Event::Said(said) = event {
            texts.push(said.text);
        }
    }
    texts
}

#[tokio::test(start_paused = true)]
async fn a_line_is_sent_acknowledged_and_read_back() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "hi").await;
        until(&mut face, is_said("hi")).await;
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
    assert_eq!(server.log(), ["hi"]);
}

#[tokio::test(start_paused = true)]
async fn cut_connections_lose_and_double_nothing() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let wanted: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    // Every connection breaks after a few posts, some before and some after these are kept.
    server.break_after(&[3, 7, 1, 0, 12, 5, 30, 2, 2, 64]);
    let input = face.input.clone();
    let lines = wanted.clone();
    let talk = async move {
        for line in lines {
            input.send(Input::Line(line)).await.expect("the client runs");
        }
    };
    let read = async {
        let mut texts = Vec::new();
        while texts.len() < 200 {
            if let Event::Said(said) = face.events.recv().await.expect("the client runs") {
                texts.push(said.text);
            }
            face.shown.send_modify(|shown| *shown += 1);
        }
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
        texts
    };
    let (end, (), read) = tokio::join!(run(client), talk, read);
    assert_eq!(end.expect("a good end"), End::Quit);
    assert_eq!(server.log(), wanted);
    assert_eq!(read, wanted);
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_is_told_as_read_together_and_only_forward() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "one").await;
        until(&mut face, is_said("one")).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(server.marks(), [1]);
        for n in 0..20 {
            server.append(&n.to_string());
        }
        until(&mut face, is_said("9")).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(server.marks(), [1, 11], "what came and was not shown is not read");
        until(&mut face, is_said("19")).await;
        server.cut();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(server.marks(), [1, 11, 21]);
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn a_reconnection_tells_its_account() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "before").await;
        until(&mut face, is_said("before")).await;
        server.cut();
        server.append("meanwhile");
        let seen = until(&mut face, |event| matches!(event, Event::Resumed(_))).await;
        assert!(seen.contains(&Event::Reconnected), "{seen:?}");
        assert_eq!(seen.last(), Some(&Event::Resumed(Tally { missed: 1, lost: 0, doubled: 0 })));
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_to_connect_may_fail_only_once() {
    let server = Server::start();
    server.refuse(1);
    let (mut client, face) = client(&server, &MemoryFiles::default());
    assert!(matches!(client.drive().await, Err(DriveError::Connect(_))));
    drop(face);
}

#[tokio::test(start_paused = true)]
async fn later_attempts_are_repeated_until_one_works() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "before").await;
        until(&mut face, is_said("before")).await;
        server.refuse(12);
        server.cut();
        type_line(&face, "after").await;
        until(&mut face, is_said("after")).await;
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_behind_each_welcome_is_not_run_over() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "before").await;
        until(&mut face, is_said("before")).await;
        server.dismiss(true);
        server.cut();
        let before = server.connections();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let attempts = server.connections() - before;
        assert!((5..40).contains(&attempts), "{attempts} logins in a minute");
        server.dismiss(false);
        type_line(&face, "after").await;
        until(&mut face, is_said("after")).await;
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasted_is_replaced_at_once() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "before").await;
        until(&mut face, is_said("before")).await;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(6)).await;
            let before = server.connections();
            server.cut();
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(server.connections(), before + 1, "a first wait is at most 250 ms");
        }
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_after_fifteen_seconds() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "before").await;
        until(&mut face, is_said("before")).await;
        server.fall_silent();
        let seen = until(&mut face, |event| matches!(event, Event::Reconnected)).await;
        assert!(seen.contains(&Event::Lost(Loss::Silent)), "{seen:?}");
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn a_face_that_does_not_read_keeps_the_connection_and_misses_nothing() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let talk = async {
        type_line(&face, "before").await;
        until(&mut face, is_said("before")).await;
        for n in 0..5_000 {
            server.append(&n.to_string());
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let seen = until(&mut face, is_said("4999")).await;
        assert_eq!(seen.len(), 5_000, "each line once, and no reconnection");
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_natter_server_ends_the_client() {
    let server = Server::start();
    server.talk_nonsense();
    let (mut client, face) = client(&server, &MemoryFiles::default());
    assert_eq!(client.drive().await.expect("an end"), End::NoLogin(Loss::Garbled));
    drop(face);
}

#[tokio::test(start_paused = true)]
async fn a_face_that_shows_nothing_keeps_only_the_typist_waiting_and_nothing_is_lost() {
    let server = Server::start();
    let (client, mut face) = client(&server, &MemoryFiles::default());
    let freight = face.freight.take().expect("nobody took it");
    let talk = async {
        // Typed until no more is taken: the face shows nothing of what comes back.
        let mut typed = 0;
        let second = Duration::from_secs(1);
        let line = |n: usize| Input::Line(n.to_string());
        while let Ok(sent) = tokio::time::timeout(second, face.input.send(line(typed))).await {
            sent.expect("the client runs");
            typed += 1;
            assert!(typed < 5_000, "what is typed has an end");
        }
        assert!(typed > 64, "{typed}");
        // News of files are taken all the same, far more than have room.
        for n in 0..1_000 {
            let news =
                crate::transfer::News { id: crate::transfer::JobId(n), step: crate::transfer::Step::Waiting };
            let taken = tokio::time::timeout(second, freight.news.send(news)).await;
            taken.expect("the driver takes them").expect("the client runs");
        }
        // The face comes back: all that was typed has its effect, in order.
        let last = (typed - 1).to_string();
        until(&mut face, is_said(&last)).await;
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
        typed
    };
    let (end, typed) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
    assert_eq!(server.log(), (0..typed).map(|n| n.to_string()).collect::<Vec<_>>());
}
