//! From bytes to what the hub is told: frames of either dialect, decoded and bounded, without I/O.

use crate::conn::{Conn, ConnId, Held};
use crate::files::Header;
use crate::hub::Operated;
use bytes::Bytes;
use protocol::classic::{self, ClassicError, ClassicMsg};
use protocol::code::{Code, Fate};
use protocol::frame::{Deframer, Frame, FrameError, Item};
use protocol::id::{ContentHash, PersonId, Req, RoomId, Seq, TransferId};
use protocol::limits::requests::{self, REQUEST_SHARE, Window};
use protocol::limits::{HEADER, MAX_CLASSIC_TEXT, MAX_FRAME, MAX_FRAME_BEFORE_LOGIN};
use protocol::message::{ClientMsg, FileBody, Order, Proof, Purpose, ServerMsg, ty};
use protocol::wire::DecodeError;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Frames that go to the hub at once: one connection does not hold it up for long.
const BUNDLE: usize = 64;

/// Bytes of a post that are stored beside its text, at most about.
const BESIDE_TEXT: usize = 200;

/// What the hub is told.
#[derive(Debug)]
pub enum Event {
    /// A first frame arrived.
    Login {
        /// On this connection.
        conn: Arc<Conn>,
        /// What it said.
        login: Login,
        /// Given back when it has been handled.
        permit: OwnedSemaphorePermit,
    },
    /// More frames arrived.
    Bundle {
        /// On this connection.
        conn: ConnId,
        /// In this order.
        inbound: Vec<Inbound>,
        /// Given back when they have been handled.
        permit: OwnedSemaphorePermit,
    },
    /// A first frame asked for a connection for files.
    BulkLogin {
        /// What it said.
        hello: Hello,
        /// What it gets, or why not.
        answer: oneshot::Sender<Result<BulkPlace, Code>>,
    },
    /// Somebody wants to begin an upload or go on with one.
    Put {
        /// What it is; its person is who asks.
        header: Header,
        /// How it begins, or why it is refused and the number that goes with it.
        answer: oneshot::Sender<Result<Admitted, (Code, u64)>>,
    },
    /// An upload whose size is not known needs space for more.
    Reserve {
        /// The upload.
        transfer: TransferId,
        /// How many bytes more.
        bytes: u64,
        /// Whether they are reserved, or why not and the number that goes with it.
        answer: oneshot::Sender<Result<(), (Code, u64)>>,
    },
    /// The connection of an upload does not go on with it.
    Left {
        /// The upload.
        transfer: TransferId,
    },
    /// An upload was given up.
    GivenUp {
        /// The upload.
        transfer: TransferId,
    },
    /// An upload is complete and on the disk.
    Uploaded {
        /// The upload.
        transfer: TransferId,
        /// Its hash.
        hash: ContentHash,
        /// Whether its content is still here.
        answer: oneshot::Sender<bool>,
    },
    /// Somebody says that an upload has this hash: is the content here, and may they read it? Then it is complete.
    Claim {
        /// The upload.
        transfer: TransferId,
        /// The hash.
        hash: ContentHash,
        /// The answer.
        answer: oneshot::Sender<bool>,
    },
    /// What is this person to read when they ask for this upload?
    Follow {
        /// Who.
        person: PersonId,
        /// What.
        transfer: TransferId,
        /// The answer.
        answer: oneshot::Sender<Follow>,
    },
    /// A download arrived whole, told on a connection for files.
    Fetched {
        /// Who.
        person: PersonId,
        /// The room of the file's entry.
        room: RoomId,
        /// The entry.
        seq: Seq,
        /// Why it is refused.
        answer: oneshot::Sender<Result<(), Code>>,
    },
    /// May this person read this content?
    MayRead {
        /// Who.
        person: PersonId,
        /// What.
        hash: ContentHash,
        /// The answer.
        answer: oneshot::Sender<bool>,
    },
    /// A file of a classic client, which is arriving, needs space for more.
    ClassicSpace {
        /// On this connection.
        conn: ConnId,
        /// How many bytes more.
        bytes: u64,
        /// The ms for which their sender is held, once they are reserved, or how many are left.
        answer: oneshot::Sender<Result<u64, u64>>,
    },
    /// A classic client sent a file, or what was none.
    ClassicFile {
        /// On this connection.
        conn: ConnId,
        /// The file, or what the client is told.
        file: Result<FileBody, String>,
        /// Its share of the windows.
        share: Option<Arc<Held>>,
        /// It counts as a bundle until this is dropped.
        permit: OwnedSemaphorePermit,
    },
    /// The operator gives an order.
    Operate {
        /// Their request.
        req: Req,
        /// The order.
        order: Order,
        /// What became of it.
        answer: oneshot::Sender<Operated>,
    },
    /// The connection is gone.
    Gone {
        /// This one.
        conn: ConnId,
    },
}

/// What a connection for files gets at its login.
#[derive(Debug)]
pub struct BulkPlace {
    /// Whose it is.
    pub person: PersonId,
    /// Whether they are new, and wait for turns.
    pub is_new: bool,
    /// The frame that welcomes them.
    pub welcome: Bytes,
    /// It counts as one of theirs until this is dropped.
    pub counted: OwnedSemaphorePermit,
}

/// How an upload begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admitted {
    /// It may go on.
    Going {
        /// Whether the content may be known already.
        likely: bool,
    },
    /// It is complete already, and has this hash.
    Whole(ContentHash),
}

/// What somebody reads who asks for an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    /// Nothing: there is none for them.
    Nothing,
    /// The upload, which is under way.
    Growing,
    /// The content that it has become.
    Whole(ContentHash),
}

/// A first frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Login {
    /// `Hello`.
    Native(Hello),
    /// `JOIN` with this name.
    Classic(String),
}

impl Login {
    /// Whether it asks for a connection for files.
    pub fn is_bulk(&self) -> bool {
        matches!(self, Self::Native(hello) if hello.purpose == Purpose::Bulk)
    }
}

/// The fields of `Hello`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "they are those of `ClientMsg::Hello`")]
pub struct Hello {
    pub min_version: u16,
    pub max_version: u16,
    pub features: u64,
    pub device: protocol::id::DeviceId,
    pub proof: Proof,
    pub purpose: Purpose,
    pub name: String,
    pub agent: String,
    pub attempt: Option<protocol::message::Attempt>,
}

/// A frame after the first.
#[derive(Debug)]
pub enum Inbound {
    /// A native message, with its share of the windows.
    Native(ClientMsg, Option<Arc<Held>>),
    /// A classic one.
    Classic(ClassicLine, Option<Arc<Held>>),
    /// A frame that can't be read.
    Refused(Refusal),
}

impl Inbound {
    /// Bytes of the windows that it takes until nothing of it waits; `None` for what never waits.
    pub fn share(&self) -> Option<usize> {
        let window = match self {
            Self::Native(msg, _) => requests::row(msg).window,
            Self::Classic(..) => Window::Text,
            Self::Refused(_) => Window::Nothing,
        };
        match window {
            Window::Nothing | Window::Credit => None,
            Window::Share => Some(REQUEST_SHARE),
            Window::Text => Some(BESIDE_TEXT + self.text().map_or(0, <[u8]>::len)),
        }
    }

    /// The text that waits.
    fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Native(ClientMsg::Post { body, .. }, _) => Some(body),
            Self::Classic(ClassicLine::Text(text), _) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Adds its share of the windows.
    pub fn set_held(&mut self, share: Arc<Held>) {
        if let Self::Native(_, held) | Self::Classic(_, held) = self {
            *held = Some(share);
        }
    }

    /// Whether its answer may be large: it then goes to the hub alone, and is answered before the next.
    fn is_heavy(&self) -> bool {
        match self {
            Self::Native(msg, _) => matches!(
                msg,
                ClientMsg::Ask { .. }
                    | ClientMsg::Fetch { .. }
                    | ClientMsg::Search { .. }
                    | ClientMsg::Open { .. }
                    | ClientMsg::Join { .. }
            ),
            Self::Classic(ClassicLine::Text(text), _) => text.starts_with('/'),
            Self::Classic(..) | Self::Refused(_) => false,
        }
    }
}

/// What a classic client says after `JOIN`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClassicLine {
    /// A line or a command.
    Text(String),
    /// A line that is not UTF-8.
    Unreadable,
    /// A line over the limit.
    TooLong,
    /// A second `JOIN`.
    Join,
    /// Something of an unknown type.
    Unknown,
}

/// Why a frame is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// The type of the frame, or 0.
    pub about: u8,
    /// Its request id or counter, or 0.
    pub req: u64,
    /// The number that goes with some codes.
    pub detail: u64,
}

impl Refusal {
    /// A refusal of nothing in particular.
    pub fn of(code: Code) -> Self {
        Self { code, about: 0, req: 0, detail: 0 }
    }

    /// A refusal of a frame.
    pub fn about(code: Code, about: u8, req: u64) -> Self {
        Self { code, about, req, detail: 0 }
    }

    /// The same with a number.
    #[must_use]
    pub fn with(self, detail: u64) -> Self {
        Self { detail, ..self }
    }

    /// The `Error` frame, with the fate of its code.
    pub fn encode(&self) -> Bytes {
        self.encode_with(self.code.fate() == Fate::Close)
    }

    /// The `Error` frame of a connection that ends, whatever the code: nobody is logged in yet.
    pub fn encode_closing(&self) -> Bytes {
        self.encode_with(true)
    }

    /// The `Error` frame of a connection that ends, with a sentence of its own.
    pub fn encode_saying(&self, text: String) -> Bytes {
        let Self { code, about, req, detail } = *self;
        ServerMsg::Error { code: code.number(), about, req, close: true, detail, text }.encode()
    }

    fn encode_with(&self, close: bool) -> Bytes {
        let Self { code, about, req, detail } = *self;
        let text = code.text().to_owned();
        ServerMsg::Error { code: code.number(), about, req, close, detail, text }.encode()
    }
}

/// The dialect of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Native.
    Native,
    /// Classic.
    Classic,
}

impl Dialect {
    /// The largest frame that it takes after login.
    pub fn limit(self) -> u32 {
        match self {
            Self::Native => MAX_FRAME,
            Self::Classic => MAX_CLASSIC_TEXT,
        }
    }
}

/// Reads the first frame of a connection, which decides its dialect for good.
///
/// # Errors
/// The frame that answers what is no login, before the connection closes.
pub fn first_frame(item: Item<'_>) -> Result<Login, Bytes> {
    let (ty, frame) = match item {
        Item::Frame(frame) => (frame.ty, Some(frame)),
        Item::Oversized { ty, .. } => (ty, None),
    };
    match (ty, frame) {
        (classic::ty::TEXT..=classic::ty::COMMAND, frame) => classic_login(frame),
        (ty, None) => {
            let limit = u64::from(MAX_FRAME_BEFORE_LOGIN);
            Err(Refusal::about(Code::FrameTooLarge, ty, 0).with(limit).encode_closing())
        }
        (ty::HELLO, Some(frame)) => native_login(frame),
        (ty, Some(_)) => Err(Refusal::about(Code::LoginFirst, ty, 0).encode_closing()),
    }
}

fn classic_login(frame: Option<Frame<'_>>) -> Result<Login, Bytes> {
    let invalid = || crate::voice::error_frame(classic::INVALID_JOIN);
    let frame = frame.ok_or_else(invalid)?;
    match ClassicMsg::decode(frame.ty, frame.payload) {
        Ok(ClassicMsg::Join(name)) if !name.trim().is_empty() => Ok(Login::Classic(name.trim().to_owned())),
        _ => Err(invalid()),
    }
}

fn native_login(frame: Frame<'_>) -> Result<Login, Bytes> {
    match ClientMsg::decode(frame.ty, frame.payload) {
        Ok(Some(ClientMsg::Hello {
            min_version,
            max_version,
            features,
            device,
            proof,
            purpose,
            name,
            agent,
            attempt,
        })) => {
            let hello =
                Hello { min_version, max_version, features, device, proof, purpose, name, agent, attempt };
            Ok(Login::Native(hello))
        }
        Ok(_) => Err(Refusal::about(Code::LoginFirst, frame.ty, 0).encode_closing()),
        Err(error) => Err(Refusal::about(code_of(error), frame.ty, 0).encode_closing()),
    }
}

/// Some frames in order.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The frames.
    pub inbound: Vec<Inbound>,
    /// It must be answered before more is taken.
    pub heavy: bool,
    /// Its last frame ends the connection.
    pub fatal: bool,
    /// A classic FILE begins behind it, whose payload has so many bytes.
    pub file: Option<u32>,
}

impl Bundle {
    /// What ends a connection.
    pub fn refused(refusal: Refusal) -> Self {
        let mut bundle = Self::default();
        bundle.push(Inbound::Refused(refusal));
        bundle
    }

    /// Whether there is nothing in it, not even a file behind it.
    pub fn is_empty(&self) -> bool {
        self.inbound.is_empty() && self.file.is_none()
    }

    /// Whether it should go to the hub before more is added.
    pub fn is_full(&self) -> bool {
        self.heavy || self.fatal || self.file.is_some() || self.inbound.len() >= BUNDLE
    }

    fn push(&mut self, inbound: Inbound) {
        self.heavy |= inbound.is_heavy();
        if let Inbound::Refused(refusal) = &inbound {
            self.fatal |= refusal.code.fate() == Fate::Close;
        }
        self.inbound.push(inbound);
    }

    /// The share of the windows of each frame in it that takes one.
    pub fn shares(&self) -> impl Iterator<Item = usize> {
        self.inbound.iter().filter_map(Inbound::share)
    }

    /// Takes frames off the front of `input` until it is used up or the bundle is full.
    pub fn fill(&mut self, dialect: Dialect, deframer: &mut Deframer, input: &mut &[u8]) {
        while !self.is_full() {
            let read = match deframer.next(input) {
                Ok(None) => return,
                Ok(Some(item)) => match dialect {
                    Dialect::Native => native(item),
                    Dialect::Classic => match item {
                        Item::Oversized { ty: classic::ty::FILE, len } => {
                            self.file = Some(len - 1);
                            None
                        }
                        item => Some(Inbound::Classic(classic(item), None)),
                    },
                },
                Err(FrameError::Empty) => Some(Inbound::Refused(Refusal::of(Code::EmptyFrame))),
            };
            if let Some(inbound) = read {
                self.push(inbound);
            }
        }
    }
}

fn native(item: Item<'_>) -> Option<Inbound> {
    let Frame { ty, payload } = match item {
        Item::Frame(frame) => frame,
        Item::Oversized { ty, .. } => {
            let limit = u64::from(MAX_FRAME);
            return Some(Inbound::Refused(Refusal::about(Code::FrameTooLarge, ty, 0).with(limit)));
        }
    };
    match ClientMsg::decode(ty, payload) {
        Ok(Some(msg)) => Some(Inbound::Native(msg, None)),
        Ok(None) => None,
        Err(error) => Some(Inbound::Refused(Refusal::about(code_of(error), ty, peek_request(ty, payload)))),
    }
}

fn classic(item: Item<'_>) -> ClassicLine {
    match item {
        Item::Oversized { .. } => ClassicLine::TooLong,
        Item::Frame(Frame { ty, payload }) => match ClassicMsg::decode(ty, payload) {
            Ok(ClassicMsg::Text(text)) => ClassicLine::Text(text.to_owned()),
            Ok(ClassicMsg::Join(_)) => ClassicLine::Join,
            Ok(ClassicMsg::File { .. }) | Err(ClassicError::NoName) => {
                unreachable!("FILE frames are streamed and never decoded whole")
            }
            Err(ClassicError::Utf8) => ClassicLine::Unreadable,
            Err(ClassicError::UnknownType(_)) => ClassicLine::Unknown,
        },
    }
}

/// The code for a payload that can't be read.
pub fn code_of(error: DecodeError) -> Code {
    match error {
        DecodeError::Truncated => Code::Malformed,
        DecodeError::Utf8 => Code::BadUtf8,
        DecodeError::Number(_) => Code::BadNumber,
        DecodeError::UnknownTag(_) => Code::Unsupported,
        DecodeError::UnknownType(_) => Code::UnknownType,
    }
}

/// The request id or counter of a message, 0 where it has none.
pub fn request_of(msg: &ClientMsg) -> u64 {
    peek_request(msg.ty(), &msg.encode()[HEADER..])
}

/// The request id or counter at the front of a payload that could not be read as a whole.
pub fn peek_request(ty: u8, payload: &[u8]) -> u64 {
    let number = |n: usize| {
        payload.get(..n).map_or(0, |bytes| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    };
    match ty {
        ty::POST => number(8),
        ty::HELLO | ty::PING | ty::BYE => 0,
        _ => number(4),
    }
}
