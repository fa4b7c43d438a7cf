//! What a model's declarations say of its image: names, layout, colours, fixed sizes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Overrides;
use crate::onnx::{DType, Dim, Model, Problem, ValueInfo};

/// The order of an image batch's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layout {
    /// Image, channel, row, column.
    Nchw,
    /// Image, row, column, channel.
    Nhwc,
}

impl Layout {
    /// Both.
    pub const ALL: [Layout; 2] = [Layout::Nchw, Layout::Nhwc];

    /// The axis of the channels.
    pub fn channel_axis(self) -> usize {
        match self {
            Layout::Nchw => 1,
            Layout::Nhwc => 3,
        }
    }

    /// The axis of the rows; that of the columns follows.
    pub fn row_axis(self) -> usize {
        match self {
            Layout::Nchw => 2,
            Layout::Nhwc => 1,
        }
    }

    /// The shape of one image.
    pub fn shape(self, channels: usize, [height, width]: [usize; 2]) -> [usize; 4] {
        match self {
            Layout::Nchw => [1, channels, height, width],
            Layout::Nhwc => [1, height, width, channels],
        }
    }

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Nchw => "nchw",
            Layout::Nhwc => "nhwc",
        }
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let layout = Self::ALL.into_iter().find(|layout| layout.name() == name);
        layout.ok_or_else(|| format!("there is no layout `{name}`; there are nchw and nhwc"))
    }
}

impl TryFrom<String> for Layout {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Layout> for String {
    fn from(layout: Layout) -> Self {
        layout.name().to_owned()
    }
}

/// Names, layout and colours of a model's image.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The input that takes the image.
    pub input: String,
    /// The output that gives it.
    pub output: String,
    /// The order of the input's axes.
    pub layout: Layout,
    /// The order of the output's axes.
    pub output_layout: Layout,
    /// 3 for RGB, 1 for luma.
    pub channels: usize,
    /// float32 or float16, of the input.
    pub dtype: DType,
    /// The same of the output.
    pub output_dtype: DType,
    /// Height and width, where the input fixes them.
    pub fixed: [Option<usize>; 2],
}

/// The image input: the one of four axes and floating point.
pub fn image_input<'a>(model: &'a Model, overrides: &Overrides) -> Result<&'a ValueInfo, Problem> {
    let fed = |input: &&ValueInfo| !overrides.feed.contains_key(&input.name);
    let open: Vec<&ValueInfo> = model.graph.required_inputs().filter(fed).collect();
    let is_image = |input: &&&ValueInfo| input.dims().is_some_and(|(_, dims)| dims.len() == 4);
    let images: Vec<&&ValueInfo> = open.iter().filter(is_image).collect();
    match images[..] {
        [image] => float(image),
        [] => Err(Problem::new("the model", format!("takes no image of four axes: {}", shown(&open)))),
        _ => {
            let what = format!(
                "takes several images: {}; give all but one a value with --feed NAME=VALUE",
                shown(&open)
            );
            Err(Problem::new("the model", what))
        }
    }
}

fn float(image: &ValueInfo) -> Result<&ValueInfo, Problem> {
    match image.dims() {
        Some((DType::F32 | DType::F16, _)) => Ok(image),
        _ => {
            let what =
                format!("{}; float32 and float16 images can be attacked, so export it with one", one(image));
            Err(Problem::new(format!("input `{}`", image.name), what))
        }
    }
}

/// The image output: the one there is, or the one the user named.
pub fn image_output<'a>(model: &'a Model, overrides: &Overrides) -> Result<&'a ValueInfo, Problem> {
    let outputs = &model.graph.outputs;
    let names = || outputs.iter().map(|output| format!("`{}`", output.name)).collect::<Vec<_>>().join(", ");
    match (&overrides.output, &outputs[..]) {
        (Some(name), _) => outputs
            .iter()
            .find(|output| output.name == *name)
            .ok_or_else(|| Problem::new("the model", format!("has no output `{name}`; it has {}", names()))),
        (None, [output]) => Ok(output),
        _ => {
            let what = format!("has {} outputs ({}); choose one with --output NAME", outputs.len(), names());
            Err(Problem::new("the model", what))
        }
    }
}

/// Every form that the declarations allow, the most usual first. The output's layout is the
/// input's; shapes will tell.
pub fn forms(model: &Model, overrides: &Overrides) -> Result<Vec<Form>, Problem> {
    let input = image_input(model, overrides)?;
    let output = image_output(model, overrides)?;
    let Some((dtype, dims)) = input.dims() else { return Ok(vec![]) };
    if dims[0].known().is_some_and(|batch| batch != 1) {
        let what = format!("{}: batches of one are fed; export it with a batch of 1 or any", one(input));
        return Err(Problem::new(format!("input `{}`", input.name), what));
    }
    let mut forms = Vec::new();
    for layout in Layout::ALL {
        for channels in [3, 1] {
            let fits = dims[layout.channel_axis()].known().is_none_or(|known| known == channels);
            let allowed = overrides.layout.is_none_or(|stated| stated == layout)
                && overrides.channels.is_none_or(|stated| stated == channels);
            if fits && allowed {
                let row = layout.row_axis();
                forms.push(Form {
                    input: input.name.clone(),
                    output: output.name.clone(),
                    layout,
                    output_layout: layout,
                    channels,
                    dtype,
                    output_dtype: dtype,
                    fixed: [dims[row].known(), dims[row + 1].known()],
                });
            }
        }
    }
    if forms.is_empty() {
        let what = format!(
            "{}; RGB or luma is expected, N x C x H x W or N x H x W x C with 3 or 1 channels",
            one(input)
        );
        return Err(Problem::new(format!("input `{}`", input.name), what));
    }
    Ok(forms)
}

fn one(input: &ValueInfo) -> String {
    match input.dims() {
        Some((dtype, dims)) => {
            let dims: Vec<_> = dims.iter().map(Dim::to_string).collect();
            format!("is {dtype} [{}]", dims.join(", "))
        }
        None => "is of no known rank".into(),
    }
}

fn shown(inputs: &[&ValueInfo]) -> String {
    let each: Vec<_> = inputs.iter().map(|input| format!("`{}` {}", input.name, one(input))).collect();
    if each.is_empty() { "it has no inputs".into() } else { each.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Graph;

    fn model(inputs: &[(&str, DType, &[usize])]) -> Model {
        // 0 stands for any size.
        let dims = |sizes: &[usize]| -> Vec<Dim> {
            sizes.iter().map(|&size| if size == 0 { Dim::Unknown } else { Dim::Known(size) }).collect()
        };
        let inputs =
            inputs.iter().map(|(name, dtype, sizes)| ValueInfo::tensor(*name, *dtype, dims(sizes))).collect();
        let outputs = vec![ValueInfo::tensor("y", DType::F32, [])];
        Model { graph: Graph { inputs, outputs, ..Default::default() }, ..Default::default() }
    }

    fn kinds(shape: &[usize]) -> Vec<(Layout, usize)> {
        let forms = forms(&model(&[("x", DType::F32, shape)]), &Overrides::default()).unwrap();
        forms.iter().map(|form| (form.layout, form.channels)).collect()
    }

    #[test]
    fn declarations_tell_layout_and_colours() {
        assert_eq!(kinds(&[1, 3, 0, 0]), [(Layout::Nchw, 3), (Layout::Nhwc, 3), (Layout::Nhwc, 1)]);
        assert_eq!(kinds(&[0, 3, 224, 224]), [(Layout::Nchw, 3)]);
        assert_eq!(kinds(&[1, 64, 64, 3]), [(Layout::Nhwc, 3)]);
        assert_eq!(kinds(&[1, 1, 64, 64]), [(Layout::Nchw, 1)]);
        assert_eq!(kinds(&[0, 0, 0, 0]).len(), 4);
    }

    #[test]
    fn overrides_decide_between_forms() {
        let overrides = Overrides { layout: Some(Layout::Nhwc), channels: Some(1), ..Default::default() };
        let forms = forms(&model(&[("x", DType::F32, &[0, 0, 0, 0])]), &overrides).unwrap();
        assert_eq!((forms.len(), forms[0].layout, forms[0].channels), (1, Layout::Nhwc, 1));
    }

    #[test]
    fn what_cannot_be_an_image_is_named() {
        let refusal = |inputs: &[(&str, DType, &[usize])]| {
            forms(&model(inputs), &Overrides::default()).unwrap_err().to_string()
        };
        assert!(refusal(&[("x", DType::F32, &[1, 4, 8, 8])]).contains("float32 [1, 4, 8, 8]"));
        assert!(refusal(&[("x", DType::U8, &[1, 3, 8, 8])]).contains("uint8"));
        assert!(refusal(&[("x", DType::F32, &[8, 3, 8, 8])]).contains("batch of 1"));
        assert!(refusal(&[("text", DType::I64, &[77])]).contains("`text` is int64 [77]"));
        let two: [(&str, DType, &[usize]); 2] =
            [("a", DType::F32, &[1, 3, 0, 0]), ("b", DType::F32, &[1, 3, 0, 0])];
        assert!(refusal(&two).contains("--feed"));
    }
}
