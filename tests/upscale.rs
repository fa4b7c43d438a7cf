//! `temper upscale`: the sizes, colours and seams of what it writes.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::{Workspace, looks_everywhere, nearest_luma, picture};
use ndarray::{Array3, s};
use temper::image::load;

/// Upscales `photos/a.png` into a folder and loads the result.
fn upscaled(workspace: &Workspace, flags: &[&str], out: &str, name: &str) -> Array3<f32> {
    let arguments =
        [&["upscale", "model.onnx", "photos/a.png", "-o", out, "--runtime", "tract"], flags].concat();
    workspace.temper(&arguments).assert().success();
    load(&workspace.path(out).join(name)).unwrap().pixels
}

fn largest_difference(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn tiled_is_whole_and_seams_do_not_show() {
    let workspace = Workspace::empty();
    workspace.network("model.onnx", 2, 0);
    workspace.photo("photos/a.png", 90, 130);
    let whole = upscaled(&workspace, &[], "whole", "a_x2.png");
    assert_eq!(whole.dim(), (3, 180, 260));
    let tiled = upscaled(&workspace, &["--tile", "48"], "tiled", "a_x2.png");
    // Files have 8 bits: a rounding may fall to the other side.
    assert!(largest_difference(&whole, &tiled) <= 1.001 / 255.0);
    let apart = whole.iter().zip(&tiled).filter(|(a, b)| a != b).count();
    assert!(apart * 100 < whole.len(), "{apart} of {} values differ", whole.len());
}

#[test]
fn little_memory_makes_tiles_and_too_little_is_refused() {
    let workspace = Workspace::empty();
    workspace.network("model.onnx", 2, 0);
    workspace.photo("photos/a.png", 150, 170);
    let arguments = ["upscale", "model.onnx", "photos", "-o", "out", "--runtime", "tract", "--memory"];
    let message = workspace.refused(&[&arguments[..], &["0.00001"]].concat(), 2);
    assert!(message.contains("a.png") && message.contains("--memory"), "{message}");
    let output = workspace.temper(&[&arguments[..], &["0.004"]].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("340x300, in tiles of "), "{said}{output:?}");
}

/// A network that looks at the whole image has no tiles that agree.
#[test]
fn a_network_that_looks_everywhere_is_refused_in_tiles() {
    let workspace = Workspace::empty();
    workspace.photo("photos/a.png", 90, 130);
    workspace.model("model.onnx", &looks_everywhere());
    let arguments = [
        "upscale",
        "model.onnx",
        "photos",
        "-o",
        "out",
        "--runtime",
        "tract",
        "--range",
        "0..1",
        "--scale",
        "2",
    ];
    let message = workspace.refused(&[&arguments[..], &["--tile", "48"]].concat(), 2);
    assert!(message.contains("looks farther"), "{message}");
    workspace.temper(&arguments).assert().success();
}

/// A luma network keeps the colours of the photograph.
#[test]
fn a_luma_network_keeps_colours() {
    let workspace = Workspace::empty();
    workspace.photo("photos/a.png", 24, 30);
    workspace.model("model.onnx", &nearest_luma());
    let result = upscaled(&workspace, &["--range", "0..1"], "out", "a_x2.png");
    let photo = picture(24, 30);
    for channel in 0..3 {
        let mean = |image: ndarray::ArrayView2<f32>| image.mean().unwrap();
        let [a, b] = [mean(result.slice(s![channel, .., ..])), mean(photo.slice(s![channel, .., ..]))];
        assert!((a - b).abs() < 0.01, "channel {channel}: {a}, not {b}");
    }
}

#[test]
fn what_cannot_be_upscaled_is_refused_by_name() {
    let workspace = Workspace::new();
    workspace.photo("more/a.png", 20, 20);
    workspace.file("text.png", b"these are notes");
    for (images, part) in [
        (&["photos", "more"] as &[&str], "a_x2.png"),
        (&["text.png"], "text.png"),
        (&["nowhere.png"], "nowhere.png"),
    ] {
        let arguments = [&["upscale", "model.onnx"], images, &["-o", "out", "--runtime", "tract"]].concat();
        let message = workspace.refused(&arguments, 2);
        assert!(message.contains(part), "{message}");
    }
}
