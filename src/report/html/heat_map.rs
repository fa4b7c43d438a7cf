//! Heat maps as inline SVG: a table whose cells are coloured by value.
//!
//! Deliberately absent: what the values mean, which charts know.

use std::fmt::Write as _;

use super::plot::{RIGHT, WIDTH, escaped, opening};
use crate::report::words::shortened;

/// Values of a heat map that lie nearer together than this are coloured as if they lay so far apart: 1 dB.
const LEAST_SPAN: f64 = 1.0;

/// A table whose cells are coloured by value.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// What it shows, for readers who do not see it.
    pub title: String,
    /// What the rows are.
    pub y: String,
    /// What the columns are.
    pub x: String,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Values, row by row; `None` where there is none.
    pub cells: Vec<Vec<Option<f64>>>,
}

/// Where a cell lies, in the units of the plot.
struct Rect {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The finite values of a heat map from end to end.
struct Span {
    least: f64,
    most: f64,
}

impl HeatMap {
    /// The drawing; `None` where no cell has a finite value.
    pub fn svg(&self) -> Option<String> {
        let finite = || self.cells.iter().flatten().flatten().copied().filter(|value| value.is_finite());
        let (least, most) =
            finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if least > most {
            return None;
        }
        let (left, top) = (170.0, 26.0);
        let side = ((WIDTH - left - RIGHT) / self.columns.len() as f64).min(96.0);
        let row_height = 34.0;
        let height = top + row_height * self.rows.len() as f64 + 40.0;
        let mut svg = opening(WIDTH, height, &self.title);
        for (column, name) in self.columns.iter().enumerate() {
            let x = left + side * (column as f64 + 0.5);
            let shown = shortened(name, (side / 6.5) as usize);
            let _ = write!(
                svg,
                r#"<text x="{x:.1}" y="{}" text-anchor="middle">{}<title>{}</title></text>"#,
                top - 8.0,
                escaped(&shown),
                escaped(name)
            );
        }
        for (row, (name, cells)) in self.rows.iter().zip(&self.cells).enumerate() {
            let y = top + row_height * row as f64;
            let shown = shortened(name, 24);
            let _ = write!(
                svg,
                r#"<text x="{}" y="{:.1}" text-anchor="end">{}<title>{}</title></text>"#,
                left - 8.0,
                y + row_height / 2.0 + 4.0,
                escaped(&shown),
                escaped(name)
            );
            for (column, value) in cells.iter().enumerate() {
                let x = left + side * column as f64;
                let place = Rect { x, y, width: side, height: row_height };
                self.cell(&mut svg, place, *value, Span { least, most });
            }
        }
        let foot = height - 12.0;
        let _ = write!(
            svg,
            r#"<text class="name" x="{left}" y="{foot:.1}">rows: {}; columns: {}</text></svg>"#,
            escaped(&self.y),
            escaped(&self.x)
        );
        Some(svg)
    }

    /// A cell: the stronger its colour, the less is left.
    fn cell(
        &self,
        svg: &mut String,
        Rect { x, y, width, height }: Rect,
        value: Option<f64>,
        Span { least, most }: Span,
    ) {
        let strength = match value {
            Some(value) if value.is_finite() => 0.1 + 0.8 * (most - value) / (most - least).max(LEAST_SPAN),
            Some(_) => 0.1,
            None => 0.0,
        };
        let words = value.map_or("-".to_owned(), |value| {
            if value.is_finite() { format!("{value:.1}") } else { "equal".into() }
        });
        let _ = write!(
            svg,
            r#"<rect class="cell" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height}" fill-opacity="{strength:.2}"/>"#
        );
        let _ = write!(
            svg,
            r#"<text class="value" x="{:.1}" y="{:.1}" text-anchor="middle">{words}</text>"#,
            x + width / 2.0,
            y + height / 2.0 + 4.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heat_map_has_its_cells_and_names() {
        let map = HeatMap {
            title: "transfer".into(),
            x: "judged on".into(),
            y: "crafted on".into(),
            rows: vec!["a".into(), "b".into()],
            columns: vec!["a".into(), "b".into()],
            cells: vec![vec![Some(20.0), Some(30.0)], vec![None, Some(f64::INFINITY)]],
        };
        let svg = map.svg().unwrap();
        assert_eq!(svg.matches("<rect").count(), 4);
        assert!(svg.contains(">20.0<") && svg.contains(">equal<") && svg.contains(">-<"), "{svg}");
        let empty = HeatMap { cells: vec![vec![None]], ..map };
        assert!(empty.svg().is_none());
    }
}
