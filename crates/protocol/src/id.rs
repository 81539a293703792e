//! Numbers with a meaning: each is a newtype over `u64` in the range 1 ..= 2⁶³ − 1, and 0 on the wire means "none".

use crate::limits::MAX_NUMBER;
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(
            /// Invariant: 1 <= value <= 2⁶³ − 1.
            u64,
        );

        impl $name {
            /// The smallest value, 1.
            pub const FIRST: Self = Self(1);

            /// The number with this value, or `None` unless it lies in 1 ..= 2⁶³ − 1.
            pub const fn new(value: u64) -> Option<Self> {
                if value == 0 || value > MAX_NUMBER { None } else { Some(Self(value)) }
            }

            /// The value, 1 ..= 2⁶³ − 1.
            pub const fn value(self) -> u64 {
                self.0
            }

            /// The next number; stays at the largest, which no log of this universe reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                if self.0 == MAX_NUMBER { self } else { Self(self.0 + 1) }
            }

            /// The number that follows `last`, where `None` stands before the first.
            #[must_use]
            pub const fn after(last: Option<Self>) -> Self {
                match last {
                    Some(last) => last.next(),
                    None => Self::FIRST,
                }
            }

            /// The number before this one, `None` before the first.
            pub const fn before(self) -> Option<Self> {
                Self::new(self.0 - 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

number! {
    /// The place of an entry in its room: gapless from 1.
    Seq
}
number! {
    /// A room, for as long as its log's epoch lasts.
    RoomId
}
number! {
    /// A person: who holds a credential, whatever name they go by.
    PersonId
}
number! {
    /// A device as others see it; the 16 random bytes behind it are never shown.
    DeviceNo
}
number! {
    /// The place of a post among all posts of its device: 1, 2, 3 … without a gap.
    Counter
}

/// What a client calls itself: 16 random bytes, made once per profile, never shown to others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeviceId(pub [u8; 16]);

/// One run of a client's process: 16 random bytes, made anew at each start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(pub [u8; 16]);

/// The identity of one history: 16 random bytes, renewed whenever entries may have been lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(pub [u8; 16]);

/// Which server this is, wherever it is reached: 16 random bytes of its data folder, the same through new histories. It
/// is public, so it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerId(pub [u8; 16]);

/// A BLAKE3 hash of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContentHash(pub [u8; 32]);

/// The BLAKE3 value of one block of a content, which more bytes follow: see [`blocks`](crate::blocks).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockValue(pub [u8; 32]);

/// The number of a transfer, chosen by the client: 16 random bytes, so that it can be resumed after a restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TransferId(pub [u8; 16]);

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

/// The number by which a client tells apart the answers to its requests; 0 in what nobody asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Req(pub u32);
