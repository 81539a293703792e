//! What must hold when a world has settled, and at its end.

use crate::plan::Plan;
use crate::record::{Fate, Pages};
use crate::rule::Rule;
use crate::sight::Sight;
use crate::store::SimStore;
use crate::trace::Token;
use crate::truth::Line;
use protocol::entry::EntryKind;
use server::store::{RoomShape, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// Beyond so many people a roster tells only how many there are.
const NAMED: usize = 200;

/// What has not settled yet, if anything.
pub(crate) fn unsettled(plan: &Plan, pages: &Pages, store: &SimStore) -> Option<(Rule, String)> {
    let known = Known::of(&store.known());
    let online = pages.sights.iter().filter(|sight| sight.online).map(|sight| known.name_of(sight));
    let online: BTreeSet<&str> = online.collect();
    for (id, (client, sight)) in plan.clients.iter().zip(&pages.sights).enumerate() {
        if client.absent {
            continue;
        }
        let wrong = if client.leaves {
            sight.running.then(|| (Rule::Converges, "has not left".to_owned()))
        } else if !sight.running || !sight.online {
            Some((Rule::Converges, "is not online".to_owned()))
        } else if client.forgetful {
            has_no_last_line(pages, sight)
        } else if client.classic {
            classic_is_behind(pages, sight, id)
        } else {
            is_behind(pages, sight, &known).or_else(|| misjudges_people(sight, &known, &online))
        };
        if let Some((rule, what)) = wrong {
            return Some((rule, format!("c{id} ({}) {what}", sight.name)));
        }
    }
    None
}

/// What is durable about people.
struct Known {
    names: BTreeMap<u64, String>,
    rooms: BTreeMap<u64, Vec<u64>>,
    /// The two of each conversation.
    pairs: Vec<(u64, u64)>,
}

impl Known {
    fn of(snapshot: &Snapshot) -> Self {
        let names = snapshot.people.iter().map(|(person, name, _)| (person.value(), name.clone())).collect();
        let mut rooms: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for room in &snapshot.rooms {
            for member in &room.members {
                rooms.entry(member.person.value()).or_default().push(room.room.value());
            }
        }
        let pairs = snapshot.rooms.iter().filter_map(|room| match room.shape {
            RoomShape::Direct(one, other) => Some((one.value(), other.value())),
            RoomShape::Public { .. } => None,
        });
        Self { names, rooms, pairs: pairs.collect() }
    }

    /// The names of those with whom a person has a conversation, even if nothing was said there.
    fn peers_of(&self, person: Option<u64>) -> BTreeSet<&str> {
        let peer = |(one, other): &(u64, u64)| {
            let peer = if Some(*one) == person { other } else { one };
            (person == Some(*one) || person == Some(*other)).then_some(*peer)
        };
        let peers = self.pairs.iter().filter_map(peer);
        peers.filter_map(|peer| self.names.get(&peer)).map(String::as_str).collect()
    }

    /// The name that the others see; classic clients have no other than what they were told.
    fn name_of<'a>(&'a self, sight: &'a Sight) -> &'a str {
        sight.person.and_then(|person| self.names.get(&person)).unwrap_or(&sight.name)
    }
}

fn is_behind(pages: &Pages, sight: &Sight, known: &Known) -> Option<(Rule, String)> {
    if let Some(wrong) = has_no_last_line(pages, sight) {
        return Some(wrong);
    }
    if let Some(token) = sight.wire.unsettled(&pages.fates) {
        return Some((Rule::Converges, format!("does not know what became of {token}, which was sent")));
    }
    // Each device by itself: that another one of its person was sent it is no excuse.
    for (room, next) in &sight.open {
        let head = pages.truth.head(*room);
        if *next <= head {
            return Some((
                Rule::ReachesAll,
                format!("was not sent entry {next} of room {room}, the last is {head}"),
            ));
        }
    }
    for room in sight.person.and_then(|person| known.rooms.get(&person)).into_iter().flatten() {
        let (last, seen) = (pages.truth.last_shown(*room), seen_of(pages, sight, *room));
        if seen < last {
            return Some((
                Rule::ReachesAll,
                format!("has seen entry {seen} of room {room}, whose last one for all is {last}"),
            ));
        }
        if let Some(what) = sight.screen.differs(*room, &pages.truth) {
            return Some((Rule::NewestShown, what));
        }
    }
    None
}

fn has_no_last_line(pages: &Pages, sight: &Sight) -> Option<(Rule, String)> {
    let is_said = |token| matches!(pages.fates.get(&token), Some(Fate::Acked | Fate::Uncertain));
    let is_missing = !sight.last_line.is_some_and(is_said);
    is_missing.then(|| (Rule::Converges, "could not say a last line".to_owned()))
}

/// The newest entry of a room that a client was shown. Somebody at a prompt is not shown again what another of their
/// devices has shown.
fn seen_of(pages: &Pages, sight: &Sight, room: u64) -> u64 {
    let epoch = pages.truth.epoch();
    let mine = pages.sights.iter().filter(|other| other.person == sight.person && other.epoch == epoch);
    mine.filter_map(|sight| sight.heads.get(&room)).max().copied().unwrap_or(0)
}

fn classic_is_behind(pages: &Pages, sight: &Sight, id: usize) -> Option<(Rule, String)> {
    let Some((greeted, shown)) = sight.classic else {
        return Some((Rule::Converges, "was not greeted".to_owned()));
    };
    let mut lobby = pages.truth.room(1).filter(|(_, line)| !line.is_deleted());
    let is_foreign =
        |line: &Line| line.token().is_some_and(|token| usize::from(token.client) != id && !token.is_offer());
    let last = lobby.rfind(|(_, line)| is_foreign(line)).map_or(0, |(seq, _)| seq);
    let behind = last > greeted && shown < last;
    behind.then(|| {
        (Rule::ClassicOrder, format!("was shown entry {shown} of the lobby, the last for it is {last}"))
    })
}

fn misjudges_people(sight: &Sight, known: &Known, online: &BTreeSet<&str>) -> Option<(Rule, String)> {
    let (me, peers) = (known.name_of(sight), known.peers_of(sight.person));
    let Some(who) = &sight.who else {
        return Some((Rule::NoGhosts, "has not learned who is there".to_owned()));
    };
    let who: BTreeSet<_> = who.iter().map(String::as_str).collect();
    if who != *online {
        let ghosts: Vec<_> = who.difference(online).take(5).collect();
        let missing: Vec<_> = online.difference(&who).take(5).collect();
        return Some((
            Rule::NoGhosts,
            format!("is told that {ghosts:?} are there, and that {missing:?} are not"),
        ));
    }
    let taken: BTreeSet<_> = sight.people.iter().map(String::as_str).collect();
    // Whom it has talked with it goes on knowing, by the name of that time.
    let is_known = |name: &str| {
        let is_same = |other: &str| first_name(other) == first_name(name);
        name.is_empty()
            || online.iter().any(|other| is_same(other))
            || sight.peers.iter().any(|peer| is_same(peer))
            || peers.iter().any(|peer| is_same(peer))
    };
    let ghost = taken.iter().find(|name| !is_known(name));
    if let Some(ghost) = ghost {
        return Some((Rule::NoGhosts, format!("takes {ghost} for somebody who is there")));
    }
    let missing = online.iter().find(|name| !taken.contains(**name) && **name != me && **name != sight.name);
    match missing {
        Some(missing) if online.len() <= NAMED => {
            Some((Rule::NoGhosts, format!("does not know that {missing} is there")))
        }
        _ => None,
    }
}

/// A name without what `/nick` or a taken name put behind it.
fn first_name(name: &str) -> &str {
    name.split(['n', '-']).next().unwrap_or_default()
}

/// What is wrong with the log as a whole, if anything.
pub(crate) fn judge_log(pages: &Pages, memory: bool) -> Option<(Rule, String)> {
    for room in pages.truth.rooms() {
        let mut last: BTreeMap<(u16, u64), u32> = BTreeMap::new();
        for token in pages.truth.room(room).filter_map(|(_, line)| line.token()) {
            if pages.unordered.contains(&token) || token.is_offer() {
                continue;
            }
            let visit = pages.guests.get(&token).copied().unwrap_or(0);
            let before = last.insert((token.client, visit), token.n);
            if before.is_some_and(|before| before >= token.n) {
                return Some((
                    Rule::SenderOrder,
                    format!("{token} of room {room} stands behind n = {before:?}"),
                ));
            }
        }
    }
    let fate = |(token, fate): (&Token, &Fate)| match fate {
        Fate::Acked if !memory && !pages.truth.has(*token) => {
            Some((Rule::Durable, format!("{token} was acknowledged, and is not in the log")))
        }
        Fate::Refused if pages.truth.has(*token) => {
            Some((Rule::AtMostOnce, format!("{token} was refused, and is in the log")))
        }
        _ => None,
    };
    pages.fates.iter().find_map(fate)
}

/// The topics that the server tells, beside those that were set last.
pub(crate) fn judge_topics(pages: &Pages, known: &Snapshot) -> Option<(Rule, String)> {
    known.rooms.iter().find_map(|room| {
        let set = pages.truth.room(room.room.value()).rfind(|(_, line)| line.kind == EntryKind::Topic);
        let set = set.and_then(|(_, line)| line.token());
        let told = Token::find(&room.topic);
        (told != set).then(|| {
            (Rule::NewestShown, format!("the topic of room {} is {told:?}, {set:?} was set last", room.room))
        })
    })
}

/// The contents that entries name and that the server's disk has not.
pub(crate) fn judge_named(known: &Snapshot, contents: &[(String, Vec<u8>)]) -> Option<(Rule, String)> {
    let names = known.files.iter().map(|file| blake3::Hash::from_bytes(file.hash.0).to_hex());
    let lost = names.into_iter().find(|name| !contents.iter().any(|(found, _)| found == name.as_str()))?;
    Some((Rule::WholeFiles, format!("an entry names the content {lost}, which the server has not")))
}

/// The contents on the server's disk that are not what their names say.
pub(crate) fn judge_contents(contents: &[(String, Vec<u8>)]) -> Option<(Rule, String)> {
    let wrong = contents.iter().find(|(name, bytes)| blake3::hash(bytes).to_hex().as_str() != name)?;
    Some((Rule::WholeFiles, format!("the server keeps {} bytes under the hash {}", wrong.1.len(), wrong.0)))
}
