//! Files of other people, fine-tuned by `--from`.

use super::*;
use crate::interface::{Overrides, PixelRange};

/// A file as others make them: no metadata, some weights in Constant nodes.
fn stranger(path: &Path) {
    let trained = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/edsr-small-lambda0.onnx");
    let mut model = onnx::read(&trained).unwrap();
    model.metadata.clear();
    let graph = &mut model.graph;
    for name in ["head.weight", "upsample.0.weight"] {
        let tensor = graph.initializers.shift_remove(name).unwrap();
        let attributes = [("value".to_owned(), onnx::Attribute::Tensor(tensor))];
        let constant = onnx::Node {
            op: "Constant".into(),
            outputs: vec![name.into()],
            attributes: attributes.into_iter().collect(),
            ..Default::default()
        };
        graph.nodes.insert(0, constant);
    }
    onnx::write(&model, path).unwrap();
}

/// Weights in initializers and in Constant nodes, without the constants of the pixel range.
fn parameter_count(model: &onnx::Model) -> usize {
    let constants =
        model.graph.nodes.iter().filter(|node| node.op == "Constant" && node.outputs[0].ends_with(".weight"));
    let constants = constants.map(|node| match &node.attributes["value"] {
        onnx::Attribute::Tensor(tensor) => tensor.len(),
        _ => 0,
    });
    constants.sum::<usize>() + crate::zoo::parameter_count(model)
}

#[test]
fn a_strangers_file_is_fine_tuned_in_its_own_graph() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 2);
    let (file, out) = (folder.path().join("given.onnx"), folder.path().join("out"));
    stranger(&file);
    let recipe = Recipe { from: Some(file.clone()), ..small() };
    let mut chosen = None;
    let mut watch = |event: Event<'_>| {
        if let Event::Ready { tap, chosen: Some(how), parameters, .. } = event {
            chosen = Some((tap.to_owned(), how.to_owned(), parameters));
        }
    };
    let tuned = job(recipe, &data, &out);
    harden(&tuned, Start::Fresh, &AtomicBool::new(false), &mut watch).unwrap();
    let (tap, how, parameters) = chosen.unwrap();
    assert_eq!(tap, "features");
    assert!(how.contains("DepthToSpace node `upsample.0.shuffle`"), "{how}");

    let (given, written) = (onnx::read(&file).unwrap(), onnx::read(&out.join("model.onnx")).unwrap());
    assert_eq!(parameters, parameter_count(&given));
    assert_eq!((&given.graph.inputs, &given.graph.outputs), (&written.graph.inputs, &written.graph.outputs));
    assert_eq!(given.opsets, written.opsets);
    assert_eq!(given.graph.nodes.len(), written.graph.nodes.len());
    for (before, after) in given.graph.nodes.iter().zip(&written.graph.nodes) {
        assert_eq!((&before.op, &before.inputs, &before.outputs), (&after.op, &after.inputs, &after.outputs));
        let weight = before.outputs[0].ends_with(".weight");
        assert_eq!(before.attributes != after.attributes, weight, "{}", before.label());
    }
    for (name, tensor) in &given.graph.initializers {
        assert_ne!(&written.graph.initializers[name], tensor, "{name} was not trained");
    }
    assert_eq!(written.metadata[metadata::FROM].len(), 64);
    assert!(written.metadata[metadata::UNIT].parse::<f64>().unwrap() > 0.0);

    // It stops and resumes like any other run, units of the features and all.
    let parts_out = folder.path().join("parts");
    let parts = job(tuned.recipe.clone(), &data, &parts_out);
    run_until(&parts, 3);
    start(&parts, Start::Resume).unwrap();
    let read = |out: &Path| fs::read(out.join("model.onnx")).unwrap();
    assert!(read(&out) == read(&parts_out));
}

#[test]
fn a_file_that_cannot_be_trained_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let file = folder.path().join("given.onnx");
    let refused = |tap: &str| {
        let recipe = Recipe { from: Some(file.clone()), tap: tap.into(), ..small() };
        let error = run(&job(recipe, &data, &folder.path().join("out"))).unwrap_err();
        assert!(error.is_bad_input() && !folder.path().join("out").exists(), "{error}");
        error.to_string()
    };
    assert!(refused("last").contains("given.onnx: no such file"), "{}", refused("last"));
    fs::write(&file, b"not a model").unwrap();
    assert!(refused("last").contains("given.onnx"), "{}", refused("last"));
    stranger(&file);
    assert!(refused("featurs").contains("did you mean `features`?"), "{}", refused("featurs"));
    assert!(refused("first").contains("does not say which"), "{}", refused("first"));
    let mut model = onnx::read(&file).unwrap();
    model.graph.nodes.iter_mut().filter(|node| node.op == "Relu").for_each(|node| node.op = "Erosion".into());
    onnx::write(&model, &file).unwrap();
    assert!(
        refused("last").contains("given.onnx") && refused("last").contains("Erosion"),
        "{}",
        refused("last")
    );
}

#[test]
fn a_run_does_not_replace_the_file_that_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    for name in ["model.onnx", "best.onnx"] {
        let file = out.join(name);
        stranger(&file);
        let before = fs::read(&file).unwrap();
        let tuned = job(Recipe { from: Some(file.clone()), ..small() }, &data, &out);
        for begin in [Start::Fresh, Start::Overwrite, Start::Resume] {
            let error = start(&tuned, begin).unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains("--from reads"), "{error}");
        }
        let weights = Recipe { weights: Some(file.clone()), ..small() };
        let error = run(&job(weights, &data, &out)).unwrap_err().to_string();
        assert!(error.contains("--weights reads"), "{error}");
        assert!(fs::read(&file).unwrap() == before);
    }
}

/// A node without attributes.
fn node(op: &str, inputs: &[&str], output: &str) -> onnx::Node {
    onnx::Node {
        op: op.into(),
        name: output.into(),
        inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
        outputs: vec![output.to_owned()],
        ..Default::default()
    }
}

#[test]
fn tolerances_are_shares_of_the_range_that_outputs_span() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let file = folder.path().join("given.onnx");
    stranger(&file);
    let mut model = onnx::read(&file).unwrap();
    let graph = &mut model.graph;
    // Outputs on [0, 255000], which are stated to be on [0, 1]: one unit in the last place is 0.016.
    graph.initializers.insert("large".into(), onnx::Tensor::scalar(255e3));
    let output = std::mem::replace(&mut graph.outputs[0].name, "enlarged".into());
    graph.nodes.push(node("Mul", &[&output, "large"], "enlarged"));
    onnx::write(&model, &file).unwrap();
    let unit = Some(PixelRange::Unit);
    let interface = Overrides { range: unit, output_range: unit, scale: Some(4), ..Overrides::default() };
    let recipe =
        Recipe { from: Some(file), interface, lambda: 0.0, steps: 1, learning_rate: 1e-6, ..small() };
    let outcome = run(&job(recipe, &data, &folder.path().join("out"))).unwrap();
    let agreed: Vec<f64> =
        outcome.agreements.iter().map(|found| *found.difference.as_ref().unwrap()).collect();
    assert!(!agreed.is_empty() && agreed.iter().all(|difference| *difference < 1e-5), "{agreed:?}");
}

#[test]
fn shape_arithmetic_with_mod_is_trained_through() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let file = folder.path().join("given.onnx");
    stranger(&file);
    let mut model = onnx::read(&file).unwrap();
    let graph = &mut model.graph;
    // Pads height and width to multiples of 4, as exporters write it, and cuts the output back.
    let image = std::mem::replace(&mut graph.inputs[0].name, "given".into());
    let ints = |values: &[i64]| onnx::Tensor::i64(&[values.len()], values.to_vec()).unwrap();
    for (name, values) in [("four", &[4][..]), ("from", &[2]), ("to", &[4]), ("none", &[0, 0, 0, 0, 0, 0])] {
        graph.initializers.insert(name.into(), ints(values));
    }
    let mut joined = node("Concat", &["none", "missing"], "pads");
    joined.attributes.insert("axis".into(), onnx::Attribute::Int(0));
    let arithmetic = [
        node("Shape", &["given"], "shape"),
        node("Slice", &["shape", "from", "to"], "sides"),
        node("Mod", &["sides", "four"], "rest"),
        node("Sub", &["four", "rest"], "lacking"),
        node("Mod", &["lacking", "four"], "missing"),
        joined,
        node("Pad", &["given", "pads"], &image),
    ];
    graph.nodes.splice(0..0, arithmetic);
    for (name, values) in [("corner", &[0, 0][..]), ("axes", &[2, 3])] {
        graph.initializers.insert(name.into(), ints(values));
    }
    let output = std::mem::replace(&mut graph.outputs[0].name, "cut".into());
    graph.nodes.push(node("Mul", &["sides", "four"], "enlarged"));
    graph.nodes.push(node("Slice", &[&output, "corner", "enlarged", "axes"], "cut"));
    onnx::write(&model, &file).unwrap();
    let recipe = Recipe { from: Some(file), steps: 2, ..small() };
    let outcome = run(&job(recipe, &data, &folder.path().join("out"))).unwrap();
    assert!(outcome.steps == 2 && outcome.difference <= 1e-5);
}
