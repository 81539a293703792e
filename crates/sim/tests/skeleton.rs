//! The seams hold: the real server runs over a simulated network, and the same seed gives the same run.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use bytes::Bytes;
use protocol::entry::EntryKind;
use protocol::frame::{Deframer, Item};
use protocol::id::{Counter, DeviceId, Millis, Req};
use protocol::limits::{DEFAULT_PORT, MAX_FRAME, VERSION};
use protocol::message::{ClientMsg, OpenFrom, Proof, Purpose, Secret, ServerMsg, Target};
use sim::world::{SERVER, add_server, world};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

type Trace = Arc<Mutex<Vec<(Duration, String)>>>;
type Failed = Box<dyn std::error::Error>;

/// A client that logs in, says some lines, and notes all that it hears until it has heard `until` entries.
async fn talk(id: u8, lines: u64, until: usize, trace: Trace) -> Result<(), Failed> {
    let mut stream = TcpStream::connect((SERVER, DEFAULT_PORT)).await?;
    let hello = ClientMsg::Hello {
        min_version: VERSION,
        max_version: VERSION,
        features: 0,
        device: DeviceId([id; 16]),
        proof: Proof::Secret { secret: Secret([id; 32]) },
        purpose: Purpose::Chat,
        name: format!("client{id}"),
        agent: "sim".to_owned(),
    };
    stream.write_all(&hello.encode()).await?;
    let mut deframer = Deframer::new(MAX_FRAME);
    let mut buffer = [0; 4096];
    let mut heard = 0;
    while heard < until {
        let n = stream.read(&mut buffer).await?;
        assert_ne!(n, 0, "the server does not hang up");
        let mut input = &buffer[..n];
        let mut replies = Vec::new();
        while let Some(Item::Frame(frame)) = deframer.next(&mut input)? {
            let Some(msg) = ServerMsg::decode(frame.ty, frame.payload)? else {
                continue;
            };
            let at = turmoil::elapsed();
            trace.lock().unwrap().push((at, format!("{id}: {msg:?}")));
            match msg {
                ServerMsg::Rooms { rooms, .. } => {
                    let room = rooms[0].room;
                    replies.push(ClientMsg::Open {
                        req: Req(1),
                        room,
                        from: OpenFrom::Last { count: 1_000 },
                    });
                    replies.extend((1..=lines).map(|n| ClientMsg::Post {
                        counter: Counter::new(n).unwrap(),
                        target: Target::Room { room },
                        kind: EntryKind::Text,
                        reply_to: None,
                        written: Millis(0),
                        body: Bytes::from(format!("line {n} of {id}")),
                    }));
                }
                ServerMsg::Entries { entries, .. } => heard += entries.len(),
                _ => {}
            }
        }
        for reply in replies {
            stream.write_all(&reply.encode()).await?;
        }
    }
    Ok(())
}

fn run(seed: u64) -> Vec<(Duration, String)> {
    const CLIENTS: u8 = 4;
    const LINES: u64 = 10;
    let mut sim = world(seed, Duration::from_secs(60));
    add_server(&mut sim);
    let trace = Trace::default();
    for id in 0..CLIENTS {
        let trace = trace.clone();
        let until = usize::from(CLIENTS) * usize::try_from(LINES).unwrap();
        sim.client(format!("client{id}"), talk(id, LINES, until, trace));
    }
    sim.run().unwrap();
    trace.lock().unwrap().clone()
}

#[test]
fn everybody_hears_everything_over_a_simulated_network() {
    let trace = run(1);
    assert!(trace.len() > 40, "{} events are no conversation", trace.len());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(7), run(7));
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(run(7), run(8));
}
