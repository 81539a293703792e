//! A classic client, written from the dialect's table: it has no heartbeat, no cursor and no memory.

use super::lines::{Typed, Typist};
use super::{Actor, Ended, Phase, name_of};
use crate::net::{Owner, SimConnect, Wired};
use crate::record::Pages;
use crate::rule::Rule;
use crate::trace::{Token, Who};
use crate::truth::Spot;
use client::drive::Connect;
use protocol::classic::{ClassicMsg, QUIT_ACK, SEPARATOR, ty};
use protocol::entry::EntryKind;
use protocol::frame::{Deframer, Item};
use protocol::limits::MAX_FRAME;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};

/// How long its user waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until its connection breaks or its user leaves; its owner then starts it again.
pub(super) async fn process(actor: &Actor, typist: &mut Typist) -> Ended {
    let owner = Owner { client: actor.id, bulk: false, classic: true };
    let connect = SimConnect { net: actor.net.clone(), owner };
    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, connect.connect()).await else {
        return Ended::Failed;
    };
    let visit = {
        let visits = &mut actor.net.record.pages().sights[usize::from(actor.id)].visits;
        *visits += 1;
        *visits
    };
    let (phase, typed) = (Phase::Talk, BTreeSet::new());
    let asked = actor.net.record.pages().now();
    let mut talk = Talk { actor, typist, visit, phase, leaving: None, from: None, asked, typed };
    match talk.run(stream).await {
        Ok(away) => Ended::Left(away),
        Err(_) => Ended::Failed,
    }
}

struct Talk<'a> {
    actor: &'a Actor,
    typist: &'a mut Typist,
    /// Which of its connections this is.
    visit: u64,
    phase: Phase,
    leaving: Option<u64>,
    /// Entries of the lobby after this one are shown.
    from: Option<u64>,
    /// When it asked to be let in, in microseconds: what it is shown may be as old as that, since the greeting takes its
    /// time to arrive.
    asked: u64,
    /// What was typed on this connection: only that counts as its own.
    typed: BTreeSet<Token>,
}

impl Talk<'_> {
    async fn run(&mut self, stream: Wired) -> io::Result<u64> {
        let (mut read, mut write) = tokio::io::split(stream);
        write.write_all(&ClassicMsg::Join(&name_of(self.actor.plan.person)).encode()).await?;
        let mut deframer = Deframer::new(MAX_FRAME);
        deframer.set_streamed(ty::FILE);
        let mut buffer = vec![0; 4096];
        loop {
            self.type_what_is_due(&mut write).await?;
            let now = self.now();
            let wait = self.typist.due().map_or(10_000, |due| due.saturating_sub(now)).max(1);
            tokio::select! {
                biased;
                n = read.read(&mut buffer) => {
                    let n = n?;
                    if n == 0 {
                        return self.leaving.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
                    }
                    self.hear(&mut deframer, &buffer[..n]);
                }
                phase = self.actor.orders.later_than(self.phase) => self.enter(phase),
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
            }
        }
    }

    fn now(&self) -> u64 {
        self.actor.net.record.pages().now() / 1_000
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.typist.stop();
        if phase == Phase::Leave {
            self.typist.put_back(Typed::Leave(0));
        }
    }

    async fn type_what_is_due(&mut self, write: &mut WriteHalf<Wired>) -> io::Result<()> {
        // Nobody speaks before they were let in, or after they have said goodbye.
        while self.from.is_some() && self.leaving.is_none() {
            let Some(typed) = self.typist.take(self.now()) else { break };
            match typed {
                Typed::Line(line, token) => {
                    self.actor.typed(token);
                    self.typed.extend(token);
                    let visit = self.visit;
                    self.actor.net.record.pages().guests.extend(token.map(|token| (token, visit)));
                    write.write_all(&ClassicMsg::Text(&line).encode()).await?;
                }
                Typed::Leave(away) => {
                    self.leaving = Some(away);
                    write.write_all(&ClassicMsg::Text("/quit").encode()).await?;
                }
                Typed::About(..) | Typed::File(..) | Typed::LookAway(_) => {}
            }
        }
        Ok(())
    }

    fn hear(&mut self, deframer: &mut Deframer, mut bytes: &[u8]) {
        let record = self.actor.net.record.clone();
        let mut pages = record.pages();
        loop {
            match deframer.next(&mut bytes) {
                Ok(Some(Item::Frame(frame))) => {
                    let text = String::from_utf8_lossy(frame.payload).into_owned();
                    self.take(frame.ty, &text, &mut pages);
                }
                Ok(Some(Item::Oversized { .. })) => {}
                Ok(None) => return,
                Err(error) => return pages.fail(Rule::ClassicOrder, format!("c{}: {error}", self.actor.id)),
            }
        }
    }

    fn take(&mut self, ty: u8, text: &str, pages: &mut Pages) {
        let at = usize::from(self.actor.id);
        match ty {
            ty::TEXT if text.starts_with("Welcome!") => {
                // The greeting is written together with the cursor: what is stored from here on is shown. What was
                // stored while it was on its way is shown as well.
                self.from = Some(0);
                pages.sights[at].online = true;
                pages.sights[at].name = name_of(self.actor.plan.person);
                pages.sights[at].classic = Some((pages.truth.head(1), 0));
                pages.note(Who::Client(self.actor.id), "is greeted", None, 0);
            }
            ty::TEXT => {
                if let Some((_, name)) =
                    text.strip_prefix("[Server] ").and_then(|text| text.split_once(": you are "))
                {
                    name.trim_end_matches('.').clone_into(&mut pages.sights[at].name);
                }
                if let Some(token) = sent_file(text) {
                    self.shown("", token, false, pages);
                }
                if let Some((from, line)) = text.split_once(SEPARATOR) {
                    let line = line.trim_start_matches("* ").trim_start_matches("set the topic: ");
                    let correction = line.strip_prefix("corrected: ");
                    if let Some(token) = Token::find(correction.unwrap_or(line)) {
                        self.shown(from, token, correction.is_some(), pages);
                    }
                }
            }
            ty::COMMAND if text == QUIT_ACK => pages.sights[at].online = false,
            _ => {}
        }
    }

    /// A line of somebody else is shown; those of the lobby come in the order of the log. A changed line says at its
    /// place what the correction behind it says.
    fn shown(&mut self, from: &str, token: Token, correction: bool, pages: &mut Pages) {
        let id = self.actor.id;
        if from.starts_with('[') {
            return;
        }
        let Some(Spot { epoch, room, seq }) = pages.truth.spot(token) else {
            return pages
                .fail(Rule::ClassicOrder, format!("c{id} was shown {token}, which is not in the log"));
        };
        let entry = pages.truth.line(epoch, room, seq);
        let changed = entry.filter(|line| line.kind == EntryKind::Edit && !correction);
        let seq = changed.and_then(|line| line.reply_to).unwrap_or(seq);
        pages.note(Who::Client(id), "is shown", Some(token), seq);
        let last = self.from.unwrap_or(0);
        if self.typed.contains(&token) {
            pages.fail(Rule::ClassicOrder, format!("c{id} was shown its own {token}"));
        }
        if epoch == pages.truth.epoch() {
            let line = pages.truth.line(epoch, room, seq);
            if !line.is_some_and(|line| line.since(self.asked).any(|said| said.token == Some(token))) {
                let what = format!("c{id} is shown {token} as entry {seq}, the log has {line:?}");
                pages.fail(Rule::NewestShown, what);
            }
            if last > 0 {
                self.check_order(room, last, seq, pages);
            }
        }
        self.from = Some(seq);
        let sight = &mut pages.sights[usize::from(id)];
        sight.classic = sight.classic.map(|(greeted, _)| (greeted, seq));
    }

    /// Between two lines that are shown nothing may be left out but its own, and what is gone.
    fn check_order(&self, room: u64, last: u64, seq: u64, pages: &mut Pages) {
        let oldest = pages.truth.last_beginning(room);
        let skipped = pages.truth.range(room, last, seq);
        let there = skipped.filter(|(seq, line)| *seq >= oldest && !line.is_deleted());
        let foreign = { there }.find_map(|(_, line)| {
            line.token().filter(|token| !self.typed.contains(token) && !token.is_offer())
        });
        if seq <= last || foreign.is_some() {
            let id = self.actor.id;
            let what = format!("c{id} was shown entry {seq} after entry {last}, without {foreign:?}");
            pages.fail(Rule::ClassicOrder, what);
        }
    }
}

/// The token of a file that the server says was sent to this room.
fn sent_file(text: &str) -> Option<Token> {
    let (who, name) = text.strip_prefix("[Server] ")?.split_once(" sends '")?;
    if who.starts_with('[') { None } else { Token::find(name) }
}
