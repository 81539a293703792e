//! The outbox against a naive server, by random steps of many seeds.

use super::*;
use crate::session::event::{Event, Refusal};
use crate::session::place::Place;
use protocol::entry::EntryKind;
use protocol::id::{RoomId, Seq};
use protocol::message::Target;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;

const EPOCH: Epoch = Epoch([1; 16]);

fn post(body: &str) -> Post {
    Post {
        place: Place::Room("lobby".into()),
        target: None,
        kind: EntryKind::Text,
        reply_to: None,
        written: Millis(0),
        body: body.into(),
        file: None,
    }
}

fn now(ms: u64) -> Now {
    Now { steady: Millis(ms), wall: Millis(ms) }
}

fn counter(value: u64) -> Counter {
    Counter::new(value).expect("tests count from 1")
}

fn send_all(outbox: &mut Outbox) -> Vec<(u64, String)> {
    while outbox.unresolved().is_some() {
        outbox.resolve(Target::Room { room: RoomId::FIRST });
        outbox.advance(now(0));
    }
    outbox.advance(now(0));
    std::iter::from_fn(|| outbox.poll_transmit()).map(|message| sent(&message)).collect()
}

fn sent(message: &ClientMsg) -> (u64, String) {
    match message {
        ClientMsg::Post { counter, body, .. } => {
            (counter.value(), String::from_utf8(body.to_vec()).expect("tests post text"))
        }
        other => panic!("an outbox sends posts, not {other:?}"),
    }
}

fn bodies(pending: &[Pending]) -> Vec<&str> {
    pending.iter().map(|pending| pending.post.body.as_str()).collect()
}

fn with_posts(bodies: &[&str]) -> Outbox {
    let mut outbox = Outbox::default();
    outbox.handle_welcome(EPOCH, None);
    for body in bodies {
        outbox.push(post(body), now(0));
    }
    outbox
}

#[test]
fn an_ack_settles_all_up_to_it() {
    let mut outbox = with_posts(&["a", "b", "c"]);
    assert_eq!(send_all(&mut outbox), [(1, "a".into()), (2, "b".into()), (3, "c".into())]);
    assert_eq!(bodies(&outbox.handle_ack(counter(2))), ["a", "b"]);
    assert_eq!(outbox.len(), 1);
}

#[test]
fn what_stands_behind_a_refusal_is_renumbered_when_all_is_answered() {
    let mut outbox = with_posts(&["a", "b", "c", "d"]);
    send_all(&mut outbox);
    let refused = outbox.handle_refusal(Some(counter(2)), Code::BadText.number(), 0, now(0));
    assert!(matches!(refused, Verdict::Dropped(pending) if pending.post.body == "b"));
    outbox.push(post("e"), now(0));
    assert_eq!(send_all(&mut outbox), []);
    let out_of_order = Code::OutOfOrder.number();
    assert_eq!(outbox.handle_refusal(Some(counter(3)), out_of_order, 2, now(0)), Verdict::Again);
    assert_eq!(bodies(&outbox.handle_ack(counter(1))), ["a"]);
    assert_eq!(send_all(&mut outbox), []);
    assert_eq!(outbox.handle_refusal(Some(counter(4)), out_of_order, 2, now(0)), Verdict::Again);
    assert_eq!(send_all(&mut outbox), [(2, "c".into()), (3, "d".into()), (4, "e".into())]);
}

#[test]
fn too_fast_is_sent_again_after_the_pause() {
    let mut outbox = with_posts(&["a"]);
    send_all(&mut outbox);
    assert_eq!(outbox.handle_refusal(Some(counter(1)), Code::TooFast.number(), 700, now(0)), Verdict::Again);
    assert_eq!(send_all(&mut outbox), []);
    assert_eq!(outbox.timeout(), Some(Millis(500)));
    outbox.announce(Millis(0), true);
    assert_eq!(outbox.timeout(), Some(Millis(700)));
    outbox.advance(now(700));
    assert_eq!(outbox.poll_transmit().as_ref().map(sent), Some((1, "a".into())));
}

#[test]
fn a_refusal_without_a_number_is_found_by_the_one_behind_it() {
    let mut outbox = with_posts(&["a", "b"]);
    send_all(&mut outbox);
    assert_eq!(outbox.handle_refusal(None, Code::BadUtf8.number(), 0, now(0)), Verdict::Again);
    let verdict = outbox.handle_refusal(Some(counter(2)), Code::OutOfOrder.number(), 1, now(0));
    assert!(matches!(verdict, Verdict::Dropped(pending) if pending.post.body == "a"));
    assert_eq!(send_all(&mut outbox), [(1, "b".into())]);
}

#[test]
fn the_window_bounds_what_is_on_the_wire() {
    let mut outbox = with_posts(&["a", "b", "c"]);
    outbox.set_window(2, 1_000);
    assert_eq!(send_all(&mut outbox).len(), 2);
    outbox.handle_ack(counter(1));
    assert_eq!(send_all(&mut outbox), [(3, "c".into())]);
}

#[test]
fn a_new_history_keeps_what_was_never_sent_and_returns_the_rest() {
    let mut outbox = with_posts(&["a", "b"]);
    outbox.set_window(1, 1_000);
    assert_eq!(send_all(&mut outbox), [(1, "a".into())]);
    outbox.handle_disconnected();
    let settled = outbox.handle_welcome(Epoch([2; 16]), None);
    assert_eq!((bodies(&settled.arrived), bodies(&settled.unknown)), (vec![], vec!["a"]));
    assert_eq!(send_all(&mut outbox), [(1, "b".into())]);
}

#[test]
fn a_server_that_forgot_the_device_gets_nothing_twice() {
    let mut outbox = with_posts(&["a"]);
    send_all(&mut outbox);
    outbox.handle_ack(counter(1));
    outbox.push(post("b"), now(0));
    send_all(&mut outbox);
    outbox.handle_disconnected();
    assert_eq!(bodies(&outbox.handle_welcome(EPOCH, None).unknown), ["b"]);
}

#[test]
fn a_new_history_gets_no_change_of_a_line_of_the_old_one() {
    let about = |kind, body: &str| Post { kind, reply_to: Seq::new(1), ..post(body) };
    let mut outbox = with_posts(&[]);
    for kind in [EntryKind::Edit, EntryKind::Text, EntryKind::Delete] {
        outbox.push(about(kind, "x"), now(0));
    }
    outbox.handle_disconnected();
    let again = outbox.handle_welcome(EPOCH, Some(counter(7)));
    assert_eq!(again.void, [], "the same history");
    outbox.handle_disconnected();
    let settled = outbox.handle_welcome(Epoch([2; 16]), None);
    let kinds: Vec<_> = settled.void.iter().map(|pending| pending.post.kind).collect();
    assert_eq!(kinds, [EntryKind::Edit, EntryKind::Delete]);
    let left: Vec<_> = outbox.pending().map(|pending| (pending.post.kind, pending.post.reply_to)).collect();
    assert_eq!(left, [(EntryKind::Text, None)]);
}

#[test]
fn a_long_journal_is_written_anew_now_and_then_and_not_for_ever() {
    let mut outbox = Outbox::default();
    let place = Place::Room("lobby".into());
    let job = |path: String| Job::Up(UpJob { place: place.clone(), path, opened: None, offer: Offer::None });
    (1..=1_000).for_each(|n| outbox.keep_job(JobId(n), job(format!("f{n}"))));
    let saves = |outbox: &mut Outbox| {
        let saves: Vec<_> = std::iter::from_fn(|| outbox.poll_save()).take(10).collect();
        saves.iter().filter(|save| matches!(save, JournalSave::Replace(_))).count()
    };
    assert_eq!(saves(&mut outbox), 1);
    let mut rewritten = 0;
    for n in 1..=3_000 {
        outbox.keep_job(JobId(n % 1_000 + 1), job(format!("g{n}")));
        rewritten += saves(&mut outbox);
    }
    assert_eq!(rewritten, 2);
}

#[test]
fn what_a_login_settles_arrives_once() {
    let mut outbox = with_posts(&["a"]);
    send_all(&mut outbox);
    let Some(JournalSave::Replace(mut journal)) = outbox.poll_save() else {
        panic!("a first login writes the journal anew");
    };
    for arrived in [vec!["a"], vec![]] {
        let mut outbox = Outbox::restore(&journal);
        assert_eq!(bodies(&outbox.handle_welcome(EPOCH, Some(counter(1))).arrived), arrived);
        if let Some(JournalSave::Append(records)) = outbox.poll_save() {
            journal.extend(records);
        }
    }
}

#[test]
fn only_what_was_never_sent_can_be_taken_back() {
    let mut outbox = with_posts(&["a", "b"]);
    outbox.set_window(1, 1_000);
    assert_eq!(send_all(&mut outbox), [(1, "a".into())]);
    assert_eq!(outbox.withdraw(0), None);
    assert_eq!(outbox.withdraw(1).map(|post| post.body), Some("b".into()));
    assert_eq!(outbox.withdraw(1), None);
    outbox.handle_ack(counter(1));
    assert_eq!(send_all(&mut outbox), []);
}

/// A server as the protocol describes it, with one connection's frames still unread.
#[derive(Default)]
struct Server {
    epoch: u8,
    last: u64,
    log: Vec<String>,
    unread: VecDeque<(u64, String)>,
    /// Acknowledgements wait for the disk, so a refusal may overtake them.
    acks: VecDeque<u64>,
    refusals: VecDeque<(u64, Code, u64)>,
}

impl Server {
    fn read_one(&mut self, rng: &mut SmallRng) {
        let Some((counter, body)) = self.unread.pop_front() else {
            return;
        };
        let expected = self.last + 1;
        if counter < expected {
            self.acks.push_back(self.last);
        } else if counter > expected {
            self.refusals.push_back((counter, Code::OutOfOrder, expected));
        } else if rng.random_ratio(1, 12) {
            self.refusals.push_back((counter, Code::TooFast, 1));
        } else if rng.random_ratio(1, 12) {
            self.refusals.push_back((counter, Code::BadText, 0));
        } else {
            self.last = counter;
            self.log.push(body);
            self.acks.push_back(counter);
        }
    }
}

/// The outbox, its journal as the disk has it, and what the user was told.
struct World {
    outbox: Outbox,
    journal: Vec<Record>,
    server: Server,
    connected: bool,
    time: u64,
    posted: usize,
    /// Events given out in this process: what they are about, and whether they tell of a refusal.
    queued: Vec<(String, bool)>,
    /// The same, as far as they were shown.
    told: BTreeSet<(String, bool)>,
    /// What was taken back.
    withdrawn: BTreeSet<String>,
    /// Entries of histories that are gone.
    old: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self {
            outbox: Outbox::default(),
            journal: Vec::new(),
            server: Server::default(),
            connected: false,
            time: 0,
            posted: 0,
            queued: Vec::new(),
            told: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            old: Vec::new(),
        }
    }

    fn save(&mut self) {
        while let Some(save) = self.outbox.poll_save() {
            match save {
                JournalSave::Append(records) => self.journal.extend(records),
                JournalSave::Replace(records) => self.journal = records,
            }
        }
    }

    fn pump(&mut self) {
        self.time += 1;
        let now = now(self.time);
        while self.connected && self.outbox.unresolved().is_some() {
            self.outbox.resolve(Target::Room { room: RoomId::FIRST });
            self.outbox.advance(now);
        }
        if self.connected {
            self.outbox.advance(now);
        }
        self.save();
        while let Some(message) = self.outbox.poll_transmit() {
            if let ClientMsg::Post { reply_to: Some(seq), .. } = &message {
                assert_eq!(seq.value(), u64::from(self.server.epoch) + 1, "of another history");
            }
            self.server.unread.push_back(sent(&message));
        }
    }

    fn connect(&mut self) {
        self.connected = true;
        let settled =
            self.outbox.handle_welcome(Epoch([self.server.epoch; 16]), Counter::new(self.server.last));
        self.outbox.set_window(4, 1_000);
        let again = self.outbox.retell(self.queued.len() as u64);
        self.queued.extend(again.into_iter().map(|event| {
            let refused = matches!(event, Event::Refused { .. });
            match event {
                Event::Refused { text, .. } | Event::Uncertain { text, .. } | Event::Void { text, .. } => {
                    (text.rsplit(' ').next().unwrap_or_default().to_owned(), refused)
                }
                other => panic!("only what failed is told again, not {other:?}"),
            }
        }));
        settled.unknown.into_iter().for_each(|pending| self.tell(pending, Outcome::Uncertain));
        settled.void.into_iter().for_each(|pending| self.tell(pending, Outcome::Void));
    }

    fn tell(&mut self, pending: Pending, outcome: Outcome) {
        self.queued.push((pending.post.body.clone(), matches!(outcome, Outcome::Refused(_))));
        self.outbox.owe(pending.serial, pending.post, outcome, self.queued.len() as u64);
    }

    /// Some of what is told is shown.
    fn show(&mut self, shown: usize) {
        self.told.extend(self.queued[..shown].iter().cloned());
        self.outbox.handle_shown(shown as u64);
    }

    fn disconnect(&mut self, rng: &mut SmallRng) {
        // The server may still read what is under way.
        for _ in 0..rng.random_range(0..3) {
            self.server.read_one(rng);
        }
        self.server.unread.clear();
        self.server.acks.clear();
        self.server.refusals.clear();
        self.connected = false;
        self.outbox.handle_disconnected();
    }

    fn answer(&mut self, rng: &mut SmallRng) {
        if rng.random() {
            let acked = self.server.acks.pop_front().and_then(Counter::new);
            acked.map(|acked| self.outbox.handle_ack(acked));
        } else if let Some((number, code, detail)) = self.server.refusals.pop_front() {
            let now = now(self.time);
            let verdict = self.outbox.handle_refusal(Some(counter(number)), code.number(), detail, now);
            match verdict {
                Verdict::Stale => panic!("every answer belongs to what is on the wire"),
                Verdict::Again => {}
                Verdict::Dropped(pending) => {
                    let text = String::new();
                    let refusal = Refusal { code: code.number(), detail, text };
                    self.tell(*pending, Outcome::Refused(refusal));
                }
            }
        }
    }

    /// Says something, or changes a line of the history that the outbox knows.
    fn post(&mut self, rng: &mut SmallRng) {
        let plain = post(&self.posted.to_string());
        let line = self.outbox.epoch.and_then(|epoch| Seq::new(u64::from(epoch.0[0]) + 1));
        let change = Post { kind: EntryKind::Delete, reply_to: line, ..plain.clone() };
        let changes = line.is_some() && rng.random_ratio(1, 3);
        self.outbox.push(if changes { change } else { plain }, now(self.time));
        self.posted += 1;
    }

    fn step(&mut self, rng: &mut SmallRng) {
        match rng.random_range(0..20) {
            0..5 => self.post(rng),
            14 if rng.random() => {
                let last = self.outbox.last_in(&Place::Room("lobby".into()), |_| true);
                let last = last.map(|pending| pending.serial);
                let withdrawn = last.and_then(|serial| self.outbox.withdraw(serial));
                self.withdrawn.extend(withdrawn.map(|post| post.body));
            }
            5..10 => self.server.read_one(rng),
            10..15 => self.answer(rng),
            15 | 16 if !self.connected => self.connect(),
            17 => self.disconnect(rng),
            18 => {
                self.disconnect(rng);
                // Acknowledgements need not be on the disk.
                while matches!(self.journal.last(), Some(Record::Acked { .. })) && rng.random() {
                    self.journal.pop();
                }
                self.outbox = Outbox::restore(&self.journal);
                self.queued.clear();
            }
            16 => self.show(rng.random_range(0..=self.queued.len())),
            19 if rng.random_ratio(1, 4) => {
                self.disconnect(rng);
                self.server.epoch += 1;
                self.server.last = 0;
                self.old.append(&mut self.server.log);
            }
            _ => {}
        }
        self.pump();
    }

    fn finish(&mut self, rng: &mut SmallRng) {
        while self.outbox.len() > 0 {
            if !self.connected {
                self.connect();
            }
            self.pump();
            self.server.read_one(rng);
            self.answer(rng);
        }
        if !self.connected {
            self.connect();
        }
        self.show(self.queued.len());
        self.save();
        assert_eq!(Outbox::restore(&self.journal).retell(0), [], "what was shown is told once");
    }

    fn check(mut self, seed: u64) {
        let mut seen = BTreeSet::new();
        self.old.append(&mut self.server.log);
        for body in &self.old {
            assert!(seen.insert(body.clone()), "seed {seed}: {body} is there twice");
        }
        for n in (0..self.posted).map(|n| n.to_string()) {
            let refused = self.told.contains(&(n.clone(), true));
            let told = refused || self.told.contains(&(n.clone(), false));
            let withdrawn = self.withdrawn.contains(&n);
            assert!(!withdrawn || !seen.contains(&n), "seed {seed}: {n} was taken back");
            assert!(seen.contains(&n) || told || withdrawn, "seed {seed}: {n} is lost");
            assert!(!refused || !seen.contains(&n), "seed {seed}: {n} was refused, and is there");
        }
        let numbers: Vec<usize> = self.old.iter().filter_map(|body| body.parse().ok()).collect();
        assert!(numbers.is_sorted(), "seed {seed}: out of order: {numbers:?}");
    }
}

#[test]
fn nothing_is_lost_or_doubled_by_refusals_cuts_crashes_and_new_histories() {
    for seed in 0..2_000 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut world = World::new();
        for _ in 0..rng.random_range(20..150) {
            world.step(&mut rng);
        }
        world.finish(&mut rng);
        world.check(seed);
    }
}
