//! What a newcomer can do after an attack: join, make a room, send a file, and write to somebody for the first time.

use crate::flood::crowd;
use load::{caller::Caller, clock::Clock, fault::Fault, identity::Identity, source};
use protocol::{
    entry::EntryKind,
    id::{ContentHash, Counter, Millis, PersonId, Req, TransferId},
    message::{Blob, ClientMsg, FileBody, Purpose, Question, Reply, ServerMsg, Shape, Target},
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How long a newcomer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often somebody tries again who was asked to come back, and after which time.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// The file.
const CONTENT: &[u8] = b"a recipe for a cake";

/// A newcomer from an address that nobody used before.
struct Newcomer {
    server: SocketAddr,
    source: IpAddr,
    identity: Identity,
    chat: Caller,
    posts: u64,
}

/// Tries it, and gives what could not be done.
pub fn check(server: SocketAddr, clock: Clock, number: u64, when: &str) -> Option<String> {
    let begun = clock.now();
    match live(server, number) {
        Ok(()) => {
            eprintln!("  {when}: a newcomer did everything within {} ms", (clock.now() - begun).as_millis());
            None
        }
        Err((what, fault)) => Some(format!("{when}: a newcomer can't {what}: {fault}")),
    }
}

fn live(server: SocketAddr, number: u64) -> Result<(), (&'static str, Fault)> {
    let at = |what| move |fault| (what, fault);
    let mut newcomer = Newcomer::log_in(server, number).map_err(at("log in"))?;
    let room = newcomer.chat.join(&format!("after-{number}")).map_err(at("make a room"))?;
    newcomer.post(Target::Room { room }, EntryKind::Text, b"hello".to_vec()).map_err(at("post"))?;
    newcomer.send_file(Target::Room { room }).map_err(at("send a file"))?;
    let victim = newcomer.find("person-0").map_err(at("find somebody"))?;
    let target = Target::Person { person: victim };
    newcomer.post(target, EntryKind::Text, b"psst".to_vec()).map_err(at("write to somebody"))?;
    let identity = crowd::person(0);
    let victim = Caller::login_from(newcomer.source, server, &identity, Purpose::Chat, PATIENCE);
    let mut victim = victim.map_err(at("meet somebody who was there before"))?;
    victim.join(&format!("victims-{number}")).map(drop).map_err(at("see somebody join a room"))
}

impl Newcomer {
    fn log_in(server: SocketAddr, number: u64) -> Result<Self, Fault> {
        let identity = Identity::numbered(&format!("newcomer-{number}"), number, 77);
        let source = source::address(9, u32::try_from(number).unwrap_or(0));
        let mut tries = 0;
        loop {
            tries += 1;
            match Caller::login_from(source, server, &identity, Purpose::Chat, PATIENCE) {
                Ok(chat) => return Ok(Self { server, source, identity, chat, posts: 0 }),
                Err(_) if tries < TRIES => std::thread::sleep(PAUSE),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn post(&mut self, target: Target, kind: EntryKind, body: Vec<u8>) -> Result<(), Fault> {
        self.posts += 1;
        let counter = Counter::new(self.posts).unwrap_or(Counter::FIRST);
        let (reply_to, written) = (None, Millis(0));
        self.chat.say(&ClientMsg::Post { counter, target, kind, reply_to, written, body: body.into() })?;
        self.chat.find("an acknowledgement", |msg| match msg {
            ServerMsg::Ack { counter: acked, .. } if acked == counter => Some(Ok(())),
            ServerMsg::Error { code, text, .. } => Some(Err(Fault::Denied { code, text })),
            _ => None,
        })?
    }

    fn send_file(&mut self, target: Target) -> Result<(), Fault> {
        let purpose = Purpose::Bulk;
        let mut bulk = Caller::login_from(self.source, self.server, &self.identity, purpose, PATIENCE)?;
        let (req, size, name) = (Req(1), CONTENT.len() as u64, "cake.txt".to_owned());
        let hash = ContentHash(*blake3::hash(CONTENT).as_bytes());
        let transfer = TransferId(self.identity.device.0);
        bulk.say(&ClientMsg::Put {
            req,
            transfer,
            target: target.clone(),
            size,
            first: hash,
            name: name.clone(),
        })?;
        let denied = |code, text| Some(Err(Fault::Denied { code, text }));
        bulk.find("a place for a file", |msg| match msg {
            ServerMsg::PutAt { .. } => Some(Ok(())),
            ServerMsg::Error { code, text, .. } => denied(code, text),
            _ => None,
        })??;
        let data = Blob(CONTENT.into());
        bulk.say(&ClientMsg::Chunk { req, offset: 0, data })?;
        bulk.say(&ClientMsg::Done { req, hash })?;
        bulk.find("the end of a file", |msg| match msg {
            ServerMsg::End { .. } => Some(Ok(())),
            ServerMsg::Error { code, text, .. } => denied(code, text),
            _ => None,
        })??;
        let body = FileBody { hash, size, name, shape: Shape::File }.encode();
        self.post(target, EntryKind::File, body.to_vec())
    }

    fn find(&mut self, name: &str) -> Result<PersonId, Fault> {
        let question = Question::Whois { name: name.to_owned() };
        match self.chat.ask(|req| ClientMsg::Ask { req, question })? {
            ServerMsg::Answer { reply: Reply::Whois { person, .. }, .. } => Ok(person.person),
            other => Err(Fault::Refused(format!("{other:?} to a whois"))),
        }
    }
}
