//! The one buffer that everything is read into.

/// Bytes of one read: larger than what a socket holds most of the time, and small enough for the second cache.
const READ: usize = 128 * 1024;

/// Bytes in front of a read for what the last one of that connection left over: a whole frame of any dialect.
const LEFT_OVER: usize = 128 * 1024;

/// Aligned, because a copy out of the kernel into memory that is not takes up to ten times as long.
#[repr(align(4096))]
struct Memory([u8; LEFT_OVER + READ]);

/// A buffer whose reads always begin at an aligned place, with what was left over put right in front of it.
pub struct Scratch(Box<Memory>);

impl Default for Scratch {
    fn default() -> Self {
        Self(Box::new(Memory([0; LEFT_OVER + READ])))
    }
}

impl Scratch {
    /// Where a read goes.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.0.0[LEFT_OVER..]
    }

    /// What was left over, then the `read` bytes of the last read; `None` if more is left over than fits.
    pub fn joined(&mut self, left_over: &[u8], read: usize) -> Option<&[u8]> {
        let start = LEFT_OVER.checked_sub(left_over.len())?;
        self.0.0[start..LEFT_OVER].copy_from_slice(left_over);
        Some(&self.0.0[start..LEFT_OVER + read])
    }
}
