//! Who sits in front of a client: reads what it shows, and types.

use super::lines::{Typed, Typist, content};
use super::memory::{About, Memory};
use super::shown::{Recall, check_found, check_recalled, take_said, take_trimmed};
use super::{Actor, Phase};
use crate::coverage::Sometimes;
use crate::meant::Meant;
use crate::record::{Fate, Pages};
use crate::rule::Rule;
use crate::trace::{Token, Who};
use client::drive::{Face, Input};
use client::session::Tally;
use client::session::event::{Event, Rest, Transfer, TransferStep};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;

/// How often an onlooker tries again what could not be typed.
const RETRY: u64 = 50;

/// How long somebody who ended a client by force stays away, in ms.
const IMPATIENCE: u64 = 200;

/// How long somebody stays away who leaves for good, in ms: longer than any run.
const FOR_GOOD: u64 = 86_400_000;

/// How often everybody asks who is there while the world settles.
const ASK_EVERY: u64 = 5_000;

/// The user of one process.
pub(super) struct Onlooker<'a> {
    actor: &'a Actor,
    typist: &'a mut Typist,
    memory: Memory,
    phase: Phase,
    shown: u64,
    /// Nothing is looked at before this time, in ms.
    away_until: u64,
    /// Nothing is typed before this time.
    type_at: u64,
    /// It has said farewell.
    leaving: bool,
    /// How long it stays away after it has left.
    pub(super) away: u64,
}

impl<'a> Onlooker<'a> {
    pub(super) fn new(actor: &'a Actor, typist: &'a mut Typist) -> Self {
        Self {
            actor,
            typist,
            memory: Memory::new(),
            phase: Phase::Talk,
            shown: 0,
            away_until: 0,
            type_at: 0,
            leaving: false,
            away: 0,
        }
    }

    /// Looks until the events end, or its patience does.
    pub(super) async fn look(&mut self, mut face: Face) {
        loop {
            let now = self.now();
            self.type_what_is_due(&face, now);
            let wait = Duration::from_millis(self.wake_at(now).saturating_sub(now).max(1));
            let looking = self.away_until <= now;
            tokio::select! {
                biased;
                event = face.events.recv(), if looking => match event {
                    Some(event) => self.read(event, &mut face),
                    None => return,
                },
                phase = self.actor.orders.later_than(self.phase) => {
                    if phase == Phase::Settle && self.leaving {
                        // Whoever waits for a farewell when all is healed has waited long enough.
                        self.away = IMPATIENCE;
                        return;
                    }
                    self.enter(phase);
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn now(&self) -> u64 {
        self.actor.net.record.pages().now() / 1_000
    }

    fn wake_at(&self, now: u64) -> u64 {
        let due = self.typist.due().map_or(now + 10_000, |due| due.max(self.type_at));
        if self.away_until > now { due.min(self.away_until) } else { due }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.away_until = 0;
        self.typist.stop();
        self.type_at = 0;
        match phase {
            Phase::Talk => {}
            Phase::Settle if self.actor.plan.leaves => self.typist.put_back(Typed::Leave(FOR_GOOD)),
            Phase::Settle => {
                self.typist.put_back(ask());
                // Whoever can't say this has not recovered.
                let last = self.typist.last_line();
                self.typist.put_back(last);
            }
            Phase::Leave => self.typist.put_back(Typed::Leave(0)),
        }
    }

    fn type_what_is_due(&mut self, face: &Face, now: u64) {
        while self.type_at <= now {
            let Some(typed) = self.typist.take(now) else { return };
            let line = match &typed {
                Typed::Line(line, _) => line.clone(),
                Typed::About(about, token) => match self.words(about, *token) {
                    Some(line) => line,
                    None => continue,
                },
                Typed::File(bytes, token) => match self.lay_down(*bytes, *token) {
                    Some(line) => line,
                    None => continue,
                },
                Typed::Leave(away) => {
                    self.away = *away;
                    "/quit".to_owned()
                }
                Typed::LookAway(ms) => {
                    self.away_until = now + ms;
                    continue;
                }
            };
            match face.input.try_send(Input::Line(line.clone())) {
                Ok(()) => self.was_typed(&typed, &line, now),
                Err(TrySendError::Full(_)) => {
                    self.typist.put_back(typed);
                    self.type_at = now + RETRY;
                }
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }

    fn was_typed(&mut self, typed: &Typed, line: &str, now: u64) {
        self.note_meant(line, typed);
        match typed {
            Typed::About(_, token) => self.actor.typed(*token),
            Typed::Line(_, token) => {
                self.actor.typed(*token);
                if self.phase == Phase::Settle && token.is_some() {
                    self.actor.net.record.pages().sights[usize::from(self.actor.id)].last_line = *token;
                }
                if line.starts_with("/topic") {
                    self.actor.net.record.pages().unordered.extend(*token);
                }
            }
            Typed::File(_, token) => {
                self.actor.typed(Some(*token));
                self.actor.net.record.pages().unordered.insert(*token);
            }
            // Nothing is typed behind a farewell.
            Typed::Leave(_) => (self.type_at, self.leaving) = (u64::MAX, true),
            Typed::LookAway(_) => {}
        }
        if self.phase == Phase::Settle && self.typist.due().is_none() {
            self.typist.put_back(ask());
            self.type_at = now + ASK_EVERY;
            if self.was_refused() {
                let last = self.typist.last_line();
                self.typist.put_back(last);
            }
        }
    }

    /// What is typed about a line: nothing if they remember none.
    fn words(&self, about: &About, token: Option<Token>) -> Option<String> {
        let text = token.map(|token| token.to_string()).unwrap_or_default();
        Some(match about {
            About::Answer(back) => format!("/reply #{} {text}", self.memory.number(false, *back)?),
            About::Edit(0) => format!("/edit {text}"),
            About::Edit(back) => format!("/edit #{} {text}", self.memory.number(true, *back)?),
            About::Delete(0) => "/delete".to_owned(),
            About::Delete(back) => format!("/delete #{}", self.memory.number(true, *back)?),
            About::Search { token, gone, everywhere } => {
                let token = self.memory.gone().filter(|_| *gone).unwrap_or(*token);
                format!("/search {}{token}", if *everywhere { "-a " } else { "" })
            }
        })
    }

    /// Notes which line was meant by one about another.
    fn note_meant(&self, line: &str, typed: &Typed) {
        let mut pages = self.actor.net.record.pages();
        let (id, now) = (self.actor.id, pages.now());
        let epoch = pages.sights[usize::from(id)].epoch;
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or_default();
        let number = words.next().and_then(|word| word.strip_prefix('#')?.parse().ok());
        let token = match typed {
            Typed::Line(_, token) | Typed::About(_, token) => *token,
            _ => None,
        };
        match (command, token) {
            ("/edit", Some(token)) => pages.meanings.note(token, epoch, Meant::Change(number)),
            ("/reply", Some(token)) => {
                let last = || Meant::AnswerLast(pages.sights[usize::from(id)].others.clone());
                let meant = number.map_or_else(last, Meant::Answer);
                pages.meanings.note(token, epoch, meant);
            }
            ("/delete", _) => number.into_iter().for_each(|seq| pages.meanings.note_taken_back(id, seq)),
            ("/search" | "/history", _) => pages.sights[usize::from(id)].asked.push_back(now),
            _ => {}
        }
    }

    /// Whether the last line was refused, as it is by a store that has had no room until just now.
    fn was_refused(&self) -> bool {
        let pages = self.actor.net.record.pages();
        let last = pages.sights[usize::from(self.actor.id)].last_line;
        last.is_some_and(|token| pages.fates.get(&token) == Some(&Fate::Refused))
    }

    /// Puts a file where the client can find it.
    fn lay_down(&self, bytes: u32, token: Token) -> Option<String> {
        let path = self.actor.folder.as_ref()?.join(format!("{token}_file.bin"));
        match std::fs::write(&path, content(token, bytes)) {
            Ok(()) => {
                self.actor.net.record.pages().files.insert(token, bytes);
                Some(format!("/send {}", path.display()))
            }
            Err(error) => {
                self.actor.net.record.fail(Rule::Surroundings, format!("no real disk for files: {error}"));
                None
            }
        }
    }

    fn read(&mut self, event: Event, face: &mut Face) {
        self.take(event);
        self.shown += 1;
        while let Ok(event) = face.events.try_recv() {
            self.take(event);
            self.shown += 1;
        }
        face.shown.send_replace(self.shown);
        let mut pages = self.actor.net.record.pages();
        let sight = &mut pages.sights[usize::from(self.actor.id)];
        let view = face.view.borrow_and_update();
        (sight.rooms, sight.people) = (view.rooms.clone(), view.people.clone());
    }

    fn take(&mut self, event: Event) {
        let id = self.actor.id;
        let mut pages = self.actor.net.record.pages();
        let pages = &mut *pages;
        match event {
            Event::Said(said) => {
                take_said(id, &said, pages);
                self.memory.take(&said);
            }
            Event::Switched { place } => self.memory.go_to(&place),
            Event::NewHistory => {
                self.memory.forget();
                pages.sights[usize::from(id)].forget_all();
            }
            Event::Trimmed { place, first, .. } => take_trimmed(id, &place, first.value(), pages),
            Event::Left { place } => pages.sights[usize::from(id)].forget(&place.to_string()),
            Event::History { place, entries, rest: Rest::Offline }
            | Event::Around { place, entries, offline: true, .. } => {
                check_recalled(id, Some(&place), &entries, Recall::Memory, pages);
            }
            Event::History { place, entries, .. } | Event::Around { place, entries, .. } => {
                check_recalled(id, Some(&place), &entries, Recall::Part, pages);
            }
            Event::Context { place, entries } => {
                check_recalled(id, Some(&place), &entries, Recall::Context, pages);
            }
            // What a client remembers may be older than the log.
            Event::Found { offline: true, .. } => {
                pages.sights[usize::from(id)].asked.pop_front();
            }
            Event::Found { words, hits, .. } => check_found(id, &words, &hits, pages),
            Event::Transfer(transfer) => take_transfer(id, &transfer, pages),
            other => take_notice(id, other, pages),
        }
    }
}

/// What is told beside the log.
fn take_notice(id: u16, event: Event, pages: &mut Pages) {
    let (at, now) = (usize::from(id), pages.now());
    match event {
        Event::Welcome(welcome) => {
            pages.sights[at].come(now);
            pages.sights[at].name = welcome.name;
        }
        Event::Reconnected => pages.sights[at].come(now),
        Event::Named { name } => {
            pages.sights[at].name = name;
            pages.sights[at].own.touch(now);
        }
        Event::Lost(_) => {
            pages.note(Who::Client(id), "loses its connection", None, 0);
            pages.sights[at].online = false;
            pages.sights[at].own.touch(now);
        }
        Event::Refused { text, refusal, .. } => {
            find(&text).into_iter().for_each(|token| pages.refused(token, refusal.code));
        }
        // Neither was ever sent.
        Event::Withdrawn { text, .. } => {
            pages.coverage.hit(Sometimes::Withdrawn);
            find(&text).into_iter().for_each(|token| pages.refused(token, 0));
        }
        Event::Void { text, .. } => find(&text).into_iter().for_each(|token| pages.refused(token, 0)),
        Event::Uncertain { text, .. } => {
            find(&text).into_iter().for_each(|token| pages.uncertain(token));
        }
        Event::Gap { place, missing } => {
            pages.fail(Rule::OneOrder, format!("c{id} misses {missing} entries of {place}"));
        }
        Event::Resumed(Tally { lost, doubled, .. }) if lost + doubled > 0 => {
            pages.fail(Rule::OneOrder, format!("c{id} resumed with {lost} lost and {doubled} doubled"));
        }
        Event::People { people, offline: false, .. } => {
            let online = people.into_iter().filter(|item| item.presence.online);
            pages.sights[at].who = Some(online.map(|item| item.name).collect());
        }
        _ => {}
    }
}

fn take_transfer(id: u16, transfer: &Transfer, pages: &mut Pages) {
    match &transfer.step {
        TransferStep::Received { path } => check_file(id, &transfer.name, path, pages),
        TransferStep::Resumed { at } => {
            pages.note(Who::Client(id), "goes on with a file", Token::find(&transfer.name), *at);
            pages.coverage.hit(Sometimes::FileResumed);
        }
        _ => {}
    }
}

fn ask() -> Typed {
    Typed::Line("/who lobby".to_owned(), None)
}

/// The token in what the client says about a post, which may have words around it.
fn find(text: &str) -> Option<Token> {
    text.split([' ', '\'', '/']).find_map(Token::find)
}

fn check_file(id: u16, name: &str, path: &str, pages: &mut Pages) {
    let bytes = std::fs::read(path).unwrap_or_default();
    let whole = Token::find(name).is_some_and(|token| {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        blake3::hash(&content(token, size)) == blake3::hash(&bytes) && pages.files.get(&token) == Some(&size)
    });
    pages.note(Who::Client(id), "received a file", Token::find(name), bytes.len() as u64);
    pages.coverage.hit(Sometimes::FileArrived);
    if !whole {
        pages.fail(Rule::WholeFiles, format!("c{id} received {name} with other bytes than were sent"));
    }
}
