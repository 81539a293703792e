//! How things go, in a line or two each.

use super::Renderer;
use super::lists::count;
use super::said::safe;
use super::transfers::waited_for;
use crate::session::event::{Entered, Event, Loss, Welcome};
use crate::session::{Change, Place, Tally};
use protocol::id::Millis;
use protocol::name::{NameKey, PersonName};

/// A longer list of people is only counted.
const NAMED: usize = 12;

impl Renderer {
    /// The lines of every event that is not said by somebody and not a list.
    pub(super) fn notice(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Connecting => vec![self.info("connecting …")],
            Event::Welcome(welcome) => self.welcome(welcome),
            Event::Reconnected => vec![self.info("reconnected")],
            Event::Lost(loss) => {
                vec![self.info(&format!("connection lost ({}); reconnecting …", why(*loss)))]
            }
            Event::Resumed(tally) => vec![self.resumed(*tally)],
            Event::GoingAway { text, after_ms } => vec![self.info(&going_away(text, *after_ms))],
            Event::NewHistory => {
                vec![self.info("the server's history is new: what was said before is not in it")]
            }
            Event::Trimmed { place, first, gone } => vec![self.info(&format!(
                "{}: history begins at #{first}; {} before it are no longer kept",
                safe(&place.to_string()),
                count(*gone, "unread line"),
            ))],
            Event::Gap { place, missing } => {
                let lines = count(*missing, "line");
                let text = format!("the server left out {lines} of {}", safe(&place.to_string()));
                self.failed(&text, Some("this is a fault of the server; /history may show them"))
            }
            Event::Entered(entered) => self.entered(entered),
            Event::Switched { place } => vec![self.info(&format!("now in {}", safe(&place.to_string())))],
            Event::Left { place } => vec![self.info(&format!("left {}", safe(&place.to_string())))],
            Event::Unread { place, count: n } => {
                vec![self.info(&format!("{} in {}:", count(*n, "new line"), safe(&place.to_string())))]
            }
            Event::Person { name, change } => {
                vec![self.look.pad(&self.look.faint(&person(&safe(name), change)))]
            }
            Event::Comings { came, left } => {
                let lines = [came_line(came), left_line(left)].into_iter().flatten();
                lines.map(|line| self.look.pad(&self.look.faint(&line))).collect()
            }
            Event::Fenced { by, since } => self.fenced(by, *since),
            other => self.own(other),
        }
    }

    /// What became of what the user did.
    fn own(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Topic { place, topic } if topic.is_empty() => {
                vec![self.info(&format!("{} has no topic", safe(&place.to_string())))]
            }
            Event::Topic { place, topic } => {
                vec![self.info(&format!("the topic of {} is: {}", safe(&place.to_string()), safe(topic)))]
            }
            Event::Named { name } => vec![self.info(&format!("you are {} now", safe(name)))],
            Event::Away { on: true, text } if text.is_empty() => vec![self.info("you are away")],
            Event::Away { on: true, text } => vec![self.info(&format!("you are away: {}", safe(text)))],
            Event::Away { on: false, .. } => vec![self.info("you are back")],
            Event::Ignoring { name, on: true } => {
                vec![self.info(&format!("{} is hidden; /unignore {0} shows what they say again", safe(name)))]
            }
            Event::Ignoring { name, on: false } => {
                vec![self.info(&format!("{} is no longer hidden", safe(name)))]
            }
            Event::Ignored { names } if names.is_empty() => vec![self.info("nobody is hidden")],
            Event::Ignored { names } => vec![self.info(&format!("hidden: {}", safe(&names.join(", "))))],
            Event::Motd { text } if text.is_empty() => vec![self.info("no message of the day")],
            Event::Motd { text } => self.motd(text),
            Event::Mistake { text, hint } => self.failed(&safe(text), Some(&safe(hint))),
            Event::Error { about, refusal } if about.is_empty() => {
                self.refused("the server refused that", refusal, None)
            }
            Event::Error { about, refusal } => {
                // Whoever has no commands has typed none.
                let about = about.rsplit(' ').next().filter(|_| self.errand.is_some()).unwrap_or(about);
                self.refused(&format!("refused '{}'", safe(about)), refusal, None)
            }
            Event::StillWaiting(awaited) => {
                vec![self.info(&format!("still waiting {}", waited_for(awaited)))]
            }
            Event::Notice { text } => vec![self.info(&safe(text))],
            other => self.outbox(other),
        }
    }

    /// A line of the program's own.
    pub(super) fn info(&self, text: &str) -> String {
        self.look.pad(&self.look.faint(&format!("-- {text}")))
    }

    pub(super) fn failed(&self, text: &str, hint: Option<&str>) -> Vec<String> {
        let first = self.look.pad(&self.look.bad(&format!("natter: {text}")));
        std::iter::once(first).chain(hint.map(|hint| self.look.pad(&format!("hint: {hint}")))).collect()
    }

    fn welcome(&self, welcome: &Welcome) -> Vec<String> {
        let (name, wanted) = (safe(&welcome.name), safe(&welcome.wanted));
        let mut out = vec![self.info(&format!("connected; you are {}", self.look.name(&name, true)))];
        if NameKey::of(&name) != NameKey::of(&wanted) {
            let why = match PersonName::parse_new(&welcome.wanted) {
                Ok(_) => "taken",
                Err(_) => "not allowed",
            };
            out.push(self.info(&format!("the name {wanted} is {why}; /nick NAME changes yours")));
        }
        if !welcome.storage.is_empty() {
            out.push(self.info(&safe(&welcome.storage)));
        }
        if let Some(folder) = &self.received {
            out.push(self.info(&format!("files that others send are put into {}", safe(folder))));
        }
        if !welcome.motd.is_empty() {
            out.extend(self.motd(&welcome.motd));
        }
        out
    }

    fn motd(&self, text: &str) -> Vec<String> {
        text.lines().map(|line| self.look.pad(&format!("| {}", safe(line)))).collect()
    }

    fn resumed(&self, tally: Tally) -> String {
        self.info(&match tally {
            Tally { missed: 0, lost: 0, doubled: 0 } => "back: nothing missed".to_owned(),
            Tally { missed, lost: 0, doubled: 0 } => format!("back: {missed} missed, all here, none twice"),
            Tally { missed, lost, doubled } => format!("back: {missed} missed, {lost} lost, {doubled} twice"),
        })
    }

    fn entered(&self, entered: &Entered) -> Vec<String> {
        let place = safe(&entered.place.to_string());
        let mut out = vec![self.info(&format!("{place}: {}", self.who_is_here(entered)))];
        if !entered.topic.is_empty() {
            out.push(self.info(&format!("topic: {}", safe(&entered.topic))));
        }
        if entered.empty {
            out.push(self.info("nothing was said here yet: type a line and press Enter"));
            out.push(
                self.info(
                    "/who shows who is here, /join ROOM goes to another room, /help shows all commands",
                ),
            );
        }
        out
    }

    fn fenced(&self, by: &str, since: Millis) -> Vec<String> {
        let since = self.zone.local(since).format("%H:%M");
        vec![
            self.info(&format!("{}, since {since}: it took over from here", safe(by))),
            self.info(
                "two clients with one profile take each other's place: with --temporary one of them is a device \
                 of its own",
            ),
        ]
    }

    fn who_is_here(&self, entered: &Entered) -> String {
        let names: Vec<_> = entered.people.iter().map(|name| self.look.name(&safe(name), false)).collect();
        match names.len() {
            0 if matches!(entered.place, Place::Person(_)) => "offline; what you write waits here".to_owned(),
            1 if matches!(entered.place, Place::Person(_)) => "online".to_owned(),
            0 if entered.online > 1 => format!("{} people are here", entered.online),
            0 => "nobody else is here".to_owned(),
            1 => format!("{} is here", names[0]),
            2..=NAMED => format!("{} are here", names.join(", ")),
            more => format!("{} and {} more are here", names[..NAMED].join(", "), more - NAMED),
        }
    }
}

pub(super) fn why(loss: Loss) -> &'static str {
    match loss {
        Loss::Closed => "closed",
        Loss::Silent => "the server fell silent",
        Loss::Garbled => "the server sent invalid data",
        Loss::Announced => "the server stops",
        Loss::Fenced => "another client uses this profile now, and this one waits until it is gone",
        Loss::Busy => "the server is still storing what was sent before",
    }
}

fn going_away(text: &str, after_ms: u32) -> String {
    let text = if text.is_empty() { "the server stops" } else { text };
    format!("{}; it can be reached again in {} s", safe(text), after_ms.div_ceil(1000))
}

fn came_line(names: &[String]) -> Option<String> {
    let verb = if names.len() == 1 { "is here" } else { "are here" };
    (!names.is_empty()).then(|| format!("* {} {verb}", enumeration(names)))
}

fn left_line(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("* {} left", enumeration(names)))
}

/// A, B and C; some of them if there are many.
fn enumeration(names: &[String]) -> String {
    let all: Vec<_> = names.iter().map(|name| safe(name)).collect();
    match &all[..] {
        [] => String::new(),
        [name] => name.clone(),
        [first @ .., last] if all.len() <= NAMED => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", all[..NAMED].join(", "), all.len() - NAMED),
    }
}

fn person(name: &str, change: &Change) -> String {
    match change {
        Change::Came => format!("* {name} is here"),
        Change::Left => format!("* {name} left"),
        Change::Renamed(new) => format!("* {name} is now {}", safe(new)),
        Change::Away(text) if text.is_empty() => format!("* {name} is away"),
        Change::Away(text) => format!("* {name} is away: {}", safe(text)),
        Change::Back => format!("* {name} is back"),
    }
}
