//! What happened in a run, in order: a digest over all of it, and the newest events in full.

use crate::seed::mix;
use std::collections::VecDeque;
use std::fmt;

/// Who did something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Who {
    /// The plan, from outside.
    Fault,
    /// The server.
    Server,
    /// A client, by its number in the plan.
    Client(u16),
}

impl Who {
    const fn number(self) -> u64 {
        match self {
            Self::Fault => 1 << 32,
            Self::Server => 1 << 33,
            Self::Client(client) => client as u64,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault => f.pad("fault"),
            Self::Server => f.pad("server"),
            Self::Client(client) => f.pad(&format!("c{client}")),
        }
    }
}

/// What tells an offer from its file. Nobody writes so many lines.
const OFFER: u32 = 1 << 31;

/// A line that somebody wrote: all of a run are unlike each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Token {
    /// Its author.
    pub client: u16,
    /// The author's number for it, from 1.
    pub n: u32,
}

impl Token {
    const fn number(self) -> u64 {
        (self.client as u64) << 32 | self.n as u64
    }

    /// The token of the offer of the file that has this one: it stands in the log as well.
    pub(crate) const fn offer(self) -> Self {
        Self { client: self.client, n: self.n | OFFER }
    }

    pub(crate) const fn is_offer(self) -> bool {
        self.n & OFFER != 0
    }

    /// The token at the beginning of a text.
    pub fn find(text: &str) -> Option<Self> {
        let (client, n) = text.strip_prefix('t')?.split([' ', '_']).next()?.split_once('.')?;
        Some(Self { client: client.parse().ok()?, n: n.parse().ok()? })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}.{}", self.client, self.n)
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Happened {
    /// When, in simulated microseconds.
    pub at: u64,
    /// Who.
    pub who: Who,
    /// What, in a word or two.
    pub what: &'static str,
    /// The line that it is about.
    pub token: Option<Token>,
    /// A number that goes with it.
    pub number: u64,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, who, what, token, number } = self;
        write!(f, "{:>10.3} s  {who:<7} {what}", *at as f64 / 1e6)?;
        if let Some(token) = token {
            write!(f, " {token}")?;
        }
        if *number > 0 { write!(f, " #{number}") } else { Ok(()) }
    }
}

/// Spreads the bytes that are mixed in; odd.
const PRIME: u64 = 0x9e37_79b1_85eb_ca87;

/// Events that are kept to explain a failure.
const KEPT: usize = 400;

/// The trace of a run.
#[derive(Debug, Default)]
pub struct Trace {
    digest: u64,
    count: u64,
    newest: VecDeque<Happened>,
    /// All events, if somebody wants them.
    all: Option<Vec<Happened>>,
}

impl Trace {
    /// A trace that keeps everything if `all`.
    pub fn new(all: bool) -> Self {
        Self { all: all.then(Vec::new), ..Self::default() }
    }

    /// Adds an event.
    pub fn note(&mut self, event: Happened) {
        let word = event.what.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        let token = event.token.map_or(0, Token::number);
        for field in [event.at, event.who.number(), word, token, event.number] {
            self.digest = mix(self.digest ^ field);
        }
        self.count += 1;
        if let Some(all) = &mut self.all {
            all.push(event.clone());
        }
        if self.newest.len() == KEPT {
            self.newest.pop_front();
        }
        self.newest.push_back(event);
    }

    /// Lets bytes that somebody read count, without an event of their own.
    pub fn mix_bytes(&mut self, at: u64, bytes: &[u8]) {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        self.digest = words
            .fold(mix(self.digest ^ at), |digest, word| (digest ^ word).wrapping_mul(PRIME).rotate_left(29));
    }

    /// A number that two runs have in common only if all their events are the same.
    pub fn digest(&self) -> u64 {
        mix(self.digest ^ self.count)
    }

    /// How many events there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The newest events, oldest first.
    pub fn newest(&self) -> impl DoubleEndedIterator<Item = &Happened> {
        self.newest.iter()
    }

    /// All events, if they were kept.
    pub fn all(&self) -> &[Happened] {
        self.all.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_front_of_a_text() {
        let token = Token { client: 3, n: 17 };
        assert_eq!(Token::find(&format!("{token} and more")), Some(token));
        assert_eq!(Token::find("t3.17"), Some(token));
        assert_eq!(Token::find("t3.17_name.bin"), Some(token));
        assert_eq!(Token::find("the rest"), None);
    }

    #[test]
    fn every_field_of_an_event_counts() {
        let event = Happened { at: 1, who: Who::Server, what: "starts", token: None, number: 0 };
        let digest = |change: fn(&mut Happened)| {
            let mut event = event.clone();
            change(&mut event);
            let mut trace = Trace::default();
            trace.note(event);
            trace.digest()
        };
        let same = digest(|_| {});
        assert_eq!(same, digest(|_| {}));
        assert_ne!(same, digest(|event| event.at = 2));
        assert_ne!(same, digest(|event| event.who = Who::Client(0)));
        assert_ne!(same, digest(|event| event.what = "stops"));
        assert_ne!(same, digest(|event| event.token = Some(Token { client: 0, n: 1 })));
        assert_ne!(same, digest(|event| event.number = 1));
    }
}
