//! Places: how many connections there may be of all, of an address and of a person, and who keeps or gets one.

use super::harness::{Classic, Identity, Native, Raw, Refusal, Server, all_of, bounded};
use protocol::code::Code;
use protocol::limits::{MAX_BULK_PER_PERSON, MAX_DEVICES};
use std::net::Ipv4Addr;

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The refusal that ends a connection.
async fn refused(raw: &mut Raw) -> Code {
    let refusal = raw.find(|msg| Refusal::of(&msg)).await.expect("a reason");
    assert!(refusal.close, "{refusal:?}");
    refusal.code
}

/// The refusal of a login.
async fn login_refused(server: &Server, identity: &Identity) -> Code {
    let mut raw = Raw::connect(server.addr()).await;
    raw.say(&identity.hello()).await;
    refused(&mut raw).await
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_the_log_counts_those_beyond_them() {
    bounded(60, async {
        let server = Server::start_with(&["--max-per-address", "3"]).await;
        let identities: Vec<_> = (0..3).map(|n| Identity::new(&format!("stranger-{n}"))).collect();
        let mut open = Vec::new();
        for identity in &identities {
            let mut raw = Raw::connect_from(ELSEWHERE, server.addr()).await;
            raw.say(&identity.hello()).await;
            raw.frame().await.expect("it is welcome");
            open.push(raw);
        }
        for _ in 0..20 {
            let mut raw = Raw::connect_from(ELSEWHERE, server.addr()).await;
            assert_eq!(refused(&mut raw).await, Code::AddressFull);
        }
        // Another address, and this machine itself, are not concerned.
        Raw::connect_from(Ipv4Addr::new(127, 0, 0, 3), server.addr()).await.say(&identities[0].hello()).await;
        let _friends =
            all_of((0..5).map(|n| Native::enter(server.addr(), ["a", "b", "c", "d", "e"][n]))).await;
        let told = |lines: &[String]| {
            lines
                .iter()
                .filter_map(|line| line.split("address_full ").nth(1)?.parse::<u32>().ok())
                .sum::<u32>()
        };
        server.err().until("all that were refused", |lines| told(lines) == 20).await;
        assert!(server.err().lines().iter().filter(|line| line.contains("address_full")).count() <= 3);
    })
    .await;
}

#[tokio::test]
async fn a_tenth_of_the_places_is_left_for_known_people_and_a_known_device_takes_over_when_all_are_taken() {
    bounded(60, async {
        let server = Server::start_with(&["-m", "10"]).await;
        let (alice, bob) = (Identity::new("alice"), Identity::new("bob"));
        for identity in [&alice, &bob] {
            // Who has said something is known from then on.
            let client = Native::login(server.addr(), identity).await;
            client.say(client.lobby(), "hello");
            client.acked(1).await;
            client.leave().await;
        }
        let mut guests = Vec::new();
        for n in 0..9 {
            guests.push(Classic::enter(server.addr(), &format!("guest-{n}")).await);
        }
        assert_eq!(login_refused(&server, &Identity::new("new")).await, Code::ServerFull);
        let older = Native::login(server.addr(), &alice).await;
        assert_eq!(login_refused(&server, &bob).await, Code::ServerFull, "all places are taken");
        // Her link may be half open: nobody else has to leave for her to come back.
        let newer = Native::login(server.addr(), &alice).await;
        assert_eq!(older.refusal().await.code, Code::Fenced);
        newer.leave().await;
        Native::login(server.addr(), &bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_person_has_so_many_connections_for_files() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Identity::new("alice");
        let _chat = Native::login(server.addr(), &alice).await;
        let login = async |identity: &Identity| {
            let mut raw = Raw::connect_bulk(server.addr()).await;
            raw.say(&identity.hello_bulk()).await;
            raw
        };
        let mut open = Vec::new();
        for _ in 0..MAX_BULK_PER_PERSON {
            let mut raw = login(&alice.other_device()).await;
            raw.frame().await.expect("a welcome");
            open.push(raw);
        }
        assert_eq!(refused(&mut login(&alice).await).await, Code::ServerFull);
        let bob = Identity::new("bob");
        let _chat = Native::login(server.addr(), &bob).await;
        let mut bobs = login(&bob).await;
        let welcome = |msg| matches!(msg, protocol::message::ServerMsg::Welcome { .. }).then_some(());
        bobs.find(welcome).await.expect("others have theirs");
        drop(open.pop());
        // The server finds out that the connection has ended in its own time.
        for _ in 0..1_000 {
            if login(&alice).await.find(|msg| Some(Refusal::of(&msg).is_none())).await == Some(true) {
                return;
            }
        }
        panic!("the place of a connection that has ended is not given back");
    })
    .await;
}

#[tokio::test]
async fn a_person_has_so_many_devices_and_the_oldest_that_never_posted_is_forgotten() {
    bounded(60, async {
        let server = Server::start().await;
        let first = Identity::new("alice");
        let mut chat = Native::login(server.addr(), &first).await;
        chat.say(chat.lobby(), "hello");
        chat.acked(1).await;
        chat.settle().await;
        chat.leave().await;
        let device = async |identity: &Identity| {
            let mut raw = Raw::connect(server.addr()).await;
            raw.say(&identity.hello()).await;
            let welcome = raw.find(|msg| match msg {
                protocol::message::ServerMsg::Welcome { device, last_counter, .. } => {
                    Some((device, last_counter))
                }
                _ => None,
            });
            welcome.await.expect("a welcome")
        };
        let (of_first, _) = device(&first).await;
        let second = first.other_device();
        let (of_second, _) = device(&second).await;
        for _ in 0..MAX_DEVICES {
            device(&first.other_device()).await;
        }
        let (again, counter) = device(&first).await;
        assert_eq!((again, counter.map(protocol::id::Counter::value)), (of_first, Some(1)), "it has posted");
        assert_ne!(device(&second).await.0, of_second);
    })
    .await;
}

#[tokio::test]
async fn all_devices_of_a_person_may_be_connected_and_the_next_is_refused() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Identity::new("alice");
        let mut open = vec![Native::login(server.addr(), &alice).await];
        for _ in 1..MAX_DEVICES {
            open.push(Native::login(server.addr(), &alice.other_device()).await);
        }
        assert_eq!(login_refused(&server, &alice.other_device()).await, Code::ServerFull);
        open.remove(3).leave().await;
        Native::login(server.addr(), &alice.other_device()).await;
    })
    .await;
}
