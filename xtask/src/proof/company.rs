//! Writers and followers on their connections, all driven by one thread.

use super::body::Bodies;
use super::follower::Follower;
use super::violation::Violation;
use super::writer::{Habits, Step, Writer};
use load::clock::Clock;
use load::fault::Fault;
use load::fleet::{Event, Fleet};
use load::heartbeat::Heartbeat;
use protocol::message::{ClientMsg, ServerMsg};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a turn waits for something to happen.
const NAP: Duration = Duration::from_millis(5);

/// Connections that are on their way in at once: fewer than a listener lets wait.
const ENTERING: usize = 100;

/// How large a company is, and how busy.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Those who post.
    pub writers: usize,
    /// Those who read along, each in one room.
    pub followers: usize,
    /// Rooms of the run.
    pub rooms: usize,
    /// Posts that a writer leaves unanswered at most.
    pub window: usize,
    /// How long posts are.
    pub bodies: Bodies,
}

/// Rooms that one writer is in.
const ROOMS_OF_ONE: usize = 3;

/// Everybody.
pub struct Company {
    fleet: Fleet,
    clock: Clock,
    server: SocketAddr,
    heartbeat: Heartbeat,
    /// Those who post; they have the first places.
    pub writers: Vec<Writer>,
    /// Those who read along; they have the places behind the writers.
    pub followers: Vec<Follower>,
    /// Those who have no connection yet.
    waiting: Vec<usize>,
    /// What must not happen and did.
    pub violations: Vec<Violation>,
    /// Whether writers post.
    pub talks: bool,
}

impl Company {
    /// A company that has never been there. `run` makes its people unlike those of other runs.
    ///
    /// # Errors
    /// [`Fault`] if the system refuses what it needs.
    pub fn new(size: Size, server: SocketAddr, clock: Clock, run: u64) -> Result<Self, Fault> {
        let habits = |number: usize| Habits {
            rooms: rooms_of(number, size.rooms),
            bodies: size.bodies,
            window: size.window,
            stubborn: number % 2 == 1,
        };
        let places = size.writers + size.followers;
        let follower = |number: usize| Follower::new(number, run, &room_name(number % size.rooms.max(1)));
        Ok(Self {
            fleet: Fleet::new(places)?,
            clock,
            server,
            heartbeat: Heartbeat::new(places, clock.now()),
            writers: (0..size.writers).map(|number| Writer::new(number, run, habits(number))).collect(),
            followers: (0..size.followers).map(follower).collect(),
            waiting: Vec::new(),
            violations: Vec::new(),
            talks: true,
        })
    }

    /// Has everybody come, a hundred at a time, in the turns that follow.
    pub fn call(&mut self) {
        self.waiting = (0..self.writers.len() + self.followers.len()).rev().collect();
    }

    /// Lets nobody in who is still waiting.
    pub fn dismiss(&mut self) {
        self.waiting.clear();
    }

    /// Whether everybody is in and can do what they are there for.
    pub fn is_in(&self) -> bool {
        self.writers.iter().all(|writer| writer.step == Step::Posting)
            && self.followers.iter().all(|follower| follower.is_open)
    }

    /// Whether nobody has a connection any more, nor is to get one.
    pub fn is_away(&self) -> bool {
        self.waiting.is_empty() && (0..self.places()).all(|place| !self.fleet.is_taken(place))
    }

    /// Posts that were acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.writers.iter().map(|writer| writer.acked).sum()
    }

    /// Takes turns until `done`, for so long at most; says whether it came about.
    ///
    /// # Errors
    /// [`Fault`] if the server says what no server says.
    pub fn until(&mut self, patience: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<bool, Fault> {
        let end = self.clock.now() + patience;
        while !done(self) {
            if self.clock.now() > end {
                return Ok(false);
            }
            self.turn()?;
        }
        Ok(true)
    }

    /// Lets writers post what they may, and takes in what comes.
    ///
    /// # Errors
    /// [`Fault`] if the server says what no server says.
    pub fn turn(&mut self) -> Result<(), Fault> {
        self.let_in()?;
        let now = self.clock.now();
        while let Some(place) = self.heartbeat.next_due(now) {
            self.fleet.say(place, &ClientMsg::Ping { nonce: 0 });
        }
        for (place, writer) in self.writers.iter_mut().enumerate().filter(|_| self.talks) {
            while let Some(post) = writer.poll_post(now) {
                self.fleet.say(place, &post);
            }
        }
        for (place, event) in self.fleet.turn(NAP)? {
            match event {
                Event::Heard(msg) => self.handle_message(place, msg),
                Event::Ended => self.handle_end(place),
            }
        }
        Ok(())
    }

    fn places(&self) -> usize {
        self.writers.len() + self.followers.len()
    }

    fn let_in(&mut self) -> Result<(), Fault> {
        let entering = self.writers.iter().filter(|writer| writer.step == Step::Login).count();
        for _ in entering..ENTERING {
            let Some(place) = self.waiting.pop() else {
                break;
            };
            self.fleet.connect(place, self.server)?;
            let writers = self.writers.len();
            let hello = match self.writers.get_mut(place) {
                Some(writer) => writer.greet(),
                None => self.followers[place - writers].greet(),
            };
            self.fleet.say(place, &hello);
        }
        Ok(())
    }

    fn handle_message(&mut self, place: usize, msg: ServerMsg) {
        let writers = self.writers.len();
        let handled = match self.writers.get_mut(place) {
            Some(writer) => writer.handle_message(msg, self.clock.now()),
            None => self.followers[place - writers].handle_message(msg),
        };
        match handled {
            Ok(Some(msg)) => self.fleet.say(place, &msg),
            Ok(None) => {}
            Err(violation) => self.violations.push(violation),
        }
    }

    fn handle_end(&mut self, place: usize) {
        let writers = self.writers.len();
        match self.writers.get_mut(place) {
            Some(writer) => writer.handle_end(),
            None => self.followers[place - writers].handle_end(),
        }
    }
}

/// The name of a room of the run.
pub fn room_name(number: usize) -> String {
    format!("proof-{number}")
}

fn rooms_of(writer: usize, rooms: usize) -> Vec<String> {
    let all = rooms.max(1);
    (0..ROOMS_OF_ONE.min(all)).map(|at| room_name((writer + at) % all)).collect()
}
