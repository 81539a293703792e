//! What the server refuses.

use super::Session;
use super::event::{End, Event, Loss, Refusal};
use super::outbox::Verdict;
use super::place::Place;
use super::requests::{Asked, Why};
use crate::clock::Now;
use protocol::code::Code;
use protocol::id::{Counter, Millis, Req};
use protocol::message::ty;

/// The first wait before a fenced client looks whether its device is free, in ms; doubled each time.
const FENCED_MS: u32 = 30_000;

/// After so many doublings the wait stays as it is: 8 minutes.
const MAX_FENCED_DOUBLINGS: u32 = 4;

/// A wait that somebody is told of, in ms.
const LONG_WAIT_MS: u64 = 1_000;

/// Bounds of the wait that a busy server may ask for, in ms.
const MIN_BUSY_MS: u32 = 250;
const MAX_BUSY_MS: u32 = 60_000;

/// The fields of [`protocol::message::ServerMsg::Error`].
pub(super) struct Failed {
    pub(super) code: u16,
    pub(super) about: u8,
    pub(super) req: u64,
    pub(super) close: bool,
    pub(super) detail: u64,
    pub(super) text: String,
}

impl Session {
    pub(super) fn handle_error(&mut self, failed: Failed, now: Now) {
        let Failed { code, about, req, close, detail, text } = failed;
        let refusal = Refusal { code, detail, text };
        match Code::from_number(code) {
            Some(Code::Fenced | Code::InUse) if self.welcome.is_some() => {
                return self.wait_until_free(refusal);
            }
            Some(Code::Busy) => {
                self.sent_away = Some(Loss::Busy);
                self.stay_away = u32::try_from(detail).unwrap_or(u32::MAX).clamp(MIN_BUSY_MS, MAX_BUSY_MS);
                return;
            }
            _ => {}
        }
        if close && self.welcome.is_none() {
            return self.end_with(End::Refused(refusal), now);
        }
        if about == ty::POST {
            return self.handle_post_refused(Counter::new(req), refusal, now);
        }
        if refusal.known() == Some(Code::TooFast) && self.ask_again(req, refusal.detail, now) {
            return;
        }
        match u32::try_from(req).ok().and_then(|req| self.requests.take(Req(req))) {
            Some(asked) => self.handle_request_refused(&asked, refusal),
            None => self.tell(Event::Error { about: String::new(), refusal }),
        }
    }

    /// Another client has this device: looks whether it is free after a while, and never takes it away. Two copies of
    /// one profile would take turns for ever.
    fn wait_until_free(&mut self, refusal: Refusal) {
        let looked = self.fenced.map_or(0, |looked| looked + 1);
        if looked == 0 {
            self.fences += 1;
            // Older servers say neither who nor when.
            if refusal.detail > 0 {
                self.tell(Event::Fenced { by: refusal.text, since: Millis(refusal.detail) });
            }
        }
        self.fenced = Some(looked);
        self.sent_away = Some(Loss::Fenced);
        self.stay_away = FENCED_MS << looked.min(MAX_FENCED_DOUBLINGS);
    }

    fn handle_post_refused(&mut self, counter: Option<Counter>, refusal: Refusal, now: Now) {
        match self.outbox.handle_refusal(counter, refusal.code, refusal.detail, now) {
            Verdict::Dropped(pending) => self.tell_refused(*pending, refusal),
            Verdict::Again if refusal.known() == Some(Code::DiskFull) => self.tell_full(),
            Verdict::Again | Verdict::Stale => {}
        }
    }

    /// Says once that what is said has to wait.
    fn tell_full(&mut self) {
        if !std::mem::replace(&mut self.told_full, true) {
            let text = "the server's disk is full: what you say waits here, and is sent when there is space";
            self.tell(Event::Notice { text: text.into() });
        }
    }

    /// A request came too fast: it is sent again after the pause that the server asks for. Whoever waits for long is told.
    fn ask_again(&mut self, req: u64, ms: u64, now: Now) -> bool {
        let Ok(req) = u32::try_from(req) else { return false };
        let Some(asked) = self.requests.slow_down(Req(req), ms, now.steady) else { return false };
        if let Some(command) = asked.command().filter(|_| ms >= LONG_WAIT_MS) {
            let text = format!("the server asks to go slower: {command} follows in {} s", ms.div_ceil(1_000));
            self.tell(Event::Notice { text });
        }
        true
    }

    fn handle_request_refused(&mut self, asked: &Asked, refusal: Refusal) {
        match asked {
            Asked::Open { room } => {
                self.resume.handle_opened(*room, None);
                self.rooms.remove(*room);
            }
            // Without the old lines, then.
            Asked::Context { room } => return self.open(*room),
            // Told again with the next line that is read, or the next key.
            Asked::Mark | Asked::Typing => return,
            // It is here all the same.
            Asked::Fetched { id } => return self.handle_fetched(*id),
            Asked::Join { name } | Asked::Seek { name, .. } => {
                self.joining.retain(|joining| joining != name);
                self.fail_place(&Place::Room(name.clone()), &refusal);
            }
            Asked::Whois { name, why: Why::Post } => {
                return self.fail_posts(&Place::Person(name.clone()), &refusal);
            }
            Asked::Whois { name, why: Why::Send } => {
                return self.fail_sends(&Place::Person(name.clone()), &refusal);
            }
            Asked::Whois { name, why: Why::Query } => self.fail_place(&Place::Person(name.clone()), &refusal),
            _ => {}
        }
        self.refusals += 1;
        self.tell(Event::Error { about: asked.command().unwrap_or_default(), refusal });
    }

    /// This place can't be had. A person goes back to where they were; a script stays, so that what it says
    /// next can't reach others than it meant.
    fn fail_place(&mut self, place: &Place, refusal: &Refusal) {
        self.fail_posts(place, refusal);
        self.fail_sends(place, refusal);
        if self.current.is(place) && self.config.interactive {
            self.leave_current();
        }
    }
}
