//! Lines for a standard stream, written by a thread of its own: whoever logs never waits and never fails.
//!
//! A terminal that was stopped with Ctrl-S, a pipe that nobody reads and a full disk are faults of the reader of
//! the log. Lines that do not fit the queue or can't be written are dropped and counted, and lines that repeat the
//! one before are folded; both counts are written as soon as something can be written again.

use protocol::limits::{LOG_FOLD_MS, MAX_LOG_QUEUE};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, sleep};
use std::time::Duration;

/// Formats a notice of the writer itself as a line of the log, with its line break.
pub type Notice = fn(&str) -> String;

/// How long a stream that was made non-blocking by another program gets to take more.
const FULL_STREAM: Duration = Duration::from_millis(20);

/// A queue of lines in front of a stream. Clones write to the same stream.
#[derive(Clone, Debug)]
pub struct Output(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// A line was queued, or written.
    changed: Condvar,
}

#[derive(Debug)]
struct Queue {
    notice: Notice,
    lines: VecDeque<Line>,
    /// The sum of the lengths of `lines`.
    bytes: usize,
    /// Lines that were dropped since the last notice of that.
    dropped: u64,
    /// The newest line without its time.
    newest: Vec<u8>,
    /// How often `newest` came again since it was queued or last counted.
    repeated: u64,
    /// The thread is writing.
    is_writing: bool,
    /// The newest write failed: a notice alone would fail as well.
    is_failing: bool,
}

#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    /// Lines that are lost if this is not written.
    counts: u64,
}

impl Output {
    /// Starts the thread that writes. Where the system gives no thread every line is dropped: the server serves.
    pub fn start(name: &str, stream: impl Write + Send + 'static, notice: Notice) -> Self {
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::new(notice)), changed: Condvar::new() });
        let writer = shared.clone();
        // Nobody joins it: a write that stands still ends with the process only.
        let _ = Builder::new().name(name.to_owned()).spawn(move || writer.write_all(stream));
        Self(shared)
    }

    /// Queues a line, with its line break. It is dropped and counted if the queue is full.
    pub fn send(&self, line: &[u8]) {
        // A line that is only counted wakes nobody: the thread looks at the counts once it has waited for long.
        if self.0.lock().push(line) {
            self.0.changed.notify_all();
        }
    }

    /// Queues the last words, however full the queue is, and waits until all is written or `most` is over.
    pub fn finish(&self, last: &[u8], most: Duration) {
        let mut queue = self.0.lock();
        queue.count_repeated();
        queue.count_dropped();
        if !last.is_empty() {
            queue.add(last.to_vec(), 1);
        }
        self.0.changed.notify_all();
        // What is not written by now is lost with the process, and nobody is left who could count it.
        drop(self.0.changed.wait_timeout_while(queue, most, |queue| queue.is_busy()));
    }
}

impl Write for &Output {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut stream: impl Write) {
        let mut is_torn = false;
        loop {
            let line = self.next();
            // The lock is free while the stream makes this thread wait.
            let written = write_line(&mut stream, &line.bytes, &mut is_torn);
            let mut queue = self.lock();
            queue.is_writing = false;
            queue.is_failing = written.is_err();
            if written.is_err() {
                queue.dropped += line.counts;
            }
            drop(queue);
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Line {
        let mut queue = self.lock();
        loop {
            if queue.lines.is_empty() && !queue.is_failing {
                queue.count_dropped();
            }
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.bytes.len();
                queue.is_writing = true;
                return line;
            }
            let fold = Duration::from_millis(LOG_FOLD_MS);
            let woken = self.changed.wait_timeout(queue, fold);
            let (woken, wait) = woken.unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if wait.timed_out() {
                queue.count_repeated();
            }
        }
    }
}

impl Queue {
    fn new(notice: Notice) -> Self {
        Self {
            notice,
            lines: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            newest: Vec::new(),
            repeated: 0,
            is_writing: false,
            is_failing: false,
        }
    }

    fn is_busy(&self) -> bool {
        self.is_writing || !self.lines.is_empty()
    }

    /// Takes in a line. True if there is something new to write.
    fn push(&mut self, line: &[u8]) -> bool {
        let words = without_time(line);
        if self.newest == words {
            self.repeated += 1;
            return false;
        }
        if self.bytes + line.len() > MAX_LOG_QUEUE {
            // The line before is not the one that this repeats, if it comes again.
            self.dropped += 1 + std::mem::take(&mut self.repeated);
            self.newest.clear();
            return false;
        }
        // Both stand where the lines that they count would stand.
        self.count_repeated();
        self.count_dropped();
        words.clone_into(&mut self.newest);
        self.add(line.to_vec(), 1);
        true
    }

    fn count_repeated(&mut self) {
        let count = std::mem::take(&mut self.repeated);
        if count > 0 {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let text = (self.notice)(&format!("… repeated {times}"));
            self.add(text.into_bytes(), count);
        }
    }

    fn count_dropped(&mut self) {
        let count = std::mem::take(&mut self.dropped);
        if count > 0 {
            let lines = if count == 1 { "line" } else { "lines" };
            let text =
                (self.notice)(&format!("dropped {count} {lines} of this log: it could not be written"));
            self.add(text.into_bytes(), count);
        }
    }

    fn add(&mut self, bytes: Vec<u8>, counts: u64) {
        self.bytes += bytes.len();
        self.lines.push_back(Line { bytes, counts });
    }
}

/// A line without its time, which stands first in it: up to the first space or comma.
fn without_time(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| matches!(byte, b' ' | b','));
    &line[end.unwrap_or(0)..]
}

/// Writes a line. One that was torn before is ended first.
fn write_line(stream: &mut impl Write, line: &[u8], is_torn: &mut bool) -> io::Result<()> {
    if *is_torn {
        write_part(stream, b"\n", &mut false)?;
        *is_torn = false;
    }
    write_part(stream, line, is_torn)
}

/// Writes all of this; `is_torn` tells after an error whether a part of it was written.
fn write_part(stream: &mut impl Write, mut rest: &[u8], is_torn: &mut bool) -> io::Result<()> {
    let all = rest.len();
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(FULL_STREAM),
            Err(error) => {
                *is_torn = rest.len() < all;
                return Err(error);
            }
        }
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A stream whose reader stands still until a write is let through, or is told to fail.
    struct Valve {
        written: Sender<String>,
        next: Receiver<io::Result<()>>,
    }

    impl Write for Valve {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The test is over: nothing takes more.
            self.next.recv().map_err(io::Error::other)??;
            let text = String::from_utf8(bytes.to_vec()).map_err(io::Error::other)?;
            self.written.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn plain(text: &str) -> String {
        format!("now {text}\n")
    }

    fn valve() -> (Output, Sender<io::Result<()>>, Receiver<String>) {
        let (written, read) = channel();
        let (open, next) = channel();
        (Output::start("test", Valve { written, next }, plain), open, read)
    }

    /// All that is written when the stream takes everything from now on.
    fn drained(output: &Output, open: &Sender<io::Result<()>>, read: &Receiver<String>) -> Vec<String> {
        (0..100_000).for_each(|_| open.send(Ok(())).expect("the thread lives"));
        output.finish(b"", PATIENCE);
        read.try_iter().collect()
    }

    #[test]
    fn a_reader_that_stands_still_stops_nobody_and_what_was_dropped_is_counted_at_its_place() {
        let (output, open, read) = valve();
        let count = 20_000;
        // Nothing is let through yet: this would wait for ever if it wrote itself.
        (0..count).for_each(|n| output.send(format!("at{n} line {n}\n").as_bytes()));
        let lines = drained(&output, &open, &read);
        let last = lines.last().expect("something was written");
        let written = lines.len() as u64 - 1;
        assert!(written > 1_000, "{written}");
        assert_eq!(lines[0], "at0 line 0\n");
        let dropped = count - written;
        assert_eq!(*last, format!("now dropped {dropped} lines of this log: it could not be written\n"));
        output.send(b"at later\n");
        assert_eq!(drained(&output, &open, &read), ["at later\n"]);
    }

    /// A disk that is full or not.
    #[derive(Clone, Default)]
    struct Filling(Arc<Mutex<(bool, Vec<u8>)>>);

    impl Write for Filling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            if disk.0 {
                return Err(ErrorKind::StorageFull.into());
            }
            disk.1.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_can_not_be_written_are_counted_once_something_can() {
        let disk = Filling::default();
        let output = Output::start("test", disk.clone(), plain);
        disk.0.lock().unwrap().0 = true;
        (0..3).for_each(|n| output.send(format!("at line {n}\n").as_bytes()));
        // All of them are tried, and a notice as well.
        output.finish(b"", PATIENCE);
        disk.0.lock().unwrap().0 = false;
        output.send(b"at later\n");
        output.finish(b"", PATIENCE);
        let text = String::from_utf8(disk.0.lock().unwrap().1.clone()).unwrap();
        assert_eq!(text, "now dropped 3 lines of this log: it could not be written\nat later\n");
    }

    #[test]
    fn a_line_that_repeats_the_one_before_is_counted_whatever_its_time() {
        let (output, open, read) = valve();
        for n in 0..5 {
            output.send(format!("{n} disk full\n").as_bytes());
        }
        output.send(b"6 stopped\n");
        output.send(b"7 stopped\n");
        let lines = drained(&output, &open, &read);
        assert_eq!(
            lines,
            ["0 disk full\n", "now … repeated 4 times\n", "6 stopped\n", "now … repeated once\n"]
        );
    }

    #[test]
    fn the_last_words_are_written_although_the_queue_is_full_and_waited_for_in_bounds() {
        let (output, open, read) = valve();
        (0..20_000).for_each(|n| output.send(format!("at line {n}\n").as_bytes()));
        output.finish(b"the reason\n", Duration::from_millis(20));
        assert!(read.try_recv().is_err(), "nothing was let through, and it came back");
        let lines = drained(&output, &open, &read);
        assert_eq!(lines.last().map(String::as_str), Some("the reason\n"));
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        struct Narrow(Vec<u8>, usize);
        impl Write for Narrow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let taken = bytes.len().min(self.1);
                if taken == 0 {
                    return Err(ErrorKind::StorageFull.into());
                }
                self.1 -= taken;
                self.0.extend(&bytes[..taken]);
                Ok(taken)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut disk, mut is_torn) = (Narrow(Vec::new(), 7), false);
        assert!(write_line(&mut disk, b"first line\n", &mut is_torn).is_err());
        assert!(write_line(&mut disk, b"second line\n", &mut is_torn).is_err());
        disk.1 = 100;
        assert!(write_line(&mut disk, b"third line\n", &mut is_torn).is_ok());
        assert_eq!(String::from_utf8_lossy(&disk.0), "first l\nthird line\n");
    }
}
