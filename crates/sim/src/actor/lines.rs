//! What is typed: a plan's steps as lines, each with a token that tells it from all others.

use super::memory::About;
use super::name_of;
use crate::plan::{ClientPlan, Op};
use crate::trace::Token;
use std::collections::VecDeque;

/// Types the steps of a plan, over all processes of a client.
pub(crate) struct Typist {
    client: u16,
    plan: ClientPlan,
    next_step: usize,
    last: u32,
    /// Lines that wait to be typed.
    waiting: VecDeque<Typed>,
}

/// Something that its user does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Typed {
    /// A line, and the token in it.
    Line(String, Option<Token>),
    /// A line about another one, and the token in it, if it has one.
    About(About, Option<Token>),
    /// A file of so many bytes, and its token.
    File(u32, Token),
    /// Leaves, and comes back after so many ms.
    Leave(u64),
    /// Looks away for so many ms.
    LookAway(u64),
}

impl Typist {
    pub(crate) fn new(client: u16, plan: ClientPlan) -> Self {
        Self { client, plan, next_step: 0, last: 0, waiting: VecDeque::new() }
    }

    /// When there is something to do, in ms; `None` if never again.
    pub(crate) fn due(&self) -> Option<u64> {
        if self.waiting.is_empty() {
            self.plan.steps.get(self.next_step).map(|step| step.at)
        } else {
            Some(0)
        }
    }

    /// The next thing to do at this time.
    pub(crate) fn take(&mut self, now: u64) -> Option<Typed> {
        while self.waiting.is_empty() {
            let step = self.plan.steps.get(self.next_step).filter(|step| step.at <= now)?;
            self.next_step += 1;
            let op = step.op.clone();
            self.expand(&op);
        }
        self.waiting.pop_front()
    }

    /// Puts back what could not be done now.
    pub(crate) fn put_back(&mut self, typed: Typed) {
        self.waiting.push_front(typed);
    }

    /// The process died: whoever typed has lost the thread of what was to come at once.
    pub(crate) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// Nothing new is begun any more.
    pub(crate) fn stop(&mut self) {
        self.waiting.clear();
        self.next_step = self.plan.steps.len();
    }

    /// A last line.
    pub(crate) fn last_line(&mut self) -> Typed {
        let token = self.token();
        Typed::Line(format!("{token} is well"), Some(token))
    }

    fn token(&mut self) -> Token {
        self.last += 1;
        Token { client: self.client, n: self.last }
    }

    fn expand(&mut self, op: &Op) {
        let typed = match op {
            Op::Say { lines, bytes } => {
                for _ in 0..*lines {
                    let token = self.token();
                    self.waiting.push_back(Typed::Line(padded(token, *bytes), Some(token)));
                }
                return;
            }
            Op::Mention { person } => {
                let token = self.token();
                Typed::Line(format!("{token} @{}", name_of(*person)), Some(token))
            }
            Op::Act => self.with_token("/me "),
            Op::Reply => self.with_token("/reply "),
            Op::Answer { back } => self.about(About::Answer(*back)),
            Op::Edit { back } => self.about(About::Edit(*back)),
            Op::Delete { back } => Typed::About(About::Delete(*back), None),
            Op::Search { client, n, gone, everywhere } => {
                let about = About::Search {
                    token: Token { client: *client, n: *n },
                    gone: *gone,
                    everywhere: *everywhere,
                };
                Typed::About(about, None)
            }
            Op::Msg { person } => self.with_token(&format!("/msg {} ", name_of(*person))),
            Op::Topic => self.with_token("/topic "),
            Op::Join { room } => command(format!("/join room{room}")),
            Op::Part { room } => command(format!("/part room{room}")),
            Op::Nick { n } => command(format!("/nick {}n{n}", name_of(self.plan.person))),
            Op::Away => command("/away for a while".to_owned()),
            Op::Back => command("/back".to_owned()),
            Op::History => command("/history 20".to_owned()),
            Op::Who => command("/who lobby".to_owned()),
            Op::List => command("/list".to_owned()),
            Op::Whois { person } => command(format!("/whois {}", name_of(*person))),
            Op::Send { bytes } => Typed::File(*bytes, self.token()),
            Op::Leave { away_ms } => Typed::Leave(*away_ms),
            Op::LookAway { ms } => Typed::LookAway(*ms),
        };
        self.waiting.push_back(typed);
    }

    fn about(&mut self, about: About) -> Typed {
        let token = self.token();
        Typed::About(about, Some(token))
    }

    fn with_token(&mut self, command: &str) -> Typed {
        let token = self.token();
        Typed::Line(format!("{command}{token}"), Some(token))
    }
}

fn command(line: String) -> Typed {
    Typed::Line(line, None)
}

fn padded(token: Token, bytes: usize) -> String {
    let mut line = token.to_string();
    if bytes > 0 {
        line.push(' ');
        line.extend(std::iter::repeat_n('x', bytes));
    }
    line
}

/// The content of a file: unlike that of every other.
pub(crate) fn content(token: Token, bytes: u32) -> Vec<u8> {
    let seed = u64::from(token.client) << 32 | u64::from(token.n);
    let words =
        (0..bytes.div_ceil(8)).flat_map(|at| crate::seed::mix(seed ^ u64::from(at) << 40).to_le_bytes());
    words.take(bytes as usize).collect()
}
