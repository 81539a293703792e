//! Changing and taking back what I said.

use super::event::Event;
use super::outbox::Post;
use super::place::Place;
use super::{Phase, Session};
use crate::clock::{Now, after};
use protocol::entry::EntryKind;
use protocol::id::{Millis, Seq};

/// What is to become of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// It says this.
    Edit(String),
    /// It is gone.
    Delete,
}

/// A change of my last line in a place, which waits until it is known which line that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Deferred {
    place: Place,
    change: Change,
    /// Lines that had been refused before: if that grows, there is no such line.
    refusals: u64,
    /// When it was typed.
    typed: Millis,
}

/// A person waits so long for what was said before, in ms: on a slow link it may take minutes.
const BEHIND_MS: u64 = 2_000;

impl Deferred {
    /// When a person is not made to wait any more.
    pub(super) fn timeout(&self) -> Millis {
        after(self.typed, BEHIND_MS)
    }
}

impl Change {
    const fn kind(&self) -> EntryKind {
        match self {
            Self::Edit(_) => EntryKind::Edit,
            Self::Delete => EntryKind::Delete,
        }
    }

    /// Whether it can be made to an entry of this kind.
    fn suits(&self, kind: EntryKind) -> bool {
        match self {
            Self::Edit(_) => matches!(kind, EntryKind::Text | EntryKind::Action),
            Self::Delete => matches!(kind, EntryKind::Text | EntryKind::Action | EntryKind::File),
        }
    }
}

impl Session {
    /// Changes this line of the place, or my last one there.
    pub(super) fn change(&mut self, place: Place, line: Option<Seq>, change: Change, now: Now) {
        match line {
            Some(line) => self.change_line(place, line, change, now),
            None => {
                self.deferred = Some(Deferred { place, change, refusals: self.refusals, typed: now.steady });
                self.advance_deferred(now);
            }
        }
    }

    fn change_line(&mut self, place: Place, line: Seq, change: Change, now: Now) {
        let known = self.rooms.by_place(&place).and_then(|room| room.recent.find(line));
        match known {
            Some(known) if known.deleted => {
                self.mistake(format!("line #{line} is deleted"), "there is nothing to do");
            }
            Some(known) if Some(known.person) != self.me => {
                let text = format!("line #{line} is by {}", known.quoted.name);
                self.mistake(text, "only the author can change or delete a message");
            }
            Some(known) if known.quoted.kind == EntryKind::FileOffer => {
                let hint = "/cancel gives it up as long as it is sent; then /files tells the line of the file itself";
                self.mistake(format!("line #{line} only says that a file comes"), hint);
            }
            Some(known) if !change.suits(known.quoted.kind) => {
                self.mistake(format!("line #{line} is a file"), format!("/delete #{line} deletes it"));
            }
            _ => {
                let kind = change.kind();
                let text = match change {
                    Change::Edit(text) => text,
                    Change::Delete => String::new(),
                };
                self.post(place, kind, Some(line), text, now);
            }
        }
    }

    /// Finds out which line is the last one, as soon as all that was said before has come back.
    pub(super) fn advance_deferred(&mut self, now: Now) {
        let Some(deferred) = &self.deferred else {
            return;
        };
        let waiting = self.outbox.last_in(&deferred.place, |kind| deferred.change.suits(kind));
        let file =
            waiting.filter(|pending| pending.post.file.is_some()).map(|pending| pending.post.body.clone());
        let waiting = waiting.map(|pending| (pending.serial, pending.counter.is_some()));
        // What an earlier process or another device said last may still be to come.
        let behind = self.phase != Phase::Up || self.resume.is_active();
        let too_long = behind && self.config.interactive && now.steady >= deferred.timeout();
        let unseen = behind || self.outbox.is_waiting_in(&deferred.place) || !self.leaving.is_all_seen(now);
        // A script can wait until it is known what arrived; a person is told, and may type something else.
        let patient = !self.config.interactive && matches!(waiting, Some((_, true)));
        let moves = self.is_connected() && !self.unkept.is_outbox();
        if moves && unseen && !too_long || patient {
            return;
        }
        let Some(Deferred { place, change, refusals, .. }) = self.deferred.take() else {
            return;
        };
        if moves && too_long {
            let text =
                "nothing was changed: what was said before is still coming, and your last line may be in it";
            return self.mistake(text, "wait for it, or name the number of a line");
        }
        if self.refusals > refusals || self.leaving.has_unseen() {
            let text = "nothing was changed: your last line here is not there";
            return self.mistake(text, "type /history to see the numbers, and name one");
        }
        if change == Change::Delete
            && let Some(name) = file.or_else(|| self.transfers.sending_to(&place))
        {
            // Whoever means a file names it.
            let hint = format!("/cancel {name} stops it; /delete #N takes back a line");
            return self.mistake(format!("nothing was taken back: '{name}' is being sent"), hint);
        }
        match waiting {
            Some((serial, false)) => self.change_unsent(serial, change, now),
            Some((_, true)) => self.mistake(
                "your last line here is on its way, and may have arrived",
                "try it again when the connection is back",
            ),
            None => self.change_last(place, change, now),
        }
    }

    /// What was never sent need not be said first.
    fn change_unsent(&mut self, serial: u64, change: Change, now: Now) {
        let Some(post) = self.outbox.withdraw(serial) else {
            return;
        };
        self.tell(Event::Withdrawn { place: post.place.clone(), text: post.words() });
        if let Change::Edit(body) = change {
            let Post { place, kind, reply_to, .. } = post;
            self.post(place, kind, reply_to, body, now);
        }
    }

    fn change_last(&mut self, place: Place, change: Change, now: Now) {
        let room = self.rooms.by_place(&place);
        let last = room.and_then(|room| room.recent.last_of_mine(self.me, |kind| change.suits(kind)));
        let file = last.and_then(|line| room?.recent.quote(line)).filter(|was| was.kind == EntryKind::File);
        match last {
            Some(line) => match file {
                Some(file) => {
                    let text =
                        format!("nothing was taken back: your last line here is the file '{}'", file.text);
                    self.mistake(text, format!("/delete #{line} takes it back"));
                }
                None => self.change_line(place, line, change, now),
            },
            None => {
                let text = format!("you have said nothing in {place} lately");
                self.mistake(text, "type /history to see the numbers, and name one");
            }
        }
    }
}
