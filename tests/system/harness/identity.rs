//! Who a test client is.

use protocol::id::{DeviceId, RunId};
use protocol::message::{Attempt, ClientMsg, Proof, Purpose, Secret};
use std::sync::atomic::{AtomicU64, Ordering};

/// A person's credential with one of their devices: what a client keeps across connections.
#[derive(Clone)]
pub struct Identity {
    name: String,
    proof: Proof,
    device: DeviceId,
    errand: bool,
}

impl Identity {
    /// A new person with a new device.
    pub fn new(name: &str) -> Self {
        let mut secret = [0x5e; 32];
        secret[..8].copy_from_slice(&unique());
        let proof = Proof::Secret { secret: Secret(secret) };
        Self { name: name.to_owned(), proof, device: new_device(), errand: false }
    }

    /// Somebody without a credential.
    pub fn guest(name: &str) -> Self {
        Self { proof: Proof::None, ..Self::new(name) }
    }

    /// Another device of the same person.
    pub fn other_device(&self) -> Self {
        Self { device: new_device(), ..self.clone() }
    }

    /// The same person and device, where nobody sits.
    pub fn on_an_errand(&self) -> Self {
        Self { errand: true, ..self.clone() }
    }

    /// The same person and device, asking for another name.
    pub fn wanting(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The login of this device for files.
    pub fn hello_bulk(&self) -> ClientMsg {
        let mut hello = self.hello();
        if let ClientMsg::Hello { purpose, .. } = &mut hello {
            *purpose = Purpose::Bulk;
        }
        hello
    }

    /// The login of this device.
    pub fn hello(&self) -> ClientMsg {
        ClientMsg::Hello {
            min_version: 1,
            max_version: 1,
            features: 0,
            device: self.device,
            proof: self.proof.clone(),
            purpose: Purpose::Chat,
            name: self.name.clone(),
            agent: "natter's tests".into(),
            attempt: self.errand.then_some(Attempt {
                run: RunId([1; 16]),
                number: 1,
                only_if_free: false,
                errand: true,
            }),
        }
    }
}

fn new_device() -> DeviceId {
    let mut device = [0xde; 16];
    device[..8].copy_from_slice(&unique());
    DeviceId(device)
}

/// Bytes that no other identity of this process has: each test has a server of its own, so they need not be random.
fn unique() -> [u8; 8] {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes()
}
