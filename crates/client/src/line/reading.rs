//! What was said before: parts of the history, what was found, what is new.

use super::Renderer;
use super::excerpt::excerpt;
use super::lists::count;
use super::said::{Number, safe};
use crate::session::Place;
use crate::session::event::{Event, Rest, Said, Unread};
use protocol::entry::EntryKind;
use protocol::id::Seq;
use protocol::search_terms::Words;

/// What stands below what was remembered.
const OFFLINE: &str = "not connected: only what came since natter began is shown";

impl Renderer {
    /// The lines of an event about what was said before.
    pub(super) fn reading(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Context { place: _, entries } => {
                entries.iter().flat_map(|said| self.said(said, Number::Hidden)).collect()
            }
            Event::History { place, entries, rest } => self.history(place, entries, *rest),
            Event::Around { place, seq, entries, offline } => self.around(place, *seq, entries, *offline),
            Event::Found { place, words, first, hits, more, offline } => {
                let found = self.found(place.as_ref(), words, *first, hits, *more);
                let text = "not connected: only what came since natter began was looked through";
                offline.then(|| self.info(text)).into_iter().chain(found).collect()
            }
            Event::News { rooms } => vec![self.info(&format!("new: {}", news(rooms)))],
            Event::Elsewhere { place, count: n } => vec![self.info(&format!(
                "{}: {} read on another device, and not shown here; /history shows what was said",
                safe(&place.to_string()),
                count(*n, "line"),
            ))],
            // `render` has shown all others.
            _ => Vec::new(),
        }
    }

    /// The answer to `/history`, with numbers for `/reply`.
    fn history(&mut self, place: &Place, entries: &[Said], rest: Rest) -> Vec<String> {
        let place = safe(&place.to_string());
        if entries.is_empty() {
            return vec![self.info(&nothing(&place, rest))];
        }
        let mut out = self.part(&format!("from the history of {place}:"), entries, None);
        out.push(self.info(&match rest {
            Rest::Older => "more was said before: /history again shows it".to_owned(),
            Rest::Newer => "more was said after that: /history again shows it".to_owned(),
            Rest::Now => "that is all up to now".to_owned(),
            Rest::Begins(Some(first)) if first > Seq::FIRST => {
                format!("the history begins here, with #{first}: what was said before is no longer kept")
            }
            Rest::Begins(_) => "the history begins here".to_owned(),
            Rest::Offline => OFFLINE.to_owned(),
        }));
        out
    }

    fn around(&mut self, place: &Place, line: Seq, entries: &[Said], offline: bool) -> Vec<String> {
        let title = format!("around #{line} in {}:", safe(&place.to_string()));
        let mut out = self.part(&title, entries, Some(line));
        out.push(self.info(if offline { OFFLINE } else { "/history goes further back from here" }));
        out
    }

    /// Numbered lines below a title, one of them marked.
    fn part(&mut self, title: &str, entries: &[Said], marked: Option<Seq>) -> Vec<String> {
        (self.day, self.minute) = (None, None);
        let mut out = vec![self.info(title)];
        for said in entries {
            let number = if Some(said.seq) == marked { Number::Marked } else { Number::Shown };
            out.extend(self.said(said, number));
        }
        // What is said next shows its day and time again.
        (self.day, self.minute) = (None, None);
        out
    }

    /// What was found; the newest stands last, next to what is typed.
    fn found(
        &self,
        place: Option<&Place>,
        words: &str,
        first: usize,
        hits: &[Said],
        more: bool,
    ) -> Vec<String> {
        let at = place.map_or_else(|| "all rooms".to_owned(), |place| safe(&place.to_string()));
        let words = safe(words);
        if hits.is_empty() {
            let (more, hint) = match place {
                _ if first > 1 => ("more ", String::new()),
                Some(_) => ("", format!("; /search -a {words} looks in all rooms")),
                None => ("", String::new()),
            };
            return vec![self.info(&format!("nothing {more}was found in {at}: {words}{hint}"))];
        }
        let mut out = vec![self.info(&format!("found in {at}: {words}"))];
        let wanted = Words::parse(&words);
        let lines = hits.iter().enumerate().rev();
        out.extend(lines.map(|(at, said)| self.hit(first + at, said, &wanted, place.is_none())));
        let rest = if more { "/search again shows older ones" } else { "that is all" };
        out.push(self.info(&format!("{rest}; /jump N shows what was said around a result")));
        out
    }

    fn hit(&self, number: usize, said: &Said, words: &Words, placed: bool) -> String {
        let time = self.zone.local(said.time).format("%Y-%m-%d %H:%M");
        let place = if placed { format!("{} ", safe(&said.place.to_string())) } else { String::new() };
        let name = self.look.name(&safe(said.name.as_deref().unwrap_or("server")), said.mine);
        let text = excerpt(&said.text, words, |found| self.look.strong(found));
        let text = match said.kind {
            EntryKind::Action => format!("* {name} {text}"),
            EntryKind::File => format!("* {name} sends '{text}'"),
            EntryKind::Topic => format!("* {name} set the topic: {text}"),
            _ => format!("{name}: {text}"),
        };
        format!("{number:>4}  {}{text}", self.look.faint(&format!("{time} {place}")))
    }
}

fn nothing(place: &str, rest: Rest) -> String {
    match rest {
        Rest::Now | Rest::Newer => format!("nothing was said in {place} in that time"),
        Rest::Offline => format!("not connected: nothing came of {place} since natter began"),
        Rest::Older | Rest::Begins(_) => format!("nothing older is kept of {place}"),
    }
}

/// `#dev 12 (2 name you), @bob 1`.
fn news(rooms: &[Unread]) -> String {
    let room = |unread: &Unread| {
        let mentions = match unread.mentions {
            0 => String::new(),
            1 => " (1 names you)".to_owned(),
            more => format!(" ({more} name you)"),
        };
        format!("{} {}{mentions}", safe(&unread.place.to_string()), unread.count)
    };
    rooms.iter().map(room).collect::<Vec<_>>().join(", ")
}
