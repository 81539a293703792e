//! The layout tables: they alone are enough to read any message.

use super::super::arbitrary::{client_msg, server_msg};
use super::super::cases;
use super::super::vectors::{Message, vectors};
use super::{WIRE, fields_of, quoted, title};
use proptest::prelude::*;
use protocol::limits::HEADER;
use protocol::message::{self, ClientMsg, ServerMsg};
use protocol::wire::{DecodeError, Wire};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::LazyLock;

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
        self.take(bytes).map(|bytes| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for at in 0.. {
            let byte = self.number(1)?;
            value |= (byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
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
            "varint" => self.varint().map(drop),
            "short string" => {
                let len = self.varint()?;
                self.take(len).map(drop)
            }
            "blob" => {
                let len = self.number(4)?;
                self.take(len).map(drop)
            }
            "Entry" => {
                let len = self.number(2)?;
                let mut entry = Reader { rest: self.take(len)? };
                entry.fields("Entry")
            }
            other if let Some(optional) = other.strip_prefix("nothing or ") => {
                if self.rest.is_empty() {
                    Some(())
                } else {
                    self.value(optional)
                }
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

/// Whether the document's tables read this frame to its end, and not beyond.
fn document_reads(ty: u8, name: Option<&str>, frame: &[u8]) -> bool {
    let mut reader = Reader { rest: &frame[HEADER..] };
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

/// Checks the section of a choice: each row's tag makes the variant of its name, and no other tag is known.
fn check_choice<T: Wire + Debug>(title: &str) {
    // Any field can be read from a long row of ones.
    let decode = |tag: u8| {
        let bytes = [&[tag][..], &vec![1; 1 << 20]].concat();
        T::take(&mut &bytes[..]).map(|choice| format!("{choice:?}"))
    };
    let rows = WIRE.rows(title);
    let tags: Vec<u8> = rows.iter().map(|row| row[0].parse().expect("a tag")).collect();
    assert!(tags.is_sorted_by(|a, b| a < b), "the tags of {title}, each once");
    for (tag, row) in tags.iter().copied().zip(&rows) {
        let shown = decode(tag).unwrap_or_else(|error| panic!("{title} {}: {error}", row[1]));
        assert_eq!(shown.split([' ', '{']).next(), Some(row[1]), "tag {tag} of {title}");
        let fields = row[2].split(", ").filter(|field| !field.is_empty());
        let fields: Vec<_> =
            fields.map(|field| field.split('`').nth(1).expect("a name in backticks")).collect();
        assert_eq!(fields_of(&shown), fields, "the fields of {title} {}", row[1]);
    }
    for other in (0..=u8::MAX).filter(|tag| !tags.contains(tag)) {
        assert_eq!(decode(other), Err(DecodeError::UnknownTag(other)), "a tag of {title} without a row");
    }
}

#[test]
fn every_choice_has_the_rows_that_the_decoder_knows() {
    check_choice::<message::Proof>("Proof");
    check_choice::<message::Purpose>("Purpose");
    check_choice::<message::OpenFrom>("OpenFrom");
    check_choice::<message::Target>("Target");
    check_choice::<message::Range>("Range");
    check_choice::<message::StateChange>("StateChange");
    check_choice::<message::Question>("Question");
    check_choice::<message::Action>("Action");
    check_choice::<message::RoomsChange>("RoomsChange");
    check_choice::<message::RoomKind>("RoomKind");
    check_choice::<message::TrimReason>("TrimReason");
    check_choice::<message::Durability>("Durability");
    check_choice::<message::Reply>("Reply");
    check_choice::<message::Order>("Order");
    check_choice::<message::Outcome>("Outcome");
    check_choice::<message::Source>("Source");
    check_choice::<message::FileState>("FileState");
    let choices = layouts().values().filter(|layout| matches!(layout, Layout::Choice(_))).count();
    assert_eq!(choices, 17, "choices in WIRE.md, each of which is checked above");
}

/// Checks the section of a struct: its rows are its fields in order.
fn check_struct<T: Wire + Debug>(title: &str) {
    let shown = T::take(&mut &vec![1; 1 << 20][..]).expect("any field can be read from ones");
    let fields: Vec<_> = WIRE.rows(title).iter().map(|row| quoted(row[0])).collect();
    assert_eq!(fields_of(&format!("{shown:?}")), fields, "the fields of {title}");
}

#[test]
fn every_struct_has_the_rows_of_its_fields() {
    check_struct::<message::Limits>("Limits");
    check_struct::<message::RoomInfo>("RoomInfo");
    check_struct::<message::RoomListing>("RoomListing");
    check_struct::<message::RosterItem>("RosterItem");
    check_struct::<message::PersonRecord>("PersonRecord");
    check_struct::<message::RoomRecord>("RoomRecord");
    check_struct::<message::FileBody>("FileBody");
    check_struct::<message::OfferBody>("OfferBody");
    check_struct::<message::FileListing>("FileListing");
    let entry = vectors().into_iter().find_map(|vector| match vector.message {
        Message::Server(ServerMsg::Page { found, .. }) => found.into_iter().next(),
        _ => None,
    });
    let found = entry.expect("the vector of Page has an entry");
    for (title, shown) in [("Found", format!("{found:?}")), ("Entry", format!("{:?}", found.entry))] {
        let fields: Vec<_> = WIRE.rows(title).iter().map(|row| quoted(row[0])).collect();
        assert_eq!(fields_of(&shown), fields, "the fields of {title}");
    }
}
