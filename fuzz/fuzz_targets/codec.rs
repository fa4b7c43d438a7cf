//! Any bytes as a model file: a model or one message; and a model that was read is written and read again
//! as the same model, and followed at a small size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use temper_fuzz::onnx;
use temper_fuzz::rewrite::specialise;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = onnx::from_bytes(bytes) else { return };
    let again = onnx::from_bytes(&onnx::to_bytes(&model)).expect("what was written is read");
    // Not-a-number weights are unequal to themselves.
    assert_eq!(onnx::to_bytes(&again), onnx::to_bytes(&model));
    let inputs = model.graph.required_inputs().count();
    let shape: &[usize] = &[1, 3, 4, 5];
    let _ = specialise(&model, &vec![shape; inputs.min(4)]);
});
