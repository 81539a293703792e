//! Who somebody is to the server: a device, a secret and a wanted name, made from two numbers.

use protocol::id::DeviceId;
use protocol::limits::VERSION;
use protocol::message::{ClientMsg, Proof, Purpose, Secret};

/// A person with one device, who is the same one after every reconnection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device.
    pub device: DeviceId,
    /// What proves the person.
    pub secret: Secret,
    /// The wanted name.
    pub name: String,
}

impl Identity {
    /// Somebody with this number in this run; unlike everybody of other runs.
    pub fn numbered(name: &str, number: u64, run: u64) -> Self {
        Self { device: DeviceId(spread(number, run)), secret: Secret(spread(number, run)), name: name.into() }
    }

    /// The login of a connection for chat.
    pub fn hello(&self) -> ClientMsg {
        self.hello_for(Purpose::Chat)
    }

    /// The login of a connection for this.
    pub fn hello_for(&self, purpose: Purpose) -> ClientMsg {
        ClientMsg::Hello {
            min_version: VERSION,
            max_version: VERSION,
            features: 0,
            device: self.device,
            proof: Proof::Secret { secret: self.secret.clone() },
            purpose,
            name: self.name.clone(),
            agent: concat!("natter-load ", env!("CARGO_PKG_VERSION")).to_owned(),
            attempt: None,
        }
    }
}

/// The two numbers, again and again.
pub(crate) fn spread<const N: usize>(number: u64, run: u64) -> [u8; N] {
    let seed = [run.to_be_bytes(), number.to_be_bytes()].concat();
    std::array::from_fn(|at| seed[at % seed.len()])
}
