//! Every limit of the protocol, each with its reason. The ones that a client must obey are told in `Welcome`.

pub mod rates;
pub mod requests;

/// The version of the native dialect that this crate speaks.
pub const VERSION: u16 = 1;

/// The port that both programs use unless told otherwise; the older program's port, so that its clients find us.
pub const DEFAULT_PORT: u16 = 12_000;

/// Bytes of a frame's header: `u32` length and `u8` type.
pub const HEADER: usize = 5;

/// Largest frame (type and payload) before login, in bytes: a `Hello` needs less than 1 KiB.
///
/// It also makes the first byte of a plain connection `0x00`, which tells it from TLS.
pub const MAX_FRAME_BEFORE_LOGIN: u32 = 4 * 1024;

/// Largest frame (type and payload) after login in either direction, in bytes: what one stalled reader may pin.
pub const MAX_FRAME: u32 = 64 * 1024;

/// Largest frame on a bulk connection, in bytes: a chunk of 256 KiB and its head.
pub const MAX_BULK_FRAME: u32 = MAX_CHUNK + 1024;

/// Largest piece of a file in one frame, in bytes: large enough that the header is nothing, small enough to pace.
pub const MAX_CHUNK: u32 = 256 * 1024;

/// Bytes of a block of a file, which is verified as it arrives: what a cut or a damaged byte costs at most.
pub const BLOCK: u64 = 1024 * 1024;

/// Bytes of a file's name.
pub const MAX_FILE_NAME: usize = 255;

/// Largest body of an entry, in bytes: four pages of text; longer things are files.
pub const MAX_BODY: usize = 16 * 1024;

/// Largest classic TEXT frame (type and payload), in bytes: a body and some room for a command in front of it.
pub const MAX_CLASSIC_TEXT: u32 = 16 * 1024 + 256;

/// Largest classic FILE frame by default, in bytes: it is one frame, streamed to disk.
pub const MAX_CLASSIC_FILE: u32 = 256 * 1024 * 1024;

/// Posts of one connection that may await commit: what one sender can make the server hold.
///
/// A busy room's blocks are as large as its senders' windows allow, and a reader costs one write for each block:
/// 64 made a saturated room of 1,000 a third slower.
pub const WINDOW_POSTS: u16 = 256;

/// Bytes of posts of one connection that may await commit.
pub const WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes of posts of all connections that may await commit, beside [`SMALL_QUEUE`] of each: the server's share of a
/// stalled disk.
pub const MAX_AWAITING_COMMIT: usize = 64 * 1024 * 1024;

/// Bytes of one batch of posts: bounds the time of one transaction.
pub const MAX_BATCH: usize = 1024 * 1024;

/// Bytes of posts that a device with many may add to a batch at its turn: a post of the largest body and all that
/// is counted with it, so that each turn moves one, and long runs of small posts.
pub const BATCH_QUANTUM: usize = 17 * 1024;

/// Bytes of posts with which a device is served before those with more: some lines that a person typed. 128 such
/// devices have room in half a batch.
pub const SMALL_QUEUE: usize = 4 * 1024;

/// Time that a login waits for what its device sent before to be stored, in ms: a stalled disk must not make clients
/// fence each other's attempts, so they are sent away before they lose patience.
pub const ARRIVAL_MS: u64 = 8_000;

/// When a client may come back whose earlier posts are still being stored, in ms.
pub const BUSY_MS: u32 = 2_000;

/// Time that the acknowledgement of a delete waits at most for other programs that read the server's files, in ms: less
/// than a login waits for it.
pub const ERASE_MS: u64 = 5_000;

/// Posts of one device whose contents are remembered, to tell a repetition from another post with the same counter:
/// all that a client may have on its way.
pub const MAX_REMEMBERED: usize = WINDOW_POSTS as usize;

/// Numbers of people and of devices that are reserved in the store at once before any of them is told: none is given
/// out again after a crash, and on a full disk as many new devices are let in. A crash wastes as many.
pub const NUMBERS_AHEAD: u64 = 4_000;

/// The same of rooms, of which fewer come.
pub const ROOMS_AHEAD: u64 = 64;

/// Numbers of people and of devices that a new history leaves out, since they may have been told in the part of the old
/// one that is gone: a thousand guests in each second of seven weeks, and there is room for two billion of such gaps.
pub const NUMBERS_LEFT_OUT: u64 = 1 << 32;

/// By how much the wall clock may be ahead of or behind the time that the server knew, in ms: a server that was off
/// for a week is nothing unusual, and a clock that is wrong by more would delete what is to be kept.
pub const CLOCK_JUMP_MS: u64 = 7 * 86_400_000;

/// The same where messages are kept for less than a week, in ms: then it is their age, and at least this.
pub const MIN_CLOCK_JUMP_MS: u64 = 86_400_000;

/// How long a server runs with a clock that jumped before it deletes anything because of it, in ms: time for somebody
/// to see what it says and to set the clock.
pub const CLOCK_TRUST_MS: u64 = 7 * 86_400_000;

/// Bytes of answers that may wait for one connection; beyond that it is not read.
pub const MAX_CONTROL: usize = 64 * 1024;

/// Bytes of what a connection is told without having asked that may wait for it; beyond that it is ended, and learns all
/// of it when it comes again. As many rooms as another device of its person may have on its way into at once.
pub const MAX_UNASKED: usize = 256 * 1024;

/// Characters of a name of a person or a room.
pub const MAX_NAME_CHARS: usize = 32;

/// Bytes of a name after normalisation: 32 characters of four bytes.
pub const MAX_NAME_BYTES: usize = MAX_NAME_CHARS * 4;

/// Combining marks in a row in a new name: languages that stack vowels and tones need three or four, and more of them
/// reach into other lines.
pub const MAX_NAME_MARKS: usize = 4;

/// Bytes of a topic.
pub const MAX_TOPIC: usize = 512;

/// Bytes of the text that goes with "away".
pub const MAX_AWAY: usize = 256;

/// Bytes of the description of a client in `Hello`.
pub const MAX_AGENT: usize = 128;

/// Bytes of the words of a search.
pub const MAX_QUERY: usize = 512;

/// Letters that the last word of a search needs to be looked for as the beginning of a word: fewer begin much of what was
/// ever said.
pub const MIN_PREFIX: usize = 3;

/// Characters that a word of a script without spaces needs in front of its `*`: one begins much of what was ever said.
pub const MIN_SPACELESS_PREFIX: usize = 2;

/// Different words of one search: each is looked up and compared, and nobody types more.
pub const MAX_WORDS: usize = 8;

/// Parts of all words of one search, where punctuation or a script without spaces cuts words: a sentence of Japanese.
pub const MAX_WORD_PARTS: usize = 64;

/// People that one entry names for their counts: more is a shout, not an address.
pub const MAX_MENTIONS: usize = 16;

/// Words with an `@` that are looked at in one text: a longer list is no address either.
pub const MAX_MENTION_WORDS: usize = 64;

/// Names that are looked up for one text: a word of signs may be as many names as it has signs.
pub const MAX_MENTION_LOOKUPS: usize = 128;

/// Entries that name a member and are not read, as they are counted: who was away for long learns "1,000".
pub const MAX_UNREAD_MENTIONS: usize = 1_000;

/// Elements of one page of a list (rooms, people, a roster); fewer where they would not fit a frame.
pub const MAX_PAGE: usize = 200;

/// Entries of one answer to `Fetch` or of `Open` with "last N".
pub const MAX_FETCH: u16 = 1_000;

/// Members that are online up to which a roster is told name by name; above it only counts are told.
pub const MAX_ROSTER: usize = 200;

/// People that one server stores: each of them did something that lasts.
pub const MAX_PEOPLE: usize = 200_000;

/// People that one server only remembers, until they do something that lasts: strangers with new secrets cost it
/// nothing else.
pub const MAX_PROVISIONAL: usize = 10_000;

/// Rooms that one person may be in, direct ones included, without those where others wait for a first word of theirs.
pub const MAX_ROOMS_PER_PERSON: usize = 500;

/// Conversations that others opened with one person and that wait for a first word of theirs: strangers can't fill
/// somebody's list. Whoever shares a public room beside the lobby with them has as many places of their own.
pub const MAX_UNANSWERED: usize = 100;

/// People whom one person may block: more than anybody quarrels with, and few enough to be stored for everybody.
pub const MAX_BLOCKS: usize = 1_000;

/// Days after which a person is forgotten who was not seen and never did anything that lasts, and after which a room is
/// abandoned in which nothing was said and nobody who is in it was seen: a holiday is shorter.
pub const UNUSED_DAYS: u32 = 30;

/// Time from the end of one room by itself to that of the next, in ms. Numbers of rooms are never given again, and a store
/// has four million: whoever makes rooms only to leave them uses up no more than this, which lasts for 48 days.
pub const ROOM_END_MS: u64 = 1_000;

/// Rooms on one server that somebody is in, direct ones included. Of those that nobody is in there may be as many.
pub const MAX_ROOMS: usize = 100_000;

/// Largest number of anything (entries, counters, ids): 2⁶³ − 1, so that signed integers can hold it.
pub const MAX_NUMBER: u64 = i64::MAX as u64;

/// Time for the first frame to arrive whole, in ms: a stranger holds a place no longer.
pub const FIRST_FRAME_MS: u64 = 5_000;

/// Time after which a client that has sent nothing, or heard nothing, pings, in ms.
pub const PING_AFTER_MS: u64 = 5_000;

/// Time without a received byte after which the other side is dead, in ms: three pings.
pub const DEAD_AFTER_MS: u64 = 15_000;

/// Time that a frame may take without progress, in ms.
pub const PROGRESS_MS: u64 = DEAD_AFTER_MS;

/// Longest wait before the next attempt to connect, in ms; the actual wait is uniform in 0 ..= bound (full jitter).
pub const MAX_BACKOFF_MS: u64 = 8_000;

/// Bound of the first wait before an attempt to connect again, in ms.
pub const FIRST_BACKOFF_MS: u64 = 250;

/// Time that a connection lasts before the waits begin anew from the first bound, in ms: a server that takes a login
/// and closes then is waited for as long as one that takes none.
pub const STEADY_MS: u64 = 5_000;

/// Time that presence is gathered before it is told, in ms: a burst of joins becomes one frame.
pub const PRESENCE_GATHER_MS: u64 = 100;

/// Bytes of presence that the readers of one room are told in a second, all of them together: what changes while they had
/// more is gathered for longer. A thousand readers hear of counts as fast as ever.
pub const PRESENCE_BYTES_PER_S: u64 = 256 * 1024;

/// Longest time that presence is gathered because of that, in ms.
pub const MAX_PRESENCE_REST_MS: u64 = 10_000;

/// Time that each change of a person costs them for each of their rooms, in ms. Whoever has used up
/// [`PRESENCE_BURST_MS`] of it is told later, with the changes of others or by itself.
pub const PRESENCE_COST_MS: u64 = 10;

/// How much of that anybody may use up at once, in ms: somebody in 500 rooms who comes, is away, and goes.
pub const PRESENCE_BURST_MS: u64 = 15_000;

/// Longest time for which a person's changes are told later because of that, in ms.
pub const MAX_PRESENCE_DELAY_MS: u64 = 5_000;

/// Time that a person whose link broke stays present, in ms: a flapping link prints no leave and join lines.
pub const PRESENCE_GRACE_MS: u64 = 5_000;

/// Time that "typing" lasts unless said again, in ms.
pub const TYPING_MS: u64 = 6_000;

/// Time after which a client says again that its user types, in ms: half of what that lasts, so that one may be late.
pub const TYPING_EVERY_MS: u64 = 3_000;

/// Days after which a device that was not seen is forgotten, and its counter with it.
pub const DEVICE_DAYS: u32 = 90;

/// Files and empty folders in one folder that is sent: more of them are better sent as an archive.
pub const MAX_BUNDLE_ENTRIES: usize = 65_536;

/// Bytes of the list of a folder that is sent: its receiver holds it whole.
pub const MAX_BUNDLE_INDEX: usize = 4 * 1024 * 1024;

/// Names along one path of a folder that is sent: no tool is at home deeper than that.
pub const MAX_BUNDLE_DEPTH: usize = 32;

/// Bytes of one name in a folder that is sent: what file systems take.
pub const MAX_BUNDLE_NAME: usize = 255;

/// Bytes of the server's log that wait to be written: some thousand lines. More of them are dropped and counted,
/// since nobody waits for whoever reads the log.
pub const MAX_LOG_QUEUE: usize = 256 * 1024;

/// Time after which a line of the server's log that came again and again is counted, in ms.
pub const LOG_FOLD_MS: u64 = 10_000;

/// Time that the log gets at the server's end to be written, in ms: a reader that stands still holds up no stop.
pub const LOG_FLUSH_MS: u64 = 1_000;

/// Uploads that one person may have under way: a folder of files sent one by one, not a way to hold space.
pub const MAX_UPLOADS: usize = 64;

/// Connections beyond the clients that may be logged in: strangers about to log in, and those for files.
pub const MAX_STRANGERS: usize = 1_024;

/// Connections that are not taken in and are kept for a moment before they end, where more come than are told why: so many
/// that a flood waits, each for one descriptor.
pub const MAX_TURNED_AWAY: usize = 8_192;

/// Connections of one address, or of one IPv6 network of 64 bits, other than this machine's own: an office of 500 people
/// behind one router, each with one for chat and one for files.
pub const MAX_PER_ADDRESS: usize = 1_024;

/// One in so many places for clients is left for people who are known: a flood of new ones does not keep them out.
pub const KNOWN_SHARE: usize = 10;

/// Connections for files of one person: some devices that send and fetch at once.
pub const MAX_BULK_PER_PERSON: usize = 8;

/// Devices of one person: beyond it the one that was not seen for longest is forgotten.
pub const MAX_DEVICES: usize = 64;

/// Bytes of frames that are not complete, of all connections: what those can make the server hold who never end one.
pub const MAX_HALF_FRAMES: usize = 64 * 1024 * 1024;

/// The same of one address: some uploads at full speed, any number of slower ones.
pub const MAX_HALF_FRAMES_PER_ADDRESS: usize = 2 * 1024 * 1024;

/// Bytes of a frame that are not counted there: a line that somebody typed comes in one piece.
pub const FREE_HALF_FRAME: usize = 1_024;

/// Time in which no frame is too slow for those who wait for its room, in ms.
pub const SLOW_FRAME_MS: u64 = 2_000;

/// Bytes in each ms of a frame whose connection ends, if it comes more slowly and another one waits for its room.
pub const SLOW_FRAME_BYTES_PER_MS: u64 = 8;

/// Bytes of a frame that count as progress: it comes whole or by so many each [`PROGRESS_MS`].
pub const PROGRESS_BYTES: usize = 4 * 1024;

/// Time that one search may take, in ms: it ends with what was found by then.
pub const SEARCH_MS: u64 = 250;

/// Time that a search may take before it waits for its turn among the long ones, in ms: nearly all take less, and none
/// of them waits behind one that takes more.
pub const SHORT_SEARCH_MS: u64 = 5;

/// Parts of the time of which one person, or one address, may search one without being put behind others: a person who
/// searched for 20 ms is behind for 200.
pub const SEARCH_SHARE: u64 = 10;

/// Time by which a person, or an address, is behind others from which its searches are taken for long ones at once, in ms.
pub const LONG_SEARCHES_MS: u64 = 1_000;

/// Searches of one person that may wait for their turn.
pub const MAX_SEARCHES_WAITING: usize = 16;

/// Time without a transfer after which a connection for files is closed, in ms: pings alone are no reason to keep it.
pub const BULK_IDLE_MS: u64 = 60_000;

/// The size in `Put` of an upload whose size is not known before its end: no file has so many bytes.
pub const UNKNOWN_SIZE: u64 = u64::MAX;

/// Bytes of an upload for which space is reserved at least at once, as it arrives: few enough that a small one holds
/// little.
pub const MIN_RESERVE_STEP: u64 = 1024 * 1024;

/// The same at most: as much as came so far, up to this, so that the hub is seldom asked for a large one.
pub const MAX_RESERVE_STEP: u64 = 64 * 1024 * 1024;

/// Bytes of an upload of unknown size that its sender keeps to send them again: more than a server's crash may lose.
pub const MAX_RESEND: usize = 64 * 1024 * 1024;

/// The feature bit of uploads of unknown size.
pub const FEATURE_UNKNOWN_SIZE: u64 = 1;

/// A person's share of the space for files, and that of all guests together, unless the operator decides otherwise: one in
/// so many bytes.
pub const PERSON_SHARE: u64 = 8;

/// Bytes that a person's share is not under where that is at most half of all: a film fits.
pub const LARGE_PERSON_SHARE: u64 = 16 * 1024 * 1024 * 1024;
