//! The error codes: one table from which the code, the document and the tests are made.

/// Whether the connection lives on after an error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fate {
    /// The connection goes on; the frame had no effect.
    Keep,
    /// The sender of the error closes the connection after it.
    Close,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $fate:ident, $text:literal;)*) => {
        /// Why a frame or a connection was refused. Numbers never change and are never used again.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The number on the wire.
            pub const fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The code with this number, if this version knows it.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The stable name, for scripts and documents.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What happens to the connection.
            pub const fn fate(self) -> Fate {
                match self { $(Self::$variant => Fate::$fate,)* }
            }

            /// A plain sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// The first byte is neither a plain frame's nor TLS's.
    BadFirstByte = 100, "bad_first_byte", Close, "this port speaks natter, and the first byte is something else";
    /// A frame of length 0.
    EmptyFrame = 101, "empty_frame", Close, "a frame has the length 0";
    /// A frame over the limit of its state; `detail` is the limit in bytes.
    FrameTooLarge = 102, "frame_too_large", Close, "a frame is larger than the limit";
    /// A frame type outside the skipped range that this version does not know.
    UnknownType = 103, "unknown_type", Close, "a frame has an unknown type";
    /// A payload that ends before its fields do.
    Malformed = 104, "malformed", Close, "a frame ends before its fields do";
    /// A string that is not UTF-8.
    BadUtf8 = 105, "bad_utf8", Keep, "a text is not UTF-8";
    /// A number outside 1 ..= 2⁶³ − 1, or a blob over its limit.
    BadNumber = 106, "bad_number", Keep, "a number is out of range";
    /// A choice or a feature that this server does not have.
    Unsupported = 107, "unsupported", Keep, "this server can't do that";
    /// Something other than `Hello` or `JOIN` came first.
    LoginFirst = 108, "login_first", Close, "the first frame must be a login";
    /// A second `Hello`.
    AlreadyLoggedIn = 109, "already_logged_in", Keep, "this connection is already logged in";
    /// No common version.
    Version = 110, "version", Close, "there is no protocol version that both sides speak";
    /// The first frame took too long.
    LoginTimeout = 111, "login_timeout", Close, "the login took too long";
    /// Nothing was heard for too long.
    Silent = 112, "silent", Close, "nothing was heard for too long";
    /// Plaintext from another machine, which the operator has not opened.
    PlaintextRefused = 113, "plaintext_refused", Close, "this server takes unencrypted connections only from its own machine";
    /// TLS, which this server does not offer.
    NoTls = 114, "no_tls", Close, "this server does not offer TLS";
    /// The server has as many connections as it may.
    ServerFull = 115, "server_full", Close, "the server is full";
    /// The address has as many connections as it may.
    AddressFull = 116, "address_full", Close, "there are too many connections from this address";
    /// A newer connection of the same device took over.
    Fenced = 117, "fenced", Close, "a newer connection of this device took over";
    /// A frame of the other purpose (chat or bulk).
    WrongPurpose = 118, "wrong_purpose", Keep, "this kind of connection does not carry that";
    /// A frame stopped arriving half way.
    Stalled = 119, "stalled", Close, "a frame stopped arriving half way";
    /// The login can't be taken yet: earlier posts of the device are still being stored, or too many came from its address;
    /// `detail` is the wait in ms.
    Busy = 125, "busy", Close, "the server is still storing what this device sent: come back in a moment";
    /// The device is connected elsewhere, and the login asked only for a free one.
    InUse = 126, "in_use", Close, "this device is connected elsewhere";

    /// A name that breaks the rules.
    BadName = 200, "bad_name", Keep, "that name is not allowed";
    /// A name that belongs to somebody else.
    NameTaken = 201, "name_taken", Keep, "that name belongs to somebody else";
    /// No such room.
    NoSuchRoom = 210, "no_such_room", Keep, "no such room";
    /// The person is not in the room.
    NotAMember = 211, "not_a_member", Keep, "you are not in that room";
    /// No such person.
    NoSuchPerson = 212, "no_such_person", Keep, "no such person";
    /// The person may not do this there.
    NotAllowed = 213, "not_allowed", Keep, "you may not do that";
    /// The person is in as many rooms as one may be.
    TooManyRooms = 214, "too_many_rooms", Keep, "you are in too many rooms";
    /// The server has as many rooms as it may.
    NoMoreRooms = 215, "no_more_rooms", Keep, "the server can't hold another room";
    /// The room has no cursor on this connection.
    NotOpen = 216, "not_open", Keep, "that room is not open here";
    /// The person whom it is for has blocked its sender.
    Blocked = 219, "blocked", Keep, "that person takes no messages of yours";
    /// A post skipped a counter; `detail` is the expected one.
    OutOfOrder = 220, "out_of_order", Keep, "a post came out of order";
    /// A body over the limit; `detail` is the limit in bytes.
    BodyTooLarge = 221, "body_too_large", Keep, "that text is too long";
    /// A text with control or bidirectional override characters; `detail` is the place of the first in a post's body.
    BadText = 222, "bad_text", Keep, "that text has characters that are not allowed";
    /// A text without anything in it.
    EmptyText = 223, "empty_text", Keep, "there is nothing in that text";
    /// A kind of entry that clients may not post.
    BadKind = 224, "bad_kind", Keep, "that kind of entry can't be posted";
    /// Too fast; `detail` is the wait in ms.
    TooFast = 225, "too_fast", Keep, "that was too fast";
    /// A reply to or a mark at an entry that the room never had, or an edit, a delete or a search at one not kept.
    NoSuchEntry = 226, "no_such_entry", Keep, "no such message";
    /// A search with more words than one may have, with too little in front of a `*`, or that took too long; `detail` is
    /// how many words there may be, how much must be there, or 0.
    TooBroad = 227, "too_broad", Keep, "that search would find too much";
    /// The post's counter belongs to a post with other content; `detail` is the expected counter.
    OtherContent = 229, "other_content", Keep, "that number belongs to another post";
    /// As many conversations that others have opened wait for a first word of the person as may.
    Unanswered = 230, "unanswered", Keep, "too many people wait for an answer of theirs: they must answer somebody first";
    /// The disk is full: nothing was stored.
    DiskFull = 240, "disk_full", Keep, "the server's disk is full";
    /// What the server has stored of the room, the person or the device is damaged.
    Damaged = 241, "damaged", Keep, "what the server has stored of that is damaged";
    /// No such file.
    NoSuchFile = 250, "no_such_file", Keep, "no such file";
    /// A storage quota is used up; `detail` is what is left, in bytes.
    Quota = 251, "quota", Keep, "the storage quota is used up";
    /// The content does not have the announced hash or size.
    WrongContent = 252, "wrong_content", Keep, "the content is not what was announced";
    /// No such transfer on this connection.
    NoSuchTransfer = 253, "no_such_transfer", Keep, "no such transfer";
    /// A file over the limit; `detail` is the limit in bytes.
    FileTooLarge = 254, "file_too_large", Keep, "that file is too large";
}
