//! What a network is found to do by running it once: whether it takes batches, and how many channels Phi has.

use crate::harden::HardenError;
use crate::runtime::torch::Program;
use crate::torch::{Tensor, no_grad};

/// Whether the network gives one output for each of the images in a batch.
pub(super) fn takes_batches(program: &Program, batch: &Tensor) -> bool {
    let outputs = no_grad(|| program.run(std::slice::from_ref(batch)));
    outputs.is_ok_and(|outputs| outputs.first().is_some_and(|output| output.size()[0] == batch.size()[0]))
}

/// The number of channels of a value, found by running the network on an image.
pub(super) fn channels_at(
    program: &Program,
    image: &Tensor,
    tap: &str,
    wish: &str,
) -> Result<usize, HardenError> {
    let mut size = Vec::new();
    no_grad(|| {
        program.run_tapped::<HardenError>(std::slice::from_ref(image), tap, &mut |phi| {
            size = phi.size();
            Ok(phi)
        })
    })?;
    match size[..] {
        [_, channels, _, _] if channels > 0 => Ok(channels as usize),
        _ => {
            let problem = format!(
                "value `{tap}` has shape {size:?}; a feature map of four axes (N, C, H, W) is wanted"
            );
            Err(HardenError::Tap { wish: wish.to_owned(), problem })
        }
    }
}
