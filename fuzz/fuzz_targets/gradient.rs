//! Any bytes as a model that is differentiated: a gradient model that the checker takes, or one message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use temper::onnx;
use temper::oracle::{Objective, gradient_model};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = onnx::from_bytes(bytes) else { return };
    if let Ok((step, _)) = gradient_model(&model, &Objective::Distance, &[1, 3, 4, 5]) {
        onnx::check(&step).expect("a gradient model is a model");
    }
});
