//! What the system says about a process: its processor time and its resident memory.

use crate::fault::Fault;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

/// Clock ticks of `/proc/PID/stat` in a second: fixed by Linux' interface to programs (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A process that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process(
    /// Its folder in `/proc`.
    String,
);

impl Process {
    /// The process with this id.
    pub fn with_id(pid: u32) -> Self {
        Self(format!("/proc/{pid}"))
    }

    /// This process.
    pub fn own() -> Self {
        Self("/proc/self".to_owned())
    }

    /// Seconds of processor time so far, of all its threads, its own and the system's on its behalf.
    ///
    /// # Errors
    /// [`Fault`] if there is no such process.
    pub fn cpu_seconds(&self) -> Result<f64, Fault> {
        let path = format!("{}/stat", self.0);
        let text = read(&path)?;
        cpu_ticks(&text).map(|ticks| ticks / TICKS).ok_or(Fault::NoFigure { what: "processor time", path })
    }

    /// Bytes of memory that are resident, counted exactly.
    ///
    /// # Errors
    /// [`Fault`] if there is no such process, or it belongs to somebody else.
    pub fn resident_bytes(&self) -> Result<f64, Fault> {
        let path = format!("{}/smaps_rollup", self.0);
        let text = read(&path)?;
        kib(&text, "Rss:").map(|kib| kib * 1024.0).ok_or(Fault::NoFigure { what: "resident memory", path })
    }

    /// Bytes of memory that were resident at the most, since the last [`forget_peak`](Self::forget_peak).
    ///
    /// # Errors
    /// [`Fault`] if there is no such process, or it belongs to somebody else.
    pub fn peak_bytes(&self) -> Result<f64, Fault> {
        let path = format!("{}/status", self.0);
        let text = read(&path)?;
        kib(&text, "VmHWM:").map(|kib| kib * 1024.0).ok_or(Fault::NoFigure { what: "peak memory", path })
    }

    /// Begins to measure the peak anew.
    ///
    /// # Errors
    /// [`Fault`] if there is no such process, or it belongs to somebody else.
    pub fn forget_peak(&self) -> Result<(), Fault> {
        // What to forget, as proc(5) numbers it: 5 is the peak of resident memory.
        fs::write(format!("{}/clear_refs", self.0), "5").map_err(Fault::system("to forget a peak of memory"))
    }
}

/// Lets this process open as many sockets as the system allows it.
///
/// # Errors
/// [`Fault::System`] if the system refuses what it allows.
pub fn raise_socket_limit() -> Result<(), Fault> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, raised)
        .map_err(|source| Fault::System { what: "more open sockets", source: source.into() })
}

fn read(path: &str) -> Result<String, Fault> {
    fs::read_to_string(path).map_err(Fault::system("a look at a process"))
}

/// `utime` and `stime`, the 14th and 15th field; the second is a name that may hold anything but ends at the last `)`.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(ticks()? + ticks()?)
}

/// The figure behind this word at the beginning of a line.
fn kib(text: &str, word: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "17 (a ) b) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 1 2";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(cpu_ticks("17 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_found_in_its_line() {
        let rollup = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:                1234 kB\nPss: 99 kB\n";
        assert_eq!(kib(rollup, "Rss:"), Some(1234.0));
        assert_eq!(kib("Pss: 99 kB\n", "Rss:"), None);
    }

    #[test]
    fn this_process_has_both_figures() {
        assert!(Process::own().resident_bytes().unwrap() > 0.0);
        assert!(Process::own().cpu_seconds().unwrap() >= 0.0);
    }
}
