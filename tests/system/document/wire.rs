//! Frames and fields as the document lays them out.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Fields that are put one behind the other.
#[derive(Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub fn u16(self, value: u16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A string, or bytes.
    pub fn string(self, bytes: &[u8]) -> Self {
        self.u16(u16::try_from(bytes.len()).expect("short")).raw(bytes)
    }

    pub fn blob(self, bytes: &[u8]) -> Self {
        self.u32(u32::try_from(bytes.len()).expect("short")).raw(bytes)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Fields that are taken one after the other.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn raw(&mut self, n: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(n);
        self.0 = rest;
        front
    }

    fn number(&mut self, n: usize) -> u64 {
        self.raw(n).iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
    }

    pub fn u8(&mut self) -> u8 {
        self.raw(1)[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::try_from(self.number(2)).expect("two bytes")
    }

    pub fn u32(&mut self) -> u32 {
        u32::try_from(self.number(4)).expect("four bytes")
    }

    pub fn u64(&mut self) -> u64 {
        self.number(8)
    }

    pub fn string(&mut self) -> Vec<u8> {
        let len = usize::from(self.u16());
        self.raw(len).to_vec()
    }

    pub fn blob(&mut self) -> Vec<u8> {
        let len = self.u32() as usize;
        self.raw(len).to_vec()
    }

    pub fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.u8();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
}

/// A connection of either purpose.
pub struct Link(TcpStream);

impl Link {
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a fresh socket takes options");
        Self(stream)
    }

    pub fn say(&mut self, ty: u8, fields: Fields) {
        let payload = fields.into_bytes();
        let len = u32::try_from(payload.len() + 1).expect("short");
        let frame = [&len.to_be_bytes()[..], &[ty], &payload].concat();
        self.0.write_all(&frame).expect("the server reads");
    }

    pub fn hear(&mut self) -> (u8, Vec<u8>) {
        let mut len = [0; 4];
        self.0.read_exact(&mut len).expect("the server goes on");
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        self.0.read_exact(&mut frame).expect("the server goes on");
        (frame[0], frame.split_off(1))
    }

    /// The next frame of this type; others are passed over, but for errors.
    pub fn wait(&mut self, ty: u8) -> Vec<u8> {
        loop {
            let (found, payload) = self.hear();
            if found == ty {
                return payload;
            }
            assert_ne!(found, 0x49, "refused: {}", String::from_utf8_lossy(&payload));
        }
    }
}
