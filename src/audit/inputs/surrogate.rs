//! A plain network that the program carries: what attacks on it do to others shows what these hide.
//!
//! It is `models/edsr-small-lambda0.onnx`, trained by this project without any defence. Any model that takes the
//! same LR images can be attacked with its gradients, whatever its scale.

use std::sync::{Arc, LazyLock};

use crate::onnx::{self, Model};

const BYTES: &[u8] = include_bytes!("../../../models/edsr-small-lambda0.onnx");

static MODEL: LazyLock<Arc<Model>> =
    LazyLock::new(|| Arc::new(onnx::from_bytes(BYTES).expect("a test reads the model that is carried")));

/// The network: RGB images on [0, 1], of any size, to four times their size.
pub fn surrogate() -> Arc<Model> {
    Arc::clone(&MODEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_that_is_carried_takes_images_of_any_size() {
        let model = surrogate();
        let fixed = crate::rewrite::specialise(&model, &[&[1, 3, 9, 11]]).unwrap();
        let (_, dims) = fixed.graph.outputs[0].dims().unwrap();
        assert_eq!(dims, [1, 3, 36, 44].map(onnx::Dim::Known));
    }
}
