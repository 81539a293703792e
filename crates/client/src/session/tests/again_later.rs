//! Questions that the server finds too fast.

use super::*;
use protocol::message::StateChange;

fn nicks(client: &mut Scripted) -> Vec<(u64, String)> {
    let nicks = client.sent().into_iter().filter_map(|message| match message {
        ClientMsg::State { req, change: StateChange::Name { name } } => Some((u64::from(req.0), name)),
        _ => None,
    });
    nicks.collect()
}

fn too_fast(client: &mut Scripted, req: u64, detail: u64) {
    let (code, about) = (Code::TooFast.number(), ty::STATE);
    client.say(ServerMsg::Error { code, about, req, close: false, detail, text: String::new() });
}

#[test]
fn what_is_too_fast_is_asked_again_after_the_pause_and_in_its_order() {
    let mut client = Scripted::ready();
    client.events();
    client.line("/nick ann");
    let first = nicks(&mut client);
    let [(req, _)] = first[..] else { panic!("{first:?}") };
    too_fast(&mut client, req, 5_000);
    client.line("/nick anna");
    client.pass(4_999);
    assert_eq!(nicks(&mut client), [], "the second one does not overtake the first");
    client.pass(1);
    assert_eq!(nicks(&mut client), [(req, "ann".to_owned()), (req + 1, "anna".to_owned())]);
    let told = client.events();
    let told: Vec<_> = told.iter().filter(|event| matches!(event, Event::Error { .. })).collect();
    assert!(told.is_empty(), "{told:?}");
    client.pass(60_000);
    assert_eq!(nicks(&mut client), [], "once is enough");
}

#[test]
fn what_waits_to_be_asked_again_is_told_as_lost_when_the_connection_is() {
    let mut client = Scripted::ready();
    client.line("/nick ann");
    let first = nicks(&mut client);
    too_fast(&mut client, first[0].0, 5_000);
    client.events();
    client.disconnect();
    let events = client.events();
    assert!(
        events.iter().any(|event| matches!(event, Event::Mistake { text, .. } if text.contains("/nick")))
    );
    client.connect();
    client.pass(10_000);
    assert_eq!(nicks(&mut client), []);
}
