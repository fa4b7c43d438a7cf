//! Messages whose advice, taken, helps.

use crate::common::Workspace;

fn words(flags: &str) -> Vec<&str> {
    "audit model.onnx --images large --budget 4 --iterations 1 --runtime tract --no-cache --out out"
        .split(' ')
        .chain(flags.split(' '))
        .collect()
}

#[test]
fn the_crop_that_is_advised_fits_into_the_memory() {
    let workspace = Workspace::new();
    workspace.photo("large/a.png", 160, 200);
    // An L1 distance does not go through in tiles.
    let said = workspace.refused(&words("--memory 0.08 --objective l1"), 2);
    let side = said.split("--crop ").nth(1).expect("a crop is advised").split(',').next().unwrap();
    let output =
        workspace.temper(&words(&format!("--memory 0.08 --objective l1 --crop {side}"))).output().unwrap();
    assert!(output.status.success(), "--crop {side}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let hopeless = workspace.refused(&words("--memory 0.01"), 2);
    assert!(hopeless.contains("may be used; allow more with --memory"), "{hopeless}");
}

#[test]
fn a_bad_folder_for_temporary_files_is_named_by_its_variable() {
    let workspace = Workspace::new();
    workspace.photo("large/a.png", 24, 24);
    let output = workspace.temper(&words("--seed 1")).env("TMPDIR", "/nonexistent").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("set TMPDIR"), "{said}");
    assert!(!said.contains("--no-cache"), "{said}");
}
