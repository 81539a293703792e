//! The files of a room, and what is in a folder.

use super::Renderer;
use super::lists::count;
use super::said::safe;
use crate::session::Place;
use protocol::bundle::{Index, Item, Shape as Kind};
use protocol::id::Millis;
use protocol::message::{FileListing, FileState, Shape, Source};
use protocol::size::human_size;

/// Paths of a folder that are shown at first.
const PATHS: usize = 20;

impl Renderer {
    pub(super) fn files(&self, place: &Place, files: &[FileListing], more: bool) -> Vec<String> {
        let place = safe(&place.to_string());
        if files.is_empty() {
            return vec![self.info(&format!("no files were sent in {place}; /send PATH sends one"))];
        }
        let mut out =
            vec![self.info(&format!("{} in {place}, the newest first:", count(files.len() as u64, "file")))];
        for file in files {
            out.push(self.look.pad(&format!("{:>5}  {}", format!("#{}", file.seq), self.file(file))));
        }
        let rest = if more {
            "/get NAME or /get #N receives one; /files -a shows more"
        } else {
            "/get NAME or /get #N receives one"
        };
        out.push(self.info(rest));
        out
    }

    fn file(&self, file: &FileListing) -> String {
        let end = if file.shape == Shape::Folder { "/" } else { "" };
        let mut facts = vec![
            format!("{}{end} ({})", safe(&file.name), human_size(file.size)),
            format!("{} {}", self.look.name(&safe(&file.sender), false), self.moment(file.time)),
        ];
        facts.push(match &file.state {
            FileState::Offered { bytes } => {
                let percent = u128::from(*bytes) * 100 / u128::from(file.size.max(1));
                format!("being sent, {percent} % are here")
            }
            FileState::Here => format!("{} of {} fetched", file.fetched, file.members),
            FileState::Gone => "not kept any more".to_owned(),
        });
        if let Source::Content { hash } = &file.source {
            facts.push(hash.0[..4].iter().map(|byte| format!("{byte:02x}")).collect());
        }
        if file.expires > Millis(0) && file.state != FileState::Gone {
            facts.push(format!("goes {}", self.moment(file.expires)));
        }
        facts.join(", ")
    }

    fn moment(&self, time: Millis) -> String {
        self.zone.local(time).format("%Y-%m-%d %H:%M").to_string()
    }

    /// What is in a folder: the beginning of it, or all; `at` is what it is pointed at by.
    pub(super) fn listing(&self, index: &Index, all: bool, at: &str) -> Vec<String> {
        let items = index.items();
        let shown = if all { items.len() } else { items.len().min(PATHS) };
        let mut out: Vec<_> =
            items[..shown].iter().map(|item| self.look.pad(&format!("     {}", path(item)))).collect();
        if shown < items.len() {
            let more = items.len() - shown;
            out.push(self.look.pad(&format!("     … and {more} more: /look {at} shows all")));
        }
        out
    }
}

fn path(item: &Item) -> String {
    let path = safe(&item.path);
    match item.shape {
        Kind::Folder => format!("{path}/"),
        Kind::File { size, executable: false } => format!("{path} ({})", human_size(size)),
        Kind::File { size, executable: true } => format!("{path} ({}, a program)", human_size(size)),
    }
}

/// How many programs are in it.
pub(super) fn programs(index: &Index) -> usize {
    let program = |item: &&Item| matches!(item.shape, Kind::File { executable: true, .. });
    index.items().iter().filter(program).count()
}
