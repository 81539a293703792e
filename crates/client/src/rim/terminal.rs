//! The terminal: one thread has it, reads keys and prints lines above its prompt.
//!
//! That thread waits for nobody but the terminal: what is typed goes into a queue without an end, and what is to be
//! shown waits for it, never the other way round. So no two threads can wait for each other:
//!
//! | who | waits for | until |
//! |---|---|---|
//! | the driver | nobody | it looks whether there is room for an event |
//! | the inlet | the screen | an event is taken |
//! | the screen | the terminal | a key comes, or what is written is taken |
//! | the typist | the driver | a line is taken, for which the driver may want the screen to show something first |

mod inlet;
mod paths;
mod raw;
mod screen;
#[cfg(test)]
mod tests;
mod typist;

use super::run::spawn;
use crate::drive::Face;
use crate::editor::{Drawn, Editor, Effect, History, Keys, Layout, Submitted};
use crate::line::{Candidates, Pictures, Renderer, complete, is_path, prompt, typing_notice};
use crate::session::View;
use inlet::Inlet;
use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid};
use protocol::text::is_blank;
pub(super) use raw::Borrowed;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};
use screen::Screen;
use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::watch;
use typist::{Typed, Typist};

/// Whether a person sits at a terminal that can do more than append.
pub(super) fn is_there() -> bool {
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// The rest of a key that has begun comes within this time, or it was a key of its own.
const REST_OF_KEY: Duration = Duration::from_millis(60);

/// A paste whose end does not come for so long has ended: else it would take all keys.
const REST_OF_PASTE: Duration = Duration::from_millis(500);

/// A stop that was asked for happens within this time.
const STOPPING: Duration = Duration::from_secs(1);

/// How long the end waits for a terminal that takes no output.
const PATIENCE: Duration = Duration::from_secs(2);

/// Candidates of a completion that are listed.
const LISTED: usize = 60;

/// The terminal, as the end of the program sees it.
pub(super) struct Running {
    ended: mpsc::Receiver<()>,
    typist: Typist,
}

impl Running {
    /// Waits until all is shown and the terminal is as it was. Lines that nobody took are told.
    pub(super) fn join(self) {
        // An error says that it has ended.
        let stuck = self.ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
        raw::leave();
        if !stuck {
            self.typist.tell_left();
        }
    }
}

/// Starts the threads of the terminal. Must be called in the runtime.
pub(super) fn start(
    face: Face,
    renderer: Renderer,
    pictures: Option<Pictures>,
    history: Option<PathBuf>,
) -> io::Result<Running> {
    let Face { input, events, shown, typing, view, .. } = face;
    let inlet = Inlet::start(events, view.clone())?;
    let (typed, typist) = typist::start(input);
    let (ended_in, ended) = mpsc::channel();
    let recalled = history.as_ref().and_then(|path| fs::read(path).ok());
    let recalled = recalled.map(|bytes| History::parse(&String::from_utf8_lossy(&bytes)));
    let seat = Seat {
        editor: Editor::new(recalled.unwrap_or_default()),
        keys: Keys::default(),
        screen: Screen::new(renderer, pictures),
        drawn: None,
        inlet,
        typed,
        typing,
        drafted: 0,
        view,
        shown,
        count: 0,
        history,
    };
    spawn(move || {
        let _ended = ended_in;
        seat.run();
    });
    Ok(Running { ended, typist })
}

/// Who has the terminal.
struct Seat {
    editor: Editor,
    keys: Keys,
    screen: Screen,
    /// What stands below the conversation, if the terminal is ours.
    drawn: Option<Drawn>,
    inlet: Inlet,
    typed: Typed,
    typing: watch::Sender<bool>,
    /// Bytes of the line when others were last told about it.
    drafted: usize,
    view: watch::Receiver<View>,
    shown: watch::Sender<u64>,
    /// Events that were shown.
    count: u64,
    /// The file of what was typed.
    history: Option<PathBuf>,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Go {
    On,
    /// No keys come any more: the user wants to leave, or the terminal is gone.
    Deaf,
}

impl Seat {
    fn run(mut self) {
        let mut hears = Go::On;
        // A terminal that is gone shows nothing; the session ends then as if the user had left.
        while let Ok(true) = self.show() {
            let wait = if !self.keys.is_waiting() {
                None
            } else if self.keys.is_pasting() {
                Some(REST_OF_PASTE)
            } else {
                Some(REST_OF_KEY)
            };
            let keys = hears == Go::On && self.drawn.is_some();
            let typed = match self.wait(keys, wait) {
                Ok(true) => self.read(),
                Ok(false) if keys && wait.is_some() && !self.is_woken() => {
                    let key = self.keys.flush();
                    key.map_or(Ok(Go::On), |key| self.handle(key))
                }
                Ok(false) => Ok(Go::On),
                Err(error) => Err(error),
            };
            self.inlet.rest();
            if !matches!(typed, Ok(Go::On)) {
                hears = Go::Deaf;
                self.typed.leave();
            }
        }
        self.give_back();
        self.typed.leave();
    }

    /// Shows what has come; `false` if that was the last.
    fn show(&mut self) -> io::Result<bool> {
        if self.inlet.flags.stop.swap(false, Ordering::SeqCst) {
            self.stop()?;
        }
        let continued = self.inlet.flags.continued.swap(false, Ordering::SeqCst);
        let resized = self.inlet.flags.resized.swap(false, Ordering::SeqCst);
        let mut lines = String::new();
        let (mut taken, mut ended) = (0, false);
        loop {
            match self.inlet.events.try_recv() {
                Ok(event) => {
                    lines += &self.screen.lines(&event);
                    taken += 1;
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => {
                    ended = true;
                    break;
                }
            }
        }
        // No prompt before the first login: what fails until then is told in plain lines.
        let ready = self.drawn.is_some() || self.view.borrow_and_update().ready;
        let lost = raw::was_lost();
        let erase = if (continued || lost) && self.drawn.is_some() {
            // The shell, or the report of a panic, stands below what was drawn.
            raw::enter();
            self.drawn = Some(Drawn::default());
            "\r\n".to_owned()
        } else {
            self.drawn.map(Drawn::erase).unwrap_or_default()
        };
        if ready && self.drawn.is_none() {
            raw::enter();
            self.drawn = Some(Drawn::default());
        }
        let moved = self.view.has_changed().unwrap_or(false);
        if taken > 0 || continued || resized || moved || self.drawn.is_some() {
            self.redraw(&format!("{erase}{lines}"))?;
        }
        self.count += taken;
        self.shown.send_replace(self.count);
        Ok(!ended)
    }

    /// Writes lines, and what stands below them.
    fn redraw(&mut self, lines: &str) -> io::Result<()> {
        let mut text = lines.to_owned();
        if self.drawn.is_some() {
            let (line, at) = self.editor.line();
            let area = screen::area();
            let view = self.view.borrow_and_update();
            let layout = Layout::of(&prompt(&view.place), line, at, area.columns);
            // Below the line, where it moves nothing of what is read or typed.
            let remark = self.editor.remark().or_else(|| typing_notice(&view.typing));
            drop(view);
            let (below, drawn) = Drawn::draw(area, &self.screen.status(), &layout, remark.as_deref());
            text += &below;
            self.drawn = Some(drawn);
        }
        write(&text)
    }

    /// Writes lines above the prompt.
    fn print(&mut self, lines: &str) -> io::Result<()> {
        let erase = self.drawn.map(Drawn::erase).unwrap_or_default();
        self.redraw(&format!("{erase}{lines}"))
    }

    /// Waits for keys, if they are wanted, for something to show, or for so long; whether there are keys.
    fn wait(&self, keys: bool, wait: Option<Duration>) -> io::Result<bool> {
        let stdin = io::stdin();
        let mut sources = vec![PollFd::new(&self.inlet.awake, PollFlags::IN)];
        if keys {
            sources.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let limit = wait.and_then(|wait| Timespec::try_from(wait).ok());
        match poll(&mut sources, limit.as_ref()) {
            Ok(_) => Ok(sources.get(1).is_some_and(|source| !source.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn is_woken(&self) -> bool {
        let mut sources = [PollFd::new(&self.inlet.awake, PollFlags::IN)];
        poll(&mut sources, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Reads keys, and does what they say.
    fn read(&mut self) -> io::Result<Go> {
        let mut bytes = [0; 4096];
        let read = match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) => return Ok(Go::Deaf),
            Ok(read) => read,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(Go::On),
            Err(error) => return Err(error.into()),
        };
        for key in self.keys.feed(&bytes[..read]) {
            if self.handle(key)? == Go::Deaf {
                return Ok(Go::Deaf);
            }
        }
        Ok(Go::On)
    }

    fn handle(&mut self, key: crate::editor::Key) -> io::Result<Go> {
        match self.editor.handle_key(key) {
            Effect::Changed => {}
            Effect::Submit(lines) => self.submit(lines),
            Effect::Complete => self.complete()?,
            Effect::Clear => self.print("\x1b[H\x1b[2J")?,
            // The signal reaches the others of the pipeline, too, and comes back to us.
            Effect::Suspend => kill_current_process_group(Signal::TSTP)?,
            Effect::Leave => return Ok(Go::Deaf),
            Effect::Bell => write("\x07")?,
        }
        self.notify_typing();
        Ok(Go::On)
    }

    /// Tells the session that the line has changed; how often others learn of it, it decides.
    fn notify_typing(&mut self) {
        let (line, _) = self.editor.line();
        if std::mem::replace(&mut self.drafted, line.len()) != line.len() {
            self.typing.send_replace(is_said(line));
        }
    }

    fn submit(&mut self, lines: Vec<Submitted>) {
        for line in lines {
            self.typed.send(line);
        }
        // What was said says by itself that nobody types it any more.
        self.drafted = 0;
        if let Some(path) = &self.history {
            // What can't be kept is only a convenience lost.
            let mut options = fs::OpenOptions::new();
            let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
            let _ = opened.and_then(|mut file| {
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
                file.write_all(self.editor.history().text().as_bytes())
            });
        }
    }

    fn complete(&mut self) -> io::Result<()> {
        let (line, at) = self.editor.line();
        let (start, found) = if is_path(line, at) {
            paths::complete(line, at)
        } else {
            let view = self.view.borrow();
            complete(line, at, Candidates { people: &view.people, rooms: &view.rooms, files: &view.files })
        };
        let common = common_start(&found);
        if common.len() > at - start || found.len() == 1 {
            let common = common.to_owned();
            self.editor.complete(start, &common);
            return Ok(());
        }
        if found.is_empty() {
            return write("\x07");
        }
        let more = found.len().saturating_sub(LISTED);
        let mut listed =
            found[..found.len() - more].iter().map(|one| one.trim_end()).collect::<Vec<_>>().join("  ");
        if more > 0 {
            listed += &format!("  … and {more} more");
        }
        let lines = self.screen.remark(&listed);
        self.print(&lines)
    }

    /// Stops the process until it is continued, with the terminal as it was.
    fn stop(&mut self) -> io::Result<()> {
        if !can_be_continued() {
            return Ok(());
        }
        let had = self.drawn.take();
        if let Some(drawn) = had {
            write(&drawn.leave())?;
            raw::leave();
        }
        self.inlet.flags.continued.store(false, Ordering::SeqCst);
        kill_process(getpid(), Signal::STOP)?;
        // The stop comes a moment later than the call ends: nothing may be done to the terminal until then.
        while !self.inlet.flags.continued.load(Ordering::SeqCst) {
            if !self.wait_awake(STOPPING)? {
                break;
            }
            self.inlet.rest();
        }
        self.inlet.flags.continued.store(false, Ordering::SeqCst);
        if had.is_some() {
            raw::enter();
            self.drawn = Some(Drawn::default());
        }
        Ok(())
    }

    /// Whether something woke it within this time.
    fn wait_awake(&self, limit: Duration) -> io::Result<bool> {
        let limit = Timespec::try_from(limit).ok();
        let mut sources = [PollFd::new(&self.inlet.awake, PollFlags::IN)];
        match poll(&mut sources, limit.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The terminal is as it was before, below the conversation.
    fn give_back(&mut self) {
        if let Some(drawn) = self.drawn.take() {
            // A terminal that is gone needs nothing.
            let _ = write(&drawn.erase());
            raw::leave();
        }
    }
}

/// Whether somebody would continue this process if it stopped: a shell that started it as a job of its own. Without
/// one it would be stopped for ever (POSIX calls that an orphaned process group).
///
/// In a container the parent, the session or the group may be of outside, and is then 0.
fn can_be_continued() -> bool {
    let parent = getppid();
    let session = |process| getsid(Some(process)).ok();
    parent.as_raw() > 0
        && session(parent).is_some_and(|its| Some(its) == session(Pid::this()))
        && getpgid(Some(parent)).is_ok_and(|group| group != getpgrp())
}

/// Whether a line would be said, rather than be a command.
fn is_said(line: &str) -> bool {
    let command = line.starts_with('/') && !line.starts_with("//") && !line.starts_with("/me ");
    !command && !is_blank(line)
}

/// What all of them begin with.
fn common_start(found: &[String]) -> &str {
    let Some((first, rest)) = found.split_first() else {
        return "";
    };
    let same = |other: &String| {
        let pairs = first.char_indices().zip(other.chars());
        pairs
            .take_while(|((_, one), other)| one == other)
            .map(|((at, c), _)| at + c.len_utf8())
            .last()
            .unwrap_or(0)
    };
    &first[..rest.iter().map(same).min().unwrap_or(first.len())]
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
