//! The modes of the terminal while the editor has it, and how they become what they were, whatever happens.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

const BRACKETED_PASTE: &str = "\x1b[?2004h";
const NO_BRACKETED_PASTE: &str = "\x1b[?2004l";

/// What the terminal has been through. The whole process has one, and a panic of any thread must find it.
struct State {
    /// The modes that it had, while it has others.
    before: Option<Termios>,
    /// The program ends: nobody takes the terminal again.
    over: bool,
    /// Wakes the editor, which takes the terminal again if it outlives a panic.
    waker: Option<UnixStream>,
}

static STATE: Mutex<State> = Mutex::new(State { before: None, over: false, waker: None });

/// A panic took the terminal from the editor.
static LOST: AtomicBool = AtomicBool::new(false);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the terminal, or takes it anew after it was away: bytes come as they are typed, and are not shown.
pub(super) fn enter() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let had = leave();
            if had {
                // Below the line that is typed.
                say("\r\n");
            }
            report(panic);
            if had {
                // The program may go on: a file's thread has panicked, or a task that only tried something.
                LOST.store(true, Ordering::SeqCst);
                if let Some(mut waker) = state().waker.as_ref() {
                    let _ = waker.write(&[0]);
                }
            }
        }));
    });
    let mut state = state();
    let before = if state.over { None } else { state.before.clone().or_else(|| tcgetattr(io::stdin()).ok()) };
    let Some(modes) = before else {
        return;
    };
    let mut raw = modes.clone();
    state.before = Some(modes);
    raw.input_modes -=
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
    raw.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    set(&raw);
    drop(state);
    say(BRACKETED_PASTE);
}

/// Who is woken when a panic took the terminal.
pub(super) fn wakes(waker: UnixStream) {
    state().waker = Some(waker);
}

/// Whether a panic took the terminal from the editor since this was asked last.
pub(super) fn was_lost() -> bool {
    LOST.swap(false, Ordering::SeqCst)
}

/// Gives the terminal back as it was; whether it was ours.
pub(super) fn leave() -> bool {
    let before = state().before.take();
    if let Some(before) = &before {
        say(NO_BRACKETED_PASTE);
        set(before);
    }
    before.is_some()
}

/// Gives the terminal back when it goes, for good: also if the main thread unwinds.
pub(in crate::rim) struct Borrowed;

impl Drop for Borrowed {
    fn drop(&mut self) {
        state().over = true;
        leave();
    }
}

/// At once: a terminal that takes no output must not hold this up.
fn set(modes: &Termios) {
    // A terminal that is gone has no modes.
    while tcsetattr(io::stdin(), OptionalActions::Now, modes) == Err(Errno::INTR) {}
}

/// Past the lock of stdout: whoever has it may wait for a terminal that takes nothing, and nobody waits for that. Such
/// a terminal is not told.
fn say(text: &str) {
    let stdout = io::stdout();
    let mut room = [PollFd::new(&stdout, PollFlags::OUT)];
    if matches!(poll(&mut room, Some(&Timespec::default())), Ok(1..)) {
        let _ = rustix::io::write(&stdout, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::{File, OpenOptions};
    use std::process::{Command, Stdio};

    /// Says that this process is the one whose terminal it is about.
    const AT_TERMINAL: &str = "NATTER_TEST_AT_TERMINAL";

    fn modes(terminal: &File) -> String {
        let Termios { input_modes, output_modes, control_modes, local_modes, special_codes, .. } =
            tcgetattr(terminal).expect("it is a terminal");
        format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?} {special_codes:?}")
    }

    /// The hook belongs to the whole process, and so does the terminal: this test runs itself in another one.
    #[test]
    fn a_panic_of_any_thread_leaves_the_terminal_as_it_was() {
        if std::env::var_os(AT_TERMINAL).is_some() {
            enter();
            let raw = !tcgetattr(io::stdin()).expect("a terminal").local_modes.contains(LocalModes::ECHO);
            let ended = crate::rim::run::spawn(|| panic!("the floor gives way")).join();
            assert!(raw && ended.is_err());
            return;
        }
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it can be opened");
        let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("of ASCII");
        let slave = || OpenOptions::new().read(true).write(true).open(&name).expect("it opens");
        let terminal = slave();
        let before = modes(&terminal);
        let itself = std::env::current_exe().expect("a test binary");
        let ended = Command::new(itself)
            .args([
                "--exact",
                "--nocapture",
                "rim::terminal::raw::tests::a_panic_of_any_thread_leaves_the_terminal_as_it_was",
            ])
            .env(AT_TERMINAL, "1")
            .stdin(slave())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("it starts");
        let [out, err] = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(ended.status.success() && err.contains("the floor gives way"), "{out}\n{err}");
        assert_eq!(modes(&terminal), before);
        let [paste, left] =
            [BRACKETED_PASTE, NO_BRACKETED_PASTE].map(|code| out.find(code).expect("written"));
        assert!(paste < left, "{out:?}");
    }
}
