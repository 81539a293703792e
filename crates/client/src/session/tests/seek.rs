//! Whoever only reads makes no room: it is joined if it is there, and else named as what it is.

use super::*;
use protocol::message::{Question, RoomListing};

fn listed(number: u64, name: &str) -> RoomListing {
    let members = u32::try_from(number).expect("small");
    RoomListing {
        room: RoomId::new(number).expect("not 0"),
        name: name.into(),
        topic: String::new(),
        members,
        online: 0,
    }
}

fn questions(client: &mut Scripted) -> Vec<String> {
    let after = |message| match message {
        ClientMsg::Ask { question: Question::Rooms { after }, .. } => Some(after),
        _ => None,
    };
    client.sent().into_iter().filter_map(after).collect()
}

fn mistakes(client: &mut Scripted) -> Vec<(String, String)> {
    let mistake = |event| match event {
        Event::Mistake { text, hint } => Some((text, hint)),
        _ => None,
    };
    client.events().into_iter().filter_map(mistake).collect()
}

#[test]
fn whoever_only_reads_joins_a_room_only_if_it_is_there() {
    let mut client = Scripted::ready();
    client.session.run_errand();
    client.session.make_no_rooms();
    client.line("/join DEV");
    assert_eq!(client.joins(), Vec::<String>::new());
    client.rooms_page(true, vec![listed(1, "aaa"), listed(2, "bbb")]);
    assert_eq!(client.joins(), Vec::<String>::new(), "it may stand further back");
    client.rooms_page(false, vec![listed(3, "dev")]);
    assert_eq!(client.joins(), ["DEV"]);
    assert_eq!(questions(&mut client), ["", "bbb"]);
    assert_eq!(mistakes(&mut client), []);
}

#[test]
fn whoever_only_reads_makes_no_room_by_a_mistyped_name() {
    let there = || vec![listed(1, "lobby"), listed(2, "dev")];
    for (typed, hint) in
        [("deb", "did you mean #dev?"), ("plans", "check the room: -r ROOM; there is dev, lobby")]
    {
        let mut client = Scripted::ready();
        client.session.run_errand();
        client.session.make_no_rooms();
        client.line(&format!("/join {typed}"));
        client.rooms_page(false, there());
        client.line("/get x");
        assert_eq!(client.joins(), Vec::<String>::new(), "{typed}");
        assert_eq!(
            mistakes(&mut client),
            [(format!("there is no room #{typed}"), hint.to_owned())],
            "told once"
        );
    }
}
