//! `WIRE.md` is the law: what it says and what the code does are the same, to the byte.

use super::arbitrary::{client_msg, server_msg};
use super::cases;
use super::vectors::{Message, vectors};
use proptest::prelude::*;
use protocol::code::{Code, Fate};
use protocol::limits::{self, HEADER};
use protocol::message::{ClientMsg, ServerMsg};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The document, read once.
static WIRE: LazyLock<Document> =
    LazyLock::new(|| Document::read(include_str!("../../crates/protocol/WIRE.md")));

/// The sections of a document by their headings.
struct Document {
    /// Heading (without the hashes) and the lines below it, in order.
    sections: Vec<(&'static str, Vec<&'static str>)>,
}

impl Document {
    fn read(text: &'static str) -> Self {
        let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.lines() {
            match line.strip_prefix('#') {
                Some(heading) => sections.push((heading.trim_start_matches('#').trim(), Vec::new())),
                None => sections
                    .last_mut()
                    .expect("the document begins with a heading")
                    .1
                    .push(line),
            }
        }
        Self { sections }
    }

    fn section(&self, title: &str) -> &[&'static str] {
        let found: Vec<_> = self
            .sections
            .iter()
            .filter(|(heading, _)| *heading == title)
            .collect();
        assert_eq!(found.len(), 1, "sections named {title:?} in WIRE.md");
        &found[0].1
    }

    /// The rows of the tables in a section, without their heads.
    fn rows(&self, title: &str) -> Vec<Vec<&'static str>> {
        let lines = self.section(title);
        let is_row = |at: &usize| lines[*at].starts_with('|');
        let is_head = |at: &usize| lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
        let rows =
            (0..lines.len()).filter(|at| is_row(at) && !is_head(at) && !lines[*at].starts_with("|---"));
        rows.map(|at| lines[at].trim_matches('|').split('|').map(str::trim).collect())
            .collect()
    }

    /// The lines of the example in a section: the bytes of each, and what it says about them.
    fn example(&self, title: &str) -> Vec<(Vec<u8>, &'static str)> {
        let lines = self.section(title);
        let fences = lines.iter().filter(|line| line.starts_with("```")).count();
        assert_eq!(fences, 2, "lines that begin or end an example under {title:?}");
        let inside = lines.iter().skip_while(|line| !line.starts_with("```")).skip(1);
        let inside = inside.take_while(|line| !line.starts_with("```"));
        inside.map(|line| annotated(line)).collect()
    }
}

/// Hexadecimal bytes, two spaces, a note.
fn annotated(line: &'static str) -> (Vec<u8>, &'static str) {
    let (hex, note) = line.split_once("  ").unwrap_or((line, ""));
    let bytes = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16));
    let bytes = bytes
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{line:?}: {error}"));
    (bytes, note.trim())
}

/// A name in backticks.
fn quoted(cell: &'static str) -> &'static str {
    cell.strip_prefix('`')
        .and_then(|cell| cell.strip_suffix('`'))
        .unwrap_or_else(|| panic!("{cell:?} in backticks"))
}

/// Reads messages by nothing but the tables of the document.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, n: u64) -> Option<&[u8]> {
        let (front, rest) = self.rest.split_at_checked(usize::try_from(n).ok()?)?;
        self.rest = rest;
        Some(front)
    }

    fn number(&mut self, bytes: u64) -> Option<u64> {
        self.take(bytes)
            .map(|bytes| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    /// Takes a value of this layout off the front; `None` if it is not there.
    fn value(&mut self, layout: &str) -> Option<()> {
        match layout {
            "u8" | "bool" | "Presence" => self.take(1).map(drop),
            "u16" => self.take(2).map(drop),
            "u32" => self.take(4).map(drop),
            "u64" | "number" | "number or 0" => self.take(8).map(drop),
            "bytes16" => self.take(16).map(drop),
            "bytes32" => self.take(32).map(drop),
            "string" | "bytes" => {
                let len = self.number(2)?;
                self.take(len).map(drop)
            }
            "blob" => {
                let len = self.number(4)?;
                self.take(len).map(drop)
            }
            "Entry" => {
                let len = self.number(2)?;
                let mut entry = Reader {
                    rest: self.take(len)?,
                };
                entry.fields("Entry")
            }
            other => match other.strip_prefix("list of ") {
                Some(element) => {
                    let count = self.number(2)?;
                    (0..count).try_for_each(|_| self.value(element))
                }
                None => self.part(other),
            },
        }
    }

    /// A choice or a struct with a section of its own.
    fn part(&mut self, title: &str) -> Option<()> {
        match layouts().get(title) {
            Some(Layout::Struct) => self.fields(title),
            Some(Layout::Choice(rows)) => {
                let tag = self.number(1)?;
                rows.get(&tag)?.iter().try_for_each(|layout| self.value(layout))
            }
            None => panic!("the layout {title:?} has no section in WIRE.md"),
        }
    }

    fn fields(&mut self, title: &str) -> Option<()> {
        WIRE.rows(title).iter().try_for_each(|row| self.value(row[1]))
    }
}

enum Layout {
    /// Its fields are the rows of its section.
    Struct,
    /// The layouts of the fields by tag.
    Choice(BTreeMap<u64, Vec<&'static str>>),
}

/// The parts that have a section of their own, by name.
fn layouts() -> &'static BTreeMap<&'static str, Layout> {
    static LAYOUTS: LazyLock<BTreeMap<&'static str, Layout>> = LazyLock::new(|| {
        let with_kind = WIRE.sections.iter().filter_map(|(title, lines)| {
            let is_kind = |kind: &str| lines.iter().any(|line| line.starts_with(kind));
            match (is_kind("A choice:"), is_kind("A struct:")) {
                (true, _) => Some((*title, Layout::Choice(choice(title)))),
                (_, true) => Some((*title, Layout::Struct)),
                _ => None,
            }
        });
        with_kind.collect()
    });
    &LAYOUTS
}

/// Rows of `tag | name | fields | meaning`, where fields are "`name` layout, `name` layout".
fn choice(title: &str) -> BTreeMap<u64, Vec<&'static str>> {
    let row = |row: Vec<&'static str>| {
        let fields = row[2].split(", ").filter(|field| !field.is_empty());
        let layouts = fields.map(|field| field.split_once(' ').expect("a field and its layout").1);
        (row[0].parse().expect("a tag"), layouts.collect())
    };
    WIRE.rows(title).into_iter().map(row).collect()
}

/// The heading of a message's section.
fn title(ty: u8, name: Option<&str>) -> String {
    format!("{ty:#04x} {}", name.expect("a known type"))
}

/// Whether the document's tables read this frame to its end, and not beyond.
fn document_reads(ty: u8, name: Option<&str>, frame: &[u8]) -> bool {
    let mut reader = Reader {
        rest: &frame[HEADER..],
    };
    reader.fields(&title(ty, name)).is_some() && reader.rest.is_empty()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_document_alone_reads_every_client_message(msg in client_msg()) {
        prop_assert!(document_reads(msg.ty(), ClientMsg::type_name(msg.ty()), &msg.encode()));
    }

    #[test]
    fn the_document_alone_reads_every_server_message(msg in server_msg()) {
        prop_assert!(document_reads(msg.ty(), ServerMsg::type_name(msg.ty()), &msg.encode()));
    }
}

#[test]
fn every_message_has_its_section_and_every_section_its_message() {
    let headings = WIRE
        .sections
        .iter()
        .map(|(heading, _)| *heading)
        .filter(|heading| heading.starts_with("0x"));
    let client = ClientMsg::TYPES
        .iter()
        .map(|ty| title(*ty, ClientMsg::type_name(*ty)));
    let server = ServerMsg::TYPES
        .iter()
        .map(|ty| title(*ty, ServerMsg::type_name(*ty)));
    let classic = vectors()
        .into_iter()
        .map(|vector| vector.title.to_owned())
        .filter(|title| title.contains("from"));
    assert_eq!(
        headings.collect::<Vec<_>>(),
        client.chain(server).chain(classic).collect::<Vec<_>>()
    );
}

#[test]
fn every_example_is_what_the_encoder_writes() {
    for vector in vectors() {
        let example: Vec<u8> = WIRE
            .example(vector.title)
            .into_iter()
            .flat_map(|(bytes, _)| bytes)
            .collect();
        assert_eq!(
            example,
            vector.message.encode(),
            "the example of {}",
            vector.title
        );
    }
}

/// The fields in the code, the rows of the table and the notes of the example, all in one order.
#[test]
fn the_code_the_table_and_the_example_name_the_same_fields() {
    for vector in vectors() {
        let shown = match &vector.message {
            Message::Client(msg) => format!("{msg:?}"),
            Message::Server(msg) => format!("{msg:?}"),
            Message::ClassicClient(_) | Message::ClassicServer(_) => continue,
        };
        let fields: Vec<_> = WIRE.rows(vector.title).iter().map(|row| quoted(row[0])).collect();
        assert_eq!(fields_of(&shown), fields, "the table of {}", vector.title);

        let notes = WIRE.example(vector.title);
        let notes = notes
            .iter()
            .map(|(_, note)| note.split([':', '.', '[']).next().unwrap_or_default());
        let mut noted: Vec<_> = notes
            .filter(|note| !note.is_empty() && !note.starts_with('"'))
            .collect();
        noted.dedup();
        assert_eq!(
            noted,
            [&["length", "type"][..], &fields].concat(),
            "the example of {}",
            vector.title
        );
    }
}

/// The names of the outermost fields in what `Debug` shows of a struct.
fn fields_of(shown: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut in_text = false;
    let mut fields = Vec::new();
    let mut begin = 0;
    for (at, c) in shown.char_indices() {
        match c {
            '"' => in_text = !in_text,
            _ if in_text => {}
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ':' if depth == 1 => fields.push(shown[begin..at].trim()),
            _ => {}
        }
        if !in_text && depth == 1 && matches!(c, '{' | ',') {
            begin = at + 1;
        }
    }
    fields
}

#[test]
fn every_error_code_has_its_row_and_every_row_its_code() {
    let rows: Vec<_> = WIRE
        .rows("Errors")
        .into_iter()
        .map(|row| (row[0], quoted(row[1]), row[2]))
        .collect();
    let fate = |code: &Code| match code.fate() {
        Fate::Keep => "keep",
        Fate::Close => "close",
    };
    let numbers: Vec<_> = Code::ALL.iter().map(|code| code.number().to_string()).collect();
    let codes = Code::ALL
        .iter()
        .zip(&numbers)
        .map(|(code, number)| (&number[..], code.name(), fate(code)));
    assert_eq!(rows, codes.collect::<Vec<_>>());
}

#[test]
fn codes_are_found_by_their_numbers_and_have_words_of_their_own() {
    for code in Code::ALL {
        assert_eq!(Code::from_number(code.number()), Some(*code));
        assert!(
            !code.text().is_empty() && !code.text().ends_with('.'),
            "{}",
            code.name()
        );
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
                assert!(
                    Code::ALL.iter().any(|code| code.name() == name),
                    "{name} under {title}"
                );
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
        MAX_BODY,
        MAX_CLASSIC_TEXT,
        MAX_CLASSIC_FILE,
        WINDOW_POSTS,
        WINDOW_BYTES,
        MAX_AWAITING_COMMIT,
        MAX_BATCH,
        MAX_CONTROL,
        MAX_NAME_CHARS,
        MAX_NAME_BYTES,
        MAX_TOPIC,
        MAX_AWAY,
        MAX_AGENT,
        MAX_QUERY,
        MAX_PAGE,
        MAX_FETCH,
        MAX_ROSTER,
        MAX_ROOMS_PER_PERSON,
        MAX_ROOMS,
        MAX_NUMBER,
        FIRST_FRAME_MS,
        PING_AFTER_MS,
        DEAD_AFTER_MS,
        PROGRESS_MS,
        MAX_BACKOFF_MS,
        FIRST_BACKOFF_MS,
        PRESENCE_GATHER_MS,
        PRESENCE_GRACE_MS,
        TYPING_MS,
        DEVICE_DAYS,
    ];
    let source = include_str!("../../crates/protocol/src/limits.rs");
    let constants = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    assert_eq!(
        constants.collect::<Vec<_>>(),
        values.map(|(name, _)| name),
        "the list in this test"
    );
    let rows = WIRE.rows("All limits");
    let rows = rows
        .iter()
        .map(|row| (quoted(row[0]), row[1].replace(',', "").parse().expect("a number")));
    assert_eq!(rows.collect::<Vec<_>>(), values);
}

/// The vectors of `Welcome` tell the limits that there are.
#[test]
fn the_example_of_welcome_tells_the_true_limits() {
    let welcome = vectors()
        .into_iter()
        .find(|vector| vector.title == "0x40 Welcome")
        .expect("it has a vector");
    let Message::Server(ServerMsg::Welcome { limits: told, .. }) = welcome.message else {
        panic!("{:?} is no Welcome", welcome.message);
    };
    assert_eq!(told.frame, limits::MAX_FRAME);
    assert_eq!(told.body as usize, limits::MAX_BODY);
    assert_eq!(
        (told.window_posts, told.window_bytes),
        (limits::WINDOW_POSTS, limits::WINDOW_BYTES)
    );
    let times = (u64::from(told.ping_after_ms), u64::from(told.dead_after_ms));
    assert_eq!(times, (limits::PING_AFTER_MS, limits::DEAD_AFTER_MS));
}

#[test]
fn every_link_inside_the_document_leads_somewhere() {
    let anchor = |heading: &str| {
        heading
            .to_lowercase()
            .replace(' ', "-")
            .replace(|c: char| c != '-' && !c.is_alphanumeric(), "")
    };
    let anchors: Vec<_> = WIRE.sections.iter().map(|(heading, _)| anchor(heading)).collect();
    for (title, lines) in &WIRE.sections {
        for link in lines.iter().flat_map(|line| line.split("](#").skip(1)) {
            let target = link.split(')').next().unwrap_or_default();
            assert!(
                anchors.iter().any(|anchor| anchor == target),
                "#{target} under {title}"
            );
        }
    }
}
