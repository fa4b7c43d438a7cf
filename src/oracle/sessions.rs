//! Sessions by input size, the most recent few.
//!
//! A session holds on to the memory of its largest run, gigabytes for a large image, so that those
//! of a whole folder of sizes cannot all stay.

use std::time::{Duration, Instant};

use ndarray::{ArrayD, ArrayViewD};

use crate::runtime::{RuntimeError, Session};

/// Sizes kept: upright and lying photographs take turns in many folders.
const KEPT: usize = 2;

/// Sessions, the most recently used last.
#[derive(Default)]
pub struct Sessions {
    by_shape: Vec<(Vec<usize>, Box<dyn Session>)>,
}

impl Sessions {
    /// Runs the session for inputs of the first one's size, which `prepare` makes where none is
    /// kept, and adds the time that the run took to `inside`.
    pub fn run<E: From<RuntimeError>>(
        &mut self,
        inputs: &[ArrayViewD<'_, f32>],
        inside: &mut Duration,
        prepare: impl FnOnce(&[usize]) -> Result<Box<dyn Session>, E>,
    ) -> Result<Vec<ArrayD<f32>>, E> {
        let shape = inputs.first().map_or(&[][..], |input| input.shape());
        let mut session = match self.by_shape.iter().position(|(kept, _)| kept == shape) {
            Some(position) => self.by_shape.remove(position).1,
            None => {
                // The oldest makes room before the new one takes it.
                self.by_shape.drain(..self.by_shape.len().saturating_sub(KEPT - 1));
                prepare(shape)?
            }
        };
        let start = Instant::now();
        let outputs = session.run(inputs);
        *inside += start.elapsed();
        self.by_shape.push((shape.to_vec(), session));
        Ok(outputs?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how many of it there are.
    struct Counted(Arc<AtomicUsize>);

    impl Session for Counted {
        fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
            Ok(vec![inputs[0].to_owned()])
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_most_recent_sizes_stay_and_the_others_go() {
        let (alive, mut made) = (Arc::new(AtomicUsize::new(0)), 0);
        let mut sessions = Sessions::default();
        let mut run = |size: usize| {
            let input = ArrayD::zeros(vec![size]);
            let outputs = sessions.run(&[input.view()], &mut Duration::default(), |shape| {
                assert_eq!(shape, [size]);
                assert!(alive.fetch_add(1, Ordering::SeqCst) < KEPT, "room was made first");
                made += 1;
                Ok::<_, RuntimeError>(Box::new(Counted(Arc::clone(&alive))))
            });
            assert_eq!(outputs.unwrap()[0].shape(), [size]);
            made
        };
        let counts: Vec<usize> = [1, 2, 1, 2, 3, 2, 1, 2].into_iter().map(&mut run).collect();
        assert_eq!(counts, [1, 2, 2, 2, 3, 3, 4, 4]);
        assert_eq!(alive.load(Ordering::SeqCst), KEPT);
    }
}
