//! Which parts of the client can wait for which others: all of it in one place, and no circle in it.
//!
//! A part waits for another if it stands still until that one has done something: taken what it sends, or sent what it
//! needs. What never stands still waits for nobody: the driver looks at all its ports at once, and a queue without an
//! end is always ready. Waits that end by themselves, within a time, stand here all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A part that runs by itself: a thread, or a task that is polled by nobody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    /// The session with its transport and its profile: the task of the main thread.
    Driver,
    /// The end of the main thread, which waits for the others. The driver is gone then.
    End,
    /// `terminal/inlet.rs`: takes events to the screen.
    Inlet,
    /// `terminal.rs`: keys and lines.
    Screen,
    /// `terminal/typist.rs`: takes what was typed to the driver.
    Typist,
    /// `plain.rs`: reads stdin.
    Reader,
    /// `plain.rs` and `errand/face.rs`: writes to stdout.
    Writer,
    /// `errand.rs`: gives the driver what is to be done.
    Feeder,
    /// `errand/pipe.rs`: reads what is sent from stdin.
    Piper,
    /// `freight.rs`: moves files.
    Carrier,
    /// What is no part of the client: the server, the terminal, a pipe, a disk.
    World,
}

use Part::{Carrier, Driver, End, Feeder, Inlet, Piper, Reader, Screen, Typist, World, Writer};

/// Who waits for whom, and at what.
const WAITS: [(Part, Part, &str); 21] = [
    (Driver, World, "its disk: the journal is synced before anything is sent"),
    (Inlet, Screen, "room for an event, which the screen takes before it looks for keys"),
    (Inlet, Driver, "the next event, which the driver sends if there is room and else keeps"),
    (Screen, World, "the terminal takes what is written"),
    (Typist, Driver, "room for a line: gated by `wants_input`, see below"),
    (Reader, Driver, "room for a line: gated by `wants_input`, see below"),
    (Reader, World, "stdin"),
    (Feeder, Driver, "room for a line: gated by `wants_input`, see below"),
    (Writer, Driver, "the next event, which the driver sends if there is room and else keeps"),
    (Writer, World, "stdout and stderr take what is written"),
    (Carrier, Driver, "room for news, which the driver takes whatever else is full"),
    (Piper, Carrier, "room for a piece; the carrier waits for the next only if there is none"),
    (Piper, World, "stdin"),
    (Carrier, World, "its disk, the server, and what stdin gives"),
    (End, World, "a farewell on the wire: `FAREWELL` at most"),
    (End, Writer, "all is written: a pipe that nobody reads is waited for, as `cat` does"),
    (End, Screen, "the terminal is given back: `PATIENCE` at most"),
    (End, Typist, "lines that nobody took: `PATIENCE` at most"),
    (End, Carrier, "half-received files are put away: `PATIENCE` at most"),
    (End, Inlet, "nothing: it ends with the events"),
    (End, Reader, "nothing: it ends with the program"),
];

/// What the driver leaves waiting while something else is full. None of these waits for the one whose turn it keeps:
/// the screen, the writer and the server never wait for lines that are typed.
const GATES: [(Part, Part, &str); 3] = [
    (Typist, Screen, "`wants_input`: no line is taken while 512 events wait to be shown"),
    (Reader, Writer, "`wants_input`: the same without a terminal"),
    (Feeder, Writer, "`wants_input`: the same for an errand"),
];

/// Calls that stand still, for each file of the client that has some. A new one belongs into [`WAITS`], too.
const CALLS: [(&str, usize); 11] = [
    ("drive/ports.rs", 5),
    ("rim/classic.rs", 1),
    ("rim/errand.rs", 1),
    ("rim/errand/face.rs", 1),
    ("rim/errand/pipe.rs", 1),
    ("rim/freight.rs", 3),
    ("rim/plain.rs", 2),
    ("rim/run.rs", 3),
    ("rim/terminal.rs", 1),
    ("rim/terminal/inlet.rs", 2),
    ("rim/terminal/typist.rs", 2),
];

/// How such a call looks, or a queue that has an end.
const STANDS_STILL: [&str; 11] = [
    ".blocking_send(",
    ".blocking_recv(",
    ".recv_timeout(",
    ".block_on(",
    ".join()",
    "sync_channel(",
    "mpsc::channel(L",
    "mpsc::channel(E",
    "mpsc::channel(N",
    ".send(event).await",
    ".wait_for(|shown|",
];

/// A part, and those that it waits for.
type Graph = BTreeMap<Part, BTreeSet<Part>>;

fn graph() -> Graph {
    let mut graph = Graph::new();
    for (who, whom, _) in WAITS.iter().chain(&GATES) {
        graph.entry(*who).or_default().insert(*whom);
    }
    graph
}

/// Takes away who waits for nobody that is left, until only circles are left.
fn circles(mut graph: Graph) -> BTreeSet<Part> {
    loop {
        let waiting: BTreeSet<_> = graph.keys().copied().collect();
        graph.retain(|_, whom| whom.iter().any(|part| waiting.contains(part)));
        if graph.len() == waiting.len() {
            return waiting;
        }
    }
}

#[test]
fn no_two_parts_of_the_client_can_wait_for_each_other() {
    assert_eq!(circles(graph()), BTreeSet::new());
    // The fault that this is about: the screen waited for the typist's channel, whose lines the screen gates.
    let mut faulty = graph();
    faulty.entry(Screen).or_default().insert(Typist);
    assert_eq!(
        circles(faulty),
        BTreeSet::from([Inlet, Screen, Typist, End]),
        "a circle is found if there is one"
    );
}

#[test]
fn every_call_that_stands_still_is_listed_with_what_it_waits_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("our own sources") {
            let path = entry.expect("our own sources").path();
            let name = path.strip_prefix(&root).expect("below it").display().to_string();
            let is_test = name.contains("tests") || name == "rim/waits.rs";
            if path.is_dir() {
                folders.push(path);
            } else if !is_test && name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("our own sources");
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let calls: usize = STANDS_STILL.iter().map(|call| text.matches(call).count()).sum();
                found.extend((calls > 0).then_some((name, calls)));
            }
        }
    }
    let listed: BTreeMap<_, _> = CALLS.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect();
    assert_eq!(found, listed, "list what it waits for in WAITS, and look for a circle");
}
