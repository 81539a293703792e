//! The session against a server that says what a test wants.

mod again;
mod again_later;
mod awaited;
mod changes;
mod comings;
mod offers;
mod places;
mod reading;
pub(super) mod scripted;
mod seek;
mod shelf;
mod transfers;
mod typing;

use super::event::{End, Event, Loss, Said};
use super::*;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Counter, RoomId, Seq};
use protocol::message::{OpenFrom, Target, TrimReason, ty};
use scripted::{EPOCH, LOBBY, Scripted, counter, entry, info, seq};

fn texts(events: &[Event]) -> Vec<&str> {
    let said = events.iter().filter_map(|event| match event {
        Event::Said(Said { text, .. }) => Some(text.as_str()),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_new_client_opens_its_rooms_a_little_before_their_end() {
    let mut client = Scripted::new();
    client.connect();
    client.log_in(None);
    assert_eq!(client.opens(), [(LOBBY, OpenFrom::Last { count: 20 })]);
    client.opened(LOBBY, Some(30), 11);
    client.entries(LOBBY, 11..=30);
    let events = client.events();
    assert_eq!(texts(&events).len(), 20);
    assert!(!events.iter().any(|event| matches!(event, Event::Resumed(_))));
}

#[test]
fn a_reconnection_goes_on_after_the_last_entry_and_gives_its_account() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=3);
    client.disconnect();
    client.connect();
    client.log_in(None);
    assert_eq!(client.opens(), [(LOBBY, OpenFrom::After { epoch: EPOCH, seq: Some(seq(3)) })]);
    client.events();
    client.opened(LOBBY, Some(40), 4);
    client.entries(LOBBY, 3..=40);
    let events = client.events();
    assert_eq!(texts(&events).len(), 37);
    let tally = Tally { missed: 37, lost: 0, doubled: 1 };
    assert_eq!(events.last(), Some(&Event::Resumed(tally)));
}

#[test]
fn what_the_server_leaves_out_is_counted_and_told() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=3);
    client.disconnect();
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(10), 6);
    client.entries(LOBBY, 6..=10);
    let events = client.events();
    assert!(events.contains(&Event::Gap { place: Place::Room("lobby".into()), missing: 2 }), "{events:?}");
    assert!(events.contains(&Event::Resumed(Tally { missed: 5, lost: 2, doubled: 0 })), "{events:?}");
}

#[test]
fn trimmed_history_is_told_and_not_called_lost() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=3);
    client.disconnect();
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(10), 8);
    client.say(ServerMsg::Trimmed { room: LOBBY, reason: TrimReason::Trimmed, first: seq(8) });
    client.entries(LOBBY, 8..=10);
    let events = client.events();
    let trimmed = Event::Trimmed { place: Place::Room("lobby".into()), first: seq(8), gone: 4 };
    assert!(events.contains(&trimmed), "{events:?}");
    assert!(events.contains(&Event::Resumed(Tally { missed: 3, lost: 0, doubled: 0 })), "{events:?}");
}

#[test]
fn nothing_is_sent_before_it_is_kept() {
    let mut client = Scripted::ready();
    client.session.handle_line("hi", client.now);
    assert_eq!(client.session.poll_transmit(client.now), None);
    assert!(matches!(client.session.poll_save(), Some(Save::Append(_))));
    while client.session.poll_save().is_some() {}
    assert!(matches!(client.session.poll_transmit(client.now), Some(ClientMsg::Post { .. })));
}

#[test]
fn a_post_is_resent_with_its_number_until_it_is_acknowledged() {
    let mut client = Scripted::ready();
    client.line("hi");
    assert_eq!(client.posts(), [(1, "hi".into())]);
    client.disconnect();
    client.connect();
    client.log_in(None);
    assert_eq!(client.posts(), [(1, "hi".into())]);
    client.disconnect();
    client.connect();
    client.log_in(Some(1));
    assert_eq!(client.posts(), []);
    assert_eq!(client.session.pending().count(), 0);
}

#[test]
fn a_line_typed_offline_shows_as_pending_at_once_and_a_slow_one_later() {
    let mut client = Scripted::ready();
    client.line("slow");
    assert!(client.events().is_empty());
    client.pass(600);
    assert!(matches!(&client.events()[..], [Event::Pending { text, .. }] if text == "slow"));
    client.disconnect();
    client.events();
    client.line("offline");
    assert!(matches!(&client.events()[..], [Event::Pending { text, .. }] if text == "offline"));
}

#[test]
fn a_new_history_is_told_and_read_from_the_oldest() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=3);
    client.line("sent");
    client.disconnect();
    client.line("never sent");
    client.epoch = protocol::id::Epoch([7; 16]);
    client.connect();
    client.events();
    client.log_in(None);
    assert_eq!(client.opens(), [(LOBBY, OpenFrom::After { epoch: client.epoch, seq: None })]);
    let events = client.events();
    assert!(events.contains(&Event::NewHistory), "{events:?}");
    assert!(
        events.iter().any(|event| matches!(event, Event::Uncertain { text, .. } if text == "sent")),
        "{events:?}"
    );
    assert_eq!(client.posts(), [(1, "never sent".into())]);
}

#[test]
fn rooms_of_a_lost_history_are_joined_again_before_what_waits_for_them_is_sent() {
    let mut client = Scripted::ready();
    client.line("/join dev");
    let dev = RoomId::FIRST.next();
    client.added(dev, "dev");
    client.opened(dev, None, 1);
    client.disconnect();
    client.line("in dev");
    client.epoch = protocol::id::Epoch([7; 16]);
    client.connect();
    client.log_in(None);
    assert_eq!(client.posts(), []);
    assert_eq!(client.joins(), ["dev"]);
    let other = RoomId::FIRST.next().next();
    client.added(other, "dev");
    assert_eq!(client.posts(), [(1, "in dev".into())]);
    assert_eq!(client.targets(), [Target::Room { room: other }]);
}

#[test]
fn a_room_that_was_left_on_another_device_is_told_when_the_connection_is_back() {
    let mut client = Scripted::ready();
    client.line("/join dev");
    let dev = RoomId::FIRST.next();
    client.added(dev, "dev");
    client.opened(dev, None, 1);
    client.events();
    client.disconnect();
    client.connect();
    client.log_in(None);
    let left: Vec<_> =
        client.events().into_iter().filter(|event| matches!(event, Event::Left { .. })).collect();
    assert_eq!(left, [Event::Left { place: Place::Room("dev".into()) }]);
}

#[test]
fn a_message_to_a_stranger_waits_until_they_are_looked_up() {
    let mut client = Scripted::ready();
    client.line("/msg zoe hi");
    assert_eq!(client.posts(), []);
    client.whois("zoe", 9);
    assert_eq!(client.posts(), [(1, "hi".into())]);
    client.line("/msg nobody hi");
    client.refuse_last(Code::NoSuchPerson);
    let events = client.events();
    let refused = |event: &Event| matches!(event, Event::Refused { text, .. } if text == "hi");
    assert!(events.iter().any(refused), "{events:?}");
    assert_eq!(client.session.pending().count(), 1);
}

#[test]
fn a_scripts_next_line_never_goes_to_another_place_than_it_asked_for() {
    let mut client = Scripted::ready();
    client.line("/query nobody");
    assert!(!client.session.wants_input());
    client.refuse_last(Code::NoSuchPerson);
    client.line("a secret");
    assert_eq!(client.posts(), []);
    client.refuse_last(Code::NoSuchPerson);
    assert_eq!(client.session.pending().count(), 0);
}

#[test]
fn a_refused_post_is_told_and_those_behind_it_go_on() {
    let mut client = Scripted::ready();
    for line in ["a", "b", "c"] {
        client.line(line);
    }
    client.posts();
    client.refuse_post(1, Code::BadText, 0);
    client.refuse_post(2, Code::OutOfOrder, 1);
    assert_eq!(client.posts(), []);
    client.refuse_post(3, Code::OutOfOrder, 1);
    assert_eq!(client.posts(), [(1, "b".into()), (2, "c".into())]);
    assert!(matches!(&client.events()[..], [Event::Refused { text, .. }] if text == "a"));
}

#[test]
fn a_refusal_that_was_not_shown_is_told_by_the_next_process_until_it_is() {
    let mut client = Scripted::ready();
    client.line("a");
    client.line("b");
    client.refuse_post(1, Code::BadText, 0);
    let mut journal = client.journal;
    // An errand goes on with nothing but its own, and its script must hear that it failed.
    for (errand, told, shown) in [(false, 1, false), (true, 1, false), (false, 1, true), (false, 0, true)] {
        let mut client = Scripted::after(&journal);
        if errand {
            client.session.run_errand();
        }
        client.connect();
        client.log_in(None);
        assert_eq!(client.posts(), [(1, "b".into())], "what was refused is not sent again");
        let events = client.events();
        let refused = |event: &&Event| matches!(event, Event::Refused { text, .. } if text == "a");
        assert_eq!(events.iter().filter(refused).count(), told, "{events:?}");
        assert_eq!(client.session.refusals(), u64::from(errand));
        if shown {
            client.show_all();
        }
        journal = client.journal;
    }
}

#[test]
fn a_fenced_client_does_not_fight_back() {
    let mut client = Scripted::ready();
    client.refuse(Code::Fenced, 0, 0, true);
    client.disconnect();
    assert_eq!(client.session.end(), None);
    assert_eq!(client.session.take_stay_away(), 30_000);
    assert_eq!(client.events(), [Event::Lost(Loss::Fenced)], "an older server says no more");
    // The device is not free: it looks again later, and later still.
    for wait in [60_000, 120_000, 240_000, 480_000, 480_000] {
        assert!(client.connect_cautiously());
        client.refuse(Code::InUse, 0, 0, true);
        client.disconnect();
        assert_eq!(client.session.take_stay_away(), wait);
    }
    client.connect();
    client.log_in(None);
    assert_eq!(client.session.fences(), 1);
    client.disconnect();
    assert!(!client.connect_cautiously(), "it was free, and is this client's again");
}

#[test]
fn a_fenced_client_says_who_took_over_and_since_when_once() {
    let mut client = Scripted::ready();
    let by = "device 2 of alice is connected from 192.0.2.7".to_owned();
    let (code, about, req, close) = (Code::Fenced.number(), 0, 0, true);
    client.say(ServerMsg::Error { code, about, req, close, detail: 1_783_087_509_000, text: by.clone() });
    client.disconnect();
    let told = Event::Fenced { by: by.clone(), since: Millis(1_783_087_509_000) };
    assert_eq!(client.events(), [told, Event::Lost(Loss::Fenced)]);
    client.connect();
    let code = Code::InUse.number();
    client.say(ServerMsg::Error { code, about, req, close, detail: 1_783_087_509_000, text: by });
    client.disconnect();
    assert_eq!(client.events(), [], "who looks whether it is free need not be told again");
}

#[test]
fn a_busy_server_is_come_back_to_also_before_the_first_login() {
    let mut client = Scripted::new();
    client.connect();
    client.say_busy(2_000);
    client.disconnect();
    assert_eq!(client.session.end(), None);
    assert_eq!(client.session.take_stay_away(), 2_000);
    client.connect();
    client.log_in(None);
    assert_eq!(client.session.logins(), 1);
}

#[test]
fn a_line_whose_number_another_post_has_is_told_and_the_next_one_goes_on_from_there() {
    let mut client = Scripted::ready();
    client.line("mine");
    assert_eq!(client.posts(), [(1, "mine".to_owned())]);
    client.refuse_post(1, Code::OtherContent, 9);
    let events = client.events();
    let told = |event: &Event| matches!(event, Event::Refused { text, .. } if text == "mine");
    assert!(events.iter().any(told), "{events:?}");
    client.line("next");
    assert_eq!(client.posts(), [(9, "next".to_owned())]);
}

#[test]
fn a_login_that_is_refused_ends_the_session_and_a_later_one_does_not() {
    let mut client = Scripted::new();
    client.connect();
    client.refuse(Code::PlaintextRefused, 0, 0, true);
    assert!(matches!(client.session.end(), Some(End::Refused(_))));
    let mut client = Scripted::ready();
    client.disconnect();
    client.connect();
    client.refuse(Code::ServerFull, 0, 0, true);
    client.disconnect();
    assert_eq!(client.session.end(), None);
}

#[test]
fn what_answers_before_a_login_is_told_apart() {
    for loss in [Loss::Garbled, Loss::Closed] {
        let mut client = Scripted::new();
        client.connect();
        client.session.handle_disconnected(loss, client.now);
        assert_eq!(client.session.end(), Some(&End::NoLogin(loss)));
    }
}

#[test]
fn kept_cursors_follow_what_was_shown_not_what_came() {
    let mut client = Scripted::ready();
    client.show_all();
    client.entries(LOBBY, 1..=3);
    client.pass(1_000);
    assert_eq!(client.kept_position(LOBBY), Some(None));
    client.show_all();
    client.pass(1_000);
    assert_eq!(client.kept_position(LOBBY), Some(Some(seq(3))));
}

#[test]
fn leaving_waits_until_all_is_acknowledged_and_seen() {
    let mut client = Scripted::ready();
    client.line("bye");
    client.session.handle_leave(None, client.now);
    assert_eq!(client.session.end(), None);
    client.say(ServerMsg::Ack { counter: counter(1), room: None, seq: None });
    assert_eq!(client.session.end(), None);
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(1, "bye", Some(1))] });
    assert_eq!(client.session.end(), Some(&End::Quit));
}

#[test]
fn an_impatient_user_leaves_what_is_pending_in_the_outbox() {
    let mut client = Scripted::ready();
    client.line("bye");
    client.session.handle_leave(Some(2_000), client.now);
    client.pass(2_000);
    assert_eq!(client.session.end(), Some(&End::Quit));
    assert_eq!(client.events().last(), Some(&Event::Leaving { pending: 1 }));
}

#[test]
fn who_is_hidden_is_not_shown_but_read() {
    let mut client = Scripted::ready();
    client.line("/ignore eve");
    client.entries(LOBBY, 1..=2);
    assert!(texts(&client.events()).is_empty());
    client.disconnect();
    client.connect();
    client.log_in(None);
    assert_eq!(client.opens(), [(LOBBY, OpenFrom::After { epoch: EPOCH, seq: Some(seq(2)) })]);
}

#[test]
fn the_first_direct_message_opens_its_room_from_the_oldest() {
    let mut client = Scripted::ready();
    let room = RoomId::FIRST.next();
    client.added_direct(room, "bob", 7);
    assert_eq!(client.opens(), [(room, OpenFrom::After { epoch: EPOCH, seq: None })]);
}

#[test]
fn an_unknown_command_is_never_sent() {
    let mut client = Scripted::ready();
    client.line("/jion dev");
    assert_eq!(client.sent(), []);
    assert!(matches!(&client.events()[..], [Event::Mistake { hint, .. }] if hint.contains("/join")));
}

#[test]
fn two_slashes_say_one() {
    let mut client = Scripted::ready();
    client.line("//etc");
    assert_eq!(client.posts(), [(1, "/etc".into())]);
}

#[test]
fn a_reply_goes_to_the_last_line_of_somebody_else() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=2);
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(3, "mine", Some(1))] });
    client.line("/reply yes");
    let replies = client.sent().into_iter().filter_map(|message| match message {
        ClientMsg::Post { reply_to, .. } => reply_to,
        _ => None,
    });
    assert_eq!(replies.collect::<Vec<Seq>>(), [seq(2)]);
}

#[test]
fn every_command_does_something() {
    for spec in protocol::command::COMMANDS {
        let mut client = Scripted::ready();
        client.entries(LOBBY, 1..=1);
        client.events();
        let argument = match spec.name {
            "join" | "part" | "who" => "lobby",
            "history" => "1h",
            "edit" => "#1 eve",
            "delete" | "jump" => "#1",
            "help" => "help",
            "msg" => "eve hi",
            "unignore" | "unblock" => "eve",
            "back" | "list" | "motd" | "clear" | "quit" => "",
            _ => "eve",
        };
        client.line(&format!("/{} {argument}", spec.name));
        let moves = client.session.poll_upload().is_some();
        let done = moves
            || !client.sent().is_empty()
            || !client.events().is_empty()
            || client.session.end().is_some();
        assert!(done, "/{}", spec.name);
    }
}

#[test]
fn a_silent_server_is_dead_and_a_silent_client_pings() {
    let mut client = Scripted::ready();
    client.pass(5_000);
    assert!(matches!(client.sent()[..], [ClientMsg::Ping { .. }]));
    assert!(!client.session.is_dead(client.now));
    client.pass(10_000);
    assert!(client.session.is_dead(client.now));
}

#[test]
fn an_oversized_line_is_not_sent() {
    let mut client = Scripted::ready();
    client.line(&"x".repeat(20_000));
    assert_eq!(client.posts(), []);
    assert!(matches!(&client.events()[..], [Event::Mistake { .. }]));
}

#[test]
fn entry_kinds_of_later_versions_still_move_the_cursor() {
    let mut client = Scripted::ready();
    let mut odd = entry(1, "?", None);
    odd.kind = EntryKind::Other(99);
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![odd] });
    client.entries(LOBBY, 2..=2);
    assert!(!client.events().iter().any(|event| matches!(event, Event::Gap { .. })));
}

#[test]
fn a_refusal_about_nothing_known_is_shown() {
    let mut client = Scripted::ready();
    client.refuse(Code::Unsupported, ty::SEARCH, 77, false);
    assert!(matches!(&client.events()[..], [Event::Error { about, .. }] if about.is_empty()));
    assert_eq!(info(LOBBY, "lobby").name, "lobby");
    assert_eq!(counter(1), Counter::FIRST);
}
