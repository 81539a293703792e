//! Questions that wait for their answers.

use super::place::Place;
use super::reading::Gather;
use super::shelf::Listing;
use crate::clock::after;
use crate::transfer::JobId;
use protocol::id::{Millis, PersonId, Req, RoomId, Seq};
use protocol::message::{ClientMsg, RoomListing, RosterItem};
use std::collections::BTreeMap;

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Join {
        name: String,
    },
    /// Which rooms there are, to join the one of this name.
    Seek {
        name: String,
        so_far: Vec<RoomListing>,
    },
    Part {
        room: RoomId,
    },
    Open {
        room: RoomId,
    },
    /// What was read before, to be shown before the room is opened.
    Context {
        room: RoomId,
    },
    History {
        gather: Gather,
    },
    /// The lines around this one.
    Around {
        room: RoomId,
        line: Seq,
    },
    Search,
    /// How far I have read.
    Mark,
    /// That I type, or have stopped. It is answered only if it is refused.
    Typing,
    /// This file is here.
    Fetched {
        id: JobId,
    },
    Rooms {
        so_far: Vec<RoomListing>,
    },
    People {
        place: Place,
        room: RoomId,
        so_far: Vec<RosterItem>,
    },
    Files(Listing),
    Whois {
        name: String,
        why: Why,
    },
    Topic,
    /// To block somebody, or not any more.
    Block {
        name: String,
        on: bool,
    },
    Blocks {
        so_far: Vec<String>,
    },
    Nick {
        name: String,
    },
    Away {
        on: bool,
        text: String,
    },
}

/// What somebody is looked up for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// To be shown.
    Show,
    /// To talk to them from here on.
    Query,
    /// The next post is for them.
    Post,
    /// A file is for them.
    Send,
    /// To be blocked, or not any more.
    Block { on: bool },
}

impl Asked {
    /// The command that it came from, for people; `None` for what the session asks by itself.
    pub(crate) fn command(&self) -> Option<String> {
        Some(match self {
            Self::Join { name } | Self::Seek { name, .. } => format!("/join {name}"),
            Self::Part { .. } => "/part".into(),
            Self::Open { .. }
            | Self::Context { .. }
            | Self::Mark
            | Self::Typing
            | Self::Fetched { .. }
            | Self::Whois { why: Why::Post | Why::Send, .. } => {
                return None;
            }
            Self::History { .. } => "/history".into(),
            Self::Around { .. } => "/jump".into(),
            Self::Search => "/search".into(),
            Self::Rooms { .. } => "/list".into(),
            Self::People { .. } => "/who".into(),
            Self::Files(listing) => listing.command(),
            Self::Whois { name, why: Why::Show } => format!("/whois {name}"),
            Self::Whois { name, why: Why::Query } => format!("/query {name}"),
            Self::Whois { name, why: Why::Block { on } } | Self::Block { name, on } => {
                format!("/{} {name}", if *on { "block" } else { "unblock" })
            }
            Self::Blocks { .. } => "/block".into(),
            Self::Topic => "/topic".into(),
            Self::Nick { name } => format!("/nick {name}"),
            Self::Away { on: true, .. } => "/away".into(),
            Self::Away { on: false, .. } => "/back".into(),
        })
    }

    /// Whether its answer decides where what is typed next goes.
    pub(crate) fn moves(&self) -> bool {
        matches!(
            self,
            Self::Join { .. } | Self::Seek { .. } | Self::Part { .. } | Self::Whois { why: Why::Query, .. }
        )
    }

    /// Whether what is typed next may build on its answer.
    pub(crate) fn is_awaited(&self) -> bool {
        self.moves()
            || matches!(self, Self::History { .. } | Self::Around { .. } | Self::Search | Self::Files(_))
    }
}

/// The shortest wait before a question that came too fast is asked again, in ms.
const MIN_WAIT_MS: u64 = 50;

/// The open questions of one connection, by number.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: u32,
    open: BTreeMap<Req, Asked>,
    /// Those of the open ones that may be asked again. Invariant: all of them are open.
    sent: BTreeMap<Req, ClientMsg>,
    /// Open ones that the server found too fast, and all behind them, so that they stay in their order.
    slowed: BTreeMap<Req, ClientMsg>,
    /// When those are asked again.
    go_on_at: Option<Millis>,
}

impl Requests {
    /// Notes a question and gives it a number.
    pub(crate) fn ask(&mut self, asked: Asked) -> Req {
        self.last = self.last.wrapping_add(1).max(1);
        let req = Req(self.last);
        self.open.insert(req, asked);
        req
    }

    /// Takes the message of an open question. Gives it back if it may be sent now.
    pub(crate) fn send(&mut self, req: Req, message: ClientMsg) -> Option<ClientMsg> {
        self.sent.insert(req, message.clone());
        if self.go_on_at.is_some() {
            self.slowed.insert(req, message);
            return None;
        }
        Some(message)
    }

    /// The server found this question too fast: it is asked again after so many ms. Gives what was asked, or `None` if
    /// it can't be asked again.
    pub(crate) fn slow_down(&mut self, req: Req, ms: u64, now: Millis) -> Option<&Asked> {
        let message = self.sent.get(&req)?.clone();
        self.slowed.insert(req, message);
        self.go_on_at = self.go_on_at.max(Some(after(now, ms.max(MIN_WAIT_MS))));
        self.open.get(&req)
    }

    /// What is to be asked again now.
    pub(crate) fn poll_again(&mut self, now: Millis) -> impl Iterator<Item = ClientMsg> + use<> {
        let is_time = self.go_on_at.is_some_and(|at| at <= now);
        let again = if is_time { std::mem::take(&mut self.slowed) } else { BTreeMap::new() };
        self.go_on_at = self.go_on_at.filter(|_| !is_time);
        again.into_values()
    }

    /// When something is to be asked again.
    pub(crate) fn timeout(&self) -> Option<Millis> {
        self.go_on_at
    }

    /// The question with this number, which is settled by that.
    pub(crate) fn take(&mut self, req: Req) -> Option<Asked> {
        self.sent.remove(&req);
        self.slowed.remove(&req);
        self.open.remove(&req)
    }

    /// Whether such a question is open.
    pub(crate) fn any(&self, wanted: impl Fn(&Asked) -> bool) -> bool {
        self.open.values().any(wanted)
    }

    /// Forgets all; gives those that were open.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Asked> + use<> {
        let Self { open, .. } = std::mem::replace(self, Self { last: self.last, ..Self::default() });
        open.into_values()
    }
}

/// The last person of a page, from which the next one goes on.
pub(crate) fn last_person(people: &[RosterItem]) -> Option<PersonId> {
    people.last().map(|item| item.person)
}
