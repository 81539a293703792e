//! What a connection for files is refused, each time with the id of the request.

use super::harness::bulk::{Bulk, Sent, content};
use super::harness::{Identity, Native, Raw, Refusal, Server, bounded};
use bytes::Bytes;
use protocol::code::Code;
use protocol::id::{ContentHash, Req, RoomId};
use protocol::limits::BLOCK;
use protocol::message::{Blob, ClientMsg, ServerMsg, Source, Target};

/// The refusal of a login for files.
async fn login_refused(server: &Server, identity: &Identity) -> (Code, bool) {
    let mut raw = Raw::connect_bulk(server.addr()).await;
    raw.say(&identity.hello_bulk()).await;
    let refusal = raw.find(|msg| Refusal::of(&msg)).await.expect("a reason");
    assert_eq!(raw.frame().await, None);
    (refusal.code, refusal.close)
}

/// The next refusal, and what it is about.
async fn refused(bulk: &mut Bulk) -> (Code, u64) {
    loop {
        let msg = bulk.hear().await.expect("an answer");
        if let Some(refusal) = Refusal::of(&msg) {
            return (refusal.code, refusal.req);
        }
        assert!(matches!(msg, ServerMsg::Credit { .. }), "{msg:?}");
    }
}

#[tokio::test]
async fn a_login_for_files_is_of_somebody_known_on_a_server_with_files() {
    bounded(60, async {
        let server = Server::start().await;
        let unknown = login_refused(&server, &Identity::new("new")).await;
        assert_eq!(unknown, (Code::NoSuchPerson, true));
        let guest = login_refused(&server, &Identity::guest("guest")).await;
        assert_eq!(guest, (Code::NotAllowed, true));
        let without = Server::start_with(&["--max-file-mib", "0"]).await;
        let alice = Identity::new("alice");
        let _chat = Native::login(without.addr(), &alice).await;
        assert_eq!(login_refused(&without, &alice).await, (Code::Unsupported, true));
    })
    .await;
}

#[tokio::test]
async fn a_second_transfer_is_refused_by_its_own_id_and_the_first_goes_on() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Identity::new("alice");
        let chat = Native::login(server.addr(), &alice).await;
        let target = Target::Room { room: chat.lobby() };
        let sent = Sent::new(1, target.clone(), content(2 * BLOCK, 1));
        let mut bulk = Bulk::login(server.addr(), &alice).await;
        bulk.put(&sent).await.expect("it begins");
        let req = Req(70);
        let ClientMsg::Put { transfer, size, first, name, .. } = sent.put() else { unreachable!("a Put") };
        let put = ClientMsg::Put { req, transfer, target, size, first, name };
        let source = Source::Content { hash: ContentHash([1; 32]) };
        let get = ClientMsg::Get { req: Req(71), source, offset: 0, credit: 1 };
        let (room, seq) = (RoomId::FIRST, protocol::id::Seq::FIRST);
        for (msg, req) in [(put, 70), (get, 71), (ClientMsg::Fetched { req: Req(72), room, seq }, 72)] {
            bulk.say(&msg).await;
            assert_eq!(refused(&mut bulk).await, (Code::WrongPurpose, req));
        }
        bulk.say(&ClientMsg::Drop { req: Req(73) }).await;
        assert_eq!(refused(&mut bulk).await, (Code::NoSuchTransfer, 73));
        bulk.send(&sent, 0, sent.size()).await;
        bulk.finish(&sent).await.expect("the first one is whole");
        // What comes late is passed over.
        bulk.say(&ClientMsg::Chunk { req: Req(9), offset: 0, data: Blob(Bytes::from_static(b"late")) }).await;
        bulk.check(0, sent.value(0)).await;
        bulk.settle().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_with_the_limit() {
    bounded(60, async {
        let server = Server::start_with(&["--max-file-mib", "3"]).await;
        let alice = Identity::new("alice");
        let chat = Native::login(server.addr(), &alice).await;
        let target = Target::Room { room: chat.lobby() };
        let mut bulk = Bulk::login(server.addr(), &alice).await;
        let large = Sent::new(1, target, content(3 * BLOCK + 1, 1));
        assert_eq!(bulk.put(&large).await, Err((Code::FileTooLarge.number(), 3 * BLOCK)));
    })
    .await;
}
