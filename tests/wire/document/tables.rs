//! The tables of codes, limits, kinds and texts: each has the rows that the code has.

use super::super::vectors::{Message, vectors};
use super::{WIRE, quoted};
use protocol::code::{Code, Fate};
use protocol::entry::EntryKind;
use protocol::limits;
use protocol::limits::rates::{Bucket, FILE_TOKEN, MAX_HOLD_MS, NewPeople, POST_TOKEN, Rate};
use protocol::limits::requests::{REQUEST_SHARE, ROWS, Row};
use protocol::message::{Presence, ServerMsg};
use protocol::wire::Wire;

#[test]
fn every_error_code_has_its_row_and_every_row_its_code() {
    let rows: Vec<_> = WIRE.rows("Errors").into_iter().map(|row| (row[0], quoted(row[1]), row[2])).collect();
    let fate = |code: &Code| match code.fate() {
        Fate::Keep => "keep",
        Fate::Close => "close",
    };
    let numbers: Vec<_> = Code::ALL.iter().map(|code| code.number().to_string()).collect();
    let codes = Code::ALL.iter().zip(&numbers).map(|(code, number)| (&number[..], code.name(), fate(code)));
    assert_eq!(rows, codes.collect::<Vec<_>>());
}

#[test]
fn codes_are_found_by_their_numbers_and_have_words_of_their_own() {
    for code in Code::ALL {
        assert_eq!(Code::from_number(code.number()), Some(*code));
        assert!(!code.text().is_empty() && !code.text().ends_with('.'), "{}", code.name());
    }
    for names in [Code::name, Code::text] {
        let mut all: Vec<_> = Code::ALL.iter().map(|code| names(*code)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), Code::ALL.len());
    }
    assert_eq!(Code::from_number(0), None);
}

/// Every error that the text speaks of is one that there is.
#[test]
fn the_document_names_no_error_that_does_not_exist() {
    for (title, lines) in &WIRE.sections {
        for line in lines.iter().filter(|line| line.starts_with("Errors")) {
            for name in line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| name.chars().all(|c| c == '_' || c.is_ascii_lowercase()))
            {
                assert!(Code::ALL.iter().any(|code| code.name() == name), "{name} under {title}");
            }
        }
    }
}

macro_rules! limits {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), u128::try_from(limits::$name).expect("limits are not negative")),)*]
    };
}

#[test]
fn every_limit_has_its_row_with_its_value_and_every_row_its_limit() {
    let values = limits![
        VERSION,
        DEFAULT_PORT,
        HEADER,
        MAX_FRAME_BEFORE_LOGIN,
        MAX_FRAME,
        MAX_BULK_FRAME,
        MAX_CHUNK,
        BLOCK,
        MAX_FILE_NAME,
        MAX_BODY,
        MAX_CLASSIC_TEXT,
        MAX_CLASSIC_FILE,
        WINDOW_POSTS,
        WINDOW_BYTES,
        MAX_AWAITING_COMMIT,
        MAX_BATCH,
        BATCH_QUANTUM,
        SMALL_QUEUE,
        ARRIVAL_MS,
        BUSY_MS,
        ERASE_MS,
        MAX_REMEMBERED,
        NUMBERS_AHEAD,
        ROOMS_AHEAD,
        NUMBERS_LEFT_OUT,
        CLOCK_JUMP_MS,
        MIN_CLOCK_JUMP_MS,
        CLOCK_TRUST_MS,
        MAX_CONTROL,
        MAX_UNASKED,
        MAX_NAME_CHARS,
        MAX_NAME_BYTES,
        MAX_NAME_MARKS,
        MAX_TOPIC,
        MAX_AWAY,
        MAX_AGENT,
        MAX_QUERY,
        MIN_PREFIX,
        MIN_SPACELESS_PREFIX,
        MAX_WORDS,
        MAX_WORD_PARTS,
        MAX_MENTIONS,
        MAX_MENTION_WORDS,
        MAX_MENTION_LOOKUPS,
        MAX_UNREAD_MENTIONS,
        MAX_PAGE,
        MAX_FETCH,
        MAX_ROSTER,
        MAX_PEOPLE,
        MAX_PROVISIONAL,
        MAX_ROOMS_PER_PERSON,
        MAX_UNANSWERED,
        MAX_BLOCKS,
        UNUSED_DAYS,
        ROOM_END_MS,
        MAX_ROOMS,
        MAX_NUMBER,
        FIRST_FRAME_MS,
        PING_AFTER_MS,
        DEAD_AFTER_MS,
        PROGRESS_MS,
        MAX_BACKOFF_MS,
        FIRST_BACKOFF_MS,
        STEADY_MS,
        PRESENCE_GATHER_MS,
        PRESENCE_BYTES_PER_S,
        MAX_PRESENCE_REST_MS,
        PRESENCE_COST_MS,
        PRESENCE_BURST_MS,
        MAX_PRESENCE_DELAY_MS,
        PRESENCE_GRACE_MS,
        TYPING_MS,
        TYPING_EVERY_MS,
        DEVICE_DAYS,
        MAX_BUNDLE_ENTRIES,
        MAX_BUNDLE_INDEX,
        MAX_BUNDLE_DEPTH,
        MAX_BUNDLE_NAME,
        MAX_LOG_QUEUE,
        LOG_FOLD_MS,
        LOG_FLUSH_MS,
        MAX_UPLOADS,
        MAX_STRANGERS,
        MAX_TURNED_AWAY,
        MAX_PER_ADDRESS,
        KNOWN_SHARE,
        MAX_BULK_PER_PERSON,
        MAX_DEVICES,
        MAX_HALF_FRAMES,
        MAX_HALF_FRAMES_PER_ADDRESS,
        FREE_HALF_FRAME,
        SLOW_FRAME_MS,
        SLOW_FRAME_BYTES_PER_MS,
        PROGRESS_BYTES,
        SEARCH_MS,
        SHORT_SEARCH_MS,
        SEARCH_SHARE,
        LONG_SEARCHES_MS,
        MAX_SEARCHES_WAITING,
        BULK_IDLE_MS,
        UNKNOWN_SIZE,
        MIN_RESERVE_STEP,
        MAX_RESERVE_STEP,
        MAX_RESEND,
        FEATURE_UNKNOWN_SIZE,
        PERSON_SHARE,
        LARGE_PERSON_SHARE,
    ];
    let source = include_str!("../../../crates/protocol/src/limits.rs");
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    assert_eq!(constants.collect::<Vec<_>>(), values.map(|(name, _)| name), "the list in this test");
    let rows = WIRE.rows("All limits");
    let rows = rows.iter().map(|row| (quoted(row[0]), row[1].replace(',', "").parse().expect("a number")));
    assert_eq!(rows.collect::<Vec<_>>(), values);
}

#[test]
fn every_message_has_its_row_with_what_it_costs() {
    let rows = WIRE.rows("What a message costs");
    let told = rows.iter().map(|row| (row[0], row[1], row[2].to_owned(), row[3]));
    let buckets = |row: &Row| match row.buckets {
        [] => "-".to_owned(),
        buckets => buckets.iter().map(|bucket| bucket.name()).collect::<Vec<_>>().join(", "),
    };
    let known = ROWS.iter().map(|row| (row.message, row.window.name(), buckets(row), row.bound));
    assert_eq!(told.collect::<Vec<_>>(), known.collect::<Vec<_>>());
    let least = usize::try_from(limits::WINDOW_BYTES).expect("it fits") / usize::from(limits::WINDOW_POSTS);
    assert_eq!(REQUEST_SHARE, least, "the window has as many shares as posts");
}

#[test]
fn every_bucket_has_its_row_with_its_rates() {
    let number = |cell: &str| cell.replace(',', "").parse().ok();
    let rate = |burst, every| Some(Rate { burst: number(burst)?, every_ms: number(every)? });
    let told = WIRE
        .rows("Rates")
        .into_iter()
        .map(|row| (row[0], rate(row[1], row[2]), rate(row[3], row[4]), row[5] == "yes", row[6]));
    // Nobody knows who pays for these.
    let is_nobodys = |bucket| matches!(bucket, Bucket::Connections | Bucket::Turns | Bucket::People);
    let of_person = |bucket: Bucket| (!is_nobodys(bucket)).then(|| bucket.of_person());
    let known = Bucket::ALL.map(|bucket| {
        (bucket.name(), of_person(bucket), Some(bucket.of_network()), bucket.holds(), bucket.why())
    });
    assert_eq!(told.collect::<Vec<_>>(), known);
    let text = WIRE.section("Rates").concat();
    for figure in ["each 1,024 bytes", "each 65,536 bytes", "at most 3,000 ms"] {
        assert!(text.contains(figure), "{figure}");
    }
    assert_eq!((POST_TOKEN, FILE_TOKEN, MAX_HOLD_MS), (1_024, 65_536, 3_000));
}

#[test]
fn every_bucket_has_its_row_with_what_new_people_share() {
    let number = |cell: &str| cell.replace(',', "").parse().expect("a number");
    let rate = |burst, every| Rate { burst: number(burst), every_ms: number(every) };
    let told = WIRE.rows("New people");
    let told = told.iter().map(|row| (row[0], rate(row[1], row[2]), rate(row[3], row[4]), row[5]));
    let known = Bucket::ALL.map(|bucket| {
        let NewPeople { share, together } = bucket.of_new_people();
        (bucket.name(), share, together, bucket.why_of_new_people())
    });
    assert_eq!(told.collect::<Vec<_>>(), known);
}

#[test]
fn every_kind_of_entry_has_its_row() {
    let rows = WIRE.rows("Kinds");
    let known = (0..=u8::MAX).map(EntryKind::from_number).filter(|kind| !matches!(kind, EntryKind::Other(_)));
    let known = known.map(|kind| (kind.number().to_string(), format!("{kind:?}").to_lowercase()));
    let told = rows.iter().map(|row| (row[0].to_owned(), row[1].replace(' ', "")));
    assert_eq!(told.collect::<Vec<_>>(), known.collect::<Vec<_>>());
}

#[test]
fn the_presence_bits_are_those_of_their_rows() {
    for row in WIRE.rows("Presence") {
        let bit: u8 = row[0].parse().expect("a bit");
        let presence = Presence::take(&mut &[1 << bit][..]).expect("any byte is a presence");
        let set = format!("{presence:?}");
        let name = row[1].split([':', ' ']).next().unwrap_or_default();
        assert!(
            set.contains(&format!("{name}: true")) && set.matches("true").count() == 1,
            "bit {bit}: {set}"
        );
    }
    let unknown = Presence::take(&mut &[0xe0][..]);
    assert_eq!(unknown, Ok(Presence::default()), "unknown bits are ignored");
}

#[test]
fn the_texts_of_the_classic_dialect_stand_in_the_document_word_by_word() {
    use protocol::classic::{INVALID_JOIN, NAME_TAKEN, QUIT_ACK, UNKNOWN_COMMAND, WELCOME};
    for text in [WELCOME, NAME_TAKEN, INVALID_JOIN, UNKNOWN_COMMAND, QUIT_ACK] {
        let quoted = format!("`{text}`");
        assert!(
            WIRE.sections.iter().any(|(_, lines)| lines.iter().any(|line| line.contains(&quoted))),
            "{quoted}"
        );
    }
}

/// The vectors of `Welcome` tell the limits that there are.
#[test]
fn the_example_of_welcome_tells_the_true_limits() {
    let welcome =
        vectors().into_iter().find(|vector| vector.title == "0x40 Welcome").expect("it has a vector");
    let Message::Server(ServerMsg::Welcome { limits: told, .. }) = welcome.message else {
        panic!("{:?} is no Welcome", welcome.message);
    };
    assert_eq!(told.frame, limits::MAX_FRAME);
    assert_eq!(told.body as usize, limits::MAX_BODY);
    assert_eq!((told.window_posts, told.window_bytes), (limits::WINDOW_POSTS, limits::WINDOW_BYTES));
    let times = (u64::from(told.ping_after_ms), u64::from(told.dead_after_ms));
    assert_eq!(times, (limits::PING_AFTER_MS, limits::DEAD_AFTER_MS));
}

/// Every number that was ever given, with its name: one that is given up stays here, and is given to nothing else.
const GIVEN: &str = "100 bad_first_byte 101 empty_frame 102 frame_too_large 103 unknown_type 104 malformed \
    105 bad_utf8 106 bad_number 107 unsupported 108 login_first 109 already_logged_in 110 version 111 login_timeout \
    112 silent 113 plaintext_refused 114 no_tls 115 server_full 116 address_full 117 fenced 118 wrong_purpose \
    119 stalled 125 busy 126 in_use 200 bad_name 201 name_taken 210 no_such_room \
    211 not_a_member 212 no_such_person 213 not_allowed \
    214 too_many_rooms 215 no_more_rooms 216 not_open 219 blocked 220 out_of_order 221 body_too_large \
    222 bad_text 223 empty_text \
    224 bad_kind 225 too_fast 226 no_such_entry \
    227 too_broad 229 other_content 230 unanswered 240 disk_full 241 damaged 250 no_such_file \
    251 quota 252 wrong_content \
    253 no_such_transfer 254 file_too_large";

#[test]
fn the_number_of_a_code_is_never_used_for_another() {
    let words: Vec<_> = GIVEN.split_whitespace().collect();
    let given: Vec<_> = words.chunks(2).map(|pair| (pair[0].parse().expect("a number"), pair[1])).collect();
    assert!(given.is_sorted_by(|a, b| a.0 < b.0), "each number stands once");
    for code in Code::ALL {
        let pair = (code.number(), code.name());
        assert!(given.contains(&pair), "{pair:?} is new: add it to the numbers given, or take a free one");
    }
}
