//! Which texts are under way, and whether each arrives once, in its sender's order, and whole.
//!
//! A text is made when it is sent and kept until all have it, so that what arrives is compared byte for byte with
//! what was sent. A receiver's next text of a sender is the only one that it may get, which leaves no place for a
//! lost, doubled or reordered one.

use crate::fault::Fault;

/// Bytes that a text needs: its sender and its number.
pub const MIN_TEXT: usize = 20;

/// Digits of the sender at the beginning of a text.
const SENDER_DIGITS: usize = 4;

/// How many there are of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Those who get every text.
    pub receivers: usize,
    /// Those who send, at most 10,000.
    pub senders: usize,
    /// Texts that a sender may be ahead of its slowest receiver, at least 1.
    pub window: usize,
    /// Bytes of a text, at least [`MIN_TEXT`].
    pub text: usize,
}

/// A text's place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its sender.
    pub sender: usize,
    /// Its number among those of the sender, from 0.
    pub number: usize,
}

/// All texts under way.
pub struct Ledger {
    extent: Extent,
    /// The texts under way: number `n` of a sender lies in its ring at `n % window`.
    texts: Vec<u8>,
    /// Receivers that still lack the text in the same place.
    missing: Vec<usize>,
    /// Texts sent, of each sender.
    sent: Vec<usize>,
    /// Texts that all receivers have, of each sender. Invariant: settled <= sent <= settled + window.
    settled: Vec<usize>,
    /// For each receiver and sender the number of the text that comes next.
    next: Vec<usize>,
    deliveries: u64,
}

impl Ledger {
    /// A ledger without a text.
    pub fn new(extent: Extent) -> Self {
        let places = extent.senders * extent.window;
        Self {
            extent,
            texts: vec![0; places * extent.text],
            missing: vec![0; places],
            sent: vec![0; extent.senders],
            settled: vec![0; extent.senders],
            next: vec![0; extent.receivers * extent.senders],
            deliveries: 0,
        }
    }

    /// How many texts the sender may send now.
    pub fn allowance(&self, sender: usize) -> usize {
        self.extent.window - (self.sent[sender] - self.settled[sender])
    }

    /// The sender's next text, which is under way from now on; `None` if the window is full.
    pub fn send(&mut self, sender: usize) -> Option<&[u8]> {
        if self.allowance(sender) == 0 {
            return None;
        }
        let number = self.sent[sender];
        self.sent[sender] += 1;
        let slot = self.slot(Place { sender, number });
        self.missing[slot] = self.extent.receivers;
        let text = &mut self.texts[slot * self.extent.text..][..self.extent.text];
        compose(text, Place { sender, number });
        Some(text)
    }

    /// Takes note of a text that arrived, and says which it is.
    ///
    /// # Errors
    /// [`Fault::StrangeText`] and [`Fault::WrongText`] if it was not this receiver's next of its sender.
    pub fn receive(&mut self, receiver: usize, text: &[u8]) -> Result<Place, Fault> {
        let sender = self.sender_of(receiver, text)?;
        let next = &mut self.next[receiver * self.extent.senders + sender];
        let place = Place { sender, number: *next };
        if place.number >= self.sent[sender] {
            return Err(strange(receiver, text));
        }
        *next += 1;
        let slot = self.slot(place);
        let expected = &self.texts[slot * self.extent.text..][..self.extent.text];
        Self::compare(receiver, expected, text)?;
        self.deliveries += 1;
        self.missing[slot] -= 1;
        if self.missing[slot] == 0 {
            // Each receiver gets them in order, so none that was sent before can be missing anywhere.
            self.settled[sender] += 1;
        }
        Ok(place)
    }

    /// Who sent a text that arrived.
    ///
    /// # Errors
    /// [`Fault::StrangeText`] if nobody did.
    pub fn sender_of(&self, receiver: usize, text: &[u8]) -> Result<usize, Fault> {
        let sender = sender_of(text).filter(|sender| *sender < self.extent.senders);
        sender.ok_or_else(|| strange(receiver, text))
    }

    /// Holds a text that arrived against the one that had to come.
    ///
    /// # Errors
    /// [`Fault::WrongText`] if it is another one.
    pub fn compare(receiver: usize, expected: &[u8], text: &[u8]) -> Result<(), Fault> {
        if text == expected {
            return Ok(());
        }
        Err(Fault::WrongText { receiver, expected: beginning(expected), got: beginning(text) })
    }

    /// Texts of this sender so far.
    pub fn sent(&self, sender: usize) -> usize {
        self.sent[sender]
    }

    /// Texts that arrived so far, counted at each receiver.
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Whether every text sent has arrived everywhere.
    pub fn is_settled(&self) -> bool {
        self.sent == self.settled
    }

    fn slot(&self, place: Place) -> usize {
        place.sender * self.extent.window + place.number % self.extent.window
    }
}

/// Writes the text of this place: the sender, the number, and letters that differ from one text to the next.
pub fn compose(text: &mut [u8], Place { sender, number }: Place) {
    const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
    let head = format!("{sender:04} {number:014} ");
    let head = &head.as_bytes()[..head.len().min(text.len())];
    text[..head.len()].copy_from_slice(head);
    let letters = LETTERS.iter().cycle().skip(number % LETTERS.len());
    text[head.len()..].iter_mut().zip(letters).for_each(|(byte, letter)| *byte = *letter);
}

fn sender_of(text: &[u8]) -> Option<usize> {
    let digits = text.get(..SENDER_DIGITS)?;
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0')))
}

fn strange(receiver: usize, text: &[u8]) -> Fault {
    Fault::StrangeText { receiver, got: beginning(text) }
}

fn beginning(text: &[u8]) -> String {
    text[..text.len().min(32)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { receivers: 2, senders: 2, window: 3, text: 40 };

    /// A ledger with so many texts of sender 1 under way, and those texts.
    fn sent(count: usize) -> (Ledger, Vec<Vec<u8>>) {
        let mut ledger = Ledger::new(EXTENT);
        let texts = (0..count).map(|_| ledger.send(1).unwrap().to_vec()).collect();
        (ledger, texts)
    }

    #[test]
    fn a_window_opens_when_the_slowest_receiver_has_the_text() {
        let (mut ledger, texts) = sent(3);
        assert!(ledger.send(1).is_none());
        assert_eq!(ledger.receive(0, &texts[0]).unwrap(), Place { sender: 1, number: 0 });
        assert_eq!(ledger.allowance(1), 0);
        ledger.receive(1, &texts[0]).unwrap();
        assert_eq!((ledger.allowance(1), ledger.allowance(0)), (1, 3));
        assert_eq!(ledger.deliveries(), 2);
    }

    #[test]
    fn it_is_settled_when_everybody_has_everything() {
        let (mut ledger, texts) = sent(2);
        for receiver in 0..2 {
            for text in &texts {
                assert!(!ledger.is_settled());
                ledger.receive(receiver, text).unwrap();
            }
        }
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_lost_or_reordered_text_is_found() {
        let (mut ledger, texts) = sent(2);
        assert!(matches!(ledger.receive(0, &texts[1]), Err(Fault::WrongText { .. })));
    }

    #[test]
    fn a_doubled_text_is_found_at_the_head_and_behind_it() {
        let (mut ledger, texts) = sent(1);
        ledger.receive(0, &texts[0]).unwrap();
        assert!(matches!(ledger.receive(0, &texts[0]), Err(Fault::StrangeText { .. })));
        let (mut ledger, texts) = sent(2);
        ledger.receive(0, &texts[0]).unwrap();
        assert!(matches!(ledger.receive(0, &texts[0]), Err(Fault::WrongText { .. })));
    }

    #[test]
    fn a_damaged_or_cut_text_is_found() {
        let (mut ledger, mut texts) = sent(1);
        *texts[0].last_mut().unwrap() ^= 1;
        assert!(matches!(ledger.receive(0, &texts[0]), Err(Fault::WrongText { .. })));
        let (mut ledger, texts) = sent(1);
        assert!(matches!(ledger.receive(0, &texts[0][..30]), Err(Fault::WrongText { .. })));
    }

    #[test]
    fn a_text_of_nobody_is_found() {
        let (mut ledger, _) = sent(1);
        for text in [&b"0002 00000000000000 "[..], b"hello", b"", b"0000 00000000000000 "] {
            assert!(matches!(ledger.receive(0, text), Err(Fault::StrangeText { .. })));
        }
    }

    #[test]
    fn texts_fit_the_shortest_length() {
        let mut ledger = Ledger::new(Extent { text: MIN_TEXT, ..EXTENT });
        assert_eq!(ledger.send(0).unwrap(), b"0000 00000000000000 ");
    }
}
