//! Random valid graphs: rules that are right one by one must be right behind each other, on values that several
//! nodes read, and on shapes that nobody thought of.
//!
//! `TEMPER_GRAPHS=20000 TEMPER_SEED=1 cargo test --test gradients "random graphs"` runs so many from that seed;
//! with `TEMPER_KEEP=DIR` the graphs that disagree are written there, for `temper parity --bisect` to make smaller.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{Attribute, GraphBuilder, Tensor};

use crate::answers::{Answer, answers};
use crate::case::Case;
use crate::relative;

/// Graphs of a run that nobody asked for more of.
const GRAPHS: u64 = 24;
/// How far gradients of a whole graph in float32 may be apart, of their length.
const TOLERANCE: f64 = 2e-4;
/// Below this share of the value a gradient is rounding.
const ROUNDING: f64 = 1e-3;
/// The most elements of a value.
const ELEMENTS: usize = 1500;

/// Differentiates so many random graphs on everyone who can.
pub fn agree_on_random_graphs() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number was given"))
    };
    let (first, count) = (number("TEMPER_SEED", 0), number("TEMPER_GRAPHS", GRAPHS));
    let wrong: Vec<String> =
        (first..first + count).filter_map(|seed| disagreement(&case(seed), seed)).collect();
    assert!(wrong.is_empty(), "{} of {count} graphs:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with the answers to a graph, each of which the rewrite must give and a runtime run.
fn disagreement(case: &Case, seed: u64) -> Option<String> {
    let wrong = first_difference(&answers(case))?;
    if let Ok(folder) = std::env::var("TEMPER_KEEP") {
        let path = std::path::Path::new(&folder).join(format!("{seed}.onnx"));
        temper::onnx::write(&case.model, &path).expect("the folder can be written to");
    }
    let operators: Vec<&str> = case.model.graph.nodes.iter().map(|node| node.op.as_str()).collect();
    Some(format!("TEMPER_SEED={seed} ({}): {wrong}", operators.join(" ")))
}

fn first_difference(answers: &[Answer]) -> Option<String> {
    let first = answers.iter().find_map(|answer| match answer {
        Answer::Gradient { who, value, gradient } => Some((who, *value, gradient)),
        _ => None,
    });
    let Some((who, value, first)) = first else {
        let reasons = answers.iter().map(|answer| match answer {
            Answer::Failed { who, reason } => format!("{who} failed: {reason}"),
            _ => String::new(),
        });
        return Some(format!("nobody answered: {}", reasons.collect::<String>()));
    };
    // A softmax that is summed has a gradient of zero, of which float32 leaves its rounding.
    let floor = ROUNDING * f64::from(value.abs().max(1.0));
    let length = length(first).max(floor);
    answers.iter().find_map(|answer| match answer {
        Answer::Failed { who, reason } => Some(format!("{who} failed: {reason}")),
        Answer::Gradient { who: other, value: theirs, .. } if relative(&[*theirs], &[value]) > TOLERANCE => {
            Some(format!("S(x) is {theirs} on {other} and {value} on {who}: look with `temper parity`"))
        }
        Answer::Gradient { who: other, gradient, .. } => {
            let apart: Vec<f32> = gradient.iter().zip(first).map(|(a, b)| a - b).collect();
            let error = self::length(&apart) / length;
            (error > TOLERANCE).then(|| format!("{other} differs from {who} by {error:.1e}"))
        }
        Answer::Slope { expected, gradient } => {
            let error = (expected - gradient).abs() / length;
            (error > TOLERANCE).then(|| format!("finite difference {expected:.6e}, gradient {gradient:.6e}"))
        }
    })
}

fn length(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

fn case(seed: u64) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = [1, rng.random_range(1..=4), rng.random_range(3..=7), rng.random_range(3..=7)];
    Case::new("random", &shape, |graph, x| {
        let mut values = vec![Value { name: x.to_owned(), shape }];
        for _ in 0..rng.random_range(2..=9) {
            let next = Step { graph: &mut *graph, rng: &mut rng, values: &values }.take();
            values.extend(next);
        }
        let Value { name, .. } = values.pop().expect("there is the image");
        name
    })
}

/// A value of a graph, of four axes.
#[derive(Clone)]
struct Value {
    name: String,
    shape: [usize; 4],
}

/// One more node, on values that are there.
struct Step<'a> {
    graph: &'a mut GraphBuilder,
    rng: &'a mut ChaCha8Rng,
    values: &'a [Value],
}

impl Step<'_> {
    /// A value from the last one, and now and then from another too; none where the draw does not fit.
    fn take(mut self) -> Option<Value> {
        let last = self.values.last().expect("there is the image").clone();
        let next = match self.rng.random_range(0..12) {
            0 => self.elementwise(&last),
            1 => self.bent(&last),
            2 => self.with_another(&last),
            3 => self.with_constant(&last),
            4 | 5 => self.convolved(&last)?,
            6 => self.pooled(&last)?,
            7 => self.padded(&last),
            8 => self.rearranged(&last)?,
            9 => self.resized(&last),
            10 => self.normalised(&last),
            _ => self.joined(&last)?,
        };
        (next.shape.iter().product::<usize>() <= ELEMENTS).then_some(next)
    }

    fn node<const N: usize>(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: [(&str, Attribute); N],
        shape: [usize; 4],
    ) -> Value {
        Value { name: self.graph.node(op, "v", inputs, attributes), shape }
    }

    fn one_of<'b>(&mut self, names: &[&'b str]) -> &'b str {
        names[self.rng.random_range(0..names.len())]
    }

    fn constant(&mut self, shape: &[usize], low: f32, high: f32) -> String {
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| self.rng.random_range(low..=high)).collect();
        self.graph.initializer("c", Tensor::f32(shape, values).expect("as many values as the shape says"))
    }

    fn ints(&mut self, values: &[i64]) -> String {
        self.graph.initializer("i", Tensor::ints(values))
    }

    fn elementwise(&mut self, x: &Value) -> Value {
        let op =
            self.one_of(&["Sigmoid", "Tanh", "Softplus", "Softsign", "Sin", "Cos", "Erf", "Neg", "Atan"]);
        self.node(op, &[&x.name], [], x.shape)
    }

    fn bent(&mut self, x: &Value) -> Value {
        let op = self.one_of(&["Relu", "LeakyRelu", "Elu", "Selu", "Abs", "HardSigmoid", "HardSwish"]);
        self.node(op, &[&x.name], [], x.shape)
    }

    /// With an earlier value of the same shape, which two nodes read then; or with itself.
    fn with_another(&mut self, x: &Value) -> Value {
        let fit: Vec<&Value> = self.values.iter().filter(|value| value.shape == x.shape).collect();
        let other = fit[self.rng.random_range(0..fit.len())].name.clone();
        let op = self.one_of(&["Add", "Sub", "Mul"]);
        self.node(op, &[&x.name, &other], [], x.shape)
    }

    /// With a constant that is spread over some of the axes.
    fn with_constant(&mut self, x: &Value) -> Value {
        let shape = x.shape.map(|size| if self.rng.random_bool(0.5) { size } else { 1 });
        let constant = self.constant(&shape, 0.5, 1.5);
        let (op, turned) =
            (self.one_of(&["Add", "Sub", "Mul", "Div", "Max", "Min"]), self.rng.random_bool(0.3));
        match op {
            "Div" => self.node(op, &[&x.name, &constant], [], x.shape),
            _ if turned => self.node(op, &[&constant, &x.name], [], x.shape),
            _ => self.node(op, &[&x.name, &constant], [], x.shape),
        }
    }

    fn convolved(&mut self, x: &Value) -> Option<Value> {
        let [batch, channels, height, width] = x.shape;
        let group = if self.rng.random_bool(0.3) { channels } else { 1 };
        let out = group * self.rng.random_range(1..=3);
        let kernel = self.rng.random_range(1..=3_usize.min(height).min(width));
        let stride = self.rng.random_range(1..=2);
        let pad = self.rng.random_range(0..kernel);
        let attributes = [
            ("group", Attribute::Int(group as i64)),
            ("strides", Attribute::Ints(vec![stride as i64; 2])),
            ("pads", Attribute::Ints(vec![pad as i64; 4])),
        ];
        if self.rng.random_bool(0.3) {
            let sides = [height, width].map(|side| ((side - 1) * stride + kernel).checked_sub(2 * pad));
            let [Some(height @ 1..), Some(width @ 1..)] = sides else { return None };
            let weights = self.constant(&[channels, out / group, kernel, kernel], -0.6, 0.6);
            let shape = [batch, out, height, width];
            return Some(self.node("ConvTranspose", &[&x.name, &weights], attributes, shape));
        }
        let weights = self.constant(&[out, channels / group, kernel, kernel], -0.6, 0.6);
        let bias = self.constant(&[out], -0.5, 0.5);
        let [height, width] = [height, width].map(|side| (side + 2 * pad - kernel) / stride + 1);
        Some(self.node("Conv", &[&x.name, &weights, &bias], attributes, [batch, out, height, width]))
    }

    fn pooled(&mut self, x: &Value) -> Option<Value> {
        let [batch, channels, height, width] = x.shape;
        let kernel = self.rng.random_range(1..=2);
        let stride = self.rng.random_range(1..=2);
        let side = |side: usize| side.checked_sub(kernel).map(|rest| rest / stride + 1);
        let shape = [batch, channels, side(height)?, side(width)?];
        let attributes = [
            ("kernel_shape", Attribute::Ints(vec![kernel as i64; 2])),
            ("strides", Attribute::Ints(vec![stride as i64; 2])),
        ];
        Some(self.node("AveragePool", &[&x.name], attributes, shape))
    }

    fn padded(&mut self, x: &Value) -> Value {
        let mode = self.one_of(&["constant", "reflect", "edge"]);
        // A reflection reaches no further than the side less one.
        let [top, left, bottom, right] = [2, 3, 2, 3].map(|axis| {
            let most = if mode == "reflect" { x.shape[axis] - 1 } else { 3 };
            self.rng.random_range(0..=most.min(3))
        });
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(|pad| pad as i64);
        let pads = self.ints(&pads);
        let [batch, channels, height, width] = x.shape;
        let shape = [batch, channels, height + top + bottom, width + left + right];
        self.node("Pad", &[&x.name, &pads], [("mode", mode.into())], shape)
    }

    fn rearranged(&mut self, x: &Value) -> Option<Value> {
        let [batch, channels, height, width] = x.shape;
        Some(match self.rng.random_range(0..5) {
            0 => {
                let order = [("perm", Attribute::Ints(vec![0, 1, 3, 2]))];
                self.node("Transpose", &[&x.name], order, [batch, channels, width, height])
            }
            1 => {
                let shape = self.ints(&[batch as i64, channels as i64, 1, -1]);
                self.node("Reshape", &[&x.name, &shape], [], [batch, channels, 1, height * width])
            }
            2 if channels % 4 == 0 => {
                let shape = [batch, channels / 4, height * 2, width * 2];
                self.node("DepthToSpace", &[&x.name], [("blocksize", Attribute::Int(2))], shape)
            }
            3 if height % 2 == 0 && width % 2 == 0 => {
                let shape = [batch, channels * 4, height / 2, width / 2];
                self.node("SpaceToDepth", &[&x.name], [("blocksize", Attribute::Int(2))], shape)
            }
            4 if width > 1 => {
                // Backwards, and every second one, as it comes.
                let (start, step) = if self.rng.random_bool(0.5) { (-1, -1) } else { (1, 2) };
                let end = if step < 0 { i64::MIN } else { i64::MAX };
                let [start, end, axes, steps] = [start, end, 3, step].map(|number| self.ints(&[number]));
                let left = if step < 0 { width } else { width / 2 };
                let inputs = [&x.name[..], &start, &end, &axes, &steps];
                self.node("Slice", &inputs, [], [batch, channels, height, left])
            }
            _ => return None,
        })
    }

    fn resized(&mut self, x: &Value) -> Value {
        let mode = self.one_of(&["nearest", "linear", "cubic"]);
        let coordinates = self.one_of(&["half_pixel", "align_corners", "asymmetric"]);
        let scales = self.graph.initializer("s", Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]).expect("four"));
        let attributes = [("mode", mode.into()), ("coordinate_transformation_mode", coordinates.into())];
        let [batch, channels, height, width] = x.shape;
        self.node("Resize", &[&x.name, "", &scales], attributes, [batch, channels, height * 2, width * 2])
    }

    fn normalised(&mut self, x: &Value) -> Value {
        let channels = x.shape[1];
        match self.rng.random_range(0..3) {
            0 => self.node("Softmax", &[&x.name], [("axis", Attribute::Int(1))], x.shape),
            1 => {
                let (scale, bias) =
                    (self.constant(&[channels], 0.5, 1.5), self.constant(&[channels], -0.5, 0.5));
                // What is flat is divided by the root of epsilon alone.
                let attributes = [("epsilon", Attribute::Float(0.05))];
                self.node("InstanceNormalization", &[&x.name, &scale, &bias], attributes, x.shape)
            }
            _ => {
                let [batch, channels, ..] = x.shape;
                let axes = [("axes", Attribute::Ints(vec![2, 3]))];
                let mean = self.node("ReduceMean", &[&x.name], axes, [batch, channels, 1, 1]);
                self.node("Mul", &[&x.name, &mean.name], [], x.shape)
            }
        }
    }

    /// Behind another value of the same size, or multiplied with a matrix.
    fn joined(&mut self, x: &Value) -> Option<Value> {
        let [batch, channels, height, width] = x.shape;
        if self.rng.random_bool(0.5) {
            let columns = self.rng.random_range(1..=4);
            let matrix = self.constant(&[width, columns], -0.6, 0.6);
            return Some(self.node("MatMul", &[&x.name, &matrix], [], [batch, channels, height, columns]));
        }
        let fit: Vec<&Value> = self.values.iter().filter(|value| value.shape[2..] == x.shape[2..]).collect();
        let other = fit[self.rng.random_range(0..fit.len())].clone();
        let shape = [batch, channels + other.shape[1], height, width];
        let axis = [("axis", Attribute::Int(1))];
        Some(self.node("Concat", &[&x.name, &other.name], axis, shape))
    }
}
