//! Where an attack may change an image: everywhere, or in a part of it.

use std::str::FromStr;

use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;

/// A rectangle of LR pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// Pixels left of it.
    pub x: usize,
    /// Pixels above it.
    pub y: usize,
    /// Its width in pixels.
    pub width: usize,
    /// Its height in pixels.
    pub height: usize,
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<usize>> = text.split(',').map(|word| word.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Self { x, y, width, height }),
            _ => Err(format!(
                "`{text}` is no region; give x,y,w,h in LR pixels from the top left, such as 8,8,16,16"
            )),
        }
    }
}

/// A region or mask that an image has no room for.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MaskError {
    /// A rectangle beyond the border.
    #[error(
        "the region {x},{y},{width},{height} leaves the image, which is {} wide and {} high (LR pixels); give \
         one inside it", size[1], size[0],
        x = region.x, y = region.y, width = region.width, height = region.height
    )]
    Outside {
        /// The rectangle.
        region: Region,
        /// Height and width of the image.
        size: [usize; 2],
    },
    /// A mask of another size.
    #[error(
        "the mask has {}x{} pixels (height x width) and the image {}x{}; give a mask of the image's size",
        found[0], found[1], size[0], size[1]
    )]
    Size {
        /// Height and width of the mask.
        found: [usize; 2],
        /// Height and width of the image.
        size: [usize; 2],
    },
    /// A mask that lets nothing change.
    #[error("the mask leaves no pixel to attack; mark some with values above one half")]
    Empty,
}

/// The pixels of an image that may change, all channels of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask(Array2<bool>);

impl Mask {
    /// The pixels of a rectangle.
    ///
    /// # Errors
    /// [`MaskError::Outside`].
    pub fn rectangle(region: Region, size: [usize; 2]) -> Result<Self, MaskError> {
        let ends = (region.y.checked_add(region.height), region.x.checked_add(region.width));
        let (Some(bottom), Some(right)) = ends else { return Err(MaskError::Outside { region, size }) };
        if bottom > size[0] || right > size[1] {
            return Err(MaskError::Outside { region, size });
        }
        let mut mask = Array2::from_elem(size, false);
        mask.slice_mut(s![region.y..bottom, region.x..right]).fill(true);
        Ok(Self(mask))
    }

    /// The pixels of a picture (height x width, on [0, 1]) above one half.
    ///
    /// # Errors
    /// [`MaskError::Size`] and [`MaskError::Empty`].
    pub fn picture(picture: ArrayView2<'_, f32>, size: [usize; 2]) -> Result<Self, MaskError> {
        let found = [picture.nrows(), picture.ncols()];
        if found != size {
            return Err(MaskError::Size { found, size });
        }
        let mask = picture.mapv(|value| value > 0.5);
        if mask.iter().any(|&free| free) { Ok(Self(mask)) } else { Err(MaskError::Empty) }
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.0.nrows(), self.0.ncols()]
    }

    /// Whether a pixel may change.
    pub fn is_free(&self, row: usize, column: usize) -> bool {
        self.0[[row, column]]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_region_is_four_numbers_inside_the_image() {
        let region: Region = "1, 2,3,1".parse().unwrap();
        let mask = Mask::rectangle(region, [4, 5]).unwrap();
        let free: Vec<_> = (0..20).filter(|at| mask.is_free(at / 5, at % 5)).collect();
        assert_eq!(free, [11, 12, 13]);
        for wrong in ["", "1,2,3", "1,2,3,0", "-1,0,2,2", "a,b,c,d", "1,2,3,4,5"] {
            assert!(wrong.parse::<Region>().unwrap_err().contains("is no region"), "{wrong}");
        }
        let large = Region { x: usize::MAX, y: 0, width: 2, height: 1 };
        assert!(matches!(Mask::rectangle(large, [4, 5]), Err(MaskError::Outside { .. })));
        let message = Mask::rectangle("3,0,3,1".parse().unwrap(), [4, 5]).unwrap_err().to_string();
        assert!(message.contains("3,0,3,1") && message.contains("5 wide and 4 high"), "{message}");
    }

    #[test]
    fn a_picture_marks_what_is_bright() {
        let mask = Mask::picture(array![[0.0, 1.0], [0.5, 0.6]].view(), [2, 2]).unwrap();
        assert!(mask.is_free(0, 1) && mask.is_free(1, 1) && !mask.is_free(0, 0) && !mask.is_free(1, 0));
        let wrong = Mask::picture(array![[1.0]].view(), [2, 2]);
        assert_eq!(wrong, Err(MaskError::Size { found: [1, 1], size: [2, 2] }));
        assert_eq!(Mask::picture(array![[0.2]].view(), [1, 1]), Err(MaskError::Empty));
    }
}
