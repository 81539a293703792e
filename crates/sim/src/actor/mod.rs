//! The people of a world: each runs the real client, types what its plan says, and notes what it is shown.

mod classic;
mod face;
mod lines;
mod memory;
mod native;
mod orders;
mod script;
mod shown;

pub(crate) use orders::{Crash, Orders, Phase};

use crate::coverage::Sometimes;
use crate::disk::ClientDisk;
use crate::net::Net;
use crate::plan::ClientPlan;
use crate::rule::Rule;
use crate::seed::stream;
use crate::trace::{Token, Who};
use lines::Typist;
use rand::RngExt;
use rand::rngs::SmallRng;
use std::path::PathBuf;
use std::time::Duration;

/// A client and its owner, over all its processes.
pub(crate) struct Actor {
    pub(crate) net: Net,
    pub(crate) id: u16,
    pub(crate) plan: ClientPlan,
    pub(crate) disk: ClientDisk,
    pub(crate) orders: Orders,
    pub(crate) seed: u64,
    /// Where real files lie, if any are sent.
    pub(crate) folder: Option<PathBuf>,
}

/// How a process of a client ended.
enum Ended {
    /// As its user wished; it comes back after so many ms.
    Left(u64),
    /// It could not get in, and is tried again.
    Failed,
}

impl Actor {
    /// Lives until the world ends.
    pub(crate) async fn live(self) {
        let mut typist = Typist::new(self.id, self.plan.clone());
        let mut rng = stream(self.seed, "life", u64::from(self.id));
        loop {
            self.note("starts", 0);
            self.net.record.pages().sights[usize::from(self.id)].running = true;
            let ended = tokio::select! {
                biased;
                crash = self.orders.crash(self.id) => Err(crash),
                ended = self.process(&mut typist, &mut rng) => Ok(ended),
            };
            let away = match ended {
                Ok(Ended::Left(away)) => self.end(true, away, true),
                Ok(Ended::Failed) => self.end(true, rng.random_range(300..1_500), false),
                Err(crash) => {
                    self.hit(Sometimes::ClientDied);
                    let kept = if crash.power { self.lose_power(&mut rng) } else { true };
                    typist.forget();
                    self.end(kept, crash.down_ms, false)
                }
            };
            tokio::time::sleep(Duration::from_millis(away)).await;
            if self.orders.phase() == Phase::Leave {
                return;
            }
        }
    }

    /// Its machine loses its power. Whether the cursors survived.
    fn lose_power(&self, rng: &mut SmallRng) -> bool {
        let received = self.received();
        match received.map(|folder| crate::disk::lose_power(&folder, rng)) {
            Some(Err(error)) => {
                self.net.record.fail(Rule::Surroundings, format!("no real disk for files: {error}"));
            }
            Some(Ok(true)) => self.hit(Sometimes::ClientUnsynced),
            _ => {}
        }
        self.disk.lose_power(rng)
    }

    /// Where it receives files.
    fn received(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("received{}", self.id)))
    }

    async fn process(&self, typist: &mut Typist, rng: &mut SmallRng) -> Ended {
        if self.plan.classic {
            classic::process(self, typist).await
        } else if self.plan.forgetful {
            script::process(self, typist).await
        } else {
            native::process(self, typist, rng).await
        }
    }

    /// Its process has ended. `left` if its user wished that.
    fn end(&self, cursors_kept: bool, away: u64, left: bool) -> u64 {
        self.note("ends", away);
        let mut pages = self.net.record.pages();
        let now = pages.now();
        let sight = &mut pages.sights[usize::from(self.id)];
        // A script goes without a word.
        let farewell = left && sight.is_unhindered() && !self.plan.forgetful;
        sight.own.go(farewell, now);
        sight.restart(cursors_kept);
        away
    }

    fn note(&self, what: &'static str, number: u64) {
        self.net.record.note(Who::Client(self.id), what, number);
    }

    fn hit(&self, what: Sometimes) {
        self.net.record.hit(what);
    }

    fn typed(&self, token: Option<Token>) {
        if let Some(token) = token {
            self.net.record.pages().typed(token);
        }
    }
}

/// The name of a person.
pub(crate) fn name_of(person: u16) -> String {
    format!("p{person}")
}
