//! What strangers say to use a server up: one connection of one kind, again and again.

use crate::identity::{Identity, spread};
use bytes::Bytes;
use protocol::classic::ClassicMsg;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Counter, DeviceId, Millis, PersonId, Req, RoomId, Seq, TransferId};
use protocol::limits::{MAX_CHUNK, MAX_FRAME, MAX_QUERY, MAX_TOPIC};
use protocol::message::{Action, Blob, ClientMsg, OpenFrom, Purpose, Question, StateChange, Target, ty};
use std::time::Duration;

/// Frames that are made at once.
const FRAMES: u64 = 32;

/// How long a stranger stays who has said everything: the server hears it first.
const GOODBYE: Duration = Duration::from_millis(20);

/// How often whoever stays gives a sign of life.
const ALIVE: Duration = Duration::from_secs(4);

/// Rooms that somebody makes or comes into.
const ROOMS: u64 = 498;

/// Posts of one identity, some more than are taken at once.
const POSTS: u64 = 600;

/// Frames of one identity that asks.
const REQUESTS: u64 = 20_000;

/// Bytes of a text of a flood.
const BODY: usize = 1_000;

/// Where everybody is.
const LOBBY: RoomId = RoomId::FIRST;

/// One way to use a server up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Logs in with a new secret and goes.
    Stranger,
    /// The same, and says one word.
    StrangerWhoPosts,
    /// The same in the classic dialect.
    ClassicStranger,
    /// Makes rooms.
    RoomMaker,
    /// Says a word to each person.
    Writer,
    /// The same in the classic dialect.
    ClassicWriter,
    /// Sends requests that change something, and reads no answer.
    Requests,
    /// The same, and reads.
    RequestsAndReads,
    /// Comes into a room and leaves it.
    Flapper,
    /// Searches for what takes long.
    Searcher,
    /// Asks for lists.
    Asker,
    /// Begins large uploads and sends no byte.
    EmptyUpload,
    /// Announces a large classic file and sends a byte now and then.
    ClassicHeader,
    /// Sends classic files as fast as they go.
    ClassicFiller,
    /// Begins a frame and never ends it.
    HalfFrame,
    /// The same on a connection for files.
    HalfChunk,
    /// Posts as fast as it goes.
    Poster,
    /// Another device of the same person at each login.
    Devices,
    /// Says nothing.
    Silent,
    /// Connects and goes.
    Visitor,
    /// Says its login byte by byte.
    SlowLogin,
    /// Says what is no frame.
    Garbage,
    /// Begins a first frame and never ends it.
    HalfLogin,
    /// Is away and back again, in many rooms.
    AwayAndBack,
    /// Is in many rooms, and comes and goes.
    ComesAndGoes,
}

/// The attack by thousands of connections that are silent, slow, garbage or half: not one of those that are made at once.
pub const HOSTILE: u8 = 9;

/// Connections of each of its kinds and each address.
const HOSTILE_EACH: usize = 4;

/// The kinds of the attack with this number, or those of 1 to 8.
pub fn kinds(only: Option<u8>) -> Vec<Kind> {
    use Kind::{
        Asker, AwayAndBack, ClassicFiller, ClassicHeader, ClassicStranger, ClassicWriter, ComesAndGoes,
        Devices, EmptyUpload, Flapper, Garbage, HalfChunk, HalfFrame, HalfLogin, Poster, Requests,
        RequestsAndReads, RoomMaker, Searcher, Silent, SlowLogin, Stranger, StrangerWhoPosts, Visitor,
        Writer,
    };
    let all: [&[Kind]; 8] = [
        &[Stranger, StrangerWhoPosts, ClassicStranger],
        &[RoomMaker, Writer, ClassicWriter],
        &[Requests, RequestsAndReads, Flapper],
        &[Searcher, Asker],
        &[EmptyUpload, ClassicHeader, ClassicFiller],
        &[HalfFrame, HalfChunk, Poster, Devices],
        &[Silent, Silent, Silent, Silent, Visitor],
        &[AwayAndBack, ComesAndGoes],
    ];
    match only {
        Some(HOSTILE) => [Silent, SlowLogin, Garbage, HalfLogin, HalfFrame].repeat(HOSTILE_EACH),
        Some(number) => all[usize::from(number - 1)].to_vec(),
        None => all.concat(),
    }
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It says more at once.
    GoOn,
    /// It waits.
    Wait(Duration),
    /// It waits, ends, and comes again.
    Leave(Duration),
}

/// A connection of one kind.
#[derive(Debug)]
pub struct Raid {
    kind: Kind,
    /// Unlike that of all others in this run.
    number: u64,
    run: u64,
    people: u32,
    /// Connections so far.
    visits: u64,
    /// Steps of this connection.
    step: u64,
    sent: u64,
}

impl Raid {
    /// One that never came. So many `people` are there to be bothered.
    pub fn new(kind: Kind, number: u64, run: u64, people: u32) -> Self {
        Self { kind, number, run, people, visits: 0, step: 0, sent: 0 }
    }

    /// Whether it takes what it is told.
    pub fn reads(&self) -> bool {
        !matches!(self.kind, Kind::Requests | Kind::Asker)
    }

    /// It has connected anew.
    pub fn come(&mut self) {
        self.visits += 1;
        (self.step, self.sent) = (0, 0);
    }

    /// Says what comes next into `out`.
    pub fn go_on(&mut self, out: &mut Vec<u8>) -> Step {
        self.step += 1;
        match self.kind {
            Kind::Silent => Step::Wait(Duration::from_secs(60)),
            Kind::Visitor => Step::Leave(Duration::from_millis(1)),
            Kind::SlowLogin => {
                let hello = self.identity().hello().encode();
                let at = usize::try_from(self.step).unwrap_or(usize::MAX) - 1;
                match hello.get(at) {
                    Some(byte) => {
                        out.push(*byte);
                        Step::Wait(Duration::from_millis(100))
                    }
                    None => Step::Leave(GOODBYE),
                }
            }
            Kind::Garbage => {
                let byte = 1 + self.number.wrapping_mul(31).wrapping_add(self.visits).to_be_bytes()[7] % 255;
                out.resize(300, byte);
                Step::Leave(Duration::from_millis(500))
            }
            Kind::HalfLogin if self.step == 1 => {
                out.extend_from_slice(&[0, 0, 0x0f, 0xa0, ty::HELLO]);
                out.resize(3_900, b'x');
                Step::Wait(ALIVE)
            }
            Kind::HalfLogin => {
                out.push(b'x');
                Step::Wait(ALIVE)
            }
            Kind::ClassicStranger | Kind::ClassicWriter => self.classic(out),
            Kind::ClassicHeader | Kind::ClassicFiller => self.classic_file(out),
            Kind::EmptyUpload | Kind::HalfChunk => self.upload(out),
            _ if self.step == 1 => {
                self.say(out, &self.identity().hello());
                Step::GoOn
            }
            Kind::Stranger => self.leave(out),
            Kind::StrangerWhoPosts => {
                self.say(out, &post(1, Target::Room { room: LOBBY }, Bytes::from_static(b"hi")));
                self.leave(out)
            }
            Kind::Devices => self.leave(out),
            Kind::HalfFrame => self.half_frame(out, MAX_FRAME),
            Kind::AwayAndBack | Kind::ComesAndGoes => self.presence(out),
            Kind::RoomMaker => self.some(out, ROOMS, |raid, n| {
                let name = format!("r{}-{}-{n}", raid.number, raid.visits);
                ClientMsg::Join { req: req(n), name }
            }),
            Kind::Writer => self.some(out, u64::from(self.people), |_, n| {
                let person = PersonId::new(n).unwrap_or(PersonId::FIRST);
                post(n, Target::Person { person }, Bytes::from_static(b"x"))
            }),
            Kind::Poster => self.some(out, POSTS, |_, n| {
                post(n, Target::Room { room: LOBBY }, Bytes::from(vec![b'x'; BODY]))
            }),
            Kind::Requests | Kind::RequestsAndReads => self.some(out, REQUESTS, Self::request),
            Kind::Flapper => self.some(out, REQUESTS, |_, n| match n % 2 {
                0 => ClientMsg::Join { req: req(n), name: "lobby".to_owned() },
                _ => ClientMsg::Part { req: req(n), room: LOBBY },
            }),
            Kind::Searcher => self.some(out, REQUESTS, |_, n| search(n)),
            Kind::Asker => self.some(out, REQUESTS, |_, n| ask(n)),
        }
    }

    fn say(&self, out: &mut Vec<u8>, msg: &ClientMsg) {
        out.extend_from_slice(&msg.encode());
    }

    fn leave(&self, out: &mut Vec<u8>) -> Step {
        self.say(out, &ClientMsg::Bye {});
        Step::Leave(GOODBYE)
    }

    /// So many frames, then the end.
    fn some(&mut self, out: &mut Vec<u8>, most: u64, make: impl Fn(&Self, u64) -> ClientMsg) -> Step {
        let end = most.min(self.sent + FRAMES);
        while self.sent < end {
            self.sent += 1;
            self.say(out, &make(self, self.sent));
        }
        if self.sent < most { Step::GoOn } else { Step::Leave(Duration::from_secs(1)) }
    }

    fn identity(&self) -> Identity {
        // An upload has the connection before it to be known, and devices are all of one person.
        let (person, device) = match self.kind {
            Kind::EmptyUpload | Kind::HalfChunk => (self.visits.div_ceil(2), 0),
            Kind::Devices => (0, self.visits),
            Kind::ComesAndGoes => (0, 0),
            _ => (self.visits, 0),
        };
        let number = self.number << 32 | person;
        let mut identity = Identity::numbered(&format!("s{}-{person}", self.number), number, self.run);
        if device > 0 {
            identity.device = DeviceId(spread(device, self.run + 1));
        }
        identity
    }

    fn classic(&mut self, out: &mut Vec<u8>) -> Step {
        let name = format!("c{}-{}", self.number, self.visits);
        out.extend_from_slice(&ClassicMsg::Join(&name).encode());
        if self.kind == Kind::ClassicStranger {
            out.extend_from_slice(&ClassicMsg::Text("hi").encode());
            return Step::Leave(GOODBYE);
        }
        for person in 0..self.people.min(20) {
            let line = format!("/msg person-{person} hi");
            out.extend_from_slice(&ClassicMsg::Text(&line).encode());
        }
        Step::Leave(Duration::from_millis(500))
    }

    fn classic_file(&mut self, out: &mut Vec<u8>) -> Step {
        let size: u32 = if self.kind == Kind::ClassicHeader { 200 << 20 } else { 4 << 20 };
        if self.step == 1 {
            let name = format!("f{}-{}", self.number, self.visits);
            out.extend_from_slice(&ClassicMsg::Join(&name).encode());
            out.extend_from_slice(&size.to_be_bytes());
            out.push(protocol::classic::ty::FILE);
            out.extend_from_slice(b"a.bin::");
            self.sent = 8;
            return Step::GoOn;
        }
        if self.kind == Kind::ClassicHeader {
            out.push(b'x');
            return Step::Wait(ALIVE);
        }
        let part = u64::from(size).saturating_sub(self.sent).min(64 * 1024);
        self.sent += part;
        let noise = self.number << 40 | self.visits << 20 | self.step;
        out.extend((0..part).map(|at| noise.wrapping_mul(at + 1).to_be_bytes()[6]));
        if self.sent < u64::from(size) { Step::GoOn } else { Step::Leave(Duration::from_secs(1)) }
    }

    /// By turns a login that makes somebody known, and a connection for files of theirs.
    fn upload(&mut self, out: &mut Vec<u8>) -> Step {
        let identity = self.identity();
        if self.visits % 2 == 1 {
            self.say(out, &identity.hello());
            self.say(out, &post(1, Target::Room { room: LOBBY }, Bytes::from_static(b"hi")));
            return Step::Leave(Duration::from_millis(200));
        }
        match self.step {
            1 => {
                self.say(out, &identity.hello_for(Purpose::Bulk));
                let transfer = TransferId(spread(self.number << 32 | self.visits, self.run));
                self.say(
                    out,
                    &ClientMsg::Put {
                        req: Req(1),
                        transfer,
                        target: Target::Room { room: LOBBY },
                        size: 1 << 30,
                        first: ContentHash([7; 32]),
                        name: "large.bin".to_owned(),
                    },
                );
                Step::GoOn
            }
            2 if self.kind == Kind::HalfChunk => {
                let chunk = ClientMsg::Chunk {
                    req: Req(1),
                    offset: 0,
                    data: Blob(Bytes::from(vec![b'x'; MAX_CHUNK as usize])),
                };
                let bytes = chunk.encode();
                out.extend_from_slice(&bytes[..bytes.len() - 1_000]);
                Step::Wait(ALIVE)
            }
            20 => Step::Leave(GOODBYE),
            _ if self.kind == Kind::HalfChunk => {
                out.push(b'x');
                Step::Wait(ALIVE)
            }
            _ => {
                self.say(out, &ClientMsg::Ping { nonce: 0 });
                Step::Wait(ALIVE)
            }
        }
    }

    /// Most of a frame, and then a byte now and then.
    fn half_frame(&mut self, out: &mut Vec<u8>, len: u32) -> Step {
        if self.step == 2 {
            out.extend_from_slice(&len.to_be_bytes());
            out.push(ty::POST);
            out.resize(out.len() + len as usize - 2_000, b'x');
        } else {
            out.push(b'x');
        }
        Step::Wait(ALIVE)
    }

    /// Comes into rooms that all of this kind are in, then changes.
    fn presence(&mut self, out: &mut Vec<u8>) -> Step {
        if self.step == 2 {
            for n in 1..=60 {
                self.say(out, &ClientMsg::Join { req: req(n), name: format!("busy-{n}") });
                let (room, from) = (RoomId::new(n).unwrap_or(LOBBY), OpenFrom::Now);
                self.say(out, &ClientMsg::Open { req: req(n), room, from });
            }
            return Step::Wait(Duration::from_millis(200));
        }
        if self.kind == Kind::ComesAndGoes {
            return self.leave(out);
        }
        let change = match self.step % 2 {
            0 => StateChange::Away { text: "x".repeat(200) },
            _ => StateChange::Back,
        };
        self.say(out, &ClientMsg::State { req: req(self.step), change });
        Step::Wait(Duration::from_millis(100))
    }

    fn request(&self, n: u64) -> ClientMsg {
        let req = req(n);
        let state = |change| ClientMsg::State { req, change };
        match n % 8 {
            0..=2 => {
                let text = format!("{n}").repeat(MAX_TOPIC / 8);
                ClientMsg::Do { req, room: Some(LOBBY), action: Action::Topic { text } }
            }
            3 => ClientMsg::Mark { req, room: LOBBY, seq: Seq::new(n).unwrap_or(Seq::FIRST) },
            4 => state(StateChange::Name { name: format!("n{}-{n}", self.number) }),
            5 => ClientMsg::Fetched { req, room: LOBBY, seq: Seq::FIRST },
            6 => state(StateChange::Typing { room: LOBBY, on: n % 16 == 6 }),
            _ => state(StateChange::Away { text: format!("{n}") }),
        }
    }
}

fn req(n: u64) -> Req {
    Req(u32::try_from(n).unwrap_or(u32::MAX))
}

fn post(n: u64, target: Target, body: Bytes) -> ClientMsg {
    ClientMsg::Post {
        counter: Counter::new(n).unwrap_or(Counter::FIRST),
        target,
        kind: EntryKind::Text,
        reply_to: None,
        written: Millis(0),
        body,
    }
}

/// What a search of this many bytes can be made to look through.
fn search(n: u64) -> ClientMsg {
    let words = match n % 3 {
        0 => "a* ".repeat(MAX_QUERY / 3),
        1 => "wor* lin* tex* mes* sai* tea* the* and*".to_owned(),
        _ => "word line text said".to_owned(),
    };
    ClientMsg::Search { req: req(n), room: None, words, limit: 1_000, before_room: None, before: None }
}

fn ask(n: u64) -> ClientMsg {
    let question = match n % 4 {
        0 => Question::People { room: None, after: None },
        1 => Question::Files { room: LOBBY, before: None },
        2 => Question::Rooms { after: String::new() },
        _ => Question::Whois { name: format!("person-{n}") },
    };
    ClientMsg::Ask { req: req(n), question }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::frame::{Deframer, Item};

    fn said(kind: Kind, visits: u64, steps: u64) -> Vec<u8> {
        let mut raid = Raid::new(kind, 3, 1, 10);
        let mut out = Vec::new();
        for _ in 0..visits {
            raid.come();
            out.clear();
            for _ in 0..steps {
                raid.go_on(&mut out);
            }
        }
        out
    }

    #[test]
    fn each_attack_has_kinds_of_its_own_and_all_have_every_one() {
        let each: usize = (1..=8).map(|number| kinds(Some(number)).len()).sum();
        assert_eq!(kinds(None).len(), each);
        assert!((1..=8).all(|number| kinds(Some(number)).len() >= 2));
        assert_eq!(250 * kinds(Some(HOSTILE)).len(), 5_000);
    }

    #[test]
    fn what_is_not_half_is_whole_frames_that_are_understood() {
        use Kind::{ClassicFiller, ClassicHeader, ClassicStranger, ClassicWriter, HalfChunk, HalfFrame};
        let others = [ClassicFiller, ClassicHeader, ClassicStranger, ClassicWriter, HalfChunk, HalfFrame];
        let kinds = kinds(None).into_iter().filter(|kind| !others.contains(kind));
        for kind in kinds {
            let bytes = said(kind, 2, 5);
            let (mut input, mut deframer) = (&bytes[..], Deframer::new(MAX_FRAME));
            while let Some(item) = deframer.next(&mut input).expect("frames") {
                let Item::Frame(frame) = item else { panic!("{kind:?}: a frame over the limit") };
                ClientMsg::decode(frame.ty, frame.payload).expect("a message");
            }
            assert!(input.is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn strangers_are_unlike_each_other_and_devices_are_of_one_person() {
        let identity = |kind, visits| {
            let mut raid = Raid::new(kind, 3, 1, 10);
            (0..visits).for_each(|_| raid.come());
            raid.identity()
        };
        let [first, second] = [1, 2].map(|visits| identity(Kind::Stranger, visits));
        assert_ne!((first.secret, first.device), (second.secret, second.device));
        let [first, second] = [1, 2].map(|visits| identity(Kind::Devices, visits));
        assert!(first.secret == second.secret && first.device != second.device);
        let [first, second] = [1, 2].map(|visits| identity(Kind::EmptyUpload, visits));
        assert!(first.secret == second.secret);
    }
}
