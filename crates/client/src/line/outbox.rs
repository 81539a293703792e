//! What becomes of what the user says: it waits, is refused, or can't be kept.

use super::Renderer;
use super::hint::hint_of_change;
use super::lists::count;
use super::said::safe;
use crate::session::Place;
use crate::session::event::{Event, Refusal, Unkept};
use protocol::entry::EntryKind;

impl Renderer {
    /// The lines of an event about the outbox.
    pub(super) fn outbox(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Pending { place: _, text } => {
                vec![self.look.pad(&self.look.faint(&format!("… {} (pending)", safe(text))))]
            }
            Event::Withdrawn { place, text } => {
                let place = safe(&place.to_string());
                vec![self.info(&format!("'{}' was deleted before it was sent to {place}", safe(text)))]
            }
            Event::Refused { place, kind, text, refusal } => self.not_said(place, *kind, text, refusal),
            Event::Void { place, text } => self.failed(
                &format!("'{}' not sent to {}", safe(text), safe(&place.to_string())),
                Some("the server's history is new, and that line is not in it"),
            ),
            Event::Uncertain { place, text } => self.failed(
                &format!("'{}' may not have arrived in {}", safe(text), safe(&place.to_string())),
                Some("the server's history was lost right then; say it again if nobody has read it"),
            ),
            Event::Leaving { pending } => vec![self.info(&format!(
                "{} not acknowledged; saved here, and sent the next time",
                count(*pending as u64, "line"),
            ))],
            Event::Unkept { what, reason } => self.unkept(*what, reason),
            Event::KeptAgain => vec![self.info("the profile can be saved again")],
            Event::Gone { lines } => lines.iter().flat_map(|text| self.gone(text)).collect(),
            // `notice` has shown all others.
            _ => Vec::new(),
        }
    }

    fn not_said(&self, place: &Place, kind: EntryKind, text: &str, refusal: &Refusal) -> Vec<String> {
        let (place, text) = (safe(&place.to_string()), safe(text));
        if matches!(kind, EntryKind::Edit | EntryKind::Delete) {
            let what = format!("'{text}' not done in {place}");
            let hint = hint_of_change(refusal.known()).map(str::to_owned);
            return self.refused(&what, refusal, hint);
        }
        self.refused(&format!("'{text}' not sent to {place}"), refusal, None)
    }

    fn unkept(&self, what: Unkept, reason: &str) -> Vec<String> {
        let reason = safe(reason);
        match what {
            Unkept::Outbox => self.failed(
                &format!("can't save what you type: {reason}"),
                Some("it is sent as soon as it can be saved; until then it would be lost if natter ended"),
            ),
            Unkept::Cursors => self.failed(
                &format!("can't save how far you have read: {reason}"),
                Some("free some space or use --state DIR; else lines are shown again after the next start"),
            ),
        }
    }

    fn gone(&self, text: &str) -> Vec<String> {
        self.failed(
            &format!("'{}' was neither sent nor saved", safe(text)),
            Some("say it again when the profile can be saved, or use --state DIR"),
        )
    }

    /// What the server refused, why, and what to do about it.
    pub(super) fn refused(&self, what: &str, refusal: &Refusal, advice: Option<String>) -> Vec<String> {
        let known = refusal.known();
        let sentence = match known {
            Some(code) => code.text().to_owned(),
            None => format!("{} (code {})", safe(&refusal.text), refusal.code),
        };
        let advice = advice.unwrap_or_else(|| self.hint(known, refusal.detail));
        self.failed(&format!("{what}: {sentence}"), Some(&advice))
    }
}
