//! Any bytes as a model that is differentiated: a gradient model that the checker takes and whose types can be
//! inferred again, or one message. The objective is the mean of the first output.

#![no_main]

use libfuzzer_sys::fuzz_target;
use temper_fuzz::onnx::{self, Model};
use temper_fuzz::rewrite::{Emitter, RewriteError, bounded, gradient, infer, outputs_at, promote, specialise};

const SHAPE: &[usize] = &[1, 3, 4, 5];

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = onnx::from_bytes(bytes) else { return };
    let Ok(fixed) = specialise(&model, &[SHAPE]) else {
        assert!(outputs_at(&model, &[SHAPE]).is_err(), "outputs of a model that has none");
        return;
    };
    assert_eq!(outputs_at(&model, &[SHAPE]).expect("it was specialised"), fixed.graph.outputs);
    // What a run would take is added up before any.
    if bounded(&fixed, &model).is_err() {
        return;
    }
    if let Ok(step) = step(&fixed) {
        onnx::check(&step).expect("a gradient model is a model");
        let types = infer(&step).expect("a gradient model has types");
        let image = fixed.graph.required_inputs().next().expect("it was given a shape");
        let of = |name: &str| types.get(name).expect("every value has a type").shape.clone();
        assert_eq!(of(&step.graph.outputs[1].name), of(&image.name));
    }
});

fn step(fixed: &Model) -> Result<Model, RewriteError> {
    let (fixed, _) = promote(fixed);
    let (Some(image), Some(output)) = (fixed.graph.required_inputs().next(), fixed.graph.outputs.first()) else {
        return Ok(fixed);
    };
    let (image, output) = (image.name.clone(), output.name.clone());
    let mut emitter = Emitter::open(fixed)?;
    let output = emitter.value(&output)?;
    let mean = emitter.reduce("ReduceMean", "mean", &output, &[], false)?;
    let found = gradient(&mut emitter, &mean, &image)?;
    emitter.finish(&[("value", &mean), ("gradient", &found.value)])
}
