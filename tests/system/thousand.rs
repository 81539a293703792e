//! A thousand readers of one room: promises P3 and P4 at a size where a shortcut would show.

use super::harness::{Identity, Native, Server, all_of, bounded};
use protocol::message::OpenFrom;

const CLIENTS: usize = 1_000;
const SENDERS: usize = 5;
const POSTS_EACH: usize = 20;

#[tokio::test]
async fn a_thousand_readers_read_each_message_once_in_one_order() {
    bounded(150, async {
        let server = Server::start().await;
        let first = Native::enter(server.addr(), "first").await;
        let threads = server.threads();
        let clients = enter_many(&server).await;
        assert_eq!(server.threads(), threads, "threads must not grow with clients");

        let room = first.lobby();
        all_of(clients[..SENDERS].iter().map(|client| {
            let texts = (0..POSTS_EACH).map(|n| format!("{} {n}", client.name));
            client.say_all(room, texts)
        }))
        .await;
        let all = first.reads(room, SENDERS * POSTS_EACH).await;
        assert_eq!(all.len(), SENDERS * POSTS_EACH);
        for client in &clients {
            // Gaps, doubles and wrong numbers fail within the client; this compares what the numbers stand for.
            assert_eq!(client.reads(room, all.len()).await, all, "{}", client.name);
        }
        for client in &clients[..SENDERS] {
            let own = all.iter().filter(|text| text.starts_with(&format!("{} ", client.name)));
            let said: Vec<_> = (0..POSTS_EACH).map(|n| format!("{} {n}", client.name)).collect();
            assert_eq!(own.cloned().collect::<Vec<_>>(), said, "in the order of its author");
        }
        assert_eq!(server.threads(), threads, "threads must not grow with messages");
    })
    .await;
}

/// Logs in all clients, some at a time, and opens the lobby for each.
async fn enter_many(server: &Server) -> Vec<Native> {
    let mut clients = Vec::new();
    for group in (0..CLIENTS).collect::<Vec<_>>().chunks(50) {
        let entering = group.iter().map(|n| async move {
            let mut client = Native::login(server.addr(), &Identity::new(&format!("reader-{n}"))).await;
            let lobby = client.lobby();
            client.open(lobby, OpenFrom::Now).await;
            client
        });
        clients.extend(all_of(entering).await);
    }
    clients
}
