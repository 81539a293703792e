//! The invariants of every run, and how one of them was broken.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! rules {
    ($($name:ident = $number:literal $text:literal),* $(,)?) => {
        /// What must always hold.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum Rule {
            $(#[doc = $text] $name),*
        }

        impl Rule {
            /// Its number and its sentence.
            pub const fn text(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($number, $text)),* }
            }
        }
    };
}

rules! {
    ReachesAll = "I1" "each acknowledged message is exactly once in every surviving member's view",
    OneOrder = "I2" "all views are contiguous ranges of one order for each room",
    SenderOrder = "I3" "what one sender says keeps its order",
    AtMostOnce = "I4" "what may or may not have arrived appears at most once, what was refused never",
    CursorMovesOn = "I5" "a cursor never goes back, nor past the durable head",
    Durable = "I6" "what was acknowledged is in the log, before and after every restart",
    NoGhosts = "I7" "in the end all rosters are equal and true",
    WholeFiles = "I8" "files arrive byte for byte, and never partly under their name",
    Bounded = "I9" "what is queued for one connection stays bounded",
    NothingLeft = "I10" "in the end no task and no state of a connection is left",
    OthersUndisturbed = "I11" "a slow reader delays nobody else",
    NoPanic = "I12" "nothing panics",
    ClassicOrder = "I13" "classic clients see the same order, less their own lines",
    AboutTheRightLine = "I14" "what is edited, taken back or answered is the line that its author meant, and theirs to change",
    NewestShown = "I15" "in the end everybody sees each line as it is now, and nobody is given what was gone when they asked",
    SearchesFind = "I16" "a search finds all that its asker may read and that matches, and nothing else",
    BeginningTold = "I17" "where a history begins is told, and nothing is missing from there on",
    NumbersGoOn = "I18" "who has no memory goes on behind the last number that a login was told",
    OnlyMembers = "I19" "nobody is given what is said where they are not, and nobody comes or goes unasked",
    KeptAsPromised = "I21" "what is kept of a room, and when it was said, is as the operator and the clock say",
    Complete = "I23" "a page has all that was asked for, what is counted is there, and marks never go back",
    PresenceTold = "I22" "who is there, away or gone is told in time",
    RefusedForCause = "I20" "nothing is refused without a reason",
    Converges = "L1" "once everything is healed, all have caught up within 30 s",
    NotTakenForDead = "L3" "nobody whose link works is taken for dead",
    Prompt = "L4" "where that is asked, every line is shown to all within its time",
    Surroundings = "S1" "this machine gives the simulation what it needs: that is no fault of natter's",
    Watchdog = "L2" "nobody works without end: connections, reads and writes of a client are bounded",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, text) = self.text();
        write!(f, "{number}: {text}")
    }
}

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When, in simulated microseconds.
    pub at: u64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} — at {:.3} s {}", self.rule, self.at as f64 / 1e6, self.what)
    }
}
