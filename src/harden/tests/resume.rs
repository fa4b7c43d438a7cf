//! Runs that stop and go on, and folders that hold a run already.

use super::*;

#[test]
fn a_run_that_stops_and_resumes_is_the_run_that_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 3);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    run(&job(small(), &data, &whole)).unwrap();

    let first = job(small(), &data, &parts);
    let stopped = run_until(&first, 3);
    assert!(stopped.interrupted && stopped.steps == 3);
    let steps = &onnx::read(&parts.join("model.onnx")).unwrap().metadata[metadata::STEPS];
    assert_eq!(steps, "3");
    let refused = run(&first).unwrap_err().to_string();
    assert!(refused.contains("stopped at step 3 of 6; pass --resume"), "{refused}");
    let finished = start(&first, Start::Resume).unwrap();
    assert!(!finished.interrupted);
    for name in ["model.onnx", "checkpoint.safetensors"] {
        let read = |out: &Path| {
            let path = out.join(name);
            if name == "model.onnx" {
                return fs::read(path).unwrap();
            }
            let checkpoint = Checkpoint::read(&path).unwrap();
            let moments = [&checkpoint.estimator, &checkpoint.adam.first, &checkpoint.adam.second];
            let values = moments.into_iter().flatten().flat_map(|(_, tensor)| {
                crate::torch::to_vec::<f32>(tensor).unwrap().into_iter().flat_map(f32::to_le_bytes)
            });
            values.collect()
        };
        assert!(read(&whole) == read(&parts), "{name} differs");
    }
    let steps = |out: &Path| records(out).iter().map(|record| record.step).collect::<Vec<_>>();
    assert_eq!(steps(&parts), steps(&whole));
}

#[test]
fn a_checkpoint_of_another_recipe_is_refused_naming_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let out = folder.path().join("out");
    let first = job(small(), &data, &out);
    run_until(&first, 2);
    let recipe = Recipe { lambda: 0.5, ..small() };
    let other = start(&Settings { recipe, ..first.clone() }, Start::Resume).unwrap_err().to_string();
    assert!(other.contains("lambda is 0.5 now and was 1.0"), "{other}");
    fs::write(out.join("checkpoint.safetensors"), b"something else entirely").unwrap();
    let broken = start(&first, Start::Resume).unwrap_err().to_string();
    assert!(broken.contains("not a checkpoint of this program"), "{broken}");
    fs::remove_file(out.join("checkpoint.safetensors")).unwrap();
    let missing = start(&first, Start::Resume).unwrap_err().to_string();
    assert!(missing.contains("checkpoint.safetensors: no such file"), "{missing}");
}

#[test]
fn a_folder_that_holds_a_run_is_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let out = folder.path().join("out");
    let finished = job(Recipe { steps: 2, ..small() }, &data, &out);
    run(&finished).unwrap();
    let refused = |settings: &Settings| {
        let error = run(settings).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        error.to_string()
    };
    let before = fs::read(out.join("model.onnx")).unwrap();
    assert!(refused(&finished).contains("a finished run of 2 steps"), "{}", refused(&finished));
    fs::write(out.join("checkpoint.safetensors"), b"spoiled").unwrap();
    assert!(refused(&finished).contains("is no checkpoint of this program"), "{}", refused(&finished));
    fs::remove_file(out.join("checkpoint.safetensors")).unwrap();
    let alone = refused(&finished);
    assert!(alone.contains("model.onnx: would be replaced") && alone.contains("--overwrite"), "{alone}");
    assert!(fs::read(out.join("model.onnx")).unwrap() == before);
    let other = job(Recipe { steps: 2, seed: 9, ..small() }, &data, &out);
    start(&other, Start::Overwrite).unwrap();
    assert!(fs::read(out.join("model.onnx")).unwrap() != before);
}

#[test]
fn a_changed_byte_of_a_checkpoint_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let out = folder.path().join("out");
    run(&job(Recipe { steps: 2, ..small() }, &data, &out)).unwrap();
    let path = out.join("checkpoint.safetensors");
    let bytes = fs::read(&path).unwrap();
    assert!(Checkpoint::read(&path).is_ok());
    // From the header's length to the last weight, at all bits in turn.
    for (turn, place) in (0..bytes.len()).step_by(bytes.len() / 300).chain([bytes.len() - 1]).enumerate() {
        let mut changed = bytes.clone();
        changed[place] ^= 1 << (turn % 8);
        fs::write(&path, &changed).unwrap();
        let error = Checkpoint::read(&path).err().unwrap_or_else(|| panic!("byte {place} is not noticed"));
        assert!(error.is_bad_input(), "{error}");
    }
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(Checkpoint::read(&path).is_err());
}

#[test]
fn what_a_network_was_before_is_kept_when_a_run_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let (given, whole, parts) =
        (folder.path().join("given"), folder.path().join("whole"), folder.path().join("parts"));
    let drawn = run(&job(small(), &data, &given)).unwrap();
    assert!(drawn.before.is_none() && drawn.validated.is_some());
    let recipe = Recipe { weights: Some(given.join("model.onnx")), ..small() };
    let before = run(&job(recipe.clone(), &data, &whole)).unwrap().before.unwrap();
    assert!(before.step == 0 && before.training);
    let stopping = job(recipe, &data, &parts);
    run_until(&stopping, 3);
    let resumed = start(&stopping, Start::Resume).unwrap();
    assert_eq!(resumed.before, Some(before));
    // The card says both.
    let card = fs::read_to_string(parts.join("MODEL_CARD.md")).unwrap();
    let row = card.lines().find(|line| line.starts_with("| PSNR on luma, dB |")).unwrap();
    assert_eq!(row.matches(" | ").count(), 2, "{row}");
    assert!(!row.contains(" - "), "{row}");
}
