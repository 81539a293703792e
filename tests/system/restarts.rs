//! Programs that are killed and come back: the client with its outbox, the server with another history.

use super::harness::{Cli, Home, Native, Server, bounded, eventually, mark, marks, not_once};
use protocol::id::RoomId;

const KILLS: usize = 20;
/// Lines that are typed before each kill.
const TYPED: usize = 40;

/// How many lines are in the log; they must be the first ones, in order, each once.
fn contiguous(observer: &Native, room: RoomId) -> usize {
    let texts = observer.texts(room);
    let wanted: Vec<_> = (0..texts.len()).map(|n| mark("kim", n)).collect();
    assert_eq!(texts, wanted, "nothing lost, nothing doubled, in order");
    texts.len()
}

/// Runs the program without input until all that waits in its outbox is sent.
async fn empty_outbox(home: &Home, server: &Server) {
    let mut program = home.natter(server.addr(), "kim");
    program.close_input();
    let finished = program.finished().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err);
}

#[tokio::test]
async fn a_client_killed_in_mid_send_loses_and_doubles_nothing() {
    bounded(170, async {
        let server = Server::start().await;
        let mut observer = Native::enter(server.addr(), "observer").await;
        let room = observer.lobby();
        let home = Home::new();
        let mut next = 0;
        let mut in_mid_send = 0;
        for round in 0..KILLS {
            let mut program = home.natter(server.addr(), "kim");
            program
                .type_lines((next..next + TYPED).map(|n| mark("kim", n)))
                .await;
            // Killed after more of the lines in each round, up to half of them.
            observer.reads(room, next + 1 + round).await;
            program.kill().await;
            in_mid_send += usize::from(observer.texts(room).len() < next + TYPED);

            let shown = program.lines();
            empty_outbox(&home, &server).await;
            observer.settle().await;
            next = contiguous(&observer, room);
            let texts = observer.texts(room);
            for mark in marks(&shown) {
                assert!(
                    texts.iter().any(|text| text == mark),
                    "{mark} was shown and is gone"
                );
            }
        }
        println!("{in_mid_send} of {KILLS} kills fell in mid-send; {next} lines arrived");
        assert!(next >= KILLS, "{next} lines");
    })
    .await;
}

#[tokio::test]
async fn lines_typed_while_the_server_is_away_wait_in_the_outbox_across_a_kill() {
    bounded(90, async {
        let mut server = Server::start_to_be_restarted().await;
        let home = Home::new();
        let mut program = home.natter(server.addr(), "kim");
        program.type_line("before").await;
        program.shows("before").await;
        server.stop().await;
        program.type_line("while you were away").await;
        // Shown as pending: it is kept by now.
        program.shows("while you were away").await;
        program.kill().await;
        server.start_again().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let mut program = home.natter(server.addr(), "kim");
        program.type_line("after").await;
        observer.hears("after").await;
        // The history is another one: what was never sent is sent now, or shown, but not dropped in silence.
        let sent = observer
            .texts(observer.lobby())
            .iter()
            .any(|text| text == "while you were away");
        let told = |lines: Vec<String>| lines.iter().any(|line| line.contains("while you were away"));
        assert!(sent || told(program.lines()), "{:?}", program.lines());
    })
    .await;
}

/// Whether the program has said that history is new so many times.
fn said_new(program: &Cli, times: usize) -> Option<()> {
    let said = |line: &String| line.to_lowercase().contains("history") && line.contains("new");
    let all = [program.lines(), program.diagnostics()].concat();
    (all.iter().filter(|line| said(line)).count() >= times).then_some(())
}

#[tokio::test]
async fn a_server_that_starts_anew_says_that_history_is_new_and_doubles_nothing() {
    bounded(150, async {
        let mut server = Server::start_to_be_restarted().await;
        let (ann_home, ben_home) = (Home::new(), Home::new());
        let mut ann = ann_home.natter(server.addr(), "ann");
        let mut ben = ben_home.natter(server.addr(), "ben");
        let mut wanted = Vec::new();
        for round in 0..=5 {
            if round > 0 {
                server.restart().await;
                eventually("ann to say that history is new", || said_new(&ann, round)).await;
                eventually("ben to say that history is new", || said_new(&ben, round)).await;
            }
            for n in round * 10..(round + 1) * 10 {
                ann.type_line(&mark("ann", n)).await;
                ben.type_line(&mark("ben", n)).await;
                wanted.extend([mark("ann", n), mark("ben", n)]);
            }
            // Everything is acknowledged before the next restart: both read all of it.
            for program in [&ann, &ben] {
                let all = |lines: &[String]| marks(lines).len() >= wanted.len();
                program.until("all lines so far", all).await;
            }
        }
        for program in [&ann, &ben] {
            let lines = program.lines();
            assert_eq!(
                not_once(&marks(&lines), &wanted),
                Default::default(),
                "each line once"
            );
        }
    })
    .await;
}
