//! `WIRE.md` is the law: what it says and what the code does are the same, to the byte.

mod layouts;
mod tables;

use super::vectors::{Message, vectors};
use protocol::message::{ClientMsg, ServerMsg};
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
                None => sections.last_mut().expect("the document begins with a heading").1.push(line),
            }
        }
        Self { sections }
    }

    fn section(&self, title: &str) -> &[&'static str] {
        let found: Vec<_> = self.sections.iter().filter(|(heading, _)| *heading == title).collect();
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
        rows.map(|at| lines[at].trim_matches('|').split('|').map(str::trim).collect()).collect()
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
    let bytes = bytes.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{line:?}: {error}"));
    (bytes, note.trim())
}

/// A name in backticks.
fn quoted(cell: &'static str) -> &'static str {
    cell.strip_prefix('`')
        .and_then(|cell| cell.strip_suffix('`'))
        .unwrap_or_else(|| panic!("{cell:?} in backticks"))
}

/// The heading of a message's section.
fn title(ty: u8, name: Option<&str>) -> String {
    format!("{ty:#04x} {}", name.expect("a known type"))
}

#[test]
fn every_message_has_its_section_and_every_section_its_message() {
    let headings =
        WIRE.sections.iter().map(|(heading, _)| *heading).filter(|heading| heading.starts_with("0x"));
    let client = ClientMsg::TYPES.iter().map(|ty| title(*ty, ClientMsg::type_name(*ty)));
    let server = ServerMsg::TYPES.iter().map(|ty| title(*ty, ServerMsg::type_name(*ty)));
    let classic =
        vectors().into_iter().map(|vector| vector.title.to_owned()).filter(|title| title.contains("from"));
    assert_eq!(headings.collect::<Vec<_>>(), client.chain(server).chain(classic).collect::<Vec<_>>());
}

#[test]
fn every_example_is_what_the_encoder_writes() {
    for vector in vectors() {
        let example: Vec<u8> = WIRE.example(vector.title).into_iter().flat_map(|(bytes, _)| bytes).collect();
        assert_eq!(example, vector.message.encode(), "the example of {}", vector.title);
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
        let notes = notes.iter().map(|(_, note)| note.split([':', '.', '[']).next().unwrap_or_default());
        let mut noted: Vec<_> = notes.filter(|note| !note.is_empty() && !note.starts_with('"')).collect();
        noted.dedup();
        assert_eq!(noted, [&["length", "type"][..], &fields].concat(), "the example of {}", vector.title);
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

/// A heading that stood twice would make its links ambiguous.
#[test]
fn no_heading_stands_twice() {
    for (heading, _) in &WIRE.sections {
        WIRE.section(heading);
    }
}

#[test]
fn every_link_inside_the_document_leads_somewhere() {
    let anchor = |heading: &str| {
        heading.to_lowercase().replace(' ', "-").replace(|c: char| c != '-' && !c.is_alphanumeric(), "")
    };
    let anchors: Vec<_> = WIRE.sections.iter().map(|(heading, _)| anchor(heading)).collect();
    for (title, lines) in &WIRE.sections {
        for link in lines.iter().flat_map(|line| line.split("](#").skip(1)) {
            let target = link.split(')').next().unwrap_or_default();
            assert!(anchors.iter().any(|anchor| anchor == target), "#{target} under {title}");
        }
    }
}
