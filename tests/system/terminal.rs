//! The client at a terminal: it never hangs, loses no line, and leaves the terminal as it was.

use super::harness::{Home, Pty, Server, bounded};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// A key is answered within this time, though other tests share the machine.
const ANSWER: Duration = Duration::from_secs(2);

/// Steps of the random test; `NATTER_TERMINAL_STEPS=10000 cargo test -p server a_person_at_a_terminal` takes more.
const STEPS: u64 = 250;

/// How long the short form may take.
const SHORT: Duration = Duration::from_secs(15);

async fn with_server(seconds: u64, work: impl FnOnce(SocketAddr, Home) + Send + 'static) {
    bounded(seconds, async {
        let server = Server::start().await;
        let (addr, home) = (server.addr(), Home::new());
        #[expect(clippy::disallowed_methods, reason = "a terminal blocks, and nothing here is simulated")]
        let work = tokio::task::spawn_blocking(move || work(addr, home));
        work.await.expect("it did not panic");
    })
    .await;
}

/// alice at a terminal of her own, and the modes that it had.
fn alice(addr: SocketAddr, home: &Home) -> (Pty, String) {
    let mut pty =
        Pty::start(&["sh", "-c", &format!("read x; exec {} {addr} -u alice", Pty::natter())], home.path());
    let modes = pty.modes();
    pty.keys("\r");
    pty.shows("#lobby> ");
    (pty, modes)
}

/// Somebody else in the lobby, without a terminal.
struct Bob {
    child: Child,
    input: ChildStdin,
    seen: std::path::PathBuf,
}

impl Bob {
    fn enter(addr: SocketAddr, home: &Home) -> Self {
        let seen = home.path().join("bob.out");
        let mut child = Command::new(Pty::natter())
            .args([&addr.to_string(), "-u", "bob"])
            .env("XDG_STATE_HOME", home.path().join("bob"))
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(File::create(&seen).expect("a file"))
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let input = child.stdin.take().expect("a pipe");
        Self { child, input, seen }
    }

    fn says(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("bob is there");
    }

    /// What alice said, once she has said `last`.
    fn heard(&self, last: &str) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = fs::read_to_string(&self.seen).expect("a file");
            let lines: Vec<_> =
                text.lines().filter_map(|line| Some(line.split_once(" alice: ")?.1.to_owned())).collect();
            if lines.iter().any(|line| line == last) {
                return lines;
            }
            assert!(Instant::now() < deadline, "bob has not heard {last:?} of {} lines", lines.len());
            std::thread::yield_now();
        }
    }
}

impl Drop for Bob {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_paste_of_2000_lines_is_said_whole_and_its_commands_are_text() {
    with_server(120, |addr, home| {
        let (mut pty, modes) = alice(addr, &home);
        let mut bob = Bob::enter(addr, &home);
        bob.says("hello");
        pty.shows("bob: hello");
        let mut lines: Vec<_> = (0..2_000).map(|n| format!("line {n}")).collect();
        lines[700] = "/quit".into();
        lines[1_300] = "/part".into();
        pty.keys(&format!("\x1b[200~{}\x1b[201~", lines.join("\r")));
        pty.shows("2000 lines of text");
        pty.keys("\r");
        assert_eq!(bob.heard("line 1999"), lines);
        pty.keys("still here\r");
        pty.shows("alice: still here");
        pty.keys("/quit\r");
        assert_eq!(pty.finished().code(), Some(0));
        pty.has_modes(&modes);
    })
    .await;
}

fn check_stops(shell: &'static [&'static str]) -> impl FnOnce(SocketAddr, Home) + Send + 'static {
    move |addr, home| {
        let mut pty = Pty::start(shell, home.path());
        pty.shows("SHELL> ");
        pty.keys(&format!("stty -g > before; {} {addr} -u alice\r", Pty::natter()));
        pty.shows("#lobby> ");
        for n in 0..15 {
            pty.keys(&format!("half {n}"));
            pty.shows(&format!("#lobby> half {n}"));
            pty.keys("\x1a");
            pty.shows("SHELL> ");
            pty.keys("stty -g > stopped; cmp before stopped && echo sa''me\r");
            pty.shows("same");
            pty.keys("fg\r");
            pty.shows(&format!("#lobby> half {n}"));
            pty.keys(" typed\r");
            pty.shows(&format!("alice: half {n} typed"));
        }
        pty.keys("/quit\r");
        pty.shows("SHELL> ");
        pty.keys("stty -g > after; cmp before after && echo sa''me\r");
        pty.shows("same");
    }
}

#[tokio::test]
async fn a_stop_in_dash_leaves_the_terminal_as_it_was_and_the_half_typed_line_comes_back() {
    with_server(120, check_stops(&["dash", "-i"])).await;
}

#[tokio::test]
async fn a_stop_in_bash_leaves_the_terminal_as_it_was_and_the_half_typed_line_comes_back() {
    with_server(120, check_stops(&["bash", "--norc", "--noprofile", "-i"])).await;
}

#[tokio::test]
async fn whatever_ends_the_client_the_terminal_is_as_it_was() {
    with_server(120, |addr, home| {
        for (signal, code) in [(Signal::TERM, 0), (Signal::HUP, 0), (Signal::INT, 130)] {
            let (mut pty, modes) = alice(addr, &home);
            pty.keys("half");
            pty.shows("#lobby> half");
            assert_ne!(pty.modes(), modes);
            pty.signal(signal);
            assert_eq!(pty.finished().code(), Some(code), "{signal:?}");
            pty.has_modes(&modes);
        }
        for keys in ["/quit\r", "\x04", "\x03"] {
            let (mut pty, modes) = alice(addr, &home);
            pty.keys(keys);
            assert_eq!(pty.finished().code(), Some(0), "{keys:?}");
            pty.has_modes(&modes);
        }
    })
    .await;
}

#[tokio::test]
async fn who_spoke_and_leaves_is_told_of_and_neither_newcomers_nor_scripts_are() {
    with_server(120, |addr, home| {
        let natter = |name: &str| [&Pty::natter(), &addr.to_string(), "-u", name].map(str::to_owned);
        let seat =
            |name: &str| Pty::start(&natter(name).each_ref().map(String::as_str), &home.path().join(name));
        let folders = ["bob", "carol"].map(|name| home.path().join(name));
        folders.iter().for_each(|folder| fs::create_dir(folder).expect("a folder"));
        let mut bob = seat("bob");
        bob.shows("#lobby> ");
        let (mut alice, _) = alice(addr, &home);
        let mut carol = seat("carol");
        carol.shows("#lobby> ");
        bob.keys("hello\r");
        alice.shows("bob: hello");
        // A script says something, and is gone when it did.
        let mut script = Bob::enter(addr, &home);
        script.says("the night build");
        alice.shows("bob-2: the night build");
        script.says("/quit");
        assert!(script.child.wait().expect("our own child").success());
        carol.keys("/quit\r");
        assert_eq!(carol.finished().code(), Some(0));
        bob.keys("/quit\r");
        alice.shows("* bob left");
        alice.keys("that was all\r");
        alice.shows("alice: that was all");
        let text = alice.text();
        for unseen in ["is here", "are here", "bob-2 left", "carol"] {
            let told = text.lines().filter(|line| line.contains('*') && line.contains(unseen));
            assert_eq!(told.count(), 0, "{unseen}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_a_profile_says_which_device_of_whom_took_over_and_how_to_have_ones_own() {
    with_server(120, |addr, home| {
        let (mut first, _) = alice(addr, &home);
        let copy = home.path().join("copy");
        let copied = Command::new("cp").arg("-r").arg(home.path().join("state")).arg(&copy).status();
        assert!(copied.expect("cp is there").success());
        let mut second = Pty::start(
            &[&Pty::natter(), &addr.to_string(), "-u", "alice", "--state", &copy.display().to_string()],
            home.path(),
        );
        second.shows("#lobby> ");
        first.shows("of alice is connected from 127.0.0.1, since ");
        first.shows("--temporary");
        first.shows("connection lost");
    })
    .await;
}

#[tokio::test]
async fn a_terminal_that_takes_nothing_does_not_hold_up_the_end_and_is_as_it_was() {
    with_server(120, |addr, home| {
        let (mut pty, modes) = alice(addr, &home);
        pty.takes_nothing(true);
        let mut bob = Bob::enter(addr, &home);
        // Far more than a terminal holds that nobody reads.
        (0..2_000).for_each(|n| bob.says(&format!("line {n}: {}", "x".repeat(80))));
        bob.says("/quit");
        let _ = bob.child.wait();
        pty.signal(Signal::TERM);
        assert!(pty.finished().code().is_some());
        pty.has_modes(&modes);
    })
    .await;
}

#[tokio::test]
async fn who_is_stopped_and_continued_from_outside_finds_the_half_typed_line() {
    with_server(60, |addr, home| {
        let (mut pty, _) = alice(addr, &home);
        pty.keys("half");
        pty.shows("#lobby> half");
        pty.signal(Signal::STOP);
        pty.keys(" typed");
        pty.signal(Signal::CONT);
        pty.shows("#lobby> half typed");
        // Nobody would continue it after this key: there is no shell.
        pty.keys("\x1a!");
        pty.shows("#lobby> half typed!");
    })
    .await;
}

/// Random steps, the same for the same seed.
struct Steps(u64);

impl Steps {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

const JUNK: [&str; 24] = [
    "a",
    "é",
    "漢",
    "👩\u{200d}🚀",
    "\u{301}",
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x1b[1;5D",
    "\x1b[H",
    "\x1b[F",
    "\x7f",
    "\x1b[3~",
    "\x01",
    "\x0b",
    "\x15",
    "\x17",
    "\x19",
    "\x1f",
    "\t",
    "\x12a",
    "\x1b[",
    "\x1b",
];

#[tokio::test]
async fn a_person_at_a_terminal_is_always_answered_and_loses_no_line_whatever_they_do() {
    let asked = std::env::var("NATTER_TERMINAL_STEPS").ok().and_then(|steps| steps.parse().ok());
    let seed = std::env::var("NATTER_TERMINAL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    with_server(if asked.is_some() { 3_600 } else { 170 }, move |addr, home| {
        println!("NATTER_TERMINAL_SEED={seed}");
        let mut steps = Steps(seed);
        let (mut pty, modes) = alice(addr, &home);
        let mut bob = Bob::enter(addr, &home);
        bob.says("hello");
        pty.shows("bob: hello");
        let (mut said, mut told) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        for step in 0..asked.unwrap_or(STEPS) {
            if asked.is_none() && begun.elapsed() > SHORT {
                break;
            }
            match steps.below(10) {
                0..3 => {
                    said.push(format!("a{step}."));
                    pty.keys(&format!("a{step}.\r"));
                }
                3 => {
                    let lines: Vec<_> = (0..2 + steps.below(40)).map(|n| format!("a{step}-{n}.")).collect();
                    pty.keys(&format!("\x1b[200~{}\x1b[201~\r", lines.join("\r\n")));
                    said.extend(lines);
                }
                4 => {
                    for n in 0..=steps.below(20) {
                        let line = format!("b{step}-{n}.");
                        bob.says(&line);
                        told.push(line);
                    }
                }
                5 => {
                    let [columns, rows] = [20 + steps.below(100), 4 + steps.below(40)];
                    pty.resize(u16::try_from(columns).expect("small"), u16::try_from(rows).expect("small"));
                }
                6 => {
                    pty.signal(Signal::STOP);
                    said.push(format!("a{step}."));
                    pty.keys(&format!("a{step}.\r"));
                    pty.signal(Signal::CONT);
                }
                _ => {
                    let junk = |steps: &mut Steps| JUNK[usize::try_from(steps.below(24)).expect("small")];
                    let junk: String = (0..steps.below(12)).map(|_| junk(&mut steps)).collect();
                    // What is left of a search or a key ends, then the line is cleared.
                    pty.keys(&format!("{junk}\x07z\x03"));
                }
            }
            let asked = format!("q{step}?");
            pty.keys(&asked);
            pty.shows_within(&asked, ANSWER);
            pty.keys("\x03");
        }
        said.push("the end".into());
        pty.keys("the end\r");
        assert_eq!(bob.heard("the end"), said);
        bob.says("the last");
        pty.shows("bob: the last");
        let text = pty.text();
        let lost: Vec<_> = told.iter().filter(|line| !text.contains(&format!("bob: {line}"))).collect();
        assert!(lost.is_empty(), "lost of {}: {lost:?}", told.len());
        pty.keys("\x04");
        assert_eq!(pty.finished().code(), Some(0));
        pty.has_modes(&modes);
        println!("{} lines said, {} heard, {:?}", said.len(), told.len(), begun.elapsed());
    })
    .await;
}

#[tokio::test]
async fn who_types_stands_below_the_line_of_the_others_until_they_stop() {
    with_server(120, |addr, home| {
        let (mut alice, _) = alice(addr, &home);
        let bobs = Home::new();
        let command = format!("exec {} {addr} -u bob", Pty::natter());
        let mut bob = Pty::start(&["sh", "-c", &command], bobs.path());
        bob.shows("#lobby> ");
        bob.keys("/nick");
        bob.shows("#lobby> /nick");
        assert!(!alice.text().contains("typing"), "a command is nothing that is said: {}", alice.text());
        bob.keys("\x15half a sentence");
        alice.shows("-- bob is typing …");
        alice.keys("and mine");
        alice.shows("#lobby> and mine");
        bob.keys("\r");
        alice.shows("bob: half a sentence");
        let deadline = Instant::now() + Duration::from_secs(20);
        while alice.text().rsplit("#lobby> ").next().is_some_and(|drawn| drawn.contains("is typing")) {
            assert!(Instant::now() < deadline, "bob has said it: {}", alice.text());
            alice.keys("y");
            alice.shows("#lobby> and miney");
            alice.keys("\x7f");
            alice.shows("#lobby> and mine");
        }
        for pty in [&mut alice, &mut bob] {
            pty.keys("\x15/quit\r");
            assert_eq!(pty.finished().code(), Some(0));
        }
    })
    .await;
}

#[tokio::test]
async fn received_files_go_to_the_download_folder_and_the_first_screen_says_so() {
    with_server(60, |addr, home| {
        let command = format!("unset NATTER_RECEIVED; exec {} {addr} -u alice", Pty::natter());
        let start = || Pty::start(&["sh", "-c", &command], home.path());
        let mut alice = start();
        alice.shows("files that others send are put into ~/Downloads/natter");
        alice.shows("#lobby> ");
        let bobs = Home::new();
        std::fs::write(bobs.path().join("cake.txt"), "cake").expect("the disk has room");
        let mut bob = Pty::start(&[&Pty::natter(), &addr.to_string(), "-u", "bob"], bobs.path());
        bob.shows("#lobby> ");
        bob.keys("/send cake.txt\r");
        alice.shows("received 'cake.txt'");
        let cake = home.path().join("Downloads/natter/cake.txt");
        assert_eq!(std::fs::read_to_string(cake).expect("it is there"), "cake");
        for pty in [&mut alice, &mut bob] {
            pty.keys("/quit\r");
            assert_eq!(pty.finished().code(), Some(0));
        }
    })
    .await;
}
