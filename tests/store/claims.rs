//! The claims of the contract, one test each.

use super::posts::{
    append, at, bodies, by, change, delete, device, edit, entries, file, found, from, in_room, naming, offer,
    person, post, room, seq, text,
};
use super::{FOREVER, StoreFactory, block_on};
use protocol::code::Code;
use protocol::entry::{EntryKind, Revision};
use protocol::id::{Counter, DeviceId, Millis, Seq};
use protocol::message::Range;
use server::store::{
    Change, CredentialHash, Keep, NewEntry, Oldest, Query, Reserved, RoomShape, Store, StoredDevice,
    StoredMember, weight,
};

/// More than any of these tests says.
const ALL: usize = usize::MAX >> 1;

pub fn numbers_are_gapless_and_what_is_numbered_is_read<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    let commit = append(&store, vec![text("a"), in_room(2, text("b")), text("c")], found());
    assert_eq!(commit.posts, [Ok(seq(1)), Ok(seq(1)), Ok(seq(2))]);
    assert_eq!(append(&store, vec![text("d")], Vec::new()).posts, [Ok(seq(3))]);
    let store = factory.reopen(store);
    assert_eq!(append(&store, vec![text("e")], Vec::new()).posts, [Ok(seq(4))]);
    let said = NewEntry { written: Millis(7), reply_to: Some(seq(1)), ..from(1, 9, at(2_000, text("f"))) };
    post(&store, vec![said.clone()]);
    assert_eq!(bodies(&store, 1), ["a", "c", "d", "e", "f"]);
    assert_eq!(bodies(&store, 2), ["b"]);
    assert_eq!(entries(&store, 1)[4], said.numbered(seq(5)), "every field comes back");
}

pub fn each_range_reads_what_it_says<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    change(&store, found());
    // Entry n was said at the time 10·n, two at each time.
    post(&store, (1..=9).map(|n: u64| at(n.div_ceil(2) * 20, text(&n.to_string()))).collect());
    let check = |range: Range, limit, expected: std::ops::RangeInclusive<u64>, more| {
        let read = block_on(store.read(room(1), range.clone(), limit, ALL)).unwrap();
        let numbers: Vec<_> = read.entries.iter().map(|entry| entry.seq.value()).collect();
        assert_eq!((numbers, read.more), (expected.collect(), more), "{range:?}, {limit}");
        assert_eq!(read.oldest, Seq::FIRST);
    };
    let (time, first, last) = (Millis(60), seq(3), seq(6));
    check(Range::Latest, 3, 7..=9, true);
    check(Range::Latest, 9, 1..=9, false);
    check(Range::Before { seq: seq(4) }, 2, 2..=3, true);
    check(Range::Before { seq: seq(4) }, 3, 1..=3, false);
    check(Range::Before { seq: seq(100) }, 1, 9..=9, true);
    check(Range::After { seq: None }, 2, 1..=2, true);
    check(Range::After { seq: Some(seq(7)) }, 5, 8..=9, false);
    check(Range::Around { seq: seq(5) }, 3, 4..=6, true);
    check(Range::Around { seq: seq(5) }, 100, 1..=9, false);
    check(Range::Around { seq: seq(1) }, 4, 1..=4, true);
    check(Range::Around { seq: seq(9) }, 4, 7..=9, true);
    check(Range::Between { first, last }, 9, 3..=6, false);
    check(Range::Between { first, last }, 2, 3..=4, true);
    check(Range::BeforeTime { time }, 3, 2..=4, true);
    check(Range::BeforeTime { time: Millis(61) }, 9, 1..=6, false);
    check(Range::SinceTime { time }, 3, 5..=7, true);
    check(Range::SinceTime { time: Millis(100) }, 3, 9..=9, false);
    #[expect(clippy::reversed_empty_ranges, reason = "none is what is expected")]
    let nothing = 1..=0;
    check(Range::Before { seq: seq(1) }, 2, nothing.clone(), false);
    check(Range::After { seq: Some(seq(9)) }, 5, nothing.clone(), false);
    check(Range::Between { first: last, last: first }, 9, nothing.clone(), false);
    check(Range::SinceTime { time: Millis(101) }, 3, nothing, false);
    let elsewhere = block_on(store.read(room(9), Range::Latest, 9, ALL)).unwrap();
    assert_eq!((elsewhere.entries, elsewhere.more), (Vec::new(), false), "no such room is an empty one");
}

pub fn a_page_keeps_to_its_bytes_and_holds_at_least_one_entry<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    change(&store, found());
    post(&store, (1..=9).map(|_| text(&"x".repeat(1_000))).collect());
    let one = weight(&entries(&store, 1)[0]);
    let check = |range: Range, bytes, expected: std::ops::RangeInclusive<u64>| {
        let read = block_on(store.read(room(1), range.clone(), 100, bytes)).unwrap();
        let numbers: Vec<_> = read.entries.iter().map(|entry| entry.seq.value()).collect();
        assert_eq!((numbers, read.more), (expected.collect(), true), "{range:?}, {bytes} bytes");
    };
    check(Range::Latest, 3 * one, 7..=9);
    check(Range::Latest, 3 * one - 1, 8..=9);
    check(Range::Latest, 0, 9..=9);
    check(Range::After { seq: None }, 2 * one, 1..=2);
    check(Range::SinceTime { time: Millis(0) }, 1, 1..=1);
    check(Range::Around { seq: seq(5) }, 3 * one, 4..=6);
    check(Range::Around { seq: seq(5) }, 4 * one, 3..=6);
    check(Range::Around { seq: seq(5) }, 0, 5..=5);
    check(Range::Around { seq: seq(9) }, 3 * one, 7..=9);
}

pub fn an_entry_is_edited_in_place<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, vec![text("helo"), text("x"), edit(1, "hello"), edit(1, "hello!")], found());
    let store = factory.reopen(store);
    assert_eq!(bodies(&store, 1), ["hello!", "x", "hello", "hello!"], "an edit stays what it was");
    let revisions: Vec<_> = entries(&store, 1).iter().map(|entry| entry.revision).collect();
    let (as_written, edited) = (Revision::Original, Revision::Edited);
    assert_eq!(revisions, [edited, as_written, as_written, as_written]);
}

pub fn a_deleted_entry_and_its_edits_have_no_words<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, vec![text("oops"), edit(1, "oopsie"), text("oops too")], found());
    post(&store, vec![delete(1)]);
    let check = |store: &F::Store| {
        let deleted = |n: usize| entries(store, 1)[n].revision == Revision::Deleted;
        assert_eq!(bodies(store, 1), ["", "", "oops too", ""]);
        assert!(deleted(0) && deleted(1) && !deleted(2) && !deleted(3));
    };
    check(&store);
    let store = factory.reopen(store);
    check(&store);
    factory.settle(&store);
    assert_eq!(hits(&store, "oops*"), [(1, 3)]);
    let again = append(&store, vec![edit(1, "back"), delete(1)], Vec::new());
    assert_eq!(again.posts, [Err(Code::NoSuchEntry), Err(Code::NoSuchEntry)], "what is deleted stays so");
}

pub fn only_its_author_changes_an_entry<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, vec![text("mine"), NewEntry { person: None, ..text("the server's") }], found());
    let nobody = NewEntry { person: None, ..edit(2, "no") };
    let others = vec![by(2, edit(1, "no")), by(2, delete(1)), edit(2, "no"), delete(2), nobody];
    assert_eq!(append(&store, others, Vec::new()).posts, [Err(Code::NotAllowed); 5]);
    let nowhere = vec![edit(9, "no"), in_room(2, delete(1)), NewEntry { reply_to: None, ..edit(1, "no") }];
    assert_eq!(append(&store, nowhere, Vec::new()).posts, [Err(Code::NoSuchEntry); 3]);
    assert_eq!(bodies(&store, 1), ["mine", "the server's"], "what is refused has no effect and no number");
}

pub fn only_what_was_said_is_changed<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    let kinds = [
        // Which kinds may be edited, and which deleted.
        (EntryKind::Text, true, true),
        (EntryKind::Action, true, true),
        (EntryKind::Topic, false, false),
        (EntryKind::Reaction, false, true),
        (EntryKind::Delete, false, false),
        (EntryKind::FileOffer, false, true),
        (EntryKind::File, false, true),
        (EntryKind::System, false, false),
        (EntryKind::Opaque, false, true),
    ];
    change(&store, found());
    for (kind, may_edit, may_delete) in kinds {
        let revisions = |target| [(edit(target, "new"), may_edit), (delete(target), may_delete)];
        for which in 0..2 {
            let target = Seq::after(entries(&store, 1).last().map(|entry| entry.seq)).value();
            // A delete needs something to delete first.
            let first = if kind == EntryKind::Delete { in_room(2, text("x")) } else { text("x") };
            let said = if kind == EntryKind::Delete {
                post(&store, vec![first]);
                let newest = entries(&store, 2).len() as u64;
                in_room(2, delete(newest))
            } else {
                NewEntry { kind, ..first }
            };
            let place = said.room;
            post(&store, vec![said]);
            let target = if place == room(2) { entries(&store, 2).len() as u64 } else { target };
            let (revision, allowed) = revisions(target)[which].clone();
            let done = append(&store, vec![NewEntry { room: place, ..revision }], Vec::new()).posts[0];
            let expected = if allowed { Ok(seq(target + 1)) } else { Err(Code::NotAllowed) };
            assert_eq!(done, expected, "{kind:?}, {which}");
        }
    }
    post(&store, vec![text("y")]);
    let target = entries(&store, 1).len() as u64;
    post(&store, vec![edit(target, "z")]);
    let of_edit = append(&store, vec![edit(target + 1, "no"), delete(target + 1)], Vec::new());
    assert_eq!(of_edit.posts, [Err(Code::NotAllowed); 2], "an edit is not edited");
}

pub fn a_batch_may_hold_a_post_and_what_changes_it<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, vec![text("a"), edit(1, "b"), text("c"), delete(1), edit(3, "d")], found());
    let store = factory.reopen(store);
    assert_eq!(bodies(&store, 1), ["", "", "d", "", "d"]);
}

pub fn a_refusal_refuses_what_its_device_sent_behind_it<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    change(&store, found());
    let posts = vec![
        from(1, 1, text("a")),
        from(1, 2, edit(9, "nothing")),
        from(2, 1, by(2, text("b"))),
        from(1, 3, text("c")),
        text("the server's"),
    ];
    let commit = append(&store, posts, Vec::new());
    let refused = [Err(Code::NoSuchEntry), Err(Code::OutOfOrder)];
    assert_eq!(commit.posts, [Ok(seq(1)), refused[0], Ok(seq(2)), refused[1], Ok(seq(3))]);
    let store = factory.reopen(store);
    let counters: Vec<_> = block_on(store.load())
        .unwrap()
        .devices
        .iter()
        .map(|device| device.counter.map(Counter::value))
        .collect();
    assert_eq!(counters, [Some(1), Some(1), None], "a refusal does not move a counter");
}

pub fn the_snapshot_knows_everything_but_the_entries<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    change(&store, found());
    let epoch = block_on(store.load()).unwrap().epoch;
    let credential = Some(CredentialHash([9; 32]));
    let public = RoomShape::Public { name: "r2".to_owned() };
    append(
        &store,
        vec![from(1, 1, at(70, text("a"))), from(1, 2, at(71, text("b")))],
        vec![
            Change::Person { person: person(2), name: "bob".to_owned(), credential },
            Change::PersonGone { person: person(3) },
            Change::Device { device: device(1), id: DeviceId([1; 16]), person: person(1), seen: Millis(99) },
            Change::DeviceGone { device: device(2) },
            Change::Room { room: room(2), shape: public.clone(), topic: "tea".to_owned() },
            Change::Room {
                room: room(3),
                shape: RoomShape::Direct(person(1), person(2)),
                topic: String::new(),
            },
            Change::Member { room: room(1), person: person(3), joined: false },
            Change::Member { room: room(3), person: person(1), joined: true },
        ],
    );
    change(&store, vec![Change::Mark { room: room(1), person: person(2), seq: seq(2) }]);
    change(&store, vec![Change::Mark { room: room(1), person: person(2), seq: seq(1) }]);
    let store = factory.reopen(store);
    let known = block_on(store.load()).unwrap();
    assert_eq!(known.epoch, epoch, "what lost nothing goes on");
    assert_eq!(known.people, [(person(1), "p1".to_owned(), None), (person(2), "bob".to_owned(), credential)]);
    let one = |n: u8, seen, counter: Option<u64>| StoredDevice {
        device: device(u64::from(n)),
        id: DeviceId([n; 16]),
        person: person(u64::from(n)),
        counter: counter.and_then(Counter::new),
        seen: Millis(seen),
    };
    assert_eq!(known.devices, [one(1, 99, Some(2)), one(3, 3, None)]);
    let rooms: Vec<_> =
        known.rooms.iter().map(|r| (r.room, &r.shape, r.topic.as_str(), r.head, r.time)).collect();
    let (first, direct) =
        (RoomShape::Public { name: "r1".to_owned() }, RoomShape::Direct(person(1), person(2)));
    let expected = [
        (room(1), &first, "", Some(seq(2)), Millis(71)),
        (room(2), &public, "tea", None, Millis(0)),
        (room(3), &direct, "", None, Millis(0)),
    ];
    assert_eq!(rooms, expected);
    let member = |n, read| StoredMember { person: person(n), read, mentions: Vec::new() };
    assert_eq!(
        known.rooms[0].members,
        [member(1, None), member(2, Some(seq(2)))],
        "a mark moves only forward"
    );
    assert_eq!(known.rooms[2].members, [member(1, None)]);
}

pub fn numbers_of_people_and_devices_are_never_given_out_again<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    let known = block_on(store.load()).unwrap();
    assert_eq!(known.last, Reserved::default());
    append(&store, vec![by(7, from(8, 1, text("a guest's")))], found());
    change(&store, vec![Change::Person { person: person(9), name: "g".to_owned(), credential: None }]);
    change(&store, vec![Change::PersonGone { person: person(9) }, Change::DeviceGone { device: device(3) }]);
    let store = factory.reopen(store);
    let known = block_on(store.load()).unwrap();
    let named = Reserved { person: Some(person(9)), device: Some(device(8)), room: Some(room(2)) };
    assert_eq!(known.last, named);
    let reserved = Reserved { person: Some(person(7)), device: Some(device(1_000)), room: Some(room(64)) };
    change(&store, vec![Change::Reserve { numbers: reserved }]);
    let store = factory.reopen(store);
    let known = block_on(store.load()).unwrap();
    assert_eq!(
        known.last,
        Reserved { person: Some(person(9)), ..reserved },
        "what was named is not taken back"
    );
    change(&store, vec![Change::Reserve { numbers: Reserved::default() }]);
    let store = factory.reopen(store);
    assert_eq!(block_on(store.load()).unwrap().last, named, "what was not used is given back");
}

pub fn a_room_that_ends_leaves_nothing<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    let gone = [naming(&[2], text("@p2 tea")), file(1, "a"), offer(2), edit(1, "@p2 more tea")];
    let posts = gone.into_iter().map(|entry| in_room(2, entry)).chain([text("tea stays")]);
    append(&store, posts.collect(), found());
    let spoke = |n, who| Change::Spoke { room: room(n), person: person(who) };
    let fetched = Change::Fetched { room: room(2), seq: seq(2), person: person(3) };
    let block = |other, on| Change::Block { person: person(1), other: person(other), on };
    change(
        &store,
        vec![spoke(1, 1), spoke(2, 1), spoke(2, 3), fetched, block(2, true), block(3, true), block(2, false)],
    );
    factory.settle(&store);
    let commit = change(&store, vec![Change::RoomGone { room: room(2) }]);
    assert_eq!((commit.trimmed, commit.untrimmed), (vec![(room(2), seq(5))], vec![]));
    let store = factory.reopen(store);
    let known = block_on(store.load()).unwrap();
    assert_eq!(known.rooms.iter().map(|known| known.room).collect::<Vec<_>>(), [room(1)]);
    assert_eq!((known.files.len(), known.offers.len(), known.fetched.len()), (0, 0, 0));
    assert!(known.spoke.iter().eq([&(room(1), person(1))]), "{:?}", known.spoke);
    assert!(known.blocks.iter().eq([&(person(1), person(3))]), "{:?}", known.blocks);
    assert_eq!(bodies(&store, 2), [""; 0]);
    assert_eq!((store.oldest(room(2)), bodies(&store, 1)), (seq(1), vec!["tea stays".to_owned()]));
    let hits = block_on(store.search(words("tea"))).unwrap();
    assert_eq!(hits.found.len(), 1);
    assert_eq!(
        change(&store, vec![Change::RoomGone { room: room(2) }]).trimmed,
        [],
        "and once more is nothing"
    );
}

pub fn mentions_are_kept_until_they_are_read<F: StoreFactory>(factory: &mut F) {
    let mut store = factory.create();
    let none: &[u64] = &[];
    append(&store, vec![naming(&[2, 9], text("@p2")), naming(&[2, 3], text("both")), text("x")], found());
    let mut check = |store: F::Store, two: &[u64], three: &[u64]| {
        let store = factory.reopen(store);
        let known = block_on(store.load()).unwrap();
        let of =
            |at: usize| known.rooms[0].members[at].mentions.iter().map(|seq| seq.value()).collect::<Vec<_>>();
        assert_eq!((of(0), of(1), of(2)), (Vec::new(), two.to_vec(), three.to_vec()));
        store
    };
    store = check(store, &[1, 2], &[2]);
    change(&store, vec![Change::Mark { room: room(1), person: person(2), seq: seq(1) }]);
    store = check(store, &[2], &[2]);
    // What an edit names is named by what it changes; what was read stays read.
    post(&store, vec![naming(&[2, 3], edit(3, "@p2 @p3")), naming(&[3], edit(2, "only @p3"))]);
    store = check(store, &[3], &[2, 3]);
    post(&store, vec![naming(&[2], edit(1, "@p2 again"))]);
    store = check(store, &[3], &[2, 3]);
    post(&store, vec![delete(3)]);
    store = check(store, none, &[2]);
    change(&store, vec![Change::Member { room: room(1), person: person(3), joined: false }]);
    change(&store, vec![Change::Member { room: room(1), person: person(3), joined: true }]);
    store = check(store, none, none);
    post(&store, vec![naming(&[2, 3], text("old")), naming(&[3], text("new"))]);
    let keep = Keep { count: Some(1), ..Keep::default() };
    change(&store, vec![Change::Trim { room: room(1), keep }]);
    check(store, none, &[9]);
}

pub fn a_trim_keeps_to_its_bounds_and_tells_where_history_begins<F: StoreFactory>(factory: &mut F) {
    let mut store = factory.create();
    append(&store, (1..=20).map(|n| at(n * 10, text(&"x".repeat(100)))).collect(), found());
    let one = weight(&entries(&store, 1)[0]) as u64;
    let mut check = |store: F::Store, keep: Keep, first: u64, trims: bool| {
        let commit = change(&store, vec![Change::Trim { room: room(1), keep }]);
        let trimmed = trims.then_some((room(1), seq(first)));
        assert_eq!(commit.trimmed, trimmed.into_iter().collect::<Vec<_>>(), "{keep:?}");
        let store = factory.reopen(store);
        let read = block_on(store.read(room(1), Range::After { seq: None }, 1, ALL)).unwrap();
        assert_eq!(
            (read.entries[0].seq, read.oldest, store.oldest(room(1))),
            (seq(first), seq(first), seq(first))
        );
        store
    };
    let nothing = Keep::default();
    store = check(store, nothing, 1, false);
    store = check(store, Keep { count: Some(20), ..nothing }, 1, false);
    store = check(store, Keep { count: Some(18), ..nothing }, 3, true);
    store = check(store, Keep { since: Some(Millis(50)), ..nothing }, 5, true);
    store = check(store, Keep { since: Some(Millis(51)), count: Some(100), ..nothing }, 6, true);
    store = check(store, Keep { bytes: Some(10 * one), ..nothing }, 11, true);
    store = check(store, Keep { bytes: Some(10 * one - 1), ..nothing }, 12, true);
    store = check(store, Keep { since: Some(Millis(5_000)), count: Some(0), bytes: Some(0) }, 20, true);
    store = check(store, Keep { count: Some(0), ..nothing }, 20, false);
    let commit =
        append(&store, vec![at(300, text("on"))], vec![Change::Trim { room: room(9), keep: nothing }]);
    assert_eq!(commit.posts, [Ok(seq(21))], "numbers go on");
    assert_eq!(append(&store, vec![edit(19, "gone")], Vec::new()).posts, [Err(Code::NoSuchEntry)]);
    factory.settle(&store);
    assert_eq!(hits(&store, "x*"), [(1, 20)]);
}

pub fn a_search_finds_whole_words_newest_first<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    let topic = NewEntry { kind: EntryKind::Topic, ..text("lunch plans") };
    let action = in_room(2, NewEntry { kind: EntryKind::Action, ..text("eats Lunch") });
    let opaque = NewEntry { kind: EntryKind::Opaque, ..text("lunch") };
    let said = vec![
        text("LUNCH at noon?"),
        in_room(2, text("lunchtime")),
        topic,
        action,
        opaque,
        file(1, "Lunch-menu.pdf"),
        text("dinner"),
        edit(4, "no lunch"),
        in_room(2, text("crème brûlée")),
    ];
    append(&store, said, found());
    // Room 1 has 1 LUNCH, 2 topic, 3 opaque, 4 file, 5 dinner, and the edit of a file was refused.
    let store = factory.reopen(store);
    factory.settle(&store);
    assert_eq!(
        hits(&store, "lunch"),
        [(1, 4), (2, 2), (1, 2), (2, 1), (1, 1)],
        "the last word is a beginning"
    );
    assert_eq!(hits(&store, "lun"), hits(&store, "lunch"));
    assert_eq!(hits(&store, "lu"), [], "unless it is short");
    assert_eq!(hits(&store, "lunch plan"), [(1, 2)]);
    assert_eq!(hits(&store, "lun plans"), [], "those before it are whole");
    assert_eq!(hits(&store, "noon LUNCH"), [(1, 1)]);
    assert_eq!(hits(&store, "lunch*"), [(1, 4), (2, 2), (1, 2), (2, 1), (1, 1)]);
    assert_eq!(hits(&store, "creme BRULEE"), [(2, 3)]);
    assert_eq!(hits(&store, "lunch dinner"), []);
    let here = |n| query(&store, &Query { rooms: vec![room(n)], ..words("lunch") }).0;
    assert_eq!((here(1), here(2)), (vec![(1, 4), (1, 2), (1, 1)], vec![(2, 2), (2, 1)]));
    assert_eq!(query(&store, &Query { rooms: Vec::new(), ..words("lunch") }).0, []);
    post(&store, vec![edit(5, "Lunch after all"), delete(1)]);
    factory.settle(&store);
    let now = [(1, 5), (1, 4), (2, 2), (1, 2), (2, 1)];
    assert_eq!(hits(&store, "lunch"), now, "a search sees what is there now");
    assert_eq!(hits(&store, "dinner"), []);
}

pub fn a_search_finds_any_two_characters_of_a_script_without_spaces<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    let said = vec![
        text("日本語を話す"),
        text("ฉันพูดภาษาไทย"),
        text("日"),
        text("昨日はiPhone用ケースを買った"),
        file(1, "会議資料.pdf"),
    ];
    append(&store, said, found());
    let store = factory.reopen(store);
    factory.settle(&store);
    assert_eq!(hits(&store, "日本"), [(1, 1)]);
    assert_eq!(hits(&store, "本語"), [(1, 1)]);
    assert_eq!(hits(&store, "話す 日本"), [(1, 1)]);
    assert_eq!(hits(&store, "本日"), []);
    assert_eq!(hits(&store, "ภาษา"), [(1, 2)]);
    assert_eq!(hits(&store, "日"), [(1, 3)], "one character is whole");
    assert_eq!(hits(&store, "iphone用"), [(1, 4)]);
    assert_eq!(hits(&store, "資料"), [(1, 5)]);
    post(&store, vec![edit(1, "英語を話す"), delete(2)]);
    factory.settle(&store);
    assert_eq!((hits(&store, "日本"), hits(&store, "英語")), (vec![], vec![(1, 1)]), "an edit has its words");
    assert_eq!(hits(&store, "語を"), [(1, 1)]);
    assert_eq!(hits(&store, "ไทย"), [], "and what is deleted has none");
}

pub fn a_search_goes_on_where_it_stopped<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, (0..30).map(|n| in_room(n % 2 + 1, text(&format!("word {n}")))).collect(), found());
    factory.settle(&store);
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let (found, more) = query(&store, &Query { before, limit: 7, ..words("word") });
        before = found.last().map(|(r, s)| (room(*r), seq(*s)));
        all.extend(found);
        if !more {
            break;
        }
    }
    let expected: Vec<_> = (0..30).rev().map(|n: u64| (n % 2 + 1, n / 2 + 1)).collect();
    assert_eq!(all, expected, "each once, newest first");
    let (found, more) = query(&store, &Query { bytes: 200, ..words("word") });
    assert_eq!((found.len(), more), (2, true), "a page keeps to its bytes");
    let (found, more) = query(&store, &Query { bytes: 0, ..words("word") });
    assert_eq!((found.len(), more), (1, true), "and holds at least one");
    let nowhere = Query { before: Some((room(1), seq(99))), ..words("word") };
    assert_eq!(query(&store, &nowhere), (Vec::new(), false));
}

pub fn a_search_whose_time_is_over_ends_and_says_so<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    post(&store, (0..300).map(|n| text(&format!("word {n}"))).collect());
    factory.settle(&store);
    let search = |ms| block_on(store.search(Query { ms, ..words("word") })).unwrap();
    let hits = search(0);
    assert!(hits.cut && hits.more, "{hits:?}");
    assert_eq!(hits.found, search(FOREVER).found[..hits.found.len()]);
    let hits = search(FOREVER);
    assert_eq!((hits.found.len(), hits.cut), (100, false), "the next one has its own time");
}

pub fn nothing_of_a_query_is_syntax<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(
        &store,
        vec![text("say \"hi\" or not"), text("and near hi there"), text("foo-bar (baz)")],
        found(),
    );
    factory.settle(&store);
    assert_eq!(hits(&store, "hi OR foo"), []);
    assert_eq!(hits(&store, "or hi"), [(1, 1)]);
    assert_eq!(hits(&store, "NOT hi"), [(1, 1)]);
    assert_eq!(hits(&store, "\"hi\""), [(1, 2), (1, 1)]);
    assert_eq!(hits(&store, "NEAR(hi"), [(1, 2)]);
    assert_eq!(hits(&store, "foo-bar"), [(1, 3)]);
    assert_eq!(hits(&store, "bar-foo"), []);
    assert_eq!(hits(&store, "^foo + {baz} body:"), []);
    assert_eq!(hits(&store, "^foo {baz}"), [(1, 3)]);
    for odd in ["", " ", "*", "\"", "\"\"", "'", "**", "-- ;", "\u{0}", "a\u{0}b", "%", "\\"] {
        assert_eq!(hits(&store, odd), [], "{odd:?}");
    }
}

pub fn files_are_known_while_an_entry_names_them<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, vec![file(1, "a"), file(2, "b"), file(1, "a"), in_room(2, file(1, "a"))], found());
    let files = |store: &F::Store| {
        let files = block_on(store.load()).unwrap().files;
        files.iter().map(|file| (file.room.value(), file.seq.value(), file.hash.0[0])).collect::<Vec<_>>()
    };
    let store = factory.reopen(store);
    assert_eq!(files(&store), [(1, 1, 1), (1, 2, 2), (1, 3, 1), (2, 1, 1)]);
    post(&store, vec![delete(1)]);
    assert_eq!(files(&store), [(1, 2, 2), (1, 3, 1), (2, 1, 1)]);
    post(&store, vec![delete(3)]);
    let keep = Keep { count: Some(4), ..Keep::default() };
    change(&store, vec![Change::Trim { room: room(1), keep }]);
    let store = factory.reopen(store);
    assert_eq!(files(&store), [(1, 2, 2), (2, 1, 1)]);
    change(&store, vec![Change::Trim { room: room(1), keep: Keep { count: Some(3), ..keep } }]);
    assert_eq!(files(&store), [(2, 1, 1)]);
    let stored = block_on(store.load()).unwrap().files[0];
    assert_eq!((stored.person, stored.size, stored.time), (Some(person(1)), 1, Millis(1_000)));
}

pub fn an_offer_is_open_until_a_file_or_a_delete_ends_it<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, vec![offer(1), offer(2), offer(3), in_room(2, offer(4))], found());
    let offers = |store: &F::Store| {
        let offers = block_on(store.load()).unwrap().offers;
        offers.iter().map(|of| (of.room.value(), of.seq.value(), of.transfer.0[0])).collect::<Vec<_>>()
    };
    let store = factory.reopen(store);
    assert_eq!(offers(&store), [(1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 4)]);
    post(&store, vec![NewEntry { reply_to: Some(seq(1)), ..file(1, "a") }]);
    assert_eq!(append(&store, vec![by(2, delete(2))], Vec::new()).posts, [Err(Code::NotAllowed)]);
    // The server takes back what nobody goes on with.
    post(&store, vec![delete(2), NewEntry { person: None, ..delete(3) }]);
    let store = factory.reopen(store);
    assert_eq!(offers(&store), [(2, 1, 4)]);
    let trim = Change::Trim { room: room(2), keep: Keep { count: Some(1), ..Keep::default() } };
    post(&store, vec![in_room(2, text("x"))]);
    change(&store, vec![trim]);
    assert_eq!(offers(&store), []);
}

pub fn who_has_fetched_a_file_is_known_until_it_is_gone<F: StoreFactory>(factory: &mut F) {
    let store = factory.create();
    append(&store, vec![file(1, "a"), text("b"), in_room(2, file(1, "a"))], found());
    let fetch =
        |room_no, target, who| Change::Fetched { room: room(room_no), seq: seq(target), person: person(who) };
    let fetched = |store: &F::Store| {
        let fetched = block_on(store.load()).unwrap().fetched;
        fetched.iter().map(|(room, seq, who)| (room.value(), seq.value(), who.value())).collect::<Vec<_>>()
    };
    let marks = [(1, 1, 2), (1, 1, 3), (1, 1, 2), (1, 2, 2), (1, 9, 2), (2, 1, 3), (7, 1, 3)];
    change(&store, marks.iter().map(|(room, seq, who)| fetch(*room, *seq, *who)).collect());
    let store = factory.reopen(store);
    assert_eq!(fetched(&store), [(1, 1, 2), (1, 1, 3), (2, 1, 3)]);
    post(&store, vec![delete(1)]);
    change(&store, vec![fetch(1, 1, 2)]);
    assert_eq!(fetched(&store), [(2, 1, 3)]);
    post(&store, vec![in_room(2, text("x"))]);
    let trim = Change::Trim { room: room(2), keep: Keep { count: Some(1), ..Keep::default() } };
    change(&store, vec![trim]);
    let store = factory.reopen(store);
    assert_eq!(fetched(&store), []);
}

/// A search of everything.
fn words(words: &str) -> Query {
    Query {
        rooms: vec![room(1), room(2)],
        words: words.to_owned(),
        before: None,
        limit: 100,
        bytes: ALL,
        ms: FOREVER,
        comes_last: false,
    }
}

/// What a search finds, as room and number.
fn hits<S: Store>(store: &S, text: &str) -> Vec<(u64, u64)> {
    query(store, &words(text)).0
}

fn query<S: Store>(store: &S, query: &Query) -> (Vec<(u64, u64)>, bool) {
    let hits = block_on(store.search(query.clone())).unwrap();
    let places = hits.found.iter().map(|hit| (hit.room.value(), hit.entry.seq.value()));
    (places.collect(), hits.more)
}
