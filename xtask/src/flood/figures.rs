//! What is measured, and how it is judged.

use super::Options;
use super::crowd::{FLOODED, FULL_BATCH};
use std::time::Duration;

/// Somebody who comes is let in.
const LOGIN: Duration = Duration::from_secs(1);
/// Others see that somebody is away.
const PRESENCE: Duration = Duration::from_secs(1);
/// Between two frames of presence, which are sent by ticks, while there is always something to tell.
const TICKS: Duration = Duration::from_millis(1_200);
/// What an honest post may take, in full batches.
const BATCHES: u32 = 3;
/// Windows of each other device that may be served while a post waits.
const WINDOWS: u64 = 2;

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Figures {
    /// From a connection to its welcome.
    pub logins: Vec<Duration>,
    /// From an honest post to its acknowledgement.
    pub posts: Vec<Duration>,
    /// From an honest search to its answer.
    pub searches: Vec<Duration>,
    /// What was refused to anybody: the code and its sentence.
    pub refused: Vec<(u16, String)>,
    /// In which as many posts of the flood were acknowledged as a full batch holds.
    pub batches: Vec<Duration>,
    /// From a change to the frame that tells another member.
    pub presence: Vec<Duration>,
    /// Between two frames of presence.
    pub ticks: Vec<Duration>,
    /// Posts of the flood that were acknowledged while one of its posts waited, at most, by device.
    pub overtaken: Vec<u64>,
    /// Posts of each flooding device that were acknowledged.
    pub served: Vec<u64>,
    /// The longest wait of a post of the flood.
    pub slowest: Duration,
}

impl Figures {
    /// Prints what was measured, and gives what is over its bound.
    pub fn report(&mut self, options: &Options, time: Duration, busy: f64) -> Vec<String> {
        let mut broken = Vec::new();
        let devices = u64::from(options.devices);
        let all: u64 = self.served.iter().sum();
        println!(
            "flood: {devices} devices with full windows beside {} people for {:.0} s, the server at {:.0} % of a core",
            options.people,
            time.as_secs_f64(),
            busy * 100.0
        );
        println!(
            "  {:.0} posts/s of the flood; a full batch of {FULL_BATCH} posts: median {} ms, p99 {} ms, of {}",
            all as f64 / time.as_secs_f64(),
            ms(quantile(&mut self.batches, 0.5)),
            ms(quantile(&mut self.batches, 0.99)),
            self.batches.len(),
        );
        let batch = quantile(&mut self.batches, 0.99);
        let mut judge = |what: &str, times: &mut Vec<Duration>, at: f64, bound: Duration| {
            let (median, found) = (quantile(times, 0.5), quantile(times, at));
            let name = if at < 1.0 { format!("p{:.0}", at * 100.0) } else { "slowest".to_owned() };
            let count = times.len();
            let line = format!(
                "{what}: median {} ms, {name} {} ms, of {count}, bound {} ms",
                ms(median),
                ms(found),
                ms(bound)
            );
            println!("  {line}");
            if found > bound || count == 0 {
                broken.push(line);
            }
        };
        judge("honest post to its acknowledgement", &mut self.posts, 0.99, batch * BATCHES);
        judge("honest login", &mut self.logins, 1.0, LOGIN);
        judge("presence", &mut self.presence, 1.0, PRESENCE);
        judge("between two ticks", &mut self.ticks, 1.0, TICKS);
        self.judge_fairness(devices, &mut broken);
        if let Some((code, text)) = self.refused.first() {
            broken.push(format!("{} refusals, the first one {code}: {text}", self.refused.len()));
        }
        broken
    }

    fn judge_fairness(&self, devices: u64, broken: &mut Vec<String>) {
        let most = self.overtaken.iter().max().copied().unwrap_or(u64::MAX);
        let round = devices * FLOODED as u64;
        let (least, greatest) = (self.served.iter().min(), self.served.iter().max());
        let line = format!(
            "while a post of the flood waited, {most} others were served at most ({:.2} rounds of full windows, bound \
             {WINDOWS}), {} ms at most; served in all: {} to {} posts of a device",
            most as f64 / round as f64,
            ms(self.slowest),
            least.unwrap_or(&0),
            greatest.unwrap_or(&0),
        );
        println!("  {line}");
        if most > WINDOWS * round || least.is_none_or(|least| *least == 0) {
            broken.push(line);
        }
    }
}

/// What this share of the times are not above.
pub fn quantile(times: &mut [Duration], at: f64) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let place = (last as f64 * at).ceil() as usize;
    times.get(place).copied().unwrap_or_default()
}

/// In ms, for people.
pub fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Figures {
        let ms = Duration::from_millis;
        Figures {
            logins: vec![ms(1_000)],
            posts: vec![ms(60)],
            batches: vec![ms(20); 100],
            presence: vec![ms(1_000)],
            ticks: vec![ms(1_200)],
            overtaken: vec![2 * FLOODED as u64],
            served: vec![9],
            slowest: ms(5),
            ..Figures::default()
        }
    }

    fn broken(change: impl FnOnce(&mut Figures)) -> usize {
        let mut figures = fine();
        change(&mut figures);
        let options = Options { devices: 1, ..Options::short() };
        figures.report(&options, Duration::from_secs(1), 1.0).len()
    }

    #[test]
    fn each_bound_that_is_broken_is_told() {
        let longer = Duration::from_millis(1_201);
        assert_eq!(broken(|_| {}), 0);
        assert_eq!(broken(|figures| figures.logins.push(longer)), 1);
        assert_eq!(broken(|figures| figures.posts.push(Duration::from_millis(61))), 1);
        assert_eq!(broken(|figures| figures.presence.push(longer)), 1);
        assert_eq!(broken(|figures| figures.ticks.push(longer)), 1);
        assert_eq!(broken(|figures| figures.overtaken.push(2 * FLOODED as u64 + 1)), 1);
        assert_eq!(broken(|figures| figures.served.push(0)), 1);
        assert_eq!(broken(|figures| figures.refused.push((225, "too fast".to_owned()))), 1);
    }

    #[test]
    fn nothing_measured_is_nothing_proven() {
        assert_eq!(broken(|figures| *figures = Figures::default()), 5);
    }
}
