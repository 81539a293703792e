//! Every error code is provoked from a server by a test, those here that need a server in an unusual state.

use super::harness::{Bent, Identity, Native, Raw, Refusal, bounded};
use super::slow_store::Here;
use protocol::code::Code;
use protocol::id::{Req, RunId};
use protocol::limits::rates::Bucket;
use protocol::limits::{ARRIVAL_MS, BUSY_MS, MAX_ROOMS};
use protocol::message::{Attempt, ClientMsg};
use server::clock::{Clock, Now, SystemClock};
use server::config::Plaintext;
use server::listener::Listen;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Which test in which file provokes each code. The code stands in that file or in one of its modules.
const PROVOKED: [(Code, &str, &str); 49] = [
    (Code::BadFirstByte, "bad_input", "before_the_login_everything_bad_closes_with_its_code"),
    (Code::EmptyFrame, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::FrameTooLarge, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::UnknownType, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::Malformed, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::BadUtf8, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::BadNumber, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::Unsupported, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::LoginFirst, "bad_input", "before_the_login_everything_bad_closes_with_its_code"),
    (Code::AlreadyLoggedIn, "bad_input", "bad_frames_after_the_login_get_their_codes"),
    (Code::Version, "bad_input", "before_the_login_everything_bad_closes_with_its_code"),
    (Code::LoginTimeout, "heartbeat", "a_stranger_who_says_nothing_is_shown_out"),
    (Code::Silent, "heartbeat", "a_silent_connection_is_closed_after_the_time_that_welcome_told"),
    (Code::PlaintextRefused, "codes", "plaintext_from_elsewhere_is_refused_unless_the_operator_allows_it"),
    (Code::NoTls, "bad_input", "before_the_login_everything_bad_closes_with_its_code"),
    (Code::ServerFull, "limits", "a_full_server_says_so_and_lets_the_next_in_when_somebody_leaves"),
    (Code::AddressFull, "codes", "an_address_has_so_many_connections_and_is_told_at_the_next"),
    (Code::Fenced, "exactly_once", "a_newer_connection_of_a_device_fences_the_older_one"),
    (Code::WrongPurpose, "bulk_refusals", "a_second_transfer_is_refused_by_its_own_id_and_the_first_goes_on"),
    (Code::Stalled, "codes", "a_frame_that_stops_half_way_is_stalled"),
    (Code::Busy, "codes", "who_comes_back_while_the_store_stands_still_is_asked_to_come_later"),
    (Code::InUse, "codes", "who_wants_a_free_device_only_does_not_take_it_over"),
    (Code::BadName, "rooms", "a_person_may_take_another_free_name"),
    (Code::NameTaken, "rooms", "a_person_may_take_another_free_name"),
    (Code::NoSuchRoom, "bad_input", "bad_requests_are_refused_and_the_connection_goes_on"),
    (Code::NotAMember, "rooms", "who_parts_hears_and_says_nothing_more_there"),
    (Code::NoSuchPerson, "rooms", "whois_tells_what_is_known_of_a_person"),
    (
        Code::NotAllowed,
        "revisions",
        "a_refused_edit_counts_for_nothing_and_what_came_behind_it_is_sent_again",
    ),
    (Code::TooManyRooms, "limits", "a_person_is_in_so_many_rooms_and_no_more"),
    (Code::NoMoreRooms, "codes", "a_server_has_so_many_rooms_and_no_more"),
    (Code::NotOpen, "bad_input", "bad_requests_are_refused_and_the_connection_goes_on"),
    (Code::Blocked, "blocks", "nobody_who_is_blocked_writes_to_one_directly"),
    (Code::OutOfOrder, "exactly_once", "a_gap_in_the_counters_is_refused_and_the_expected_one_is_told"),
    (Code::BodyTooLarge, "bad_input", "bad_requests_are_refused_and_the_connection_goes_on"),
    (Code::BadText, "exactly_once", "a_refused_post_leaves_its_counter_to_the_next"),
    (Code::EmptyText, "exactly_once", "a_refused_post_leaves_its_counter_to_the_next"),
    (Code::BadKind, "bad_input", "bad_requests_are_refused_and_the_connection_goes_on"),
    (Code::TooFast, "codes", "who_seeks_too_much_at_once_is_told_how_long_to_wait"),
    (Code::NoSuchEntry, "offers", "a_file_does_not_end_the_offer_of_another"),
    (Code::TooBroad, "bad_input", "bad_requests_are_refused_and_the_connection_goes_on"),
    (
        Code::OtherContent,
        "exactly_once",
        "another_text_under_a_used_number_is_refused_and_drops_nothing_behind_it",
    ),
    (Code::Unanswered, "room_ends", "so_many_strangers_wait_for_an_answer_and_friends_get_through"),
    (Code::DiskFull, "codes", "a_store_without_room_refuses_what_is_said"),
    (Code::Damaged, "damaged_rows", "a_damaged_room_person_or_device_alone_is_closed"),
    (Code::NoSuchFile, "resume", "a_hash_alone_opens_nothing"),
    (Code::Quota, "offers", "quotas_refuse_before_a_byte_and_what_is_deleted_makes_room"),
    (Code::WrongContent, "resume", "what_is_not_as_announced_is_refused"),
    (Code::NoSuchTransfer, "offers", "an_offer_is_of_an_upload_of_its_author_that_goes_there"),
    (Code::FileTooLarge, "bulk_refusals", "a_file_over_the_limit_is_refused_with_the_limit"),
];

/// The sources of a file of this folder and of its modules.
fn source(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/system");
    let mut source = std::fs::read_to_string(format!("{folder}/{file}.rs")).expect("the file is there");
    if let Ok(modules) = std::fs::read_dir(format!("{folder}/{file}")) {
        for module in modules {
            let path = module.expect("a folder is listed").path();
            source.push_str(&std::fs::read_to_string(path).expect("a module is read"));
        }
    }
    source
}

#[test]
fn every_code_of_the_table_is_provoked_by_a_test() {
    let codes: Vec<_> = PROVOKED.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, Code::ALL, "each code once, in the order of the table");
    for (code, file, test) in PROVOKED {
        let source = source(file);
        // Not in the table above, which is in one of the files.
        let named = source.matches(&format!("Code::{code:?}")).count();
        assert!(named > usize::from(file == "codes"), "{code:?} is not looked for in {file}");
        assert!(source.contains(&format!("fn {test}()")), "{file} has no {test}");
    }
}

/// A listener whose connections seem to come from elsewhere.
struct Elsewhere(TcpListener);

/// An address of a documentation network (RFC 5737).
const FAR: ([u8; 4], u16) = ([192, 0, 2, 7], 4_000);

impl Listen for Elsewhere {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    async fn accept(&mut self) -> std::io::Result<(OwnedReadHalf, OwnedWriteHalf, SocketAddr)> {
        let (read, write, _) = Listen::accept(&mut self.0).await?;
        Ok((read, write, FAR.into()))
    }
}

async fn elsewhere(plaintext: Plaintext) -> Here {
    Here::start_behind(Elsewhere, Bent::new(), Arc::new(SystemClock::start()), plaintext).await
}

/// Time that can be made to have passed, by so many ms.
struct Ahead(SystemClock, AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Now {
        let (now, ahead) = (self.0.now(), self.1.load(Ordering::Relaxed));
        Now { steady: now.steady.after(ahead), ..now }
    }
}

async fn refusal_of(raw: &mut Raw) -> Refusal {
    raw.find(|msg| Refusal::of(&msg)).await.expect("a reason")
}

#[tokio::test]
async fn plaintext_from_elsewhere_is_refused_unless_the_operator_allows_it() {
    bounded(60, async {
        let server = elsewhere(Plaintext::Loopback).await;
        let mut raw = Raw::connect(server.addr).await;
        raw.say(&Identity::new("alice").hello()).await;
        let refusal = refusal_of(&mut raw).await;
        assert_eq!((refusal.code, refusal.close), (Code::PlaintextRefused, true));
        assert_eq!(raw.frame().await, None);
        server.kill();
        let server = elsewhere(Plaintext::Anywhere).await;
        Native::login(server.addr, &Identity::new("alice")).await.leave().await;
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_is_told_at_the_next() {
    bounded(120, async {
        const MOST: usize = 50;
        let server = Here::start_with_places(Elsewhere, Bent::new(), MOST).await;
        // Strangers are shown out after a while: on a slow machine the first may be gone before the last has come.
        for _ in 0..5 {
            let mut open = Vec::new();
            while open.len() < MOST {
                open.push(TcpStream::connect(server.addr).await.expect("the server listens"));
            }
            let refusal = refusal_of(&mut Raw::connect(server.addr).await).await;
            if (refusal.code, refusal.close) == (Code::AddressFull, true) {
                return server.kill();
            }
            assert_eq!(refusal.code, Code::LoginTimeout);
        }
        panic!("never full");
    })
    .await;
}

#[tokio::test]
async fn a_classic_client_that_has_sent_a_file_may_be_silent() {
    bounded(120, async {
        let clock = Arc::new(Ahead(SystemClock::start(), AtomicU64::new(0)));
        let server = Here::start_at(Bent::new(), clock.clone()).await;
        let mut raw = Raw::connect(server.addr).await;
        raw.send(&protocol::classic::ClassicMsg::Join("alice").encode()).await;
        raw.frame().await.expect("it is greeted");
        raw.send(&protocol::frame::frame(protocol::classic::ty::FILE, b"a.txt::hello")).await;
        let (_, line) = raw.frame().await.expect("it is stored");
        assert!(line.starts_with(b"[Server] You sent"), "{line:?}");
        for _ in 0..30 {
            clock.1.fetch_add(1_000, Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        raw.send(&protocol::frame::frame(protocol::classic::ty::TEXT, b"/topic")).await;
        let (_, line) = raw.frame().await.expect("it is still there");
        assert_eq!(line, &b"[Server] There is no topic here."[..]);
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_stops_half_way_is_stalled() {
    bounded(120, async {
        let clock = Arc::new(Ahead(SystemClock::start(), AtomicU64::new(0)));
        let server = Here::start_at(Bent::new(), clock.clone()).await;
        let mut raw = Raw::connect(server.addr).await;
        // A classic client has no heartbeat: only the frame that stops is held against it.
        raw.send(&protocol::classic::ClassicMsg::Join("alice").encode()).await;
        raw.frame().await.expect("it is greeted");
        raw.send(&[0, 0, 0, 9, 1, b'h', b'a']).await;
        let ended = async {
            while let Some((_, line)) = raw.frame().await {
                if line.ends_with(Code::Stalled.text().as_bytes()) {
                    return;
                }
            }
            panic!("the connection ended without the reason");
        };
        let passes = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                clock.1.fetch_add(1_000, Ordering::Relaxed);
            }
        };
        tokio::select! { () = ended => {}, () = passes => {} }
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_while_the_store_stands_still_is_asked_to_come_later() {
    bounded(60, async {
        let (store, clock) = (Bent::new(), Arc::new(Ahead(SystemClock::start(), AtomicU64::new(0))));
        let server = Here::start_at(store.clone(), clock.clone()).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        store.open.send_replace(false);
        alice.say(alice.lobby(), "on its way");
        alice.settle().await;
        let mut again = Raw::connect(server.addr).await;
        again.say(&identity.hello()).await;
        assert_eq!(alice.refusal().await.code, Code::Fenced, "the login was heard");
        clock.1.store(ARRIVAL_MS, Ordering::Relaxed);
        let refusal = refusal_of(&mut again).await;
        assert_eq!((refusal.code, refusal.close, refusal.detail), (Code::Busy, true, u64::from(BUSY_MS)));
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn who_wants_a_free_device_only_does_not_take_it_over() {
    bounded(60, async {
        let server = Here::start(Bent::new()).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        let mut hello = identity.hello();
        if let ClientMsg::Hello { attempt, .. } = &mut hello {
            *attempt = Some(Attempt { run: RunId([2; 16]), number: 1, only_if_free: true, errand: false });
        }
        let mut other = Raw::connect(server.addr).await;
        other.say(&hello).await;
        let refusal = refusal_of(&mut other).await;
        assert_eq!((refusal.code, refusal.close), (Code::InUse, true));
        alice.settle().await;
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_server_has_so_many_rooms_and_no_more() {
    bounded(60, async {
        let server = Here::start(Bent::with_rooms(MAX_ROOMS)).await;
        let mut alice = Native::login(server.addr, &Identity::new("alice")).await;
        let refused = alice.ask(|req| ClientMsg::Join { req, name: "one-more".to_owned() }).await;
        assert_eq!(refused.expect_err("too many").code, Code::NoMoreRooms);
        alice.join("r7").await;
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn who_seeks_too_much_at_once_is_told_how_long_to_wait() {
    bounded(60, async {
        // Nobody on the server's own machine is too fast for it.
        let server = elsewhere(Plaintext::Anywhere).await;
        let alice = Native::login(server.addr, &Identity::new("alice")).await;
        let (room, rate) = (Some(alice.lobby()), Bucket::Searches.of_person());
        for n in 0..2 * rate.burst {
            let (req, words) = (Req(1_000 + n), "tea".to_owned());
            alice.send(&ClientMsg::Search { req, room, words, limit: 1, before_room: None, before: None });
        }
        let refusal = alice.refusal().await;
        assert_eq!((refusal.code, refusal.close), (Code::TooFast, false));
        assert!((1..=u64::from(rate.every_ms)).contains(&refusal.detail), "{refusal:?}");
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_store_without_room_refuses_what_is_said() {
    bounded(60, async {
        let store = Bent::new();
        let server = Here::start(store.clone()).await;
        let alice = Native::login(server.addr, &Identity::new("alice")).await;
        store.full.send_replace(true);
        let counter = alice.say(alice.lobby(), "no room for this").value();
        let refusal = alice.refusal().await;
        assert_eq!((refusal.code, refusal.req, refusal.close), (Code::DiskFull, counter, false));
        server.kill();
    })
    .await;
}
