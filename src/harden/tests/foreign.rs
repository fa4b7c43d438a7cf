//! Files of other people, fine-tuned by `--from`.

use super::*;

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
