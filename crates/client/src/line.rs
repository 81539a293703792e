//! The line mode's face: what is shown for each event, as lines that are only ever added.

mod classic;
mod completion;
mod excerpt;
mod failure;
mod help;
mod hint;
mod lists;
mod notices;
mod outbox;
mod picture;
mod prompt;
mod reading;
mod said;
mod shelf;
mod style;
#[cfg(test)]
mod tests;
mod transfers;
mod width;
mod wrap;
mod zone;

pub use completion::{Candidates, complete, is_path};
pub use failure::{ExitCode, Failure};
pub use help::help;
pub use hint::hint;
pub use picture::{Canvas, MAX_PICTURE, Pictures};
pub use prompt::{prompt, typing_notice};
pub use style::Look;
pub use transfers::waited_for;
pub(crate) use width::{TAB, grapheme_width, graphemes, width};
pub use wrap::{Hang, wrap};
pub use zone::Zone;

use crate::session::event::{Classic, Event, Transfer, TransferStep};
use chrono::{NaiveDate, Timelike};
use said::Number;

/// Where a line goes when there is no terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// What people say and do, and answers to commands: stdout.
    Data,
    /// How things go: stderr, unless the user wants it quiet.
    Diagnostics,
    /// What could not be done: stderr, always.
    Failures,
}

/// Turns events into lines. The same events give the same lines.
#[derive(Clone, Debug)]
pub struct Renderer {
    look: Look,
    zone: Zone,
    /// The server and the options of the caller of `natter send` or `natter get`, who reads what is shown and has no
    /// commands.
    errand: Option<String>,
    /// Where files of others are put, as a person at a prompt is told when they come in.
    received: Option<String>,
    /// The date and minute of the last line that showed one.
    day: Option<NaiveDate>,
    minute: Option<(u32, u32)>,
}

impl Renderer {
    /// A renderer that has shown nothing yet.
    pub fn new(look: Look, zone: Zone) -> Self {
        Self { look, zone, errand: None, received: None, day: None, minute: None }
    }

    /// The same, which also says where files of others are put.
    pub fn receiving_into(self, folder: Option<String>) -> Self {
        Self { received: folder, ..self }
    }

    /// A renderer for `natter send` and `natter get`: its hints name their options, and commands at the same server by
    /// its address and the options that go there, `visit`.
    pub fn for_errands(look: Look, zone: Zone, visit: String) -> Self {
        Self { errand: Some(visit), ..Self::new(look, zone) }
    }

    /// The lines of an event, made safe for a terminal; `Clear` has none.
    pub fn render(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Said(said) => self.said(said, Number::Hidden),
            Event::Context { .. }
            | Event::History { .. }
            | Event::Around { .. }
            | Event::Found { .. }
            | Event::News { .. }
            | Event::Elsewhere { .. } => self.reading(event),
            Event::People { place, people, offline } => self.people(place, people, *offline),
            Event::Rooms { rooms } => self.rooms(rooms),
            Event::Files { place, files, more } => self.files(place, files, *more),
            Event::Whois { person, rooms, seen, agent } => self.whois(person, rooms, *seen, agent),
            Event::Help { about } => help(*about).iter().map(|line| self.look.pad(line)).collect(),
            Event::Classic(event) => self.classic(event),
            Event::Transfer(transfer) => self.transfer(transfer),
            other => self.notice(other),
        }
    }

    /// Where the lines of an event go when there is no terminal.
    pub fn channel(event: &Event) -> Channel {
        match event {
            Event::Said(_)
            | Event::Person { .. }
            | Event::Comings { .. }
            | Event::Context { .. }
            | Event::History { .. }
            | Event::Around { .. }
            | Event::Found { .. }
            | Event::People { .. }
            | Event::Rooms { .. }
            | Event::Files { .. }
            | Event::Whois { .. }
            | Event::Topic { .. }
            | Event::Ignored { .. }
            | Event::Motd { .. }
            | Event::Help { .. }
            | Event::Classic(Classic::Help)
            | Event::Transfer(Transfer {
                step: TransferStep::Received { .. } | TransferStep::There { .. } | TransferStep::Listed { .. },
                ..
            })
            | Event::Clear => Channel::Data,
            Event::Gap { .. }
            | Event::Refused { .. }
            | Event::Uncertain { .. }
            | Event::Void { .. }
            | Event::Unkept { .. }
            | Event::Gone { .. }
            | Event::Mistake { .. }
            | Event::Transfer(Transfer { step: TransferStep::Failed(_), .. })
            | Event::Classic(Classic::MayBeLost { .. })
            | Event::Error { .. } => Channel::Failures,
            Event::Connecting
            | Event::Welcome(_)
            | Event::Reconnected
            | Event::Lost(_)
            | Event::Fenced { .. }
            | Event::Resumed(_)
            | Event::GoingAway { .. }
            | Event::NewHistory
            | Event::Trimmed { .. }
            | Event::Entered(_)
            | Event::Switched { .. }
            | Event::Left { .. }
            | Event::Unread { .. }
            | Event::News { .. }
            | Event::Elsewhere { .. }
            | Event::Pending { .. }
            | Event::Withdrawn { .. }
            | Event::KeptAgain
            | Event::Named { .. }
            | Event::Away { .. }
            | Event::Ignoring { .. }
            | Event::Transfer(_)
            | Event::Leaving { .. }
            | Event::StillWaiting(_)
            | Event::Notice { .. } => Channel::Diagnostics,
        }
    }

    /// `HH:MM `, or as many blanks if a person has just read it; a line with the date before it when the day
    /// has changed.
    fn stamp(&mut self, time: protocol::id::Millis, out: &mut Vec<String>) -> String {
        let local = self.zone.local(time);
        if self.day.replace(local.date()) != Some(local.date()) {
            self.minute = None;
            out.push(self.look.faint(&local.format("-- %A, %-d %B %Y").to_string()));
        }
        let minute = (local.hour(), local.minute());
        let repeated = self.minute.replace(minute) == Some(minute) && self.look.screen;
        if repeated { style::BLANK.into() } else { self.look.faint(&local.format("%H:%M ").to_string()) }
    }
}
