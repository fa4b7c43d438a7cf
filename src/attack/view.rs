//! Where the gradient of a landscape comes from: members of an ensemble differ in it.

/// What a gradient is taken of. The numbers of a landscape are those of what is served, whatever the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The objective on the output as it is served, clipped to its range. Zero where the output lies outside.
    Served,
    /// The L2 distance of the luma.
    Luma,
    /// The L2 distance of the output before it is clipped: leads back in from outside the range.
    Unclipped,
    /// The objective with every rounding taken for what it rounds.
    StraightThrough,
    /// Eq. (13) on the model's own feature maps.
    Features,
    /// The L2 distance of another network's output, which no trick of this model reaches.
    Surrogate,
}
