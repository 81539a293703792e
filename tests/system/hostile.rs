//! Hostile connections: what they cost, and what honest ones beside them see.

use super::harness::{Identity, Native, Raw, Refusal, Server, all_of, bounded};
use protocol::code::Code;
use protocol::limits::{MAX_FRAME, MAX_HALF_FRAMES_PER_ADDRESS};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Resident memory that a connection may take which has not logged in, in bytes.
const BEFORE_LOGIN: u64 = 6 * 1_024;

/// The nth address that stands for a stranger's.
fn address(n: usize) -> Ipv4Addr {
    let n = u16::try_from(n).expect("few").to_be_bytes();
    Ipv4Addr::new(127, 1, n[0], n[1].max(1))
}

/// Lets this process have as many sockets as the system allows.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The beginning of a frame for chat that is never completed.
fn half_frame(len: u32, part: usize) -> Vec<u8> {
    let mut frame = len.to_be_bytes().to_vec();
    frame.push(0x12);
    frame.resize(part, b'x');
    frame
}

#[tokio::test]
async fn a_connection_before_its_login_costs_at_most_six_kib() {
    bounded(120, async {
        raise_descriptors();
        const MANY: usize = 1_000;
        let server = Server::start().await;
        // What the first ones need is not of each.
        drop(all_of((0..100).map(|_| Raw::connect(server.addr()))).await);
        let mut costs = Vec::new();
        // Strangers are shown out after 5 s: on a slow machine the first have gone before the last have come.
        for _ in 0..10 {
            let before = server.memory();
            let begun = Instant::now();
            let open = all_of((0..MANY).map(|n| Raw::connect_from(address(n % 250), server.addr()))).await;
            sleep(Duration::from_millis(200)).await;
            let each = server.memory().saturating_sub(before) * 1_024 / MANY as u64;
            if begun.elapsed() < Duration::from_secs(5) {
                println!("{MANY} silent connections: {each} bytes each");
                costs.push(each);
                drop(open);
                break;
            }
            drop(open);
            sleep(Duration::from_secs(1)).await;
        }
        let each = costs.pop().expect("the connections were open together");
        assert!(each <= BEFORE_LOGIN, "{each} bytes each");
    })
    .await;
}

#[tokio::test]
async fn half_frames_of_one_address_hold_so_much_and_nobody_waits_long_for_them() {
    bounded(120, async {
        let server = Server::start().await;
        let here = address(7);
        let login = async |n: usize| {
            let mut raw = Raw::connect_from(here, server.addr()).await;
            raw.say(&Identity::new(&format!("holder-{n}")).hello()).await;
            raw.frame().await.expect("a welcome");
            raw
        };
        let mut honest = login(1_000).await;
        let mut holders = Vec::new();
        for n in 0..200 {
            holders.push(login(n).await);
        }
        let memory = server.memory();
        for raw in &mut holders {
            raw.send(&half_frame(MAX_FRAME, 10_000)).await;
        }
        let most = MAX_HALF_FRAMES_PER_ADDRESS as u64 / 1_024;
        for _ in 0..20 {
            sleep(Duration::from_millis(50)).await;
            let grown = server.memory().saturating_sub(memory);
            assert!(grown < most + 4 * 1_024, "{grown} KiB for half frames");
        }
        // A long line comes in two pieces, for which there must be room.
        let identity = Identity::new("honest");
        let mut native = Native::login(server.addr(), &identity).await;
        let room = native.lobby();
        native.settle().await;
        let line = protocol::message::ClientMsg::Post {
            counter: protocol::id::Counter::new(1).expect("a counter"),
            target: protocol::message::Target::Room { room },
            kind: protocol::entry::EntryKind::Text,
            reply_to: None,
            written: protocol::id::Millis(0),
            body: bytes::Bytes::from(vec![b'y'; 16_000]),
        };
        let bytes = line.encode();
        let begun = Instant::now();
        honest.send(&bytes[..9_000]).await;
        sleep(Duration::from_millis(100)).await;
        honest.send(&bytes[9_000..]).await;
        let acked = |msg| matches!(msg, protocol::message::ServerMsg::Ack { .. }).then_some(());
        honest.find(acked).await.expect("an acknowledgement");
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
        // Somebody had to go for it, and was told why.
        // All of them end: the slow for those who waited, the last ones because nothing more came.
        let all = all_of(holders.iter_mut().map(|raw| raw.find(|msg| Refusal::of(&msg)))).await;
        let codes: Vec<_> = all.iter().map(|refusal| refusal.as_ref().map(|refusal| refusal.code)).collect();
        assert!(
            codes.iter().all(|code| [Some(Code::Stalled), Some(Code::Silent)].contains(code)),
            "{codes:?}"
        );
        assert!(codes.contains(&Some(Code::Stalled)));
    })
    .await;
}

#[tokio::test]
async fn a_newcomer_finds_a_place_among_silent_strangers() {
    bounded(120, async {
        raise_descriptors();
        let server = Server::start_with(&["-m", "20", "--max-strangers", "100"]).await;
        let mut silent = Vec::new();
        for n in 0..280 {
            silent.push(Raw::connect_from(address(n % 3), server.addr()).await);
        }
        let begun = Instant::now();
        let alice = Native::enter(server.addr(), "alice").await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let mut told = Vec::new();
        for raw in &mut silent {
            told.extend(raw.find(|msg| Refusal::of(&msg)).await.map(|refusal| refusal.code));
        }
        assert!(told.contains(&Code::ServerFull), "those who had to leave are told");
        assert!(told.iter().all(|code| [Code::ServerFull, Code::LoginTimeout].contains(code)), "{told:?}");
        alice.leave().await;
    })
    .await;
}

/// What a hostile connection does, over and over, until its task is dropped.
async fn be_hostile(n: usize, server: std::net::SocketAddr) {
    loop {
        let mut raw = Raw::connect_from(address(n / 8), server).await;
        match n % 5 {
            // Says nothing.
            0 => while raw.frame().await.is_some() {},
            // Says its login byte by byte.
            1 => {
                for byte in Identity::new("slow").hello().encode() {
                    raw.send(&[byte]).await;
                    sleep(Duration::from_millis(50)).await;
                }
            }
            // Says what is no login.
            2 => {
                raw.send(&[u8::try_from(n % 256).expect("a byte"); 300]).await;
                while raw.frame().await.is_some() {}
            }
            // Stops half way through a frame before its login.
            3 => {
                raw.send(&half_frame(4_000, 3_900)).await;
                while raw.frame().await.is_some() {}
            }
            // And behind it.
            _ => {
                raw.say(&Identity::new("half").hello()).await;
                raw.send(&half_frame(MAX_FRAME, 60_000)).await;
                while raw.frame().await.is_some() {}
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn honest_people_are_heard_beside_hostile_connections() {
    bounded(120, async {
        raise_descriptors();
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        alice.settle().await;
        let memory = server.memory();
        let hostile: Vec<_> = (0..400).map(|n| tokio::spawn(be_hostile(n, server.addr()))).collect();
        let mut slowest = Duration::ZERO;
        for n in 0..50 {
            let begun = Instant::now();
            alice.say(room, &format!("line {n}"));
            bob.hears(&format!("line {n}")).await;
            slowest = slowest.max(begun.elapsed());
            sleep(Duration::from_millis(100)).await;
        }
        let begun = Instant::now();
        let carol = Native::enter(server.addr(), "carol").await;
        let login = begun.elapsed();
        println!(
            "slowest line {slowest:?}, login {login:?}, {} KiB more",
            server.memory().saturating_sub(memory)
        );
        assert!(slowest < Duration::from_secs(5) && login < Duration::from_secs(5), "{slowest:?} {login:?}");
        assert!(server.memory().saturating_sub(memory) < 64 * 1_024);
        carol.leave().await;
        hostile.iter().for_each(tokio::task::JoinHandle::abort);
        Native::enter(server.addr(), "dave").await.leave().await;
    })
    .await;
}
