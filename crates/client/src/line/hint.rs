//! What to do about each thing that a server refuses.

use super::Renderer;
use protocol::code::Code;
use protocol::name::NAME_HINT;
use protocol::size::human_size;

/// What to do about the refusal of a change of an earlier line, where that is something else than for a new one.
pub(super) fn hint_of_change(code: Option<Code>) -> Option<&'static str> {
    match code? {
        Code::NotAllowed => Some("only the author can change or delete a message"),
        Code::NoSuchEntry => Some("it is deleted, or no longer kept; /history shows the numbers"),
        Code::BadKind => Some("only text can be changed; a file can only be deleted"),
        _ => None,
    }
}

impl Renderer {
    /// What to do about a refusal with this code, for whoever reads this.
    pub(super) fn hint(&self, code: Option<Code>, detail: u64) -> String {
        let Some(visit) = &self.errand else {
            return hint(code, detail);
        };
        match code {
            Some(Code::NoSuchRoom | Code::NotAMember) => "check the room: -r ROOM".into(),
            Some(Code::NoSuchPerson) => "check the name: --to NAME; names change".into(),
            Some(Code::TooManyRooms) => format!("leave a room: natter {visit}, then /part ROOM"),
            Some(Code::NoMoreRooms) => "name one that there is with -r ROOM".into(),
            Some(Code::NameTaken) => "choose another name with -u NAME".into(),
            _ => hint(code, detail),
        }
    }
}

/// What to do about a refusal with this code; `None` for a code of a later version.
pub fn hint(code: Option<Code>, detail: u64) -> String {
    let Some(code) = code else {
        return "the server is newer than this natter: update it".into();
    };
    match code {
        Code::BadFirstByte
        | Code::EmptyFrame
        | Code::UnknownType
        | Code::Malformed
        | Code::LoginFirst
        | Code::AlreadyLoggedIn
        | Code::WrongPurpose
        | Code::BadNumber
        | Code::BadUtf8
        | Code::FrameTooLarge
        | Code::OutOfOrder
        | Code::NotOpen => "client and server disagree on the protocol; update both".into(),
        Code::Unsupported | Code::Version => {
            "the two programs are of different ages: update the older one".into()
        }
        Code::LoginTimeout | Code::Silent | Code::Stalled => {
            "the network is slow or broken: try it again".into()
        }
        Code::PlaintextRefused => {
            "run natter on that machine, or let its operator start natterd with --plaintext anywhere".into()
        }
        Code::NoTls => "connect without TLS".into(),
        Code::ServerFull | Code::AddressFull => {
            "try it again later, or ask the operator for more room (--max-clients)".into()
        }
        Code::Fenced | Code::InUse => {
            "start this one with --temporary: then it is a device of its own".into()
        }
        Code::Busy => "try again in a moment".into(),
        Code::OtherContent => "another copy of this profile has written: say it again".into(),
        Code::BadName => NAME_HINT.into(),
        Code::NameTaken => "choose another name".into(),
        Code::NoSuchRoom => "type /list for the rooms that there are, or /join ROOM to make one".into(),
        Code::NotAMember => "type /join ROOM first".into(),
        Code::NoSuchPerson => "type /who for who is here; names change with /nick".into(),
        Code::NotAllowed => "ask the operator".into(),
        Code::TooManyRooms => "leave one with /part ROOM".into(),
        Code::NoMoreRooms => "use one that there is: /list".into(),
        Code::BodyTooLarge if detail == 0 => "say it in several pieces".into(),
        Code::BodyTooLarge => format!("say it in pieces of {detail} bytes"),
        Code::BadText => "leave out control characters and those that turn the direction of text".into(),
        Code::EmptyText => "say something".into(),
        Code::BadKind => "this natter can't post that here".into(),
        Code::TooFast => format!("wait {} s", detail.div_ceil(1000).max(1)),
        Code::NoSuchEntry => "type /history to see the numbers".into(),
        Code::TooBroad if detail == 0 => "add a word, or search in one room".into(),
        Code::TooBroad => "search for fewer and longer words".into(),
        Code::Blocked => "they have typed /block with your name".into(),
        Code::Unanswered => "talk to them in a room that both of you are in".into(),
        Code::DiskFull => "tell the operator; nothing was stored".into(),
        Code::Damaged => "tell the operator, who can run natterd repair".into(),
        Code::NoSuchFile | Code::NoSuchTransfer => "it may have been removed".into(),
        Code::Quota if detail == 0 => "delete files, or ask the operator for more".into(),
        Code::Quota => format!("{} left: ask the operator for more", human_size(detail)),
        Code::WrongContent => "send it again".into(),
        Code::FileTooLarge if detail == 0 => "send it in pieces (split -b)".into(),
        Code::FileTooLarge => format!("the largest file has {}", human_size(detail)),
    }
}
