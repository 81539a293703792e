//! A client of the native dialect, as a person would write one from the wire's document, that trusts nothing.
//!
//! It reads all the time, answers heartbeats, and checks each frame as it comes ([`View`]): a gap, a double, an
//! acknowledgement of something never sent or a cursor that goes back fails whatever the test waits for next.

use super::raw::Frames;
use super::{Identity, Refusal, View, wait_in};
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Counter, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, Seq, ServerId};
use protocol::limits::PING_AFTER_MS;
use protocol::message::{ClientMsg, Limits, OpenFrom, Question, Reply, RoomsChange, ServerMsg, Target, ty};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A logged-in connection of the native dialect.
pub struct Native {
    /// What it has heard.
    state: Arc<watch::Sender<View>>,
    out: mpsc::UnboundedSender<Bytes>,
    reads: watch::Sender<bool>,
    _tasks: JoinSet<()>,
    next_req: u32,
    /// Who I am.
    pub person: PersonId,
    /// My name.
    pub name: String,
    /// My device, as entries show it.
    pub device: DeviceNo,
    /// The history that the server has.
    pub epoch: Epoch,
    /// Which server it is.
    pub server: Option<ServerId>,
    /// What I must keep to.
    pub limits: Limits,
    /// What I was told about how long messages are kept.
    pub storage: String,
}

/// What `Opened` said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The topic.
    pub topic: String,
    /// The oldest entry kept.
    pub oldest: Seq,
    /// The newest entry.
    pub newest: Option<Seq>,
    /// The next entry that comes.
    pub next: Seq,
}

impl Native {
    /// Logs a new person in under `name` and opens the lobby at its end.
    pub async fn enter(addr: SocketAddr, name: &str) -> Self {
        let mut client = Self::login(addr, &Identity::new(name)).await;
        let lobby = client.lobby();
        client.open(lobby, OpenFrom::Now).await;
        client
    }

    /// Logs in, and waits for the list of rooms.
    ///
    /// Posts go on from the last one that the server has accepted, as they do after a resume.
    pub async fn login(addr: SocketAddr, identity: &Identity) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        let (read, write) = stream.into_split();
        let state: Arc<watch::Sender<View>> = Arc::default();
        let (out, waiting) = mpsc::unbounded_channel();
        let reads = watch::Sender::new(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(drive_reads(read, Arc::clone(&state), reads.subscribe()));
        tasks.spawn(drive_writes(write, waiting));
        let _ = out.send(identity.hello().encode());
        let welcome = |msg: &ServerMsg| matches!(msg, ServerMsg::Welcome { .. });
        let msg = take(&state, "a welcome", |msg| welcome(msg).then(|| msg.clone())).await;
        let ServerMsg::Welcome { person, name, device, epoch, limits, last_counter, storage, server, .. } =
            msg
        else {
            unreachable!("only a welcome was taken");
        };
        let last = last_counter.map_or(0, Counter::value);
        state.send_modify(|view| (view.posted, view.acked) = (last, last));
        take(&state, "the list of rooms", |msg| last_page_of_rooms(msg).then_some(())).await;
        Self {
            state,
            out,
            reads,
            _tasks: tasks,
            next_req: 1,
            person,
            name,
            device,
            epoch,
            server,
            limits,
            storage,
        }
    }

    /// Looks at what has been heard.
    pub fn view<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.state.borrow())
    }

    /// Waits until `look` finds something in what has been heard.
    ///
    /// # Panics
    /// If the server broke a rule, or the connection ended before it was there.
    pub async fn wait<R>(&self, what: &str, mut look: impl FnMut(&mut View) -> Option<R>) -> R {
        let found = |view: &mut View| {
            if let Some(fault) = &view.fault {
                panic!("the server broke a rule: {fault}");
            }
            let found = look(view);
            assert!(found.is_some() || !view.ended, "the connection ended before {what}; {}", show(view));
            found
        };
        wait_in(&self.state, &format!("{what} by {}", self.name), found, show).await
    }

    /// Takes the first message that matches out of the mail.
    pub async fn take<R>(&self, what: &str, mut look: impl FnMut(&ServerMsg) -> Option<R>) -> R {
        self.wait(what, |view| take_mail(view, &mut look)).await
    }

    /// Takes the next refusal.
    pub async fn refusal(&self) -> Refusal {
        self.take("a refusal", Refusal::of).await
    }

    /// Waits until the server has closed the connection.
    pub async fn ended(&self) {
        wait_in(&self.state, "the end of the connection", |view| view.ended.then_some(()), show).await;
    }

    /// Stops or goes on reading; the heartbeat of this side goes on all the while.
    pub fn set_reading(&self, on: bool) {
        self.reads.send_replace(on);
    }

    /// Sends a message.
    pub fn send(&self, msg: &ClientMsg) {
        let _ = self.out.send(msg.encode());
    }

    /// Sends a request and gives its answer, or its refusal.
    pub async fn ask(&mut self, request: impl FnOnce(Req) -> ClientMsg) -> Result<ServerMsg, Refusal> {
        let req = Req(self.next_req);
        self.next_req += 1;
        self.send(&request(req));
        self.take("an answer", |msg| answers(msg, req)).await
    }

    /// Asks for something that is answered by a [`Reply`].
    pub async fn reply(&mut self, request: impl FnOnce(Req) -> ClientMsg) -> Reply {
        match self.ask(request).await {
            Ok(ServerMsg::Answer { reply, .. }) => reply,
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// Waits until the server has done all that was sent before, and told it to this connection.
    pub async fn settle(&mut self) {
        self.next_req += 1;
        let nonce = u64::from(self.next_req) << 32;
        self.send(&ClientMsg::Ping { nonce });
        let pong = |msg: &ServerMsg| matches!(msg, ServerMsg::Pong { nonce: n, .. } if *n == nonce);
        self.take("a pong", |msg| pong(msg).then_some(())).await;
    }

    /// The room of this name that I am in.
    pub fn room(&self, name: &str) -> Option<RoomId> {
        self.view(|view| view.rooms.values().find(|room| room.name == name).map(|room| room.room))
    }

    /// The room that everybody is in.
    pub fn lobby(&self) -> RoomId {
        self.room("lobby").expect("everybody is in the lobby")
    }

    /// Becomes a member of a room.
    pub async fn join(&mut self, name: &str) -> RoomId {
        let name = name.to_owned();
        let added = self.ask(|req| ClientMsg::Join { req, name }).await;
        match added {
            Ok(ServerMsg::Rooms { change: RoomsChange::Added, rooms, .. }) => rooms[0].room,
            other => panic!("not added: {other:?}"),
        }
    }

    /// Sets a cursor.
    pub async fn open(&mut self, room: RoomId, from: OpenFrom) -> Opened {
        match self.ask(|req| ClientMsg::Open { req, room, from }).await {
            Ok(ServerMsg::Opened { topic, oldest, newest, next, .. }) => {
                Opened { topic, oldest, newest, next }
            }
            other => panic!("not opened: {other:?}"),
        }
    }

    /// Posts a text into a room.
    pub fn say(&self, room: RoomId, text: &str) -> Counter {
        self.post(Target::Room { room }, EntryKind::Text, text)
    }

    /// Posts with the next counter.
    pub fn post(&self, target: Target, kind: EntryKind, text: &str) -> Counter {
        self.post_with(|counter| post(counter, target, kind, text))
    }

    /// Posts with the next counter, and waits for the answer: why it was refused, if it was. Its counter is used again then.
    pub async fn try_post(&self, target: Target, kind: EntryKind, text: &str) -> Result<(), Code> {
        let posted = self.post(target, kind, text).value();
        tokio::select! {
            refusal = self.take("an answer", Refusal::of) => {
                self.forget_posts(1);
                Err(refusal.code)
            }
            () = self.acked(posted) => Ok(()),
        }
    }

    /// Posts what is made of the next counter.
    pub fn post_with(&self, make: impl FnOnce(Counter) -> ClientMsg) -> Counter {
        let mut posted = 0;
        self.state.send_modify(|view| {
            view.posted += 1;
            posted = view.posted;
        });
        let counter = Counter::new(posted).expect("a test posts less than 2⁶³ times");
        self.send(&make(counter));
        counter
    }

    /// The last posts were refused: their counters are used again.
    pub fn forget_posts(&self, count: u64) {
        self.state.send_modify(|view| view.posted -= count);
    }

    /// Posts with this counter, right or wrong.
    pub fn post_as(&self, counter: u64, target: Target, text: &str) {
        self.state.send_modify(|view| view.posted = view.posted.max(counter));
        let counter = Counter::new(counter).expect("a test posts less than 2⁶³ times");
        self.send(&post(counter, target, EntryKind::Text, text));
    }

    /// Leaves on purpose, and waits until the server has closed.
    pub async fn leave(self) {
        self.send(&ClientMsg::Bye {});
        self.ended().await;
    }

    /// The person who has this name.
    pub async fn person_named(&mut self, name: &str) -> PersonId {
        let question = Question::Whois { name: name.into() };
        match self.reply(|req| ClientMsg::Ask { req, question }).await {
            Reply::Whois { person, .. } => person.person,
            other => panic!("not a whois: {other:?}"),
        }
    }

    /// Posts texts without having more unacknowledged than the server's window takes, and waits for the last.
    pub async fn say_all(&self, room: RoomId, texts: impl IntoIterator<Item = String>) {
        let window = u64::from(self.limits.window_posts);
        for text in texts {
            let posted = self.say(room, &text).value();
            self.acked(posted.saturating_sub(window - 1)).await;
        }
        self.acked(self.view(|view| view.posted)).await;
    }

    /// Waits until all posts up to this one are acknowledged.
    pub async fn acked(&self, counter: u64) {
        let what = format!("the ack of post {counter}");
        self.wait(&what, |view| (view.acked >= counter).then_some(())).await;
    }

    /// Waits for an entry with this text in any open room.
    pub async fn hears(&self, text: &str) -> Entry {
        let entries = |view: &View| find_entry(view, |entry| entry.body == text.as_bytes());
        self.wait(&format!("the text {text:?}"), |view| entries(view)).await
    }

    /// Waits until `count` entries have come through the cursor of a room, and gives their texts.
    pub async fn reads(&self, room: RoomId, count: usize) -> Vec<String> {
        let what = format!("{count} entries");
        self.wait(&what, |view| (view.open.get(&room)?.entries.len() >= count).then_some(())).await;
        self.texts(room)
    }

    /// All that has come through the cursor of a room.
    pub fn texts(&self, room: RoomId) -> Vec<String> {
        let texts = |entries: &[Entry]| entries.iter().map(|entry| entry.text().into_owned()).collect();
        self.view(|view| view.open.get(&room).map(|reading| texts(&reading.entries)).unwrap_or_default())
    }
}

fn post(counter: Counter, target: Target, kind: EntryKind, text: &str) -> ClientMsg {
    ClientMsg::Post {
        counter,
        target,
        kind,
        reply_to: None,
        written: Millis(0),
        body: Bytes::copy_from_slice(text.as_bytes()),
    }
}

async fn take<R>(
    state: &watch::Sender<View>,
    what: &str,
    mut look: impl FnMut(&ServerMsg) -> Option<R>,
) -> R {
    let find = |view: &mut View| {
        let found = take_mail(view, &mut look);
        assert!(found.is_some() || !view.ended, "the connection ended before {what}; {}", show(view));
        found
    };
    wait_in(state, what, find, show).await
}

fn take_mail<R>(view: &mut View, look: &mut impl FnMut(&ServerMsg) -> Option<R>) -> Option<R> {
    let (at, found) = view.mail.iter().enumerate().find_map(|(at, msg)| Some((at, look(msg)?)))?;
    view.mail.remove(at);
    Some(found)
}

fn find_entry(view: &View, matches: impl Fn(&Entry) -> bool) -> Option<Entry> {
    let mut entries = view.open.values().flat_map(|reading| &reading.entries);
    entries.find(|entry| matches(entry)).cloned()
}

fn last_page_of_rooms(msg: &ServerMsg) -> bool {
    matches!(msg, ServerMsg::Rooms { change: RoomsChange::All, more: false, .. })
}

/// The answer to a request in this message, or its refusal.
fn answers(msg: &ServerMsg, wanted: Req) -> Option<Result<ServerMsg, Refusal>> {
    match msg {
        ServerMsg::Rooms { req, .. }
        | ServerMsg::Opened { req, .. }
        | ServerMsg::Page { req, .. }
        | ServerMsg::Answer { req, .. }
            if *req == wanted =>
        {
            Some(Ok(msg.clone()))
        }
        ServerMsg::Error { .. } => {
            let refusal = Refusal::of(msg)?;
            let mine = refusal.about != ty::POST && refusal.req == u64::from(wanted.0);
            mine.then_some(Err(refusal))
        }
        _ => None,
    }
}

fn show(view: &View) -> String {
    let open: Vec<_> = view
        .open
        .iter()
        .map(|(room, reading)| format!("{room}: {} entries, next {:?}", reading.entries.len(), reading.next))
        .collect();
    format!(
        "acked {} of {}, open {open:?}, fault {:?}, ended {}, mail {:?}",
        view.acked, view.posted, view.fault, view.ended, view.mail
    )
}

async fn drive_reads(
    mut read: OwnedReadHalf,
    state: Arc<watch::Sender<View>>,
    mut on: watch::Receiver<bool>,
) {
    let mut frames = Frames::default();
    loop {
        if on.wait_for(|on| *on).await.is_err() {
            return;
        }
        // Waiting for a frame is given up when reading is turned off: what is in the buffer stays there.
        let frame = tokio::select! {
            biased;
            _ = on.changed() => continue,
            frame = frames.next(&mut read) => frame,
        };
        let Some((ty, payload)) = frame else {
            state.send_modify(|view| view.ended = true);
            return;
        };
        state.send_modify(|view| match ServerMsg::decode(ty, &payload) {
            Ok(Some(ServerMsg::Pong { nonce: 0, .. })) | Ok(None) => {}
            Ok(Some(msg)) => view.handle_message(msg),
            Err(error) => view.fault = Some(format!("type {ty:#04x}: {error}")),
        });
    }
}

async fn drive_writes(mut write: OwnedWriteHalf, mut waiting: mpsc::UnboundedReceiver<Bytes>) {
    let ping = ClientMsg::Ping { nonce: 0 }.encode();
    loop {
        let bytes = match timeout(Duration::from_millis(PING_AFTER_MS), waiting.recv()).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(_) => ping.clone(),
        };
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
