//! Names and numbers in print.

/// A name that cannot break the table, whatever a file system lets it hold.
pub fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A PSNR in dB.
pub fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "equal".into() }
}
/// A name of at most `most` characters: a longer one loses its middle, for beginnings and ends tell files apart.
pub fn shortened(name: &str, most: usize) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= most || most < 3 {
        return name.to_owned();
    }
    let tail = (most - 1) * 3 / 5;
    let head = most - 1 - tail;
    let start: String = characters[..head].iter().collect();
    let end: String = characters[characters.len() - tail..].iter().collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("model.onnx", 10), "model.onnx");
        let short = shortened("2x_AnimeJaNai_SD_V1beta34_Compact_1x3xHxW_fp16.onnx", 20);
        assert_eq!((short.chars().count(), short.as_str()), (20, "2x_Anime…W_fp16.onnx"));
        assert_eq!(shortened("ééééééé", 5), "éé…éé");
    }
}
