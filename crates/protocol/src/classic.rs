//! The classic dialect: that of the Python program whose clients go on working, unchanged.
//!
//! Strings are UTF-8 without a length, the separator is `::`. What each side says is fixed by those clients.

use crate::frame::{frame, put_frame};
use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// Frame types of the classic dialect, the same in both directions.
pub mod ty {
    #![expect(missing_docs, reason = "each is named as the dialect names it")]
    pub const TEXT: u8 = 0x01;
    pub const FILE: u8 = 0x02;
    pub const JOIN: u8 = 0x03;
    pub const LEAVE: u8 = 0x04;
    pub const ERROR: u8 = 0x05;
    pub const COMMAND: u8 = 0x06;
}

/// Parts a name from what follows it.
pub const SEPARATOR: &str = "::";

/// What every classic user is greeted with.
pub const WELCOME: &str = "Welcome! Type /help for commands.";

/// The ERROR for a name that is taken. We give a free name instead, so only other servers send it.
pub const NAME_TAKEN: &str = "Username already taken.";

/// The ERROR for a first frame that is not a JOIN with a name in it.
pub const INVALID_JOIN: &str = "Invalid JOIN message.";

/// The ERROR for a slash line that is no command.
pub const UNKNOWN_COMMAND: &str = "Unknown command. Type /help.";

/// The COMMAND that answers `/quit`, before the connection closes.
pub const QUIT_ACK: &str = "/quit_ack";

/// What a classic client says.
///
/// Encoding writes the parts as they are: making them safe for a screen, and names free of `::`, is the caller's duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClassicMsg<'a> {
    /// The name that it wants.
    Join(&'a str),
    /// A line, or a command for the server.
    Text(&'a str),
    /// A file's name and content.
    File {
        /// The name as the sender gave it: never to be used as a path.
        name: &'a str,
        /// The content.
        content: &'a [u8],
    },
}

/// Why a classic frame could not be read. Keep: the frame is skipped and answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ClassicError {
    /// The payload is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// A FILE without a separator.
    #[error("the file has no name")]
    NoName,
    /// A type that clients do not send.
    #[error("the frame type {0:#04x} is not known")]
    UnknownType(u8),
}

impl<'a> ClassicMsg<'a> {
    /// Reads the payload of a frame.
    ///
    /// # Errors
    /// [`ClassicError`]; the connection lives on.
    pub fn decode(ty: u8, payload: &'a [u8]) -> Result<Self, ClassicError> {
        match ty {
            ty::JOIN => utf8(payload).map(Self::Join),
            ty::TEXT => utf8(payload).map(Self::Text),
            ty::FILE => {
                let at = find_separator(payload).ok_or(ClassicError::NoName)?;
                Ok(Self::File { name: utf8(&payload[..at])?, content: &payload[at + SEPARATOR.len()..] })
            }
            other => Err(ClassicError::UnknownType(other)),
        }
    }

    /// The frame type.
    pub fn ty(&self) -> u8 {
        match self {
            Self::Join(_) => ty::JOIN,
            Self::Text(_) => ty::TEXT,
            Self::File { .. } => ty::FILE,
        }
    }

    /// The whole frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Join(text) | Self::Text(text) => frame(self.ty(), text.as_bytes()),
            Self::File { name, content } => frame_of(self.ty(), &[name], content),
        }
    }
}

/// What a classic server says.
///
/// Encoding writes the parts as they are: making them safe for a screen, and names free of `::`, is the caller's duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClassicReply<'a> {
    /// `name::text` from a person, anything without `::` from the server.
    Text(&'a str),
    /// `name::filename::bytes`.
    File {
        /// Who sent it.
        from: &'a str,
        /// The file's name: never to be used as a path.
        name: &'a str,
        /// The content.
        content: &'a [u8],
    },
    /// Somebody came.
    Join(&'a str),
    /// Somebody left.
    Leave(&'a str),
    /// Plain text.
    Error(&'a str),
    /// `/quit_ack`.
    Command(&'a str),
}

impl<'a> ClassicReply<'a> {
    /// Reads the payload of a frame.
    ///
    /// # Errors
    /// [`ClassicError`]; the connection lives on.
    pub fn decode(ty: u8, payload: &'a [u8]) -> Result<Self, ClassicError> {
        match ty {
            ty::TEXT => utf8(payload).map(Self::Text),
            ty::JOIN => utf8(payload).map(Self::Join),
            ty::LEAVE => utf8(payload).map(Self::Leave),
            ty::ERROR => utf8(payload).map(Self::Error),
            ty::COMMAND => utf8(payload).map(Self::Command),
            ty::FILE => {
                let at = find_separator(payload).ok_or(ClassicError::NoName)?;
                let rest = &payload[at + SEPARATOR.len()..];
                let end = find_separator(rest).ok_or(ClassicError::NoName)?;
                let content = &rest[end + SEPARATOR.len()..];
                Ok(Self::File { from: utf8(&payload[..at])?, name: utf8(&rest[..end])?, content })
            }
            other => Err(ClassicError::UnknownType(other)),
        }
    }

    /// The frame type.
    pub fn ty(&self) -> u8 {
        match self {
            Self::Text(_) => ty::TEXT,
            Self::File { .. } => ty::FILE,
            Self::Join(_) => ty::JOIN,
            Self::Leave(_) => ty::LEAVE,
            Self::Error(_) => ty::ERROR,
            Self::Command(_) => ty::COMMAND,
        }
    }

    /// The whole frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Text(text)
            | Self::Join(text)
            | Self::Leave(text)
            | Self::Error(text)
            | Self::Command(text) => frame(self.ty(), text.as_bytes()),
            Self::File { from, name, content } => frame_of(self.ty(), &[from, name], content),
        }
    }
}

/// A frame of these parts with separators between them, written without a second copy.
fn frame_of(ty: u8, first: &[&str], content: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(content.len() + 128);
    put_frame(&mut out, ty, |out| {
        for part in first {
            out.extend_from_slice(part.as_bytes());
            out.extend_from_slice(SEPARATOR.as_bytes());
        }
        out.extend_from_slice(content);
    });
    out.freeze()
}

fn utf8(bytes: &[u8]) -> Result<&str, ClassicError> {
    std::str::from_utf8(bytes).map_err(|_| ClassicError::Utf8)
}

fn find_separator(bytes: &[u8]) -> Option<usize> {
    bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR.as_bytes())
}
