//! Which server a log belongs to, wherever it is reached.

use protocol::id::{Epoch, ServerId};

/// What the hash of an epoch is for: nobody else makes the same id out of it.
const CONTEXT: &str = "natter 2026-11-30 the id of a server, from its first epoch";

/// The id of a server whose first history has this epoch, which was drawn at random.
pub fn server_id(first: Epoch) -> ServerId {
    let hash = blake3::derive_key(CONTEXT, &first.0);
    let (id, _) = hash.split_first_chunk().expect("a key has 32 bytes");
    ServerId(*id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_does_not_tell_its_epoch_and_is_the_same_for_ever() {
        // Data folders of the build before get this id when they are opened: it may never change.
        let id = server_id(Epoch([7; 16]));
        let bytes = [30, 216, 67, 21, 1, 162, 251, 86, 174, 145, 37, 180, 50, 3, 201, 102];
        assert_eq!(id.0, bytes);
        assert_ne!(id, server_id(Epoch([8; 16])));
    }
}
