//! Windows that slide over an image: what Conv, ConvTranspose and the pools share.

use super::attributes::Attributes;
use super::refusal::Refusal;

/// How pads are found where a file does not list them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AutoPad {
    Explicit,
    SameUpper,
    SameLower,
    Valid,
}

impl AutoPad {
    pub fn is_same(self) -> bool {
        matches!(self, Self::SameUpper | Self::SameLower)
    }
}

/// The attributes of a window, as the node gives them.
#[derive(Clone, Debug)]
pub(super) struct Window {
    auto_pad: AutoPad,
    kernel: Option<Vec<i64>>,
    strides: Option<Vec<i64>>,
    dilations: Option<Vec<i64>>,
    pads: Option<Vec<i64>>,
}

impl Window {
    pub fn read(attributes: &Attributes<'_>) -> Result<Self, Refusal> {
        let choices = ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"];
        let auto_pad = match attributes.choice("auto_pad", &choices)? {
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            "VALID" => AutoPad::Valid,
            _ => AutoPad::Explicit,
        };
        Ok(Self {
            auto_pad,
            kernel: attributes.ints("kernel_shape")?,
            strides: attributes.ints("strides")?,
            dilations: attributes.ints("dilations")?,
            pads: attributes.ints("pads")?,
        })
    }

    /// The size of the window, where the node states it.
    pub fn kernel(&self) -> Option<&[i64]> {
        self.kernel.as_deref()
    }

    /// The window over an input of `size` (N, C, ...).
    pub fn sized(&self, size: &[i64], kernel: &[i64]) -> Result<Sized, Refusal> {
        let rank = kernel.len();
        if size.len() != rank + 2 {
            let what = format!("an input of {} dimensions under a window of {rank}", size.len());
            return Err(Refusal::new(what));
        }
        if self.kernel.as_deref().is_some_and(|stated| stated != kernel) {
            let what = format!("attribute `kernel_shape` is {:?}, the weights have {kernel:?}", self.kernel);
            return Err(Refusal::new(what));
        }
        let positive = |name: &str, given: &Option<Vec<i64>>| {
            let list = given.clone().unwrap_or_else(|| vec![1; rank]);
            let fits = list.len() == rank && list.iter().all(|&value| value > 0);
            fits.then_some(list).ok_or_else(|| Refusal::new(format!("attribute `{name}` is {given:?}")))
        };
        let pads = self.pads.clone().unwrap_or_else(|| vec![0; 2 * rank]);
        if pads.len() != 2 * rank {
            return Err(Refusal::new(format!("attribute `pads` is {pads:?}, expected {} numbers", 2 * rank)));
        }
        Ok(Sized {
            auto_pad: self.auto_pad,
            size: size[2..].to_vec(),
            kernel: kernel.to_vec(),
            strides: positive("strides", &self.strides)?,
            dilations: positive("dilations", &self.dilations)?,
            explicit: pads,
        })
    }
}

/// A window over an input of known size.
pub(super) struct Sized {
    pub auto_pad: AutoPad,
    size: Vec<i64>,
    pub kernel: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    explicit: Vec<i64>,
}

impl Sized {
    /// The number of spatial dimensions.
    pub fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// The pads of every dimension.
    pub fn pads(&self) -> Pads {
        let rank = self.rank();
        match self.auto_pad {
            AutoPad::Explicit => {
                Pads { begin: self.explicit[..rank].to_vec(), end: self.explicit[rank..].to_vec() }
            }
            AutoPad::Valid => Pads { begin: vec![0; rank], end: vec![0; rank] },
            AutoPad::SameUpper | AutoPad::SameLower => {
                let total: Vec<i64> = (0..rank).map(|dim| self.same_total(dim)).collect();
                let less = total.iter().map(|total| total / 2).collect();
                let more = total.iter().map(|total| total - total / 2).collect();
                match self.auto_pad {
                    AutoPad::SameUpper => Pads { begin: less, end: more },
                    _ => Pads { begin: more, end: less },
                }
            }
        }
    }

    /// What a last window reaches beyond the padded input where the number of windows is rounded
    /// up; it has to start inside the input or the pads before it.
    pub fn overhang(&self) -> Vec<i64> {
        let pads = self.pads();
        let over = |dim: usize| {
            let (size, stride) = (self.size[dim] + pads.begin[dim], self.strides[dim]);
            let reach = (self.kernel[dim] - 1) * self.dilations[dim] + 1;
            let room = size + pads.end[dim] - reach;
            let starts_inside = (room / stride + 1) * stride < size;
            if room % stride > 0 && starts_inside { stride - room % stride } else { 0 }
        };
        (0..self.rank()).map(over).collect()
    }

    /// The zeros that make the output ceil(size / stride) long.
    fn same_total(&self, dim: usize) -> i64 {
        let (size, stride) = (self.size[dim], self.strides[dim]);
        let reach = (self.kernel[dim] - 1) * self.dilations[dim] + 1;
        let steps = (size + stride - 1) / stride - 1;
        (steps * stride + reach - size).max(0)
    }
}

/// Pads at both ends of every spatial dimension.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pads {
    pub begin: Vec<i64>,
    pub end: Vec<i64>,
}

impl Pads {
    /// The pads, where both ends are alike and none is negative.
    pub fn symmetric(&self) -> Option<Vec<i64>> {
        let alike = self.begin == self.end && self.begin.iter().all(|&pad| pad >= 0);
        alike.then(|| self.begin.clone())
    }
}
