//! One part of the images, of several that together are all of them.

use std::fmt;
use std::str::FromStr;

/// Part `index` of `of`, as in `--shard 2/4`: every `of`-th image, from the `index`-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    index: usize,
    of: usize,
}

impl Shard {
    /// From 1 to [`Self::of`].
    pub fn index(self) -> usize {
        self.index
    }

    /// How many shards there are.
    pub fn of(self) -> usize {
        self.of
    }

    /// Whether the image at this place, from 0, is in it.
    pub fn holds(self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("`{text}` is no shard; give i/n, such as 1/4 for the first of four")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_together_hold_every_image_once() {
        let shards = ["1/3", "2/3", "3/3"].map(|text| text.parse::<Shard>().unwrap());
        for place in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.holds(place)).count(), 1);
        }
        assert_eq!(shards[1].to_string(), "2/3");
        for wrong in ["", "1", "0/3", "4/3", "a/b", "1/0", "-1/3", "1/3/3"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("is no shard"), "{wrong}");
        }
    }
}
