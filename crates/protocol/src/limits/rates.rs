//! How fast things may come: token buckets of each person and of each network.

/// A token bucket: so many tokens at first and at most, and one more each so many ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// Time until there is another token, in ms; at least 1.
    pub every_ms: u32,
}

/// What a token is paid for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bucket {
    /// A post: one token, and one more for each [`POST_TOKEN`] bytes of its body.
    Posts,
    /// Every other frame but `Ping` and `Bye`.
    Requests,
    /// A search.
    Searches,
    /// A login of somebody new: a guest, or a secret that was never seen.
    People,
    /// A public room that is made by joining it.
    Rooms,
    /// A direct room that is made by the first post to somebody.
    Directs,
    /// A new name.
    Names,
    /// A topic.
    Topics,
}

/// Bytes of a body for which a post pays another token: long texts fill a disk as surely as many do.
pub const POST_TOKEN: usize = 1_024;

/// Time for which a sender who is too fast is held, in ms: what comes is taken, but its connection is not read until the
/// bucket has made up for it. What would hold it for longer is refused by `too_fast`.
pub const MAX_HOLD_MS: u32 = 3_000;

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Posts,
        Self::Requests,
        Self::Searches,
        Self::People,
        Self::Rooms,
        Self::Directs,
        Self::Names,
        Self::Topics,
    ];

    /// Its name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posts => "posts",
            Self::Requests => "requests",
            Self::Searches => "searches",
            Self::People => "new people",
            Self::Rooms => "new rooms",
            Self::Directs => "new direct rooms",
            Self::Names => "names",
            Self::Topics => "topics",
        }
    }

    /// The bucket of one person, whatever their address.
    pub const fn of_person(self) -> Rate {
        match self {
            Self::Posts => Rate { burst: 500, every_ms: 10 },
            Self::Requests => Rate { burst: 2_000, every_ms: 10 },
            Self::Searches => Rate { burst: 20, every_ms: 500 },
            Self::People => Rate { burst: 1, every_ms: 1 },
            Self::Rooms => Rate { burst: 200, every_ms: 5_000 },
            Self::Directs => Rate { burst: 100, every_ms: 5_000 },
            Self::Names => Rate { burst: 20, every_ms: 5_000 },
            Self::Topics => Rate { burst: 50, every_ms: 1_000 },
        }
    }

    /// The bucket of one network, whoever is in it: 500 people behind one router.
    pub const fn of_network(self) -> Rate {
        match self {
            Self::Posts => Rate { burst: 5_000, every_ms: 2 },
            Self::Requests => Rate { burst: 20_000, every_ms: 1 },
            Self::Searches => Rate { burst: 500, every_ms: 50 },
            Self::People => Rate { burst: 1_000, every_ms: 250 },
            Self::Rooms => Rate { burst: 1_000, every_ms: 500 },
            Self::Directs => Rate { burst: 1_000, every_ms: 500 },
            Self::Names => Rate { burst: 1_000, every_ms: 100 },
            Self::Topics => Rate { burst: 500, every_ms: 50 },
        }
    }

    /// Whether a sender who is too fast is held for a while before anything is refused.
    pub const fn holds(self) -> bool {
        matches!(self, Self::Posts | Self::Requests)
    }

    /// Why these figures.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Posts => "a paste of 500 lines at once, a script that says 100 lines a second for hours",
            Self::Requests => "a client in 500 rooms that comes back opens, reads and marks each of them",
            Self::Searches => "each may look through all that was ever said",
            Self::People => "a class that comes at once, and again after a restart; each is known for long",
            Self::Rooms => "a bot that makes a room for each project; each stays for as long as it is used",
            Self::Directs => "an announcement to a team, by one message each",
            Self::Names => "all who share a room with them are told each of them",
            Self::Topics => "all who are in the room are told each of them, and it stays in the log",
        }
    }
}
