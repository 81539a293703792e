//! The two lanes of events to the hub: one of known people, one of strangers and new people.
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

/// Events of new people for each batch.
const NEW_FOR_A_BATCH: usize = 32;

/// Where events are sent. Clones share the lanes.
#[derive(Clone, Debug)]
pub struct Lanes {
    known: mpsc::Sender<Event>,
    new: mpsc::Sender<Event>,
}

/// Where they come out.
#[derive(Debug)]
pub struct Incoming {
    known: mpsc::Receiver<Event>,
    new: mpsc::Receiver<Event>,
    /// Events of new people that may still be taken for the batch.
    new_left: usize,
}

/// What came first.
enum Came {
    /// So many of known people; none if nobody can send any more.
    Known(usize),
    /// One of new people; none if nobody can send any more.
    New(Option<Event>),
}

/// Two lanes with room for so many events each.
pub fn lanes(room: usize) -> (Lanes, Incoming) {
    let ((known, of_known), (new, of_new)) = (mpsc::channel(room), mpsc::channel(room));
    (Lanes { known, new }, Incoming { known: of_known, new: of_new, new_left: NEW_FOR_A_BATCH })
}

impl Lanes {
    /// The one of strangers and new people, or that of those who are known.
    pub fn of(&self, is_new: bool) -> &mpsc::Sender<Event> {
        if is_new { &self.new } else { &self.known }
    }
}

impl Incoming {
    /// Another batch begins, or none is with the store.
    pub fn begin_batch(&mut self) {
        self.new_left = NEW_FOR_A_BATCH;
    }

    /// Adds events, how many is told: none when nobody can send any more. Nothing is lost if this is not waited for to its
    /// end.
    pub async fn take(&mut self, events: &mut Vec<Event>) -> usize {
        let (before, most) = (events.len(), self.new_left.min(NEW_AT_ONCE));
        let came = tokio::select! {
            biased;
            known = self.known.recv_many(events, AT_ONCE) => Came::Known(known),
            new = self.new.recv(), if most > 0 => Came::New(new),
        };
        let mut of_new = 0;
        match came {
            // When a lane has ended, what comes is in the other one.
            Came::Known(0) => {
                self.new.recv_many(events, AT_ONCE).await;
                return events.len() - before;
            }
            Came::New(None) => {
                self.known.recv_many(events, AT_ONCE).await;
                return events.len() - before;
            }
            Came::Known(_) => {}
            Came::New(Some(event)) => {
                events.push(event);
                of_new = 1;
            }
        }
        while of_new < most
            && let Ok(event) = self.new.try_recv()
        {
            events.push(event);
            of_new += 1;
        }
        self.new_left -= of_new;
        events.len() - before
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
    async fn when_nobody_can_send_any_more_all_that_was_sent_comes_out() {
        let (lanes, mut incoming) = lanes(1_000);
        for n in 0..300 {
            lanes.of(n % 3 > 0).try_send(gone(n)).unwrap();
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
