//! The stories.

use super::Story;
use crate::coverage::Sometimes;
use crate::plan::{Kind, Op, When};

/// The cuts of the story of ten cuts, and the bytes of its file.
const CUTS: u64 = 10;
const TEN_CUTS_BYTES: u32 = 12_000_000;

/// All stories.
pub fn all() -> Vec<Story> {
    vec![
        class_on_a_slow_uplink(),
        the_ship(),
        the_storm(),
        the_stuck_reader(),
        crash_between_append_and_acknowledge(),
        two_devices_of_one_person(),
        classic_among_natives(),
        the_train(),
        file_through_ten_cuts(),
        chat_beside_files(),
        a_bad_afternoon(),
        a_bad_moment(),
    ]
}

/// 256 pupils share seven links of 128 kB/s. All of them say something within a minute.
fn class_on_a_slow_uplink() -> Story {
    Story::new("a class of 256 on a slow uplink", 75, 7)
        .slow(131_072)
        .people(256, 0..7)
        .talk(0..256, 10..70, 300)
        .sees(Sometimes::SlowLink)
}

/// A ship is out of reach for half an hour. Everybody talks on both sides; then all of it arrives, once and in order.
fn the_ship() -> Story {
    Story::new("the ship", 1_860, 2)
        .people(4, 0..1)
        .people(4, 1..2)
        .talk(0..4, 10..1_850, 9_000)
        .talk(4..8, 10..1_850, 11_000)
        .then(30, Kind::Cut { host: 1, ms: 1_800_000, up: true, down: true })
        .sees(Sometimes::CutMidSend)
        .sees(Sometimes::ReconnectUnknown)
        .sees(Sometimes::ResumeBehind)
}

/// The server falls over in a full house, and everybody comes back at once.
fn the_storm() -> Story {
    Story::new("the storm", 30, 7)
        .people(256, 0..7)
        .talk(0..256, 8..28, 200)
        .then(15, Kind::ServerCrash { down_ms: 1_000, power: false })
        .sees(Sometimes::Storm)
}

/// One reader looks away for two minutes while the others talk; nobody else notices.
fn the_stuck_reader() -> Story {
    let mut story = Story::new("the stuck reader", 160, 3).people(12, 0..3);
    story.plan.net.window = 16_384;
    for second in 8..140 {
        story = story.does(1 + second % 11, second as u64, Op::Say { lines: 6, bytes: 1_500 });
    }
    story.does(0, 6, Op::LookAway { ms: 120_000 }).sees(Sometimes::WriterParked).sees(Sometimes::LateReader)
}

/// The server dies at the worst moments: when a batch is synced and nobody knows, and when it is not.
fn crash_between_append_and_acknowledge() -> Story {
    let mut story =
        Story::new("crash between append and acknowledge", 60, 3).people(9, 0..3).talk(0..9, 5..55, 120);
    for (at, nth) in (20..200).step_by(30).enumerate() {
        let power = at % 2 == 1;
        story =
            story.when(When::Append { nth, synced: at % 3 != 2 }, Kind::ServerCrash { down_ms: 400, power });
    }
    story.sees(Sometimes::CrashSynced).sees(Sometimes::CrashUnsynced).sees(Sometimes::ReconnectArrived)
}

/// Alice has a laptop and a telephone. Each loses its power once; both show all of it in one order.
fn two_devices_of_one_person() -> Story {
    Story::new("two devices of one person", 60, 3)
        .people(3, 0..2)
        .second_device(0, 2)
        .talk(0..4, 5..55, 250)
        .then(20, Kind::ClientCrash { client: 0, down_ms: 3_000, power: true })
        .then(35, Kind::ClientCrash { client: 3, down_ms: 2_000, power: true })
        .then(45, Kind::ServerCrash { down_ms: 800, power: true })
        .sees(Sometimes::ClientUnsynced)
}

/// Five classic clients among natives, through a reset, a cut and a restart of the server.
fn classic_among_natives() -> Story {
    Story::new("classic among natives", 60, 3)
        .people(5, 0..3)
        .classics(5, 0..3)
        .talk(0..10, 5..55, 150)
        .then(15, Kind::Reset { client: 6 })
        .then(25, Kind::Cut { host: 1, ms: 4_000, up: true, down: true })
        .then(40, Kind::ServerStop { down_ms: 500 })
        .sees(Sometimes::ClassicCut)
}

/// A traveller loses the link every 20 seconds for an hour, while a file of 5 MB arrives.
fn the_train() -> Story {
    let mut story = Story::new("the train", 3_600, 2).people(2, 0..1).people(1, 1..2).slow(32_768);
    for second in (30..3_590).step_by(20) {
        story = story.then(second, Kind::Cut { host: 1, ms: 5_000, up: true, down: true });
    }
    let file = Op::Send { bytes: 5_000_000 };
    story
        .does(0, 10, file)
        .talk(0..3, 5..3_590, 15_000)
        .sees(Sometimes::CutMidFile)
        .sees(Sometimes::FileResumed)
        .sees(Sometimes::FileArrived)
}

/// A file arrives, though the link is cut ten times on its way, and the server's machine loses its power between two.
fn file_through_ten_cuts() -> Story {
    let mut story = Story::new("file through ten cuts", 720, 2).people(1, 0..1).people(1, 1..2);
    story.plan.links[1].down = 36_000;
    for cut in 0..CUTS {
        story = story.then(20 + 40 * cut, Kind::Cut { host: 1, ms: 3_000, up: true, down: true });
    }
    story
        .then(215, Kind::ServerCrash { down_ms: 500, power: true })
        .does(0, 10, Op::Send { bytes: TEN_CUTS_BYTES })
        .sees(Sometimes::CutMidFile)
        .sees(Sometimes::FileResumed)
        .sees(Sometimes::FileArrived)
}

/// Files go both ways over a narrow link with a deep queue, and nobody's chat is late.
fn chat_beside_files() -> Story {
    Story::new("chat beside files", 150, 2)
        .people(2, 0..1)
        .people(2, 1..2)
        .narrow(1, 131_072)
        .does(0, 10, Op::Send { bytes: 4_000_000 })
        .does(2, 20, Op::Send { bytes: 3_000_000 })
        .talk(0..4, 5..140, 700)
        .prompt(2_000)
        .sees(Sometimes::SlowLink)
        .sees(Sometimes::FileArrived)
}

/// Everything that a network does to people, one thing after the other; each host has its own trouble.
fn a_bad_afternoon() -> Story {
    let mut story = Story::new("a bad afternoon", 42, 6).people(12, 0..6).classics(3, 2..5);
    (story.plan.links[5].up, story.plan.links[5].down) = (16_384, 32_768);
    story.plan.net.short = true;
    story
        .talk(0..15, 2..40, 120)
        .then(6, Kind::Hold { host: 0, ms: 4_000 })
        .then(7, Kind::Cut { host: 1, ms: 4_000, up: true, down: false })
        .then(8, Kind::Cut { host: 2, ms: 17_000, up: false, down: true })
        .then(9, Kind::Cut { host: 3, ms: 6_000, up: true, down: true })
        .then(10, Kind::Reset { client: 4 })
        .then(11, Kind::Stall { client: 10, ms: 5_000 })
        .then(12, Kind::HalfOpen { client: 5 })
        .then(13, Kind::ClientCrash { client: 11, down_ms: 20_000, power: true })
        .then(34, Kind::ResetAll)
        .sees(Sometimes::HeldAndReleased)
        .sees(Sometimes::CutMidSend)
        .sees(Sometimes::LongOneWayCut)
        .sees(Sometimes::HalfOpenReaped)
}

/// A few seconds in which a link is held, another one is cut, somebody is thrown out, and the server dies.
fn a_bad_moment() -> Story {
    Story::new("a bad moment", 7, 3)
        .people(6, 0..3)
        .classics(1, 2..3)
        .talk(0..7, 1..7, 40)
        .then(2, Kind::Hold { host: 0, ms: 1_000 })
        .then(2, Kind::Cut { host: 1, ms: 1_000, up: true, down: true })
        .then(3, Kind::Reset { client: 2 })
        .when(When::Append { nth: 90, synced: true }, Kind::ServerCrash { down_ms: 300, power: false })
        .sees(Sometimes::HeldAndReleased)
        .sees(Sometimes::CutMidSend)
        .sees(Sometimes::CrashSynced)
}
