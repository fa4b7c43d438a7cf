//! Plots as inline SVG: points and lines over two linear axes, and heat maps.
//!
//! Colours are classes (`s0` to `s7`), so that the page's style sheet decides them for light, dark and print; every
//! point says its numbers in a `<title>`. Deliberately absent: what the numbers mean, and scales other than linear.

use std::fmt::Write as _;

/// Width of a drawing in its own units; the page scales it.
pub(super) const WIDTH: f64 = 520.0;
/// Height of a plot of points and lines.
const HEIGHT: f64 = 320.0;
/// Space for the labels of the axes.
const LEFT: f64 = 58.0;
pub(super) const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;
/// Colours that the style sheet has.
const COLOURS: usize = 8;
/// Labels along an axis, about.
const TICKS: f64 = 6.0;

/// Points of one colour.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Which colour: series of one model share it.
    pub colour: usize,
    /// Whether a line joins the points, from left to right.
    pub joined: bool,
    /// Whether that line is dashed.
    pub dashed: bool,
    /// The points.
    pub points: Vec<Point>,
}

/// A point, and what it says where a pointer rests on it.
#[derive(Clone, Debug)]
pub struct Point {
    /// Position on the horizontal axis.
    pub x: f64,
    /// Position on the vertical axis.
    pub y: f64,
    /// What it is.
    pub label: String,
}

/// A plot over two axes.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows, for readers who do not see it.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x: String,
    /// Name and unit of the vertical axis.
    pub y: String,
    /// Whether to draw the line on which both are equal.
    pub diagonal: bool,
    /// What is drawn.
    pub series: Vec<Series>,
}

impl Plot {
    /// The drawing; `None` where there is no finite point to draw.
    pub fn svg(&self) -> Option<String> {
        let finite = |point: &&Point| point.x.is_finite() && point.y.is_finite();
        let points: Vec<&Point> =
            self.series.iter().flat_map(|series| &series.points).filter(finite).collect();
        if points.is_empty() {
            return None;
        }
        let mut across = Axis::around(points.iter().map(|point| point.x), LEFT, WIDTH - RIGHT);
        let mut up = Axis::around(points.iter().map(|point| point.y), HEIGHT - BOTTOM, TOP);
        if self.diagonal {
            // The diagonal is of use only where both axes show the same values.
            let ends = [across.least.min(up.least), across.most.max(up.most)];
            across = Axis::around(ends.into_iter(), LEFT, WIDTH - RIGHT);
            up = Axis::around(ends.into_iter(), HEIGHT - BOTTOM, TOP);
        }
        let mut svg = opening(WIDTH, HEIGHT, &self.title);
        self.frame(&mut svg, &across, &up);
        if self.diagonal {
            let [x1, y1] = [across.at(across.least), up.at(up.least)];
            let [x2, y2] = [across.at(across.most), up.at(up.most)];
            let _ = write!(
                svg,
                r#"<line class="diagonal" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
            );
        }
        for series in &self.series {
            series.draw(&mut svg, &across, &up);
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    /// The names in the legend with their colours, those that are drawn.
    pub fn legend(&self) -> Vec<(String, usize, bool)> {
        let drawn = self.series.iter().filter(|series| !series.points.is_empty());
        drawn.map(|series| (series.name.clone(), series.colour % COLOURS, series.dashed)).collect()
    }

    fn frame(&self, svg: &mut String, across: &Axis, up: &Axis) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in across.ticks() {
            let x = across.at(tick);
            let _ = write!(svg, r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/>"#);
            let _ = write!(
                svg,
                r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                bottom + 16.0,
                label(tick)
            );
        }
        for tick in up.ticks() {
            let y = up.at(tick);
            let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#);
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 6.0,
                y + 4.0,
                label(tick)
            );
        }
        let (middle, centre) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
        let _ = write!(
            svg,
            r#"<text class="name" x="{middle}" y="{}" text-anchor="middle">{}</text>"#,
            HEIGHT - 8.0,
            escaped(&self.x)
        );
        let _ = write!(
            svg,
            r#"<text class="name" transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">{}</text>"#,
            escaped(&self.y)
        );
    }
}

impl Series {
    fn draw(&self, svg: &mut String, across: &Axis, up: &Axis) {
        let colour = self.colour % COLOURS;
        let finite = self.points.iter().filter(|point| point.x.is_finite() && point.y.is_finite());
        let places: Vec<_> = finite.map(|point| (across.at(point.x), up.at(point.y), &point.label)).collect();
        if self.joined {
            let line: Vec<String> = places.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
            let dash = if self.dashed { " dashed" } else { "" };
            let _ = write!(svg, r#"<polyline class="line s{colour}{dash}" points="{}"/>"#, line.join(" "));
        }
        for (x, y, label) in places {
            let label = escaped(label);
            let _ = write!(
                svg,
                r#"<circle class="point s{colour}" cx="{x:.1}" cy="{y:.1}" r="3.5"><title>{label}</title></circle>"#
            );
        }
    }
}

pub(super) fn opening(width: f64, height: f64, title: &str) -> String {
    let title = escaped(title);
    format!(r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}"><title>{title}</title>"#)
}

/// Text between tags or in an attribute.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Forbidden in SVG and of no use in HTML.
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Numbers along a line of the drawing.
struct Axis {
    least: f64,
    most: f64,
    /// Where they lie in the drawing.
    ends: [f64; 2],
    step: f64,
}

impl Axis {
    /// One that has all values inside, and whole steps at its ends.
    fn around(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let span = if most > least { most - least } else { 1.0 };
        let step = whole_step(span / TICKS);
        let (least, most) = ((least / step).floor() * step, (most / step).ceil() * step);
        let most = if most > least { most } else { least + step };
        Self { least, most, ends: [start, end], step }
    }

    fn at(&self, value: f64) -> f64 {
        let [start, end] = self.ends;
        start + (value - self.least) / (self.most - self.least) * (end - start)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.most - self.least) / self.step).round() as usize;
        (0..=count).map(|index| self.least + index as f64 * self.step)
    }
}

/// The first of 1, 2, 5 times a power of ten that is not below `rough`.
fn whole_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(power)
}

/// A number at a tick, without digits that say nothing.
fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)], label: &str) -> Plot {
        let points = points.iter().map(|&(x, y)| Point { x, y, label: label.into() }).collect();
        let series = Series { name: "a".into(), joined: true, points, ..Series::default() };
        Plot {
            title: "t".into(),
            x: "budget".into(),
            y: "PSNR".into(),
            diagonal: false,
            series: vec![series],
        }
    }

    #[test]
    fn every_finite_point_is_inside_the_frame() {
        let svg = plot(&[(1.0, 30.0), (4.0, 17.5), (8.0, f64::INFINITY)], "p").svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        for (name, most) in [("cx=\"", WIDTH), ("cy=\"", HEIGHT)] {
            let values =
                svg.split(name).skip(1).map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap());
            assert!(
                values.clone().count() == 2 && values.into_iter().all(|value| value > 0.0 && value < most)
            );
        }
        assert!(plot(&[(1.0, f64::NAN)], "p").svg().is_none());
    }

    #[test]
    fn ticks_are_whole_and_span_the_values() {
        let axis = Axis::around([17.3, 48.2].into_iter(), 0.0, 100.0);
        let ticks: Vec<String> = axis.ticks().map(label).collect();
        assert_eq!(ticks, ["10", "20", "30", "40", "50"]);
        let single = Axis::around([4.0].into_iter(), 0.0, 1.0);
        assert!(single.at(4.0).is_finite() && single.ticks().count() >= 2);
    }

    #[test]
    fn names_from_files_are_text() {
        let svg = plot(&[(1.0, 2.0)], "<script>\"&\u{1b}").svg().unwrap();
        assert!(svg.contains("&lt;script&gt;&quot;&amp;\u{fffd}") && !svg.contains("<script"), "{svg}");
    }
}
