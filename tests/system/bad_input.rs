//! Promise P9: bad input gets a coded error and costs nothing else.
//!
//! The tables give what is sent in each state, and the documented answer with the connection's fate. After each
//! case the next client is served, and at the end the server's log holds no panic.

mod before_login;
mod classic;
mod frames;
mod requests;
mod samples;

use super::harness::{Identity, Raw, Refusal, Server, bounded};
use protocol::classic::{ClassicReply, WELCOME, ty as classic_ty};
use protocol::code::Code;
use protocol::frame::frame;
use protocol::message::{ClientMsg, RoomsChange, ServerMsg};

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
    Case {
        name: name.into(),
        bytes: bytes.as_ref().to_vec(),
        answer,
    }
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

/// Tries all cases, each on a connection of its own, on one server.
async fn check(state: State, cases: Vec<Case>) {
    assert!(!cases.is_empty());
    let mut server = Server::start().await;
    for Case { name, bytes, answer } in cases {
        println!("{state:?}: {name}");
        let mut connection = Raw::connect(server.addr()).await;
        match state {
            State::New => {}
            State::Native => log_in(&mut connection).await,
            State::Classic => log_in_classic(&mut connection).await,
        }
        connection.send(&bytes).await;
        check_answer(&mut connection, state, answer, &name).await;
        let mut next = Raw::connect(server.addr()).await;
        log_in(&mut next).await;
        goes_on(&mut next, State::Native, "the next client").await;
        next.say(&ClientMsg::Bye {}).await;
    }
    let finished = server.stop().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    assert!(!finished.err.contains("panicked at"), "{}", finished.err);
}

async fn check_answer(connection: &mut Raw, state: State, answer: Answer, name: &str) {
    match answer {
        Answer::Close(code) => {
            let refusal = refusal(connection, name).await;
            assert_eq!((refusal.code, refusal.close), (code, true), "{name}");
            assert_eq!(connection.frame().await, None, "{name}: nothing comes after it");
        }
        Answer::Keep(code) => {
            let refusal = refusal(connection, name).await;
            assert_eq!((refusal.code, refusal.close), (code, false), "{name}");
            goes_on(connection, state, name).await;
        }
        Answer::KeepWith(code, detail) => {
            let refusal = refusal(connection, name).await;
            assert_eq!(
                (refusal.code, refusal.detail, refusal.close),
                (code, detail, false),
                "{name}"
            );
            goes_on(connection, state, name).await;
        }
        Answer::Silence => goes_on(connection, state, name).await,
        Answer::SilentEnd => {
            connection.finish().await;
            while let Some((ty, _)) = connection.frame().await {
                let about_others = [classic_ty::JOIN, classic_ty::LEAVE].contains(&ty);
                assert!(about_others, "{name}: answered by a frame of type {ty:#04x}");
            }
        }
        Answer::ClassicClose(text) => {
            assert_eq!(
                classic_line(connection, name).await,
                (classic_ty::ERROR, text.to_owned()),
                "{name}"
            );
            assert_eq!(connection.frame().await, None, "{name}: nothing comes after it");
        }
        Answer::ClassicError(text) => {
            assert_eq!(
                classic_line(connection, name).await,
                (classic_ty::ERROR, text.to_owned()),
                "{name}"
            );
            goes_on(connection, state, name).await;
        }
        Answer::ClassicNotice => {
            let (ty, text) = classic_line(connection, name).await;
            assert!(
                ty == classic_ty::TEXT && text.starts_with("[Server] "),
                "{name}: {text:?}"
            );
            goes_on(connection, state, name).await;
        }
    }
}

async fn log_in(connection: &mut Raw) {
    connection.say(&Identity::new("somebody").hello()).await;
    let last = |msg: ServerMsg| {
        let all = matches!(
            msg,
            ServerMsg::Rooms {
                change: RoomsChange::All,
                more: false,
                ..
            }
        );
        all.then_some(())
    };
    assert!(connection.find(last).await.is_some(), "a login must work");
}

async fn log_in_classic(connection: &mut Raw) {
    connection.send(&frame(classic_ty::JOIN, b"somebody")).await;
    while classic_line(connection, "login").await.1 != WELCOME {}
    // The name may have been taken and that be told: what comes next must be what is waited for.
    goes_on(connection, State::Classic, "login").await;
}

/// The next error, which must be the next frame that is not about other people.
async fn refusal(connection: &mut Raw, name: &str) -> Refusal {
    let error = |msg: ServerMsg| match &msg {
        ServerMsg::Error { .. } => Refusal::of(&msg),
        ServerMsg::Roster { .. } => None,
        other => panic!("{name}: answered by {other:?}"),
    };
    let found = connection.find(error).await;
    found.unwrap_or_else(|| panic!("{name}: the connection ended without a reason"))
}

/// The next line that is not about who comes and goes.
async fn classic_line(connection: &mut Raw, name: &str) -> (u8, String) {
    loop {
        let frame = connection.frame().await;
        let (ty, payload) = frame.unwrap_or_else(|| panic!("{name}: the connection ended"));
        match ClassicReply::decode(ty, &payload).expect("the server says what it may") {
            ClassicReply::Join(_) | ClassicReply::Leave(_) => {}
            _ => return (ty, String::from_utf8_lossy(&payload).into_owned()),
        }
    }
}

/// The connection does what it is there for, and nothing else was waiting to be said.
async fn goes_on(connection: &mut Raw, state: State, name: &str) {
    match state {
        State::New => panic!("{name}: before the login no connection goes on"),
        State::Native => {
            connection.say(&ClientMsg::Ping { nonce: 77 }).await;
            let pong = |msg: ServerMsg| match msg {
                ServerMsg::Pong { nonce, .. } => Some(nonce),
                ServerMsg::Roster { .. } => None,
                other => panic!("{name}: then came {other:?}"),
            };
            assert_eq!(
                connection.find(pong).await,
                Some(77),
                "{name}: the connection goes on"
            );
        }
        State::Classic => {
            connection.send(&frame(classic_ty::TEXT, b"/users")).await;
            loop {
                let (ty, text) = classic_line(connection, name).await;
                assert_eq!(ty, classic_ty::TEXT, "{name}: then came {text:?}");
                if text.starts_with("[Server] Online users: ") {
                    return;
                }
                assert!(text.contains("is taken"), "{name}: then came {text:?}");
            }
        }
    }
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
fn the_tables_have_at_least_sixty_cases_each_under_a_name_of_its_own() {
    let tables = [
        before_login::cases(),
        frames::cases(),
        requests::cases(),
        classic::cases(),
    ];
    let names: Vec<_> = tables.iter().flatten().map(|case| case.name.as_str()).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert!(names.len() >= 60, "{} cases", names.len());
    assert_eq!(distinct.len(), names.len());
}
