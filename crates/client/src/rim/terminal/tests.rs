//! The terminal with the editor in it, as whoever sits at its other end sees it.

use super::start;
use crate::drive::{Face, Input};
use crate::line::{Look, Renderer, Zone};
use crate::session::{Place, View};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Says that this process is the one at the terminal.
const AT_TERMINAL: &str = "NATTER_TEST_AT_TERMINAL";

/// An editor of which one thread panics beside it, until its user leaves.
async fn sit() {
    let (input, mut typed) = mpsc::channel(8);
    let (events_in, events) = mpsc::channel(8);
    let (shown, _shown) = watch::channel(0);
    let (typing, _typing) = watch::channel(false);
    let view = View {
        place: Place::Room("lobby".to_owned()),
        ready: true,
        name: String::new(),
        people: Arc::default(),
        rooms: Arc::default(),
        files: Arc::default(),
        typing: Arc::default(),
        lines: 0,
    };
    let (_view, view) = watch::channel(view);
    let face = Face { input, events, shown, typing, view, freight: None };
    let running = start(face, Renderer::new(Look::PLAIN, Zone::East(0)), None, None).expect("it starts");
    while let Some(Input::Line(line)) = typed.recv().await {
        if line == "panic" {
            let ended = crate::rim::run::spawn(|| panic!("the floor gives way")).join();
            assert!(ended.is_err());
        }
    }
    drop(events_in);
    running.join();
}

/// The other end of the terminal, and what came there that was not looked for yet.
struct Watcher {
    master: File,
    unread: String,
}

impl Watcher {
    /// Waits until this has come, behind what was waited for before.
    fn sees(&mut self, wanted: &str) {
        let mut bytes = [0; 1024];
        loop {
            if let Some(at) = self.unread.find(wanted) {
                self.unread.drain(..at + wanted.len());
                return;
            }
            let read = self.master.read(&mut bytes).expect("the other end is open");
            self.unread += &String::from_utf8_lossy(&bytes[..read]);
        }
    }

    fn types(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("the other end is open");
    }
}

/// The terminal belongs to the whole process: this test runs itself in another one.
#[test]
fn a_panic_that_the_chat_outlives_leaves_the_prompt_and_the_half_typed_line_as_they_were() {
    if std::env::var_os(AT_TERMINAL).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("there is memory").block_on(sit());
        return;
    }
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("it can be opened");
    let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("of ASCII");
    let slave = || OpenOptions::new().read(true).write(true).open(&name).expect("it opens");
    let (mut watcher, terminal) = (Watcher { master: File::from(master), unread: String::new() }, slave());
    let cooked = || tcgetattr(&terminal).expect("a terminal").local_modes.contains(LocalModes::ICANON);
    let test = "rim::terminal::tests::a_panic_that_the_chat_outlives_leaves_the_prompt_and_the_half_typed_line_as_they_were";
    let mut child = Command::new(std::env::current_exe().expect("a test binary"))
        .args(["--exact", "--nocapture", test])
        .env(AT_TERMINAL, "1")
        .stdin(slave())
        .stdout(Stdio::from(slave()))
        .stderr(Stdio::from(slave()))
        .spawn()
        .expect("it starts");
    watcher.sees("#lobby> ");
    watcher.types(b"panic\rhalf");
    watcher.sees("the floor gives way");
    watcher.sees("#lobby> half");
    // The editor has it again, which the prompt may be a moment ahead of.
    let mut looks = 0_u64..1_000_000;
    while cooked() && looks.next().is_some() {
        std::thread::yield_now();
    }
    assert!(!cooked(), "the editor has it again");
    watcher.types(b" typed");
    watcher.sees("#lobby> half typed");
    watcher.types(b"\x15\x04");
    let ended = loop {
        // Whoever leaves writes a little more.
        if let Some(ended) = child.try_wait().expect("our own child") {
            break ended;
        }
        std::thread::yield_now();
    };
    assert!(ended.success() && cooked());
}
