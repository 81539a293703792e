//! What a client shows of the log, judged by what is durable.

use crate::asked::is_about;
use crate::coverage::Sometimes;
use crate::record::Pages;
use crate::rule::Rule;
use crate::trace::{Token, Who};
use crate::truth::{Line, Spot, Truth, Version};
use client::session::Place;
use client::session::event::{Quote, Said};
use protocol::entry::{EntryKind, Revision};

/// What a client says in the place of a text that is gone.
const GONE: &str = "(deleted)";

/// An entry is shown that just came, or that was missed.
pub(super) fn take_said(id: u16, said: &Said, pages: &mut Pages) {
    let version = Version::of_said(said);
    let seq = said.seq.value();
    pages.note(Who::Client(id), "is shown", version.token, seq);
    if crate::net::EPOCH_MS + pages.now() / 1_000 > said.time.0 + 20_000 {
        pages.coverage.hit(Sometimes::LateReader);
    }
    if let Place::Person(name) = &said.place {
        pages.sights[usize::from(id)].peers.insert(name.clone());
    }
    match locate(id, said, pages) {
        Found::At(spot) => show(id, said, version, spot, pages),
        // What was on its way when a memory store forgot it.
        Found::Forgotten => {}
        Found::Nowhere => {
            let spot = version.token.and_then(|token| pages.truth.spot(token));
            let what = format!(
                "c{id} was shown {version:?} '{}' as entry {seq} of {}, which has it at {spot:?}",
                said.text, said.place
            );
            pages.fail(Rule::OneOrder, what);
        }
    }
}

/// Where what is shown stands in the log.
enum Found {
    At(Spot),
    /// It may have stood in a history that is gone.
    Forgotten,
    Nowhere,
}

/// Finds the room of what is shown by what it says, or else by the name of the place.
fn locate(id: u16, said: &Said, pages: &Pages) -> Found {
    let (sight, truth) = (&pages.sights[usize::from(id)], &pages.truth);
    let is_it =
        |spot: &Spot| truth.line(spot.epoch, spot.room, spot.seq).is_some_and(|line| is_of(line, said));
    let seq = said.seq.value();
    if let Some(token) = Version::of_said(said).token {
        let mut spots = truth.spots(token).iter().rev().map(|spot| Spot { seq, ..*spot });
        return match spots.clone().find(is_it) {
            Some(spot) => Found::At(spot),
            None if spots.any(|spot| spot.epoch > 0) => Found::Forgotten,
            None => Found::Nowhere,
        };
    }
    let place = said.place.to_string();
    let spots = [sight.epoch, truth.epoch()]
        .into_iter()
        .flat_map(|epoch| sight.rooms_named(&place).map(move |room| Spot { epoch, room, seq }));
    let mut spots: Vec<_> = spots.filter(is_it).collect();
    spots.sort_by_key(|spot| !sight.expects(spot.room, seq));
    match spots.first() {
        Some(spot) => Found::At(*spot),
        None if truth.epoch() > 0 => Found::Forgotten,
        None => Found::Nowhere,
    }
}

/// Whether an entry of the log is what is shown.
fn is_of(line: &Line, said: &Said) -> bool {
    let reply_to = said.reply.as_ref().map(|quote| quote.seq.value());
    line.kind == said.kind && line.reply_to == reply_to && line.said_since(Version::of_said(said), 0)
}

fn show(id: u16, said: &Said, version: Version, spot: Spot, pages: &mut Pages) {
    let at = usize::from(id);
    let now = pages.now();
    pages.sights[at].read_in(spot.epoch);
    let elsewhere = read_elsewhere(id, spot.room, spot.seq, pages);
    let (place, truth) = (said.place.to_string(), &pages.truth);
    if let Some(wrong) = pages.sights[at].show(&place, spot, elsewhere, truth) {
        pages.fail(Rule::OneOrder, format!("c{id} {wrong}"));
    }
    let head = pages.sights[at].heads.entry(spot.room).or_default();
    *head = spot.seq.max(*head);
    if let Some(quote) = &said.reply {
        check_quote(id, quote, spot, said.kind, pages);
    }
    put_on_screen(id, said, version, spot, pages);
    let stored = pages.truth.line(spot.epoch, spot.room, spot.seq).map_or(0, Line::at);
    let after = now.saturating_sub(stored);
    if pages.sights[at].is_late(spot.room, after) {
        let (ms, seq, room) = (after / 1_000, spot.seq, spot.room);
        let what = format!("c{id} is shown entry {seq} of room {room} {ms} ms after it was stored");
        pages.fail(Rule::OthersUndisturbed, what);
    }
    if let Some(token) = Token::find(&said.text).filter(|_| said.kind == EntryKind::Text) {
        pages.judge_age(id, token);
    }
}

/// What is quoted is the line that an entry is about, as the screen has it.
fn check_quote(id: u16, quote: &Quote, spot: Spot, kind: EntryKind, pages: &mut Pages) {
    let Some(quoted) = &quote.said else { return };
    let token = Token::find(&quoted.text);
    let is_said = |version: Version| match version.token {
        Some(token) => {
            Token::find(&quoted.text).is_some_and(|found| found == token || found.offer() == token)
        }
        None => quoted.text == GONE,
    };
    let target = quote.seq.value();
    let shown = pages.sights[usize::from(id)].screen.find(spot.room, target);
    let line = pages.truth.line(spot.epoch, spot.room, target);
    let is_right = match shown {
        Some(version) => is_said(version),
        None => line.is_some_and(|line| line.since(0).any(is_said)),
    };
    if !is_right {
        let what = format!(
            "c{id} is shown entry {} of room {} about entry {target} as {token:?} '{}', it was shown as {shown:?}",
            spot.seq, spot.room, quoted.text
        );
        pages.fail(Rule::AboutTheRightLine, what);
    } else if kind == EntryKind::Text {
        pages.coverage.hit(Sometimes::Answered);
    }
}

fn put_on_screen(id: u16, said: &Said, version: Version, spot: Spot, pages: &mut Pages) {
    let screen = &mut pages.sights[usize::from(id)].screen;
    let target = said.reply.as_ref().map_or(0, |quote| quote.seq.value());
    let effect = match said.kind {
        // One that is gone itself changes nothing any more.
        EntryKind::Edit if version.is_deleted() => return,
        EntryKind::Edit => {
            let edited = Version { revision: Revision::Edited, token: version.token };
            screen.change(spot.room, target, edited).then_some(Sometimes::EditSeen)
        }
        EntryKind::Delete => {
            let deleted = Version { revision: Revision::Deleted, token: None };
            screen.change(spot.room, target, deleted).then_some(Sometimes::DeleteSeen)
        }
        _ => {
            screen.show(spot.room, spot.seq, version);
            if said.name.is_some() && !said.mine {
                pages.sights[usize::from(id)].others.insert(spot.room, spot.seq);
            }
            (version.revision != Revision::Original).then_some(Sometimes::ChangedBefore)
        }
    };
    if let Some(effect) = effect {
        pages.coverage.hit(effect);
    }
}

/// Which entries are shown again, and what may be missing among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recall {
    /// A part of a history: all of it.
    Part,
    /// The last that was read before: changes are left out.
    Context,
    /// Lines that a client without a connection remembers: no notices, no changes, and no line that is too old.
    Memory,
    /// What was found.
    Hits,
}

/// What is shown again must be what is in the log, in its order and without a gap, as it was when it was asked for.
pub(super) fn check_recalled(
    id: u16,
    place: Option<&Place>,
    entries: &[Said],
    how: Recall,
    pages: &mut Pages,
) {
    let since = match how {
        Recall::Context => 0,
        Recall::Memory => {
            pages.sights[usize::from(id)].asked.pop_front();
            0
        }
        Recall::Part | Recall::Hits => pages.sights[usize::from(id)].asked.pop_front().unwrap_or(0),
    };
    let mut before: Option<Spot> = None;
    for said in entries {
        let spot = match locate(id, said, pages) {
            Found::At(spot) => spot,
            Found::Forgotten => return,
            Found::Nowhere => {
                let what =
                    format!("c{id} is shown '{}' again as entry {} of {}", said.text, said.seq, said.place);
                return pages.fail(Rule::OneOrder, what);
            }
        };
        let follows = before.is_none_or(|before| follows(before, spot, how, &pages.truth));
        if !follows {
            let what = format!("c{id} is shown {spot:?} again behind {before:?} of {place:?}");
            return pages.fail(Rule::OneOrder, what);
        }
        let version = Version::of_said(said);
        let line = pages.truth.line(spot.epoch, spot.room, spot.seq);
        if !line.is_some_and(|line| line.said_since(version, since)) {
            let what = format!("c{id} is shown {version:?} again at {spot:?}, the log has {line:?}");
            return pages.fail(Rule::NewestShown, what);
        }
        if how == Recall::Context {
            pages.sights[usize::from(id)].screen.show(spot.room, spot.seq, version);
        }
        before = Some(spot);
    }
    pages.coverage.hit(Sometimes::Recalled);
}

fn follows(before: Spot, spot: Spot, how: Recall, truth: &Truth) -> bool {
    let (from, is_same) = (before.seq + 1, (before.epoch, before.room) == (spot.epoch, spot.room));
    match how {
        Recall::Hits => true,
        Recall::Part => is_same && spot.seq == from,
        Recall::Memory => is_same && spot.seq >= from,
        Recall::Context => {
            is_same && spot.seq >= from && truth.first_shown(spot.epoch, spot.room, from, spot.seq).is_none()
        }
    }
}

/// What a search found. `gone` if it was for something that this client was shown to be taken back.
pub(super) fn check_found(id: u16, words: &str, hits: &[Said], pages: &mut Pages) {
    let sought = Token::find(words);
    let is_other =
        |said: &&Said| !sought.is_some_and(|sought| is_about(sought, Version::of_said(said).token));
    if let Some(other) = hits.iter().find(is_other) {
        let what = format!("c{id} finds '{}' in {} for '{words}'", other.text, other.place);
        pages.fail(Rule::SearchesFind, what);
    }
    let spot = sought.and_then(|token| pages.truth.spot(token));
    let line = spot.and_then(|spot| pages.truth.line(spot.epoch, spot.room, spot.seq));
    if hits.is_empty() && line.is_some_and(Line::is_deleted) {
        pages.coverage.hit(Sometimes::SearchedGone);
    } else if !hits.is_empty() {
        pages.coverage.hit(Sometimes::SearchHit);
    }
    check_recalled(id, None, hits, Recall::Hits, pages);
}

/// It is told that a room begins at this entry.
pub(super) fn take_trimmed(id: u16, place: &Place, first: u64, pages: &mut Pages) {
    let sight = &pages.sights[usize::from(id)];
    let truth = &pages.truth;
    let rooms: Vec<_> =
        sight.rooms_named(&place.to_string()).filter(|room| first <= truth.last_beginning(*room)).collect();
    if rooms.is_empty() && truth.epoch() == 0 {
        let what = format!("c{id} is told that {place} begins at {first}, and it begins before that");
        pages.fail(Rule::BeginningTold, what);
    }
    pages.note(Who::Client(id), "is told that a room begins", None, first);
    pages.coverage.hit(Sometimes::BeginningTold);
    let sight = &mut pages.sights[usize::from(id)];
    match rooms[..] {
        [room] => sight.trim(room, first),
        // Two guests had this name after each other.
        _ => sight.forget(&place.to_string()),
    }
}

/// Up to where the person behind a client was shown a room by any device, and one more.
fn read_elsewhere(id: u16, room: u64, seq: u64, pages: &Pages) -> u64 {
    let me = &pages.sights[usize::from(id)];
    if !me.skips(room, seq) {
        return 0;
    }
    let mine = pages.sights.iter().filter(|sight| sight.person.is_some() && sight.person == me.person);
    mine.filter_map(|sight| sight.heads.get(&room)).max().map_or(0, |head| head + 1)
}
