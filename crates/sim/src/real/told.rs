//! The stories that are told over real sockets, each in a time that somebody waits for.

use crate::coverage::Sometimes;
use crate::plan::{Op, Plan, When};
use crate::story::{self, Story};

/// The stories, and the percentage of their time that they take here: the gaps between what is done and what goes wrong
/// are shorter, faults last as long, and so does everything that natter waits for.
const TOLD: &[(&str, u64)] = &[
    ("the storm", 100),
    ("the stuck reader", 35),
    ("crash between append and acknowledge", 60),
    ("two devices of one person", 75),
    ("classic among natives", 60),
    ("a bad afternoon", 100),
];

/// What real sockets do not show: a cut ends no connection there, since what it drops is sent again.
const UNSEEN: &[Sometimes] = &[Sometimes::ClassicCut];

/// The stories whose name contains one of these, as they are told over real sockets; without names those of [`TOLD`].
pub fn told(names: &[String]) -> Vec<Story> {
    let percent = |name: &str| TOLD.iter().find(|(told, _)| *told == name).map(|(_, percent)| *percent);
    let is_meant = |name: &str| {
        if names.is_empty() { percent(name).is_some() } else { names.iter().any(|part| name.contains(part)) }
    };
    let mut stories: Vec<_> = story::all().into_iter().filter(|story| is_meant(&story.plan.name)).collect();
    for story in &mut stories {
        story.sees.retain(|what| !UNSEEN.contains(what));
        let percent = percent(&story.plan.name).unwrap_or(100);
        quicken(&mut story.plan, percent);
    }
    stories
}

/// Lets a plan take this percentage of its time.
fn quicken(plan: &mut Plan, percent: u64) {
    let scale = |ms: &mut u64| *ms = *ms * percent / 100;
    scale(&mut plan.safety_ms);
    for step in plan.clients.iter_mut().flat_map(|client| &mut client.steps) {
        scale(&mut step.at);
        if let Op::LookAway { ms } = &mut step.op {
            scale(ms);
        }
    }
    for fault in &mut plan.faults {
        if let When::At(at) = &mut fault.when {
            scale(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::MOST_MS;

    #[test]
    fn every_story_that_is_told_exists_and_has_time_to_settle() {
        let stories = told(&[]);
        assert_eq!(stories.len(), TOLD.len());
        assert!(stories.iter().all(|story| story.plan.safety_ms + 45_000 <= MOST_MS));
    }
}
