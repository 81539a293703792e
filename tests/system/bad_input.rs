//! Promise P9: bad input gets a coded error and costs nothing else.
//!
//! The tables give what is sent in each state, and the documented answer with the connection's fate. After each
//! case the next client is served, and at the end the server's log holds no panic.

mod before_login;
mod classic;
mod frames;
mod requests;
mod samples;

use super::harness::{Identity, Native, Raw, Refusal, Server, bounded};
use protocol::classic::{ClassicReply, WELCOME, ty as classic_ty};
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::frame::frame;
use protocol::message::{ClientMsg, RoomsChange, ServerMsg, Target};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;
use tokio::time::timeout;

/// Something bad to say.
struct Case {
    /// What is wrong with it.
    name: String,
    /// What is sent.
    bytes: Vec<u8>,
    /// What must come of it.
    answer: Answer,
}

/// What comes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// This error, after which the connection ends.
    Close(Code),
    /// This error, after which the connection goes on.
    Keep(Code),
    /// The same, with this number.
    KeepWith(Code, u64),
    /// Nothing; the connection goes on.
    Silence,
    /// Nothing until the client has finished; then the connection ends.
    SilentEnd,
    /// This classic ERROR, after which the connection ends.
    ClassicClose(&'static str),
    /// This classic ERROR, after which the connection goes on.
    ClassicError(&'static str),
    /// A line of the server's own; the connection goes on.
    ClassicNotice,
}

fn case(name: impl Into<String>, bytes: impl AsRef<[u8]>, answer: Answer) -> Case {
    Case { name: name.into(), bytes: bytes.as_ref().to_vec(), answer }
}

/// In what state the connection is when the bad input comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing has been said yet.
    New,
    /// Logged in, in the native dialect.
    Native,
    /// Logged in, in the classic dialect.
    Classic,
}

/// How long an answer may take: less than the heartbeat, which would end the connection for another reason.
const HESITATION: Duration = Duration::from_secs(10);

/// Tries all cases, each on a connection of its own, on one server, and tells all that went wrong.
async fn check(state: State, cases: Vec<Case>) {
    let mut server = Server::start().await;
    let others = furnish(&server).await;
    let mut wrong = Vec::new();
    for case in cases {
        println!("{state:?}: {}", case.name);
        let tried = timeout(HESITATION, try_case(&server, state, &case)).await;
        if let Err(why) = tried.unwrap_or_else(|_| Err("no answer".into())) {
            wrong.push(format!("{}: {why}", case.name));
        }
        let mut next = log_in(&server).await;
        next.goes_on().await.expect("the next client is served");
        next.raw.say(&ClientMsg::Bye {}).await;
    }
    drop(others);
    let finished = server.stop().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    assert!(!finished.err.contains("panicked at"), "{}", finished.err);
}

/// Makes the rooms that are not for those who try the cases, and gives the people in them.
async fn furnish(server: &Server) -> (Native, Native) {
    let mut host = Native::enter(server.addr(), "host").await;
    let friend = Native::enter(server.addr(), "friend").await;
    assert_eq!(host.join("elsewhere").await, samples::ELSEWHERE);
    let person = friend.person;
    let counter = host.post(Target::Person { person }, EntryKind::Text, "between us");
    host.acked(counter.value()).await;
    let room = friend
        .wait("a direct room", |view| view.rooms.keys().copied().find(|room| *room > samples::ELSEWHERE));
    assert_eq!(room.await, samples::PRIVATE);
    (host, friend)
}

async fn try_case(server: &Server, state: State, case: &Case) -> Result<(), String> {
    let mut talk = match state {
        State::New => Talk::begin(server, state).await,
        State::Native => log_in(server).await,
        State::Classic => log_in_classic(server).await?,
    };
    talk.raw.send(&case.bytes).await;
    talk.check_answer(case.answer).await
}

async fn log_in(server: &Server) -> Talk {
    let mut talk = Talk::begin(server, State::Native).await;
    talk.raw.say(&Identity::new("somebody").hello()).await;
    let last = |msg: ServerMsg| {
        let all = matches!(msg, ServerMsg::Rooms { change: RoomsChange::All, more: false, .. });
        all.then_some(())
    };
    assert!(talk.raw.find(last).await.is_some(), "a login must work");
    talk
}

async fn log_in_classic(server: &Server) -> Result<Talk, String> {
    let mut talk = Talk::begin(server, State::Classic).await;
    talk.raw.send(&frame(classic_ty::JOIN, b"somebody")).await;
    while talk.line().await?.1 != WELCOME {}
    // The name may have been taken and that be told: what comes next must be what is waited for.
    talk.goes_on().await?;
    Ok(talk)
}

/// A connection and the state that it is in.
struct Talk {
    raw: Raw,
    state: State,
}

impl Talk {
    async fn begin(server: &Server, state: State) -> Self {
        let raw = Raw::connect(server.addr()).await;
        Self { raw, state }
    }

    async fn check_answer(&mut self, answer: Answer) -> Result<(), String> {
        match answer {
            Answer::Close(code) => {
                let refusal = self.refusal().await?;
                same(&(refusal.code, refusal.close), &(code, true))?;
                self.ends().await
            }
            Answer::Keep(code) => {
                let refusal = self.refusal().await?;
                same(&(refusal.code, refusal.close), &(code, false))?;
                self.goes_on().await
            }
            Answer::KeepWith(code, detail) => {
                let refusal = self.refusal().await?;
                same(&(refusal.code, refusal.detail, refusal.close), &(code, detail, false))?;
                self.goes_on().await
            }
            Answer::Silence => self.goes_on().await,
            Answer::SilentEnd => {
                self.raw.finish().await;
                self.ends().await
            }
            Answer::ClassicClose(text) => {
                same(&self.line().await?, &(classic_ty::ERROR, text.to_owned()))?;
                self.ends().await
            }
            Answer::ClassicError(text) => {
                same(&self.line().await?, &(classic_ty::ERROR, text.to_owned()))?;
                self.goes_on().await
            }
            Answer::ClassicNotice => {
                let (ty, text) = self.line().await?;
                same(&(ty, text.get(..9)), &(classic_ty::TEXT, Some("[Server] ")))?;
                self.goes_on().await
            }
        }
    }

    /// The next error, which must be the next frame that is not about other people.
    async fn refusal(&mut self) -> Result<Refusal, String> {
        let error = |msg: ServerMsg| match &msg {
            ServerMsg::Roster { .. } => None,
            _ => Some(Refusal::of(&msg).ok_or_else(|| format!("answered by {msg:?}"))),
        };
        let found = self.raw.find(error).await;
        found.unwrap_or_else(|| Err("the connection ended without a reason".into()))
    }

    /// The next line that is not about who comes and goes.
    async fn line(&mut self) -> Result<(u8, String), String> {
        loop {
            let (ty, payload) = self.raw.frame().await.ok_or("the connection ended")?;
            match ClassicReply::decode(ty, &payload).map_err(|error| error.to_string())? {
                ClassicReply::Join(_) | ClassicReply::Leave(_) => {}
                _ => return Ok((ty, String::from_utf8_lossy(&payload).into_owned())),
            }
        }
    }

    /// The connection ends, and nothing more is said before but about other people.
    async fn ends(&mut self) -> Result<(), String> {
        while let Some((ty, _)) = self.raw.frame().await {
            if ![classic_ty::JOIN, classic_ty::LEAVE].contains(&ty) {
                return Err(format!("then came a frame of type {ty:#04x}"));
            }
        }
        Ok(())
    }

    /// The connection does what it is there for, and nothing else was waiting to be said.
    async fn goes_on(&mut self) -> Result<(), String> {
        match self.state {
            State::New => Err("before the login no connection goes on".into()),
            State::Native => {
                self.raw.say(&ClientMsg::Ping { nonce: 77 }).await;
                let next = |msg: ServerMsg| (!matches!(msg, ServerMsg::Roster { .. })).then_some(msg);
                match self.raw.find(next).await {
                    Some(ServerMsg::Pong { nonce: 77, .. }) => Ok(()),
                    other => Err(format!("then came {other:?}")),
                }
            }
            State::Classic => {
                self.raw.send(&frame(classic_ty::TEXT, b"/users")).await;
                loop {
                    let (ty, text) = self.line().await?;
                    if text.starts_with("[Server] Online users: ") {
                        return Ok(());
                    }
                    if ty != classic_ty::TEXT || !text.contains("is taken") {
                        return Err(format!("then came {text:?}"));
                    }
                }
            }
        }
    }
}

fn same<T: PartialEq + Debug>(is: &T, wanted: &T) -> Result<(), String> {
    if is == wanted { Ok(()) } else { Err(format!("{is:?} instead of {wanted:?}")) }
}

#[tokio::test]
async fn before_the_login_everything_bad_closes_with_its_code() {
    bounded(120, check(State::New, before_login::cases())).await;
}

#[tokio::test]
async fn bad_frames_after_the_login_get_their_codes() {
    bounded(120, check(State::Native, frames::cases())).await;
}

#[tokio::test]
async fn bad_requests_are_refused_and_the_connection_goes_on() {
    bounded(120, check(State::Native, requests::cases())).await;
}

#[tokio::test]
async fn bad_lines_of_classic_clients_are_answered_and_skipped() {
    bounded(120, check(State::Classic, classic::cases())).await;
}

#[test]
fn the_tables_have_at_least_sixty_cases_each_by_a_name_of_its_own() {
    let tables = [before_login::cases(), frames::cases(), requests::cases(), classic::cases()];
    let mut distinct = BTreeSet::new();
    for case in tables.iter().flatten() {
        assert!(distinct.insert(&case.name), "two cases are called {:?}", case.name);
    }
    assert!(distinct.len() >= 60, "{} cases", distinct.len());
}
