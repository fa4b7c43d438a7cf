//! How long an audit would take, in one job or in several that share the images out.

use super::context::Context;
use super::plan::Settings;
use super::schedule::{planned, seconds, seconds_by_image};
use super::watch::Planned;

/// What an audit would do, and how long that would take here. Times are by the runs of the gradient checks; judging is
/// not counted, which takes a forward run per attack and runtime.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Estimate {
    /// The work of one job.
    pub planned: Planned,
    /// Seconds that the models, the images and the gradient checks took, which every job repeats.
    pub before: f64,
    /// Seconds of attacks; `None` where a runtime gave no time.
    attacks: Option<f64>,
    /// The same, image by image.
    by_image: Option<Vec<f64>>,
}

impl Estimate {
    /// Of contexts whose gradients are checked.
    pub(super) fn new(settings: &Settings, contexts: &[Context<'_>], before: f64) -> Self {
        Self {
            planned: planned(settings, contexts),
            before,
            attacks: seconds(contexts),
            by_image: seconds_by_image(contexts),
        }
    }

    /// Seconds until the last of so many jobs is done, all started at once, each on a machine like this one. Images go
    /// to them in turn, as `Shard` deals them out.
    pub fn seconds(&self, jobs: usize) -> Option<f64> {
        if jobs <= 1 {
            return self.attacks.map(|attacks| self.before + attacks);
        }
        let by_image = self.by_image.as_ref()?;
        let job = |index: usize| by_image.iter().skip(index).step_by(jobs).sum::<f64>();
        Some(self.before + (0..jobs).map(job).fold(0.0, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_the_jobs_counts_and_each_repeats_the_checks() {
        let planned = Planned { steps: 10, seconds: Some(10.0), words: String::new() };
        let by_image = Some(vec![1.0, 2.0, 3.0, 4.0]);
        let estimate = Estimate { planned, before: 5.0, attacks: Some(10.0), by_image };
        let seconds = [1, 2, 3, 4, 9].map(|jobs| estimate.seconds(jobs).unwrap());
        assert_eq!(seconds, [15.0, 11.0, 10.0, 9.0, 9.0]);
        assert_eq!(Estimate { by_image: None, ..estimate }.seconds(2), None);
    }
}
