//! The lanes of events to the hub: one of known people, one of logins, and one of strangers and new people.
//!
//! Each has room for so many, and who sends more waits in order. What comes from known people is taken first, and of
//! the others a few at a time, and so many while a batch is with the store: a flood of strangers stands in front of
//! strangers, and makes no batch large that somebody else waits for.

use crate::inbound::Event;
use tokio::sync::mpsc;

/// Events that are taken at once from known people.
const AT_ONCE: usize = 1_024;

/// The same from new people: each may be a bundle of many frames.
const NEW_AT_ONCE: usize = 4;

/// Logins that are taken at once.
const LOGINS_AT_ONCE: usize = 8;

/// Logins for each batch. Whoever comes in stands only behind others who do, not behind all that new people say.
const LOGINS_FOR_A_BATCH: usize = 64;

/// Events of new people for each batch.
const NEW_FOR_A_BATCH: usize = 32;

/// Where events are sent. Clones share the lanes.
#[derive(Clone, Debug)]
pub struct Lanes {
    known: mpsc::Sender<Event>,
    logins: mpsc::Sender<Event>,
    new: mpsc::Sender<Event>,
}

/// Where they come out.
#[derive(Debug)]
pub struct Incoming {
    known: mpsc::Receiver<Event>,
    logins: mpsc::Receiver<Event>,
    new: mpsc::Receiver<Event>,
    /// Logins that may still be taken for the batch.
    logins_left: usize,
    /// Events of new people that may still be taken for the batch.
    new_left: usize,
}

/// What came first.
enum Came {
    /// So many of known people; none if nobody can send any more.
    Known(usize),
    /// One login; none if nobody can send any more.
    Login(Option<Event>),
    /// One of new people; none if nobody can send any more.
    New(Option<Event>),
}

/// The lanes with room for so many events each.
pub fn lanes(room: usize) -> (Lanes, Incoming) {
    let ((known, of_known), (logins, of_logins)) = (mpsc::channel(room), mpsc::channel(room));
    let (new, of_new) = mpsc::channel(room);
    let (logins_left, new_left) = (LOGINS_FOR_A_BATCH, NEW_FOR_A_BATCH);
    let incoming = Incoming { known: of_known, logins: of_logins, new: of_new, logins_left, new_left };
    (Lanes { known, logins, new }, incoming)
}

impl Lanes {
    /// The one of logins.
    pub fn logins(&self) -> &mpsc::Sender<Event> {
        &self.logins
    }

    /// The one of strangers and new people, or that of those who are known.
    pub fn of(&self, is_new: bool) -> &mpsc::Sender<Event> {
        if is_new { &self.new } else { &self.known }
    }
}

impl Incoming {
    /// Another batch begins, or none is with the store.
    pub fn begin_batch(&mut self) {
        (self.logins_left, self.new_left) = (LOGINS_FOR_A_BATCH, NEW_FOR_A_BATCH);
    }

    /// Adds events, how many is told: none when nobody can send any more. Nothing is lost if this is not waited for to its
    /// end.
    pub async fn take(&mut self, events: &mut Vec<Event>) -> usize {
        let before = events.len();
        let (logins, new) = (self.logins_left.min(LOGINS_AT_ONCE), self.new_left.min(NEW_AT_ONCE));
        let came = tokio::select! {
            biased;
            known = self.known.recv_many(events, AT_ONCE) => Came::Known(known),
            login = self.logins.recv(), if logins > 0 => Came::Login(login),
            new = self.new.recv(), if new > 0 => Came::New(new),
        };
        let (mut of_logins, mut of_new) = (0, 0);
        match came {
            // When a lane has ended, what comes is in the others.
            Came::Known(0) | Came::Login(None) | Came::New(None) => {
                self.take_rest(events).await;
                return events.len() - before;
            }
            Came::Known(_) => {}
            Came::Login(Some(event)) => {
                events.push(event);
                of_logins = 1;
            }
            Came::New(Some(event)) => {
                events.push(event);
                of_new = 1;
            }
        }
        while of_logins < logins
            && let Ok(event) = self.logins.try_recv()
        {
            events.push(event);
            of_logins += 1;
        }
        while of_new < new
            && let Ok(event) = self.new.try_recv()
        {
            events.push(event);
            of_new += 1;
        }
        self.logins_left -= of_logins;
        self.new_left -= of_new;
        events.len() - before
    }

    /// Adds what is left where a lane has ended, or waits for the one that has not.
    async fn take_rest(&mut self, events: &mut Vec<Event>) {
        for lane in [&mut self.logins, &mut self.new, &mut self.known] {
            if lane.recv_many(events, AT_ONCE).await > 0 {
                return;
            }
        }
    }

    /// Adds events of known people that are there already, up to so many in all.
    pub fn take_known(&mut self, events: &mut Vec<Event>) {
        while events.len() < AT_ONCE
            && let Ok(event) = self.known.try_recv()
        {
            events.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::ConnId;

    fn gone(n: u64) -> Event {
        Event::Gone { conn: ConnId(n) }
    }

    fn numbers(events: &mut Vec<Event>) -> Vec<u64> {
        let numbers = events.drain(..).map(|event| match event {
            Event::Gone { conn } => conn.0,
            _ => panic!("an event of another kind"),
        });
        numbers.collect()
    }

    #[tokio::test]
    async fn known_people_come_first_and_a_flood_of_new_ones_in_small_parts() {
        let (lanes, mut incoming) = lanes(1_000);
        for n in 0..500 {
            lanes.of(true).try_send(gone(1_000 + n)).unwrap();
        }
        let (mut events, mut of_new) = (Vec::new(), 0);
        for n in 0..20 {
            lanes.of(false).try_send(gone(n)).unwrap();
            incoming.take(&mut events).await;
            let taken = numbers(&mut events);
            assert_eq!(taken[0], n, "it waits for no stranger");
            assert!(taken.len() <= 1 + NEW_AT_ONCE);
            of_new += taken.len() - 1;
        }
        assert_eq!(of_new, NEW_FOR_A_BATCH, "the rest waits for the next batch");
        incoming.begin_batch();
        assert_eq!(incoming.take(&mut events).await, NEW_AT_ONCE);
        assert_eq!(numbers(&mut events)[0], 1_000 + NEW_FOR_A_BATCH as u64, "in order");
    }

    #[tokio::test]
    async fn who_comes_in_waits_for_nothing_that_new_people_say() {
        let (lanes, mut incoming) = lanes(1_000);
        for n in 0..500 {
            lanes.of(true).try_send(gone(1_000 + n)).unwrap();
        }
        (0..LOGINS_FOR_A_BATCH as u64 + 5).for_each(|n| lanes.logins().try_send(gone(n)).unwrap());
        let (mut events, mut logins) = (Vec::new(), 0);
        for _ in 0..LOGINS_FOR_A_BATCH / LOGINS_AT_ONCE {
            incoming.take(&mut events).await;
            logins += numbers(&mut events).into_iter().filter(|n| *n < 1_000).count();
        }
        assert_eq!(logins, LOGINS_FOR_A_BATCH);
        incoming.begin_batch();
        incoming.take(&mut events).await;
        assert_eq!(numbers(&mut events)[..5], [0, 1, 2, 3, 4].map(|n| LOGINS_FOR_A_BATCH as u64 + n));
    }

    #[tokio::test]
    async fn when_nobody_can_send_any_more_all_that_was_sent_comes_out() {
        let (lanes, mut incoming) = lanes(1_000);
        for n in 0..300 {
            let lane = if n % 3 == 1 { lanes.logins() } else { lanes.of(n % 3 > 1) };
            lane.try_send(gone(n)).unwrap();
        }
        drop(lanes);
        let (mut events, mut all) = (Vec::new(), 0);
        while incoming.take(&mut events).await > 0 {
            all += numbers(&mut events).len();
            incoming.begin_batch();
        }
        assert_eq!(all, 300);
    }
}
