//! The windows of convolutions and their kin: kernel, strides, dilations and padding per axis.

use super::Call;

/// One spatial axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Entries of the kernel.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
    /// Steps between the kernel's entries.
    pub dilation: usize,
    /// Padding before and after.
    pub pads: (usize, usize),
}

impl Axis {
    /// From the kernel's first entry to its last, inclusive.
    pub fn extent(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// The windows that fit into `size` entries.
    pub fn windows(&self, size: usize) -> Result<usize, String> {
        let padded = size + self.pads.0 + self.pads.1;
        match padded.checked_sub(self.extent()) {
            Some(rest) => Ok(rest / self.stride + 1),
            None => Err(format!("slides a kernel of extent {} over {padded} padded entries", self.extent())),
        }
    }

    /// The windows of a pool that may reach beyond the end of `size` entries; the last one starts
    /// inside them or in the padding before them.
    pub fn windows_rounded_up(&self, size: usize) -> Result<usize, String> {
        let windows = self.windows(size)?;
        let padded = size + self.pads.0 + self.pads.1;
        let left = (padded - self.extent()) % self.stride;
        let starts_inside = windows * self.stride < size + self.pads.0;
        Ok(if left > 0 && starts_inside { windows + 1 } else { windows })
    }
}

/// Sizes beyond this are a damaged file's, not a network's.
const MAX_STEP: usize = 1 << 20;

/// The attributes of one list per spatial axis, such as `strides`.
pub fn per_axis(call: &Call<'_>, name: &str, axes: usize) -> Result<Vec<usize>, String> {
    let Some(values) = call.ints(name)? else { return Ok(vec![1; axes]) };
    let sizes: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    sizes
        .filter(|sizes| sizes.len() == axes && sizes.iter().all(|size| (1..=MAX_STEP).contains(size)))
        .ok_or_else(|| format!("has `{name}` {values:?}; {axes} positive numbers are needed"))
}

/// Explicit padding: the beginnings of all axes, then the ends.
pub fn explicit_pads(call: &Call<'_>, axes: usize) -> Result<Vec<(usize, usize)>, String> {
    let Some(values) = call.ints("pads")? else { return Ok(vec![(0, 0); axes]) };
    let sizes: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    let sizes =
        sizes
            .filter(|sizes| sizes.len() == 2 * axes && sizes.iter().all(|&size| size <= MAX_STEP))
            .ok_or_else(|| format!("has `pads` {values:?}; {} numbers of at least 0 are needed", 2 * axes))?;
    Ok((0..axes).map(|axis| (sizes[axis], sizes[axis + axes])).collect())
}

/// The windows of a convolution over the spatial `sizes`, `auto_pad` worked out.
pub fn windows(call: &Call<'_>, kernel: &[usize], sizes: &[usize]) -> Result<Vec<Axis>, String> {
    let axes = sizes.len();
    let (strides, dilations) = (per_axis(call, "strides", axes)?, per_axis(call, "dilations", axes)?);
    let explicit = explicit_pads(call, axes)?;
    let auto = call.text("auto_pad", "NOTSET")?;
    let axis = |index: usize| {
        let mut axis = Axis {
            kernel: kernel[index],
            stride: strides[index],
            dilation: dilations[index],
            pads: explicit[index],
        };
        axis.pads = match auto {
            "NOTSET" => axis.pads,
            "VALID" => (0, 0),
            "SAME_UPPER" => same_pads(&axis, sizes[index], false),
            "SAME_LOWER" => same_pads(&axis, sizes[index], true),
            other => return Err(format!("has `auto_pad` {other}, which ONNX does not define")),
        };
        Ok(axis)
    };
    (0..axes).map(axis).collect()
}

/// Padding that gives ceil(size / stride) windows; the odd entry goes to the end, or with `lower`
/// to the beginning.
fn same_pads(axis: &Axis, size: usize, lower: bool) -> (usize, usize) {
    let windows = size.div_ceil(axis.stride);
    let total = ((windows.max(1) - 1) * axis.stride + axis.extent()).saturating_sub(size);
    let (less, more) = (total / 2, total - total / 2);
    if lower { (more, less) } else { (less, more) }
}

/// A list of sizes as an attribute holds it.
pub fn ints(values: impl IntoIterator<Item = usize>) -> Vec<i64> {
    values.into_iter().map(|value| value as i64).collect()
}

/// Padding as an attribute holds it: beginnings, then ends.
pub fn pads_attribute(pads: &[(usize, usize)]) -> Vec<i64> {
    ints(pads.iter().map(|pad| pad.0).chain(pads.iter().map(|pad| pad.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIS: Axis = Axis { kernel: 3, stride: 2, dilation: 1, pads: (1, 1) };

    #[test]
    fn windows_are_counted() {
        assert_eq!(AXIS.windows(5), Ok(3));
        assert_eq!(AXIS.windows(6), Ok(3));
        assert!(Axis { pads: (0, 0), ..AXIS }.windows(2).is_err());
        assert_eq!(Axis { dilation: 3, ..AXIS }.extent(), 7);
    }

    #[test]
    fn windows_rounded_up_start_inside() {
        assert_eq!(AXIS.windows_rounded_up(6), Ok(4));
        assert_eq!(AXIS.windows_rounded_up(5), Ok(3));
        // A fourth window would start in the padding behind.
        assert_eq!(Axis { stride: 3, kernel: 2, ..AXIS }.windows_rounded_up(5), Ok(2));
    }

    #[test]
    fn same_padding_puts_the_odd_entry_where_it_is_told() {
        assert_eq!(same_pads(&AXIS, 5, false), (1, 1));
        assert_eq!(same_pads(&AXIS, 6, false), (0, 1));
        assert_eq!(same_pads(&AXIS, 6, true), (1, 0));
    }
}
