//! A client of the classic dialect, with the faults of the Python program's client that the server must live with.
//!
//! It sends JOIN once and never again, parts what it gets at the first `::`, can't read a FILE frame, and has no
//! heartbeat. It takes every byte that it gets to its screen: [`Shown`] is that screen.

use super::raw::Frames;
use super::wait_in;
use protocol::classic::{NAME_TAKEN, QUIT_ACK, SEPARATOR, WELCOME, ty};
use protocol::frame::frame;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A classic user at a screen.
pub struct Classic {
    name: String,
    write: OwnedWriteHalf,
    state: Arc<watch::Sender<Screen>>,
    _tasks: JoinSet<()>,
}

/// What a frame puts on the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// A TEXT with a separator: who said it, and what.
    Said(String, String),
    /// A TEXT without one.
    Notice(String),
    /// A JOIN.
    Came(String),
    /// A LEAVE.
    Left(String),
    /// An ERROR.
    Error(String),
    /// A COMMAND.
    Command(String),
    /// A FILE, of which the client shows only that it could not read it.
    MalformedFile,
    /// A type that the client does not know.
    Unknown(u8),
}

#[derive(Default)]
struct Screen {
    shown: Vec<Shown>,
    /// What stands before this has been waited for.
    read: usize,
    ended: bool,
}

impl Classic {
    /// Connects, says its name and waits to be greeted.
    pub async fn enter(addr: SocketAddr, name: &str) -> Self {
        let client = Self::connect(addr, name).await;
        client.shows(&Shown::Notice(WELCOME.into())).await;
        client
    }

    /// Connects and says its name, which is any bytes.
    pub async fn connect(addr: SocketAddr, name: impl AsRef<[u8]>) -> Self {
        let mut client = Self::connect_silently(addr).await;
        client.send(ty::JOIN, name.as_ref()).await;
        client.name = String::from_utf8_lossy(name.as_ref()).into_owned();
        client
    }

    /// Connects and says nothing.
    pub async fn connect_silently(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the server listens");
        let (read, write) = stream.into_split();
        let state: Arc<watch::Sender<Screen>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(drive_reads(read, Arc::clone(&state)));
        Self { name: "a classic client".into(), write, state, _tasks: tasks }
    }

    /// Sends a frame.
    pub async fn send(&mut self, ty: u8, payload: &[u8]) {
        let _ = self.write.write_all(&frame(ty, payload)).await;
    }

    /// Types a line. After `Username already taken.` nothing works any more, as in the original.
    pub async fn say(&mut self, line: &str) {
        let taken = Shown::Error(NAME_TAKEN.into());
        assert!(!self.shown().contains(&taken), "a dead end for this client");
        self.send(ty::TEXT, line.as_bytes()).await;
    }

    /// Types `/quit`, and waits for what belongs to it.
    pub async fn quit(&mut self) {
        self.say("/quit").await;
        self.shows(&Shown::Command(QUIT_ACK.into())).await;
        self.ended().await;
    }

    /// All that is on the screen.
    pub fn shown(&self) -> Vec<Shown> {
        self.state.borrow().shown.clone()
    }

    /// Waits for exactly this, after what was waited for last.
    pub async fn shows(&self, wanted: &Shown) {
        self.find(&format!("{wanted:?}"), |shown| (shown == wanted).then_some(())).await;
    }

    /// Waits for a person's line.
    pub async fn hears(&self, who: &str, what: &str) {
        self.shows(&Shown::Said(who.into(), what.into())).await;
    }

    /// Waits for a line of the server's own that holds `part`, and gives the whole of it.
    ///
    /// One with a separator in it is shown as if somebody of the name `[Server] …` had said the rest.
    pub async fn notice(&self, part: &str) -> String {
        let find = |shown: &Shown| {
            let text = match shown {
                Shown::Notice(text) => text.clone(),
                Shown::Said(who, what) if who.starts_with("[Server] ") => format!("{who}{SEPARATOR}{what}"),
                _ => return None,
            };
            text.contains(part).then_some(text)
        };
        self.find(&format!("a notice with {part:?}"), find).await
    }

    /// Waits for something after what was waited for last.
    pub async fn find<R>(&self, what: &str, find: impl Fn(&Shown) -> Option<R>) -> R {
        let look = |screen: &mut Screen| {
            let (at, found) = screen
                .shown
                .iter()
                .enumerate()
                .skip(screen.read)
                .find_map(|(at, shown)| Some((at, find(shown)?)))?;
            screen.read = at + 1;
            Some(found)
        };
        let what = format!("{what} on the screen of {}", self.name);
        wait_in(&self.state, &what, look, show).await
    }

    /// Waits until `done` holds for the whole screen.
    pub async fn until(&self, what: &str, done: impl Fn(&[Shown]) -> bool) {
        wait_in(&self.state, what, |screen| done(&screen.shown).then_some(()), show).await;
    }

    /// Waits until the server has closed.
    pub async fn ended(&self) {
        let ended = |screen: &mut Screen| screen.ended.then_some(());
        wait_in(&self.state, "the end of the connection", ended, show).await;
    }
}

fn show(screen: &Screen) -> String {
    let from = screen.shown.len().saturating_sub(30);
    format!("{:#?}, ended: {}", &screen.shown[from..], screen.ended)
}

async fn drive_reads(mut read: OwnedReadHalf, state: Arc<watch::Sender<Screen>>) {
    let mut frames = Frames::default();
    while let Some((ty, payload)) = frames.next(&mut read).await {
        let shown = on_screen(ty, &payload);
        state.send_modify(|screen| screen.shown.push(shown));
    }
    state.send_modify(|screen| screen.ended = true);
}

fn on_screen(ty: u8, payload: &[u8]) -> Shown {
    let text = String::from_utf8(payload.to_vec()).expect("the server sends UTF-8");
    match ty {
        ty::TEXT => match text.split_once(SEPARATOR) {
            Some((who, what)) => Shown::Said(who.into(), what.into()),
            None => Shown::Notice(text),
        },
        ty::FILE => Shown::MalformedFile,
        ty::JOIN => Shown::Came(text),
        ty::LEAVE => Shown::Left(text),
        ty::ERROR => Shown::Error(text),
        ty::COMMAND => Shown::Command(text),
        other => Shown::Unknown(other),
    }
}
