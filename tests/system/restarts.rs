//! Programs that are killed and come back: the client with its outbox, the server with another history.

use super::harness::{
    Cli, Cut, Home, Native, Proxy, Server, Way, bounded, eventually, mark, marks, not_once,
};
use protocol::id::RoomId;

const KILLS: usize = 20;
/// Lines that are typed before each kill.
const TYPED: usize = 40;

/// What a kill leaves behind.
#[derive(Clone, Copy)]
enum Left {
    /// Posts that are stored, and that the client never heard of again.
    Unacknowledged,
    /// Posts that never arrived.
    Unsent,
    /// Posts that arrive after the client has come back and sent them again.
    Late,
}

const LEFT: [Left; 3] = [Left::Unacknowledged, Left::Unsent, Left::Late];

/// How many lines are in the log; they must be the first ones, in order, each once.
fn contiguous(observer: &Native, room: RoomId) -> usize {
    let texts = observer.texts(room);
    let wanted: Vec<_> = (0..texts.len()).map(|n| mark("kim", n)).collect();
    assert_eq!(texts, wanted, "nothing lost, nothing doubled, in order");
    texts.len()
}

/// Starts the program, lets it type lines and kills it in mid-send; gives all that it has shown.
async fn type_and_kill(home: &Home, proxy: &Proxy, from: usize, left: Left) -> Vec<String> {
    let mut program = home.natter(proxy.addr(), "kim");
    proxy.logged_in().await;
    // Something is acknowledged first, so that the kill falls between posts that arrived and posts that did not.
    program.type_line(&mark("kim", from)).await;
    program.shows(&mark("kim", from)).await;
    proxy.stall(match left {
        Left::Unacknowledged => Way::Down,
        Left::Unsent | Left::Late => Way::Up,
    });
    program.type_lines((from + 1..from + TYPED).map(|n| mark("kim", n))).await;
    proxy.holds_post().await;
    program.kill().await;
    [program.lines(), program.diagnostics()].concat()
}

/// Runs the program without input until all that waits in its outbox is sent.
async fn empty_outbox(home: &Home, proxy: &Proxy) {
    let mut program = home.natter(proxy.addr(), "kim");
    program.close_input();
    let finished = program.finished().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    let accounts = finished.err.lines().filter(|line| line.contains("-- back: "));
    for account in accounts {
        assert!(
            account.ends_with(": nothing missed") || account.ends_with("all here, none twice"),
            "{account}"
        );
    }
}

#[tokio::test]
async fn a_client_killed_in_mid_send_loses_and_doubles_nothing() {
    bounded(170, async {
        let server = Server::start().await;
        let proxy = Proxy::start(server.addr()).await;
        let mut observer = Native::enter(server.addr(), "observer").await;
        let room = observer.lobby();
        let home = Home::new();
        let mut next = 0;
        for round in 0..KILLS {
            let left = LEFT[round % LEFT.len()];
            let shown = type_and_kill(&home, &proxy, next, left).await;
            if !matches!(left, Left::Late) {
                proxy.cut(Cut::Reset);
            }
            empty_outbox(&home, &proxy).await;
            proxy.resume();
            observer.settle().await;
            next = contiguous(&observer, room);
            let texts = observer.texts(room);
            for mark in marks(&shown) {
                assert!(texts.iter().any(|text| text == mark), "{mark} was shown and is gone");
            }
        }
        println!("{next} of {} lines arrived", KILLS * TYPED);
        assert!(next > KILLS, "more than the first line of each round");
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
        program.says("while you were away (pending)").await;
        program.kill().await;
        server.start_again().await;
        let observer = Native::enter(server.addr(), "observer").await;
        let mut program = home.natter(server.addr(), "kim");
        program.type_line("after").await;
        observer.hears("after").await;
        // The history is another one: what was never sent is sent now, or shown, but not dropped in silence.
        let sent = observer.texts(observer.lobby()).iter().any(|text| text == "while you were away");
        let told = program.diagnostics();
        let told = told.iter().any(|line| line.contains("while you were away"));
        assert!(sent || told, "{:?}", program.diagnostics());
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
            assert_eq!(not_once(&marks(&lines), &wanted), Default::default(), "each line once");
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_killed_in_mid_send_leaves_no_line_unaccounted_for() {
    bounded(150, async {
        let mut server = Server::start_to_be_restarted().await;
        let (ann_home, ben_home) = (Home::new(), Home::new());
        let mut ann = ann_home.natter(server.addr(), "ann");
        let ben = ben_home.natter(server.addr(), "ben");
        // Who comes later is shown only the last lines.
        ann.type_line("is ben there?").await;
        ben.shows("is ben there?").await;
        let mut typed = Vec::new();
        for round in 0..5 {
            let lines: Vec<_> = (round * 50..(round + 1) * 50).map(|n| mark("ann", n)).collect();
            ann.type_lines(&lines).await;
            // Some are stored and read by now, some are under way, some wait.
            ben.shows(&lines[round]).await;
            server.restart().await;
            typed.extend(lines);
            // A line that is typed before the loss is noticed may be lost with the rest.
            eventually("ann to say that history is new", || said_new(&ann, round + 1)).await;
            eventually("ben to say that history is new", || said_new(&ben, round + 1)).await;
            let last = format!("round {round} is over");
            ann.type_line(&last).await;
            ben.shows(&last).await;
            ann.shows(&last).await;
        }
        let (of_ann, of_ben) = (ann.lines(), ben.lines());
        let told = ann.diagnostics();
        let told: Vec<_> = told.iter().filter(|line| line.contains("may not have arrived")).collect();
        for mark in typed {
            let count = |lines: &[String]| lines.iter().filter(|line| line.contains(&mark)).count();
            assert!(count(&of_ann) <= 1 && count(&of_ben) <= 1, "{mark} is doubled");
            let is_told = told.iter().any(|line| line.contains(&mark));
            assert!(count(&of_ann) == 1 || is_told, "{mark} has vanished without a word");
        }
    })
    .await;
}
