//! A script without a memory, written from the wire alone: it knows who it is, and numbers what it says from the last
//! number that its login tells. What became of what it said before it does not ask.

use super::lines::{Typed, Typist};
use super::{Actor, Ended, Phase, name_of};
use crate::net::{Owner, SimConnect, Wired};
use bytes::Bytes;
use client::drive::Connect;
use protocol::entry::EntryKind;
use protocol::frame::{Deframer, Item};
use protocol::id::{Counter, DeviceId, Millis, RoomId};
use protocol::limits::{DEAD_AFTER_MS, MAX_FRAME, PING_AFTER_MS, VERSION};
use protocol::message::{ClientMsg, Proof, Purpose, Secret, ServerMsg, Target};
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::time::timeout;

/// How long it waits for a connection, for what it writes to be taken, and for a byte.
const PATIENCE: Duration = Duration::from_millis(DEAD_AFTER_MS);

/// Runs until its connection breaks or it leaves; it is then started again.
pub(super) async fn process(actor: &Actor, typist: &mut Typist) -> Ended {
    let owner = Owner { client: actor.id, bulk: false, classic: false };
    let connect = SimConnect { net: actor.net.clone(), owner };
    let Ok(Ok(stream)) = timeout(PATIENCE, connect.connect()).await else {
        return Ended::Failed;
    };
    let now = actor.net.record.pages().now() / 1_000;
    let mut script = Script { actor, typist, phase: Phase::Talk, next: None, heard: now, said: now };
    match script.run(stream).await {
        Ok(away) => Ended::Left(away),
        Err(_) => Ended::Failed,
    }
}

struct Script<'a> {
    actor: &'a Actor,
    typist: &'a mut Typist,
    phase: Phase,
    /// The number of its next post; `None` before it is let in.
    next: Option<Counter>,
    /// When it heard and said something last, in ms.
    heard: u64,
    said: u64,
}

impl Script<'_> {
    async fn run(&mut self, stream: Wired) -> io::Result<u64> {
        let (mut read, mut write) = tokio::io::split(stream);
        self.send(&mut write, &self.hello()).await?;
        let mut deframer = Deframer::new(MAX_FRAME);
        let mut buffer = vec![0; 4_096];
        loop {
            if let Some(away) = self.type_what_is_due(&mut write).await? {
                return Ok(away);
            }
            if self.now() >= self.said + PING_AFTER_MS {
                self.send(&mut write, &ClientMsg::Ping { nonce: 0 }).await?;
            }
            let due = self.typist.due().filter(|_| self.next.is_some()).unwrap_or(u64::MAX);
            let wait = due.min(self.said + PING_AFTER_MS).saturating_sub(self.now()).max(1);
            tokio::select! {
                biased;
                n = read.read(&mut buffer) => {
                    let n = n?;
                    if n == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.heard = self.now();
                    self.hear(&mut deframer, &buffer[..n])?;
                }
                phase = self.actor.orders.later_than(self.phase) => self.enter(phase),
                () = tokio::time::sleep(Duration::from_millis(wait)) => {
                    if self.now() >= self.heard + DEAD_AFTER_MS {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
            }
        }
    }

    fn now(&self) -> u64 {
        self.actor.net.record.pages().now() / 1_000
    }

    fn hello(&self) -> ClientMsg {
        let id = self.actor.id.to_be_bytes();
        let bytes = |len: usize| id.into_iter().chain(*b"script").cycle().take(len);
        let (mut device, mut secret) = ([0; 16], [0; 32]);
        device.iter_mut().zip(bytes(16)).for_each(|(to, from)| *to = from);
        secret.iter_mut().zip(bytes(32)).for_each(|(to, from)| *to = from);
        ClientMsg::Hello {
            min_version: VERSION,
            max_version: VERSION,
            features: 0,
            device: DeviceId(device),
            proof: Proof::Secret { secret: Secret(secret) },
            purpose: Purpose::Chat,
            name: name_of(self.actor.plan.person),
            agent: "script".to_owned(),
            attempt: None,
        }
    }

    async fn send(&mut self, write: &mut WriteHalf<Wired>, msg: &ClientMsg) -> io::Result<()> {
        self.said = self.now();
        in_time(write.write_all(&msg.encode())).await
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.typist.stop();
        match phase {
            Phase::Leave => self.typist.put_back(Typed::Leave(0)),
            _ => {
                let last = self.typist.last_line();
                self.typist.put_back(last);
            }
        }
    }

    /// How long it stays away, if it leaves.
    async fn type_what_is_due(&mut self, write: &mut WriteHalf<Wired>) -> io::Result<Option<u64>> {
        while let Some(counter) = self.next {
            let Some(typed) = self.typist.take(self.now()) else { break };
            match typed {
                Typed::Line(line, token) => {
                    self.actor.typed(token);
                    if self.phase == Phase::Settle {
                        let at = usize::from(self.actor.id);
                        self.actor.net.record.pages().sights[at].last_line = token;
                    }
                    self.next = Some(counter.next());
                    self.send(write, &post(counter, &line)).await?;
                }
                Typed::Leave(away) => {
                    // Half of the times it does not even say goodbye, and waits for nothing in any case.
                    if away % 2 == 0 {
                        self.send(write, &ClientMsg::Bye {}).await?;
                    }
                    return Ok(Some(away));
                }
                Typed::About(..) | Typed::File(..) | Typed::LookAway(_) => {}
            }
        }
        Ok(None)
    }

    /// A post that is refused ends the connection: this client does not know what would stand behind it.
    fn hear(&mut self, deframer: &mut Deframer, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(item) = deframer.next(&mut bytes).map_err(io::Error::other)? {
            let Item::Frame(frame) = item else { continue };
            match ServerMsg::decode(frame.ty, frame.payload) {
                Ok(Some(ServerMsg::Welcome { last_counter, name, .. })) => {
                    self.next = Some(Counter::after(last_counter));
                    let mut pages = self.actor.net.record.pages();
                    let now = pages.now();
                    let sight = &mut pages.sights[usize::from(self.actor.id)];
                    sight.name = name;
                    sight.come(now);
                }
                Ok(Some(ServerMsg::Error { .. })) => return Err(io::ErrorKind::ConnectionRefused.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A line for the lobby.
fn post(counter: Counter, line: &str) -> ClientMsg {
    ClientMsg::Post {
        counter,
        target: Target::Room { room: RoomId::FIRST },
        kind: EntryKind::Text,
        reply_to: None,
        written: Millis(0),
        body: Bytes::copy_from_slice(line.as_bytes()),
    }
}

async fn in_time(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
