//! Pull the plug: links that break while people talk, and nobody loses or doubles a line.

use super::harness::{Cli, Cut, Home, Proxy, Server, Way, bounded, mark, marks, not_once};

const SENDERS: [&str; 5] = ["ann", "ben", "cat", "dan", "eve"];
const LISTENER: &str = "lis";
const FAULTS: usize = 50;
const LINES_EACH: usize = 400;
/// Cuts that must fall on a connection with posts that were not acknowledged.
const MEANT: usize = 10;

/// A person behind a link of their own.
struct Person {
    proxy: Proxy,
    program: Cli,
    _home: Home,
}

#[derive(Default, Debug)]
struct Tally {
    cuts: usize,
    stalls: usize,
    with_unacknowledged: usize,
}

/// How a link is made to fail.
#[derive(Clone, Copy)]
enum Fault {
    /// Acknowledgements are held back until a post is under way, then the link is cut.
    CutInMidSend(Cut),
    /// The link is cut, whatever is on it.
    Cut(Cut),
    /// What comes one way is held, and let go when the others have talked on.
    Stall(Way),
    /// The link stays, but nothing passes any more: the program must notice by itself.
    HalfOpen,
}

/// Mostly cuts in mid-send, of both kinds; a few of the rest. Each person gets each kind but the last one.
fn fault(n: usize) -> Fault {
    match n % 7 {
        // At the end, since nothing may wake such a link again.
        _ if n + 2 >= FAULTS => Fault::HalfOpen,
        0 | 2 => Fault::CutInMidSend(Cut::Reset),
        1 | 4 => Fault::CutInMidSend(Cut::Close),
        3 => Fault::Stall(Way::Down),
        5 => Fault::Stall(Way::Up),
        _ => Fault::Cut(Cut::Reset),
    }
}

async fn enter(server: &Server, name: &str) -> Person {
    let proxy = Proxy::start(server.addr()).await;
    let home = Home::new();
    let mut program = home.natter(proxy.addr(), name);
    // Who comes into a room is shown only its last lines: all must be there before it begins.
    program.type_line("here I am").await;
    program.shows("here I am").await;
    Person { proxy, program, _home: home }
}

#[tokio::test]
async fn fifty_faults_during_two_thousand_lines_lose_and_double_nothing() {
    bounded(170, async {
        let server = Server::start().await;
        let mut people = Vec::new();
        for name in SENDERS.iter().chain([&LISTENER]) {
            people.push(enter(&server, name).await);
        }
        let mut tally = Tally::default();
        let mut said = 0;
        for n in 0..FAULTS {
            let upto = (n + 1) * LINES_EACH / FAULTS;
            let victim = n % people.len();
            break_link(&mut people, victim, fault(n), said..upto, &mut tally).await;
            said = upto;
        }
        println!("{tally:?}");
        assert_eq!(tally.cuts + tally.stalls, FAULTS);
        assert!(tally.with_unacknowledged >= MEANT, "{tally:?}");
        check_views(&people).await;
    })
    .await;
}

/// Everybody says the lines `say` while the victim's link fails.
async fn break_link(
    people: &mut [Person],
    victim: usize,
    fault: Fault,
    say: std::ops::Range<usize>,
    tally: &mut Tally,
) {
    people[victim].proxy.logged_in().await;
    match fault {
        Fault::CutInMidSend(_) => people[victim].proxy.stall(Way::Down),
        Fault::Stall(way) => people[victim].proxy.stall(way),
        Fault::HalfOpen => people[victim].proxy.make_half_open(),
        Fault::Cut(_) => {}
    }
    for (person, name) in people.iter_mut().zip(SENDERS) {
        person.program.type_lines(say.clone().map(|n| mark(name, n))).await;
    }
    let proxy = &people[victim].proxy;
    match fault {
        Fault::CutInMidSend(how) => {
            if victim < SENDERS.len() {
                proxy.holds_unacknowledged().await;
            }
            tally.with_unacknowledged += proxy.cut(how);
            tally.cuts += 1;
        }
        Fault::Cut(how) => {
            tally.with_unacknowledged += proxy.cut(how);
            tally.cuts += 1;
        }
        Fault::Stall(_) => {
            // Somebody else has come further by then.
            let other = (victim + 1) % SENDERS.len();
            let last = mark(SENDERS[other], say.end - 1);
            let seen = |lines: &[String]| lines.iter().any(|line| line.contains(&last));
            people[other].program.until(&last, seen).await;
            people[victim].proxy.resume();
            tally.stalls += 1;
        }
        Fault::HalfOpen => {
            tally.stalls += 1;
        }
    }
}

/// All six have read the same lines in the same order, each once, those of a speaker in their order.
async fn check_views(people: &[Person]) {
    let wanted: Vec<_> = SENDERS.iter().flat_map(|name| (0..LINES_EACH).map(|n| mark(name, n))).collect();
    for person in people {
        let all = |lines: &[String]| marks(lines).len() >= wanted.len();
        person.program.until("2,000 lines", all).await;
    }
    for person in people {
        for line in person.program.diagnostics() {
            let whole = line.ends_with(": nothing missed") || line.ends_with("all here, none twice");
            assert!(!line.contains("-- back: ") || whole, "{line}");
        }
    }
    let views: Vec<_> = people.iter().map(|person| person.program.lines()).collect();
    let first = marks(&views[0]);
    assert_eq!(not_once(&first, &wanted), Default::default(), "each line once");
    for (view, name) in views.iter().zip(SENDERS.iter().chain([&LISTENER])) {
        assert!(marks(view) == first, "{name} has another order than {}", SENDERS[0]);
    }
    for name in SENDERS {
        let own = first.iter().filter(|mark| mark.starts_with(&format!("mark-{name}-")));
        let said: Vec<_> = (0..LINES_EACH).map(|n| mark(name, n)).collect();
        assert!(own.eq(&said), "{name}'s lines are in the order in which they were typed");
    }
}
