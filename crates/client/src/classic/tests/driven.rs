//! The whole classic client, over a stream in memory, against a server written from the dialect's table.

use crate::classic::{ClassicClient, ClassicEnd, ClassicSession, Config};
use crate::clock::{Clock, Now};
use crate::drive::{Connect, Connecting, Face, Input, ports};
use crate::session::event::{Event, Said, Transfer, TransferStep};
use crate::transfer::{Failure, Received};
use bytes::{Buf, BytesMut};
use protocol::classic::{ClassicMsg, ClassicReply, QUIT_ACK, WELCOME};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::fs;
use std::future::Future;
use std::io;
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

/// Gives each side of a new stream away: one to the client, one to the test.
struct Streams(Mutex<mpsc::UnboundedSender<DuplexStream>>);

impl Connect for Streams {
    type Stream = DuplexStream;

    fn connect(&self) -> Connecting<DuplexStream> {
        let (ours, theirs) = duplex(16 * 1024);
        let given = self.0.lock().expect("no test panics while it holds this").send(theirs);
        Box::pin(async { given.map(|()| ours).map_err(|_| io::ErrorKind::ConnectionRefused.into()) })
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now::default()
    }
}

/// The server's side of one connection.
struct Peer {
    stream: DuplexStream,
    input: BytesMut,
}

impl Peer {
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(len) = self.input.first_chunk().map(|len| u32::from_be_bytes(*len) as usize)
                && self.input.len() >= 4 + len
            {
                let mut frame = self.input.split_to(4 + len);
                frame.advance(4);
                return Some((frame.get_u8(), frame.to_vec()));
            }
            if self.stream.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn hears(&mut self, expected: ClassicMsg<'_>) {
        let (ty, payload) = self.frame().await.expect("a frame");
        assert_eq!(ClassicMsg::decode(ty, &payload), Ok(expected));
    }

    async fn say(&mut self, reply: ClassicReply<'_>) {
        self.stream.write_all(&reply.encode()).await.expect("the client reads");
    }

    async fn greet(&mut self) {
        self.hears(ClassicMsg::Join("bob")).await;
        self.say(ClassicReply::Text(WELCOME)).await;
    }
}

struct Server(mpsc::UnboundedReceiver<DuplexStream>);

impl Server {
    async fn accept(&mut self) -> Peer {
        let stream = self.0.recv().await.expect("the client connects");
        Peer { stream, input: BytesMut::new() }
    }
}

/// Runs the client against the test's server; everything that it showed, and how it ended.
async fn run<F, T>(folder: &TempDir, server: F) -> (Vec<Event>, ClassicEnd)
where
    F: FnOnce(Server, mpsc::Sender<Input>) -> T,
    T: Future<Output = ()>,
{
    let config = Config { name: "bob".into(), interactive: false, receive_up_to: 3_000_000 };
    let session = ClassicSession::new(config);
    let (ports, face) = ports(&session);
    let (streams, accepted) = mpsc::unbounded_channel();
    let mut client = ClassicClient {
        session,
        connect: Streams(Mutex::new(streams)),
        clock: Still,
        rng: SmallRng::seed_from_u64(1),
        ports,
        folder: Received::new(folder.path().join("received")),
        home: None,
    };
    let Face { input, mut events, shown, .. } = face;
    let show = async {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            all.push(event);
            shown.send_replace(all.len() as u64);
        }
        all
    };
    let drive = async move {
        let end = client.drive().await.expect("it connects");
        drop(client);
        end
    };
    let ((), end, events) = tokio::join!(server(Server(accepted), input), drive, show);
    (events, end)
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 7 % 251).expect("below 251")).collect()
}

fn steps(events: &[Event]) -> Vec<&TransferStep> {
    let steps = events.iter().filter_map(|event| match event {
        Event::Transfer(Transfer { step, .. }) => Some(step),
        _ => None,
    });
    steps.collect()
}

#[tokio::test(start_paused = true)]
async fn a_script_says_its_lines_and_leaves_when_quit_is_answered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (events, end) = run(&folder, |mut server, input| async move {
        input.send(Input::Line("hi".into())).await.expect("open");
        drop(input);
        let mut peer = server.accept().await;
        peer.greet().await;
        peer.hears(ClassicMsg::Text("hi")).await;
        peer.hears(ClassicMsg::Text("/quit")).await;
        peer.say(ClassicReply::Command(QUIT_ACK)).await;
        assert_eq!(peer.frame().await, None);
    })
    .await;
    assert_eq!(end, ClassicEnd::Quit);
    let own = |event: &Event| matches!(event, Event::Said(Said { mine: true, text, .. }) if text == "hi");
    assert_eq!(events.iter().filter(|event| own(event)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn files_go_and_come_whole_between_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sent, came) = (content(1_000_001), content(2_000_003));
    fs::write(folder.path().join("my::cat.png"), &sent).expect("written");
    let path = folder.path().join("my::cat.png").display().to_string();
    let (events, end) = run(&folder, |mut server, input| {
        let (sent, came) = (&sent, &came);
        async move {
            let mut peer = server.accept().await;
            peer.greet().await;
            for line in ["before", &format!("/send {path}"), "behind"] {
                input.send(Input::Line(line.to_owned())).await.expect("open");
            }
            peer.hears(ClassicMsg::Text("before")).await;
            peer.hears(ClassicMsg::File { name: "my-cat.png", content: sent }).await;
            peer.hears(ClassicMsg::Text("behind")).await;
            let file = |name, content| ClassicReply::File { from: "alice", name, content };
            peer.say(file("../../x::y.png", came)).await;
            peer.say(ClassicReply::Text("alice::between")).await;
            peer.say(file("empty", &[])).await;
            peer.say(file("large", &content(3_000_001))).await;
            peer.say(ClassicReply::Text("alice::after")).await;
            drop(input);
            peer.hears(ClassicMsg::Text("/quit")).await;
            peer.say(ClassicReply::Command(QUIT_ACK)).await;
        }
    })
    .await;
    assert_eq!(end, ClassicEnd::Quit);
    let received = folder.path().join("received");
    // The first separators part the names: what is behind them is content.
    let mut expected = b"y.png::".to_vec();
    expected.extend_from_slice(&came);
    assert_eq!(fs::read(received.join("x")).expect("there"), expected);
    assert_eq!(fs::read(received.join("empty")).expect("there").len(), 0);
    assert_eq!(fs::read_dir(received).expect("there").count(), 2);
    assert!(matches!(
        steps(&events)[..],
        [
            TransferStep::Received { .. },
            TransferStep::Received { .. },
            TransferStep::Failed(Failure::TooLarge { size: 3_000_001, .. })
        ]
    ));
    let texts: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Said(Said { text, mine: false, .. }) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, [WELCOME, "../../x", "between", "empty", "large", "after"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_without_readable_names_is_left_out_and_the_connection_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (events, _) = run(&folder, |mut server, input| async move {
        let mut peer = server.accept().await;
        peer.greet().await;
        for payload in [&b""[..], b"alice", b"alice::x", b"\xff::x::y", &[b'a'; 5_000], b"alice::\xff::"] {
            peer.stream.write_all(&protocol::frame::frame(2, payload)).await.expect("the client reads");
        }
        peer.say(ClassicReply::Text("alice::still here")).await;
        drop(input);
        peer.hears(ClassicMsg::Text("/quit")).await;
        peer.say(ClassicReply::Command(QUIT_ACK)).await;
    })
    .await;
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Notice { .. })).count(), 6);
    assert!(
        events.iter().any(|event| matches!(event, Event::Said(Said { text, .. }) if text == "still here"))
    );
    assert!(!folder.path().join("received").exists());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_inside_files_leaves_nothing_half_and_sends_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sent = content(500_000);
    fs::write(folder.path().join("cat.png"), &sent).expect("written");
    let path = folder.path().join("cat.png").display().to_string();
    let (events, end) = run(&folder, |mut server, input| {
        let sent = &sent;
        async move {
            let mut peer = server.accept().await;
            peer.greet().await;
            input.send(Input::Line(format!("/send {path}"))).await.expect("open");
            let came = content(100_000);
            let half = ClassicReply::File { from: "alice", name: "dog.png", content: &came }.encode();
            peer.stream.write_all(&half[..50_000]).await.expect("the client reads");
            let mut some = [0; 100_000];
            peer.stream.read_exact(&mut some).await.expect("the client sends");
            drop(peer);
            let mut peer = server.accept().await;
            peer.greet().await;
            peer.hears(ClassicMsg::File { name: "cat.png", content: sent }).await;
            drop(input);
            peer.hears(ClassicMsg::Text("/quit")).await;
            peer.say(ClassicReply::Command(QUIT_ACK)).await;
        }
    })
    .await;
    assert_eq!(end, ClassicEnd::Quit);
    assert_eq!(fs::read_dir(folder.path().join("received")).expect("there").count(), 0);
    let steps = steps(&events);
    assert!(steps.iter().any(|step| matches!(step, TransferStep::Broken(_))), "{steps:?}");
    assert!(steps.iter().any(|step| matches!(step, TransferStep::Failed(Failure::CutOff))), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_behind_each_greeting_is_not_run_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, end) = run(&folder, |mut server, input| async move {
        let mut joins = 0;
        let dismiss = async {
            loop {
                server.accept().await.greet().await;
                joins += 1;
            }
        };
        let minute = tokio::time::timeout(Duration::from_secs(60), dismiss).await;
        assert!(minute.is_err(), "it tries again and again");
        assert!((5..40).contains(&joins), "{joins} joins in a minute");
        drop(input);
        let mut peer = server.accept().await;
        peer.greet().await;
        peer.hears(ClassicMsg::Text("/quit")).await;
        peer.say(ClassicReply::Command(QUIT_ACK)).await;
    })
    .await;
    assert_eq!(end, ClassicEnd::Quit);
}
