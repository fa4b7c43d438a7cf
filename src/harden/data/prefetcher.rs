//! Cuts batches ahead of the training loop, so that the device does not wait for them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::dataset::Dataset;
use crate::harden::config::Recipe;
use crate::harden::seed::Purpose;

/// Batches that lie ready, per thread.
const AHEAD: usize = 4;

/// The batches of consecutive steps. Threads take turns: thread `i` of `n` cuts every `n`-th step,
/// so the order does not depend on which is faster.
pub(in crate::harden) struct Prefetcher {
    queues: Vec<Receiver<Batch>>,
    turn: usize,
    waited: Duration,
}

impl Prefetcher {
    /// Starts `threads` threads on the batches of step `first` and those after it; they end when
    /// the prefetcher is dropped.
    pub fn new(dataset: &Arc<Dataset>, recipe: &Recipe, first: u64, threads: usize) -> Self {
        let seed = Purpose::Crops.seed(recipe.seed);
        let (count, patch, last) = (recipe.batch, recipe.patch, recipe.steps);
        let queue = |offset: usize| {
            let (send, receive) = sync_channel(AHEAD);
            let dataset = Arc::clone(dataset);
            thread::spawn(move || {
                let mut step = first + offset as u64;
                while step < last && send.send(dataset.batch(seed, step, count, patch)).is_ok() {
                    step += threads as u64;
                }
            });
            receive
        };
        Self { queues: (0..threads).map(queue).collect(), turn: 0, waited: Duration::ZERO }
    }

    /// The batch of the next step; `None` after the last.
    pub fn next(&mut self) -> Option<Batch> {
        let start = Instant::now();
        let batch = self.queues[self.turn].recv().ok();
        self.waited += start.elapsed();
        self.turn = (self.turn + 1) % self.queues.len();
        batch
    }

    /// The time spent waiting since this was last asked.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;
    use crate::image::save_png;
    use ndarray::Array3;

    #[test]
    fn any_number_of_threads_gives_the_same_batches_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let pixels = Array3::from_shape_fn((3, 30, 40), |(c, y, x)| ((c + y * x) % 256) as f32 / 255.0);
        save_png(&folder.path().join("a.png"), pixels.view()).unwrap();
        let files = files::find(folder.path(), None, 2, files::Part::Train).unwrap();
        let dataset = Arc::new(Dataset::load(folder.path(), &files, 2, 3, &mut |_| {}).unwrap());
        let recipe = Recipe { batch: 2, patch: 3, steps: 12, scale: 2, ..Recipe::default() };
        let batches = |first, threads| {
            let mut prefetcher = Prefetcher::new(&dataset, &recipe, first, threads);
            std::iter::from_fn(|| prefetcher.next()).collect::<Vec<_>>()
        };
        let one = batches(0, 1);
        assert_eq!(one.len(), 12);
        assert_eq!(batches(0, 3), one);
        assert_eq!(batches(5, 2), one[5..]);
    }
}
