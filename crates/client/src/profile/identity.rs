//! Who a profile is: the secret that makes it a person, and its device.

use crate::hex::{hex, unhex};
use protocol::id::DeviceId;
use protocol::message::Secret;
use rand::Rng;

/// A secret and a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Whoever has it is this person.
    pub secret: Secret,
    /// This device.
    pub device: DeviceId,
}

impl Identity {
    /// A new person.
    pub(super) fn new(rng: &mut impl Rng) -> Self {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let mut identity = Self { secret: Secret(secret), device: DeviceId([0; 16]) };
        identity.renew_device(rng);
        identity
    }

    /// The same person on a new device.
    pub(super) fn renew_device(&mut self, rng: &mut impl Rng) {
        rng.fill_bytes(&mut self.device.0);
    }

    /// Two lines: the secret and the device, in hexadecimal digits.
    pub(super) fn encode(&self) -> String {
        format!("secret {}\ndevice {}\n", hex(&self.secret.0), hex(&self.device.0))
    }

    /// Reads what [`Self::encode`] wrote; the number of the bad line otherwise.
    pub(super) fn decode(content: &[u8]) -> Result<Self, usize> {
        let text = std::str::from_utf8(content).map_err(|_| 1_usize)?;
        let mut lines = text.lines();
        let secret = lines.next().and_then(|line| unhex(line.strip_prefix("secret ")?)).ok_or(1_usize)?;
        let device = lines.next().and_then(|line| unhex(line.strip_prefix("device ")?)).ok_or(2_usize)?;
        Ok(Self { secret: Secret(secret), device: DeviceId(device) })
    }
}
