//! What must hold when a world has settled, and at its end.

use crate::actor::name_of;
use crate::plan::Plan;
use crate::record::{Fate, Pages};
use crate::rule::Rule;
use crate::sight::Sight;
use crate::store::SimStore;
use crate::trace::Token;
use std::collections::{BTreeMap, BTreeSet};

/// Beyond so many people a roster tells only how many there are.
const NAMED: usize = 200;

/// What has not settled yet, if anything.
pub(crate) fn unsettled(plan: &Plan, pages: &Pages, store: &SimStore) -> Option<(Rule, String)> {
    let online: BTreeSet<&str> =
        pages.sights.iter().filter(|sight| sight.online).map(|sight| sight.name.as_str()).collect();
    let heads = store.heads_by_person();
    let clients = plan.clients.iter().zip(&pages.sights).enumerate();
    for (id, (client, sight)) in clients {
        let wrong = if !sight.running || !sight.online {
            Some((Rule::Converges, "is not online".to_owned()))
        } else if client.classic {
            classic_is_behind(pages, sight, id)
        } else {
            is_behind(pages, sight, &heads).or_else(|| misjudges_people(sight, &online))
        };
        if let Some((rule, what)) = wrong {
            return Some((rule, format!("c{id} ({}) {what}", sight.name)));
        }
    }
    None
}

fn is_behind(pages: &Pages, sight: &Sight, heads: &BTreeMap<String, Vec<u64>>) -> Option<(Rule, String)> {
    if !sight.wire.is_settled(&pages.fates) {
        return Some((Rule::Converges, "has posts on the wire that are not settled".to_owned()));
    }
    for room in heads.get(&sight.name).into_iter().flatten() {
        let (head, seen) = (pages.truth.head(*room), sight.heads.get(room).copied().unwrap_or(0));
        if seen != head {
            return Some((Rule::ReachesAll, format!("has seen entry {seen} of room {room}, whose head is {head}")));
        }
    }
    None
}

fn classic_is_behind(pages: &Pages, sight: &Sight, id: usize) -> Option<(Rule, String)> {
    let Some((greeted, shown)) = sight.classic else { return Some((Rule::Converges, "was not greeted".to_owned())) };
    let lobby = pages.truth.rooms().get(&1).map(Vec::as_slice).unwrap_or_default();
    let foreign = lobby.iter().rposition(|token| token.is_some_and(|token| usize::from(token.client) != id));
    let last = foreign.map_or(0, |at| at as u64 + 1);
    let behind = last > greeted && shown < last;
    behind.then(|| (Rule::ClassicOrder, format!("was shown entry {shown} of the lobby, the last for it is {last}")))
}

fn misjudges_people(sight: &Sight, online: &BTreeSet<&str>) -> Option<(Rule, String)> {
    let Some(who) = &sight.who else { return Some((Rule::NoGhosts, "has not learned who is there".to_owned())) };
    let who: BTreeSet<_> = who.iter().map(String::as_str).collect();
    if who != *online {
        return Some((Rule::NoGhosts, format!("is told that {:?} are there {}", differing(&who, online), "or not")));
    }
    let known: BTreeSet<_> = sight.people.iter().map(String::as_str).collect();
    let ghost = known.iter().find(|name| !online.contains(**name) && !sight.peers.contains(**name));
    if let Some(ghost) = ghost {
        return Some((Rule::NoGhosts, format!("takes {ghost} for somebody who is there")));
    }
    let missing = online.iter().find(|name| !known.contains(**name) && **name != sight.name);
    match missing {
        Some(missing) if online.len() <= NAMED => {
            Some((Rule::NoGhosts, format!("does not know that {missing} is there")))
        }
        _ => None,
    }
}

fn differing<'a>(told: &BTreeSet<&'a str>, true_ones: &BTreeSet<&'a str>) -> Vec<&'a str> {
    told.symmetric_difference(true_ones).copied().take(5).collect()
}

/// What is wrong with the log as a whole, if anything.
pub(crate) fn judge_log(pages: &Pages, memory: bool) -> Option<(Rule, String)> {
    for (room, lines) in pages.truth.rooms() {
        let mut last: BTreeMap<u16, u32> = BTreeMap::new();
        for token in lines.iter().flatten() {
            let before = last.insert(token.client, token.n);
            if before.is_some_and(|before| before >= token.n) {
                return Some((Rule::SenderOrder, format!("{token} of room {room} stands behind n = {before:?}")));
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

/// The contents on the server's disk that are not what their names say.
pub(crate) fn judge_contents(contents: &[(String, Vec<u8>)]) -> Option<(Rule, String)> {
    let wrong = contents.iter().find(|(name, bytes)| blake3::hash(bytes).to_hex().as_str() != name)?;
    Some((Rule::WholeFiles, format!("the server keeps {} bytes under the hash {}", wrong.1.len(), wrong.0)))
}

/// The name that a client asks for.
pub(crate) fn wanted_name(plan: &Plan, id: usize) -> String {
    name_of(plan.clients[id].person)
}
