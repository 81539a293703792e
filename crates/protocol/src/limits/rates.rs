//! How fast things may come: token buckets of each person and of each network.

/// A token bucket: so many tokens at first and at most, and one more each so many ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// Time until there is another token, in ms; at least 1.
    pub every_ms: u32,
}

/// What new people have beside their own buckets and those of their networks.
///
/// A secret costs nothing and an attacker may have hundreds of addresses, so what is bounded for each person and each
/// network is not bounded for the server. People who are known never pay here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewPeople {
    /// What each network may do whatever the others do: so a newcomer finds something left in any flood.
    pub share: Rate,
    /// What all of them may do together beyond that, guests apart from the rest.
    pub together: Rate,
}

/// What a token is paid for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bucket {
    /// A connection, before anything of it is read: nobody knows yet who comes.
    Connections,
    /// Work for a stranger or somebody new: [`TURN_FRAMES`] frames, [`TURN_BYTES`] of what they send or of a file that is
    /// sent to them; a file that is made for them takes [`FILE_TURNS`].
    Turns,
    /// A post: one token, and one more for each [`POST_TOKEN`] bytes of its body.
    Posts,
    /// [`FILE_TOKEN`] bytes of a classic file. Its sender is a guest, and guests are always new.
    ClassicFiles,
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

/// Bytes of a classic file for which its sender pays a token: it goes to everybody who reads the room.
pub const FILE_TOKEN: u64 = 64 * 1_024;

/// Frames for which a turn is taken.
pub const TURN_FRAMES: usize = 8;

/// Bytes for which a turn is taken.
pub const TURN_BYTES: usize = 32 * 1_024;

/// Turns of a file that is made for somebody new.
pub const FILE_TURNS: usize = 4;

/// Time for which a sender who is too fast is held, in ms: what comes is taken, but its connection is not read until the
/// bucket has made up for it. What would hold it for longer is refused by `too_fast`.
pub const MAX_HOLD_MS: u32 = 3_000;

/// Time for which a person is new, in ms: from a day to two, or until the server starts again.
pub const NEW_MS: u64 = 86_400_000;

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Connections,
        Self::Turns,
        Self::Posts,
        Self::ClassicFiles,
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
            Self::Connections => "connections",
            Self::Turns => "turns",
            Self::Posts => "posts",
            Self::ClassicFiles => "classic files",
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
            Self::Connections | Self::Turns => Rate { burst: 1, every_ms: 1 },
            Self::Posts => Rate { burst: 500, every_ms: 10 },
            Self::ClassicFiles => Rate { burst: 5_000, every_ms: 2 },
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
            Self::Connections => Rate { burst: 5_000, every_ms: 10 },
            Self::Turns => Rate { burst: 1_000, every_ms: 1 },
            Self::Posts => Rate { burst: 5_000, every_ms: 2 },
            Self::ClassicFiles => Rate { burst: 5_000, every_ms: 2 },
            Self::Requests => Rate { burst: 20_000, every_ms: 1 },
            Self::Searches => Rate { burst: 500, every_ms: 50 },
            Self::People => Rate { burst: 1_000, every_ms: 250 },
            Self::Rooms => Rate { burst: 1_000, every_ms: 500 },
            Self::Directs => Rate { burst: 1_000, every_ms: 500 },
            Self::Names => Rate { burst: 1_000, every_ms: 100 },
            Self::Topics => Rate { burst: 500, every_ms: 50 },
        }
    }

    /// What new people share.
    pub const fn of_new_people(self) -> NewPeople {
        const fn rate(burst: u32, every_ms: u32) -> Rate {
            Rate { burst, every_ms }
        }
        let (share, together) = match self {
            Self::Connections => (rate(100, 200), rate(500, 2)),
            Self::Turns => (rate(8, 500), rate(50, 1)),
            Self::Posts => (rate(20, 10_000), rate(3_000, 5)),
            Self::ClassicFiles => (rate(4, 60_000), rate(320, 100)),
            Self::Requests => (rate(100, 1_000), rate(10_000, 1)),
            Self::Searches => (rate(1, 60_000), rate(100, 500)),
            Self::People => (rate(10, 5_000), rate(1_000, 20)),
            Self::Rooms => (rate(10, 3_600_000), rate(500, 60_000)),
            Self::Directs => (rate(10, 3_600_000), rate(1_000, 60_000)),
            Self::Names => (rate(5, 60_000), rate(500, 1_000)),
            Self::Topics => (rate(5, 60_000), rate(200, 1_000)),
        };
        NewPeople { share, together }
    }

    /// Why these figures.
    pub const fn why_of_new_people(self) -> &'static str {
        match self {
            Self::Connections => {
                "everybody who is connected comes back at once; whoever comes is a stranger first"
            }
            Self::Turns => "a fifth of a core",
            Self::Posts => "twelve MiB of text in a minute; a class of 500 on its first day",
            Self::ClassicFiles => {
                "twenty MiB at once, and forty in each minute: a disk is not filled in an hour"
            }
            Self::Requests => "a class of 500 that comes at once: some ten requests each",
            Self::Searches => "each may take a quarter of a second",
            Self::People => "a class of 500 that comes at once, and again",
            Self::Rooms => "a server that is set up; a tenth of all rooms in two months",
            Self::Directs => "the same; each takes one of the rooms of somebody who did not ask for it",
            Self::Names => "a class of 500 whose names are taken",
            Self::Topics => "a server that is set up",
        }
    }

    /// Whether a sender who is too fast is held for a while before anything is refused.
    pub const fn holds(self) -> bool {
        matches!(self, Self::Connections | Self::Turns | Self::Posts | Self::ClassicFiles | Self::Requests)
    }

    /// Why these figures.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Connections => "500 people who come back at once, ten times",
            Self::Turns => "new people only: those who are known wait for no turn",
            Self::Posts => "a paste of 500 lines at once, a script that says 100 lines a second for hours",
            Self::ClassicFiles => "guests only",
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
