//! What is no regular file, wherever a file is read.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::Workspace;
use crate::watched::bounded;

#[test]
fn pipes_and_devices_are_refused_at_once_wherever_a_file_is_read() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("odd")).unwrap();
    assert!(Command::new("mkfifo").arg(workspace.path("odd/pipe.png")).status().unwrap().success());
    symlink("/dev/zero", workspace.path("odd/zero.png")).unwrap();
    let rest = "--budget 4 --iterations 1 --runtime tract --out out";
    for odd in ["odd/pipe.png", "odd/zero.png"] {
        let mut verbs = vec![
            format!("inspect {odd}"),
            format!("grad {odd} --input 24x28 -o g.onnx"),
            format!("audit {odd} --images photos {rest}"),
            format!("audit model.onnx --images odd {rest}"),
            format!("audit model.onnx --images photos --mask {odd} {rest}"),
            format!("report merge {odd} --out merged"),
        ];
        if cfg!(feature = "torch") {
            verbs.push(format!("harden --config {odd} --data photos --out out"));
            verbs.push(format!("harden --from {odd} --data photos --out out"));
            verbs.push("harden --arch edsr --preset small --data odd --out out".to_owned());
        }
        for verb in verbs {
            let outcome = bounded(&workspace, odd, &verb.split(' ').collect::<Vec<_>>());
            assert_eq!(outcome.code, Some(2), "{verb}: {}", outcome.said);
            assert!(outcome.said.contains("only files are read"), "{verb}: {}", outcome.said);
        }
    }
}

#[test]
fn a_pipe_in_the_place_of_a_cache_entry_is_a_cache_entry_that_is_not_there() {
    let workspace = Workspace::new();
    let arguments =
        ["model.onnx", "--images", "photos", "--budget", "4", "--iterations", "1", "--runtime", "tract"];
    let (_, first) = workspace.audit(&arguments);
    for entry in workspace.files_in("out/cache") {
        let path = workspace.path("out/cache").join(entry);
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    }
    let verb = [&["audit"], &arguments[..], &["--out", "out"]].concat();
    let outcome = bounded(&workspace, "pipes in the cache", &verb);
    // What is in the way cannot be replaced either, and is named.
    match outcome.code {
        Some(0) => assert_eq!(workspace.report("out")["rows"], first["rows"]),
        _ => assert!(outcome.said.contains("is a device, a pipe or a socket"), "{}", outcome.said),
    }
}
