//! Products of matrices: every rank, side and transposition.

use temper::onnx::Attribute;
use temper::runtime::Kind;

use crate::case::{Case, node, random};

pub fn cases() -> Vec<Case> {
    let mut cases = matmuls();
    cases.extend(gemms());
    cases.extend(einsums());
    cases
}

fn matmuls() -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 10] = [
        (&[3, 4], &[4, 5]),
        (&[2, 3, 4], &[4, 5]),
        (&[3, 4], &[2, 4, 5]),
        (&[2, 1, 3, 4], &[3, 4, 2]),
        (&[2, 3, 3, 4], &[2, 3, 4, 5]),
        (&[4], &[4, 5]),
        (&[3, 4], &[4]),
        (&[4], &[4]),
        (&[4], &[2, 4, 3]),
        (&[2, 3, 4], &[4]),
    ];
    let mut cases = vec![Case::new("matmul of x with itself", &[2, 3, 3], |graph, x| {
        graph.node("MatMul", "y", &[x, x], [])
    })];
    for (left, right) in shapes {
        for x_first in [true, false] {
            let (ours, other) = if x_first { (left, right) } else { (right, left) };
            let name =
                format!("matmul of {left:?} and {right:?}, x {}", if x_first { "first" } else { "second" });
            let case = Case::new(&name, ours, |graph, x| {
                let other = graph.initializer("other", random(other));
                let inputs = if x_first { [x, &other] } else { [other.as_str(), x] };
                graph.node("MatMul", "y", &inputs, [])
            });
            let scalar = (left.len(), right.len()) == (1, 1);
            cases.push(if scalar { case.without(Kind::TRACT, "it multiplies no two vectors") } else { case });
        }
    }
    cases
}

fn gemms() -> Vec<Case> {
    let mut cases = vec![
        node("gemm, alone", "Gemm", &[3, 4], vec![random(&[4, 5])], []),
        node(
            "gemm, adding a row",
            "Gemm",
            &[3, 4],
            vec![random(&[4, 5]), random(&[5])],
            [("beta", 0.5.into())],
        ),
        Case::new("gemm, x as what is added", &[3, 1], |graph, x| {
            let a = graph.initializer("a", random(&[3, 4]));
            let b = graph.initializer("b", random(&[4, 5]));
            graph.node("Gemm", "y", &[&a, &b, x], [("beta", (-0.7).into())])
        }),
        Case::new("gemm of x with itself", &[3, 3], |graph, x| {
            graph.node("Gemm", "y", &[x, x, x], [("transB", Attribute::Int(1)), ("alpha", 2.0.into())])
        }),
    ];
    for (turn_a, turn_b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for x_first in [true, false] {
            let shape = |size: [usize; 2], turn| if turn == 1 { [size[1], size[0]] } else { size };
            let (a, b) = (shape([3, 4], turn_a), shape([4, 5], turn_b));
            let (ours, other) = if x_first { (a, b) } else { (b, a) };
            let name =
                format!("gemm, transposed {turn_a} {turn_b}, x {}", if x_first { "first" } else { "second" });
            cases.push(Case::new(&name, &ours, |graph, x| {
                let other = graph.initializer("other", random(&other));
                let inputs = if x_first { [x, &other] } else { [other.as_str(), x] };
                let attributes =
                    [("transA", turn_a.into()), ("transB", turn_b.into()), ("alpha", Attribute::Float(1.5))];
                graph.node("Gemm", "y", &inputs, attributes)
            }));
        }
    }
    cases
}

fn einsums() -> Vec<Case> {
    let with = |text: &str, ours: &[usize], other: &[usize], x_first: bool| {
        let name = format!("einsum {text}, x {}", if x_first { "first" } else { "second" });
        Case::new(&name, ours, |graph, x| {
            let other = graph.initializer("other", random(other));
            let inputs = if x_first { [x, &other] } else { [other.as_str(), x] };
            graph.node("Einsum", "y", &inputs, [("equation", text.into())])
        })
    };
    let alone = |text: &str, shape: &[usize]| {
        node(&format!("einsum {text}"), "Einsum", shape, vec![], [("equation", text.into())])
    };
    vec![
        with("bhid,bhjd->bhij", &[1, 2, 3, 4], &[1, 2, 5, 4], true),
        with("bhid,bhjd->bhij", &[1, 2, 5, 4], &[1, 2, 3, 4], false),
        with("ij, jk", &[3, 4], &[4, 2], true),
        with("nchw,oc->nohw", &[1, 3, 2, 4], &[5, 3], true),
        with("ij,k->ik", &[3, 4], &[2], true),
        with("i,i->", &[4], &[4], false),
        alone("ijk->kji", &[2, 3, 4]),
        alone("ij->i", &[3, 4]),
        alone("ij->", &[3, 4]).without(Kind::TRACT, "it sums nothing to a scalar"),
    ]
}
