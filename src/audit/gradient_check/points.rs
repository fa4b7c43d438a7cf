//! Where a gradient is checked: at images of the audit, spread evenly over their list, and at a darkened,
//! a brightened and a flattened one.
//!
//! A model that masks its gradient on a fifth of all images masks it, in 93 of 100 audits, on one of twelve.
//! Synthetic images have the size of the first one, so that no runtime prepares another session. Deliberately
//! absent: noise over the whole range, on which honest networks overflow.

use ndarray::{Array4, ArrayView4, Axis};

/// The most images of the audit that are points, where they are small.
const IMAGES: usize = 12;
/// The fewest, where there are as many, however large they are.
const LEAST_IMAGES: usize = 3;
/// LR pixels that points share, up from which they are fewer: a point takes a gradient and some eight forward runs on
/// every runtime.
const PIXELS: usize = IMAGES * 64 * 64;

/// An image that a gradient is checked at.
pub struct Point {
    /// The image's name, or what was made of the first one.
    pub name: String,
    /// A batch of one, on [0, 1].
    pub x: Array4<f32>,
    /// Whether it was made of an image, and is none.
    pub synthetic: bool,
}

/// What is done to every value of an image.
type Change = fn(f32) -> f32;

/// The points for the images of an audit; none where there are no images.
pub fn points<'a>(images: impl ExactSizeIterator<Item = (&'a str, ArrayView4<'a, f32>)>) -> Vec<Point> {
    let mut images = images.peekable();
    let pixels = images.peek().map_or(1, |(_, x)| x.len_of(Axis(2)) * x.len_of(Axis(3)));
    let most = (PIXELS / pixels.max(1)).clamp(LEAST_IMAGES, IMAGES);
    let stride = images.len().div_ceil(most).max(1);
    let point = |(name, x): (&str, ArrayView4<'_, f32>)| Point {
        name: name.to_owned(),
        x: x.to_owned(),
        synthetic: false,
    };
    let mut points: Vec<Point> = images.step_by(stride).map(point).collect();
    let Some(first) = points.first() else { return points };
    let made: [(&str, Change); 3] =
        [("darkened", |x| 0.5 * x), ("brightened", |x| 0.5 + 0.5 * x), ("flattened", |x| 0.4 + 0.2 * x)];
    let made = made.map(|(how, of)| Point {
        name: format!("{} {how}", first.name),
        x: first.x.mapv(|x| (255.0 * of(x)).round() / 255.0),
        synthetic: true,
    });
    points.extend(made);
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_spread_over_the_images_and_over_brightness() {
        let images: Vec<(String, Array4<f32>)> =
            (0..30).map(|index| (index.to_string(), Array4::from_elem((1, 3, 2, 2), 0.5))).collect();
        let found = points(images.iter().map(|(name, x)| (name.as_str(), x.view())));
        assert_eq!(
            found.iter().take(10).map(|point| &*point.name).collect::<Vec<_>>(),
            ["0", "3", "6", "9", "12", "15", "18", "21", "24", "27"]
        );
        assert_eq!((found.len(), &*found[10].name), (13, "0 darkened"));
        assert!(found.iter().all(|point| point.x.iter().all(|value| (0.0..=1.0).contains(value))));
        let large: Vec<Array4<f32>> = (0..12).map(|_| Array4::zeros((1, 1, 224, 224))).collect();
        assert_eq!(points(large.iter().map(|x| ("large", x.view()))).len(), 3 + 3);
        assert!(points(std::iter::empty::<(&str, ArrayView4<'_, f32>)>()).is_empty());
    }
}
