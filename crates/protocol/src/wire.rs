//! How values are laid out: big-endian integers, length-prefixed strings and lists, tagged choices.
//!
//! [`Wire`] joins both directions of one layout in one place, so that they can't drift apart, and the macros
//! make it for whole messages from a list of their fields in order.

use crate::id::{
    BlockValue, ContentHash, Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, RunId, Seq,
    ServerId, TransferId,
};
use crate::limits::MAX_NUMBER;
use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Why a payload could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// The payload ends before its fields do. Close: such a peer can't be understood.
    #[error("the payload ends too early")]
    Truncated,
    /// A string is not UTF-8. Keep.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A number lies outside its range. Keep.
    #[error("the number {0} is out of range")]
    Number(u64),
    /// A choice that this version does not know. Keep: a newer peer may try it.
    #[error("the choice {0} is not known")]
    UnknownTag(u8),
    /// A frame type that this version does not know, outside the range that is skipped. Close.
    #[error("the frame type {0:#04x} is not known")]
    UnknownType(u8),
}

/// A value with a layout on the wire.
pub trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut BytesMut);

    /// Takes the value off the front of `input`.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not there; `input` is then of no further use.
    fn take(input: &mut &[u8]) -> Result<Self, DecodeError>;
}

/// Takes `n` bytes off the front.
pub(crate) fn take_slice<'a>(input: &mut &'a [u8], n: usize) -> Result<&'a [u8], DecodeError> {
    let (front, rest) = input.split_at_checked(n).ok_or(DecodeError::Truncated)?;
    *input = rest;
    Ok(front)
}

/// Bytes of the longest varint: 63 bits, 7 in a byte.
const MAX_VARINT: usize = 9;

/// Appends a number of at most 63 bits in as few bytes as it needs (unsigned LEB128). A larger one is cut to 63 bits.
pub(crate) fn put_varint(out: &mut BytesMut, value: u64) {
    let mut rest = value & MAX_NUMBER;
    while rest > 0x7f {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8((rest & 0x7f) as u8);
}

/// Takes a varint off the front. Only the shortest form is taken, so that each value has one encoding.
///
/// # Errors
/// [`DecodeError::Truncated`] if it is not all there, [`DecodeError::Number`] if it is longer than it need be.
pub fn take_varint(input: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0;
    for at in 0..MAX_VARINT {
        let byte = u8::take(input)?;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return if byte == 0 && at > 0 { Err(DecodeError::Number(value)) } else { Ok(value) };
        }
    }
    Err(DecodeError::Number(value))
}

/// Takes a string with a varint length off the front.
pub(crate) fn take_short_string(input: &mut &[u8]) -> Result<String, DecodeError> {
    let len = usize::try_from(take_varint(input)?).unwrap_or(usize::MAX);
    let bytes = take_slice(input, len)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Utf8)
}

macro_rules! integer {
    ($($ty:ty),*) => {$(
        impl Wire for $ty {
            fn put(&self, out: &mut BytesMut) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
                let (front, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated)?;
                *input = rest;
                Ok(Self::from_be_bytes(*front))
            }
        }
    )*};
}
integer!(u8, u16, u32, u64);

impl Wire for bool {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match u8::take(input)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::UnknownTag(other)),
        }
    }
}

macro_rules! numbers {
    ($($ty:ident),*) => {$(
        impl Wire for $ty {
            fn put(&self, out: &mut BytesMut) {
                self.value().put(out);
            }

            fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
                let value = u64::take(input)?;
                Self::new(value).ok_or(DecodeError::Number(value))
            }
        }

        /// 0 stands for `None`.
        impl Wire for Option<$ty> {
            fn put(&self, out: &mut BytesMut) {
                self.map_or(0, $ty::value).put(out);
            }

            fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
                match u64::take(input)? {
                    0 => Ok(None),
                    value => $ty::new(value).map(Some).ok_or(DecodeError::Number(value)),
                }
            }
        }
    )*};
}
numbers!(Seq, RoomId, PersonId, DeviceNo, Counter);

macro_rules! opaque {
    ($($ty:ident),*) => {$(
        impl Wire for $ty {
            fn put(&self, out: &mut BytesMut) {
                out.extend_from_slice(&self.0);
            }

            fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
                let (front, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated)?;
                *input = rest;
                Ok(Self(*front))
            }
        }
    )*};
}
opaque!(DeviceId, RunId, Epoch, ServerId, ContentHash, BlockValue, TransferId);

macro_rules! wrapped {
    ($($ty:ident),*) => {$(
        impl Wire for $ty {
            fn put(&self, out: &mut BytesMut) {
                self.0.put(out);
            }

            fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
                Ok(Self(Wire::take(input)?))
            }
        }
    )*};
}
wrapped!(Req);

/// A time has 63 bits, as all numbers that are kept.
impl Wire for Millis {
    fn put(&self, out: &mut BytesMut) {
        self.0.put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match u64::take(input)? {
            value if value > MAX_NUMBER => Err(DecodeError::Number(value)),
            value => Ok(Self(value)),
        }
    }
}

/// `u16` length and bytes. What is longer than a `u16` can say is cut: every writer checks its limits before.
impl Wire for Bytes {
    fn put(&self, out: &mut BytesMut) {
        let kept = &self[..self.len().min(usize::from(u16::MAX))];
        out.put_u16(u16::try_from(kept.len()).expect("cut to u16::MAX above"));
        out.extend_from_slice(kept);
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let len = u16::take(input)?;
        take_slice(input, usize::from(len)).map(Self::copy_from_slice)
    }
}

/// `u16` length and UTF-8. A longer string is cut at a character, as [`Bytes`] are.
impl Wire for String {
    fn put(&self, out: &mut BytesMut) {
        let kept = &self[..self.floor_char_boundary(usize::from(u16::MAX))];
        out.put_u16(u16::try_from(kept.len()).expect("cut to u16::MAX above"));
        out.extend_from_slice(kept.as_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let len = u16::take(input)?;
        let bytes = take_slice(input, usize::from(len))?;
        std::str::from_utf8(bytes).map(Self::from).map_err(|_| DecodeError::Utf8)
    }
}

/// A struct whose bytes are its fields in order.
macro_rules! wire_struct {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut bytes::BytesMut) {
                $(self.$field.put(out);)*
            }

            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::DecodeError> {
                Ok(Self { $($field: $crate::wire::Wire::take(input)?,)* })
            }
        }
    };
}

/// A choice: a `u8` tag, then the chosen variant's fields in order.
macro_rules! wire_choice {
    ($(#[$doc:meta])* pub enum $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $tag:literal $({ $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* })?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant $({ $($(#[$fdoc])* $field: $ty,)* })?,)* }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut bytes::BytesMut) {
                match self {
                    $(Self::$variant $({ $($field,)* })? => {
                        out.extend_from_slice(&[$tag]);
                        $($($field.put(out);)*)?
                    })*
                }
            }

            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::DecodeError> {
                Ok(match <u8 as $crate::wire::Wire>::take(input)? {
                    $($tag => Self::$variant $({ $($field: $crate::wire::Wire::take(input)?,)* })?,)*
                    tag => return Err($crate::wire::DecodeError::UnknownTag(tag)),
                })
            }
        }
    };
}

/// A list: `u16` count, then the elements. One whose elements hold choices is the last field of its message.
macro_rules! wire_list {
    ($($ty:ty),*) => {$(
        impl $crate::wire::Wire for Vec<$ty> {
            fn put(&self, out: &mut bytes::BytesMut) {
                let kept = &self[..self.len().min(usize::from(u16::MAX))];
                u16::try_from(kept.len()).expect("cut to u16::MAX above").put(out);
                kept.iter().for_each(|element| element.put(out));
            }

            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::DecodeError> {
                let count = <u16 as $crate::wire::Wire>::take(input)?;
                // Grows as elements are found: a lying count reserves nothing.
                let mut list = Self::new();
                for _ in 0..count {
                    match <$ty as $crate::wire::Wire>::take(input) {
                        Ok(element) => list.push(element),
                        // Nobody knows where the element of a later version ends: the list ends in front of it, and
                        // so does the message.
                        Err($crate::wire::DecodeError::UnknownTag(_)) => {
                            *input = &[];
                            break;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(list)
            }
        }
    )*};
}

/// A directional enum of messages: frame type and fields of each, encoded and decoded.
macro_rules! messages {
    ($(#[$doc:meta])* pub enum $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $ty:path { $($(#[$fdoc:meta])* $field:ident: $fty:ty,)* },)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant { $($(#[$fdoc])* $field: $fty,)* },)* }

        impl $name {
            /// The frame type of this message.
            pub fn ty(&self) -> u8 {
                match self { $(Self::$variant { .. } => $ty,)* }
            }

            /// The name of a frame type of this direction, for people.
            pub fn type_name(ty: u8) -> Option<&'static str> {
                match ty { $($ty => Some(stringify!($variant)),)* _ => None }
            }

            /// All frame types of this direction.
            pub const TYPES: &'static [u8] = &[$($ty),*];

            /// Appends the whole frame.
            pub fn encode_into(&self, out: &mut bytes::BytesMut) {
                $crate::frame::put_frame(out, self.ty(), |out| match self {
                    $(Self::$variant { $($field,)* } => { $($crate::wire::Wire::put($field, out);)* })*
                });
            }

            /// The whole frame.
            pub fn encode(&self) -> bytes::Bytes {
                let mut out = bytes::BytesMut::new();
                self.encode_into(&mut out);
                out.freeze()
            }

            /// Reads the payload of a frame; `Ok(None)` for a type of the range that is to be skipped.
            ///
            /// Bytes after the last known field are ignored: a newer peer may have more to say.
            ///
            /// # Errors
            /// [`DecodeError`](crate::wire::DecodeError), whose variants tell whether the connection lives on.
            pub fn decode(ty: u8, payload: &[u8]) -> Result<Option<Self>, $crate::wire::DecodeError> {
                let mut input = payload;
                Ok(Some(match ty {
                    $($ty => Self::$variant { $($field: $crate::wire::Wire::take(&mut input)?,)* },)*
                    ty if $crate::message::SKIPPED.contains(&ty) => return Ok(None),
                    ty => return Err($crate::wire::DecodeError::UnknownType(ty)),
                }))
            }
        }
    };
}

pub(crate) use {messages, wire_choice, wire_list, wire_struct};

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(value: u64) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_varint(&mut out, value);
        out.to_vec()
    }

    #[test]
    fn a_varint_is_cut_to_63_bits() {
        for value in [0, 127, 128, 16_383, 16_384, MAX_NUMBER - 1, MAX_NUMBER] {
            assert_eq!(take_varint(&mut &varint(value)[..]), Ok(value));
        }
        assert_eq!(varint(MAX_NUMBER).len(), MAX_VARINT);
        assert_eq!(varint(u64::MAX), varint(MAX_NUMBER));
        assert_eq!(varint(MAX_NUMBER + 1), [0]);
    }

    #[test]
    fn a_short_string_is_text_that_is_all_there() {
        let take = |bytes: &[u8]| take_short_string(&mut &*bytes);
        assert_eq!(take(&[0]), Ok(String::new()));
        assert_eq!(take(&[2, 0xc3, 0xa9, b'x']), Ok("é".to_owned()));
        assert_eq!(take(&[1, 0xc3]), Err(DecodeError::Utf8));
        assert_eq!(take(&[2, b'x']), Err(DecodeError::Truncated));
        assert_eq!(take(&[0x80, 0]), Err(DecodeError::Number(0)));
        assert_eq!(take(&varint(MAX_NUMBER)), Err(DecodeError::Truncated));
    }
}
