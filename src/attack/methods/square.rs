//! Square Attack (Andriushchenko et al., ECCV 2020), in both norms: random search over square
//! windows, keeping what raises the objective. The loss to be raised is that of regression, the
//! objective itself.
//!
//! L-infinity: every value always lies on the border of the ball; a window gets one sign per channel.
//! The start is vertical stripes. L2: a window takes over the perturbation of another and what was not
//! yet spent, in a shape that falls off from the middle; the start is a grid of such shapes. Windows
//! shrink by the paper's schedule, scaled to the number of queries, and stay inside the mask's extent.

use ndarray::{Array2, Array4, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::norm::Norm;
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::search::Search;

impl Attack {
    /// Random search over square windows.
    pub const SQUARE: Self = Self(&Row {
        name: "square",
        stream: "square",
        kind: AttackKind::GradientFree,
        restarts: false,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Queries,
        help: "random search over square windows",
        method: Method::Search(|_, settings| Box::new(Square::new(settings.queries))),
    });
}

/// The share of pixels in the first windows, as in the paper for either norm.
const SHARES: (f64, f64) = (0.05, 0.1);
/// When the share of pixels halves, of 10,000 queries.
const HALVINGS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
/// The queries that [`HALVINGS`] are written for.
const SCHEDULE: usize = 10_000;
/// Shapes along one side of the start in L2.
const GRID: usize = 5;

/// Square Attack after some of its queries.
#[derive(Debug)]
pub struct Square {
    queries: usize,
    asked: usize,
}

impl Square {
    /// For so many queries.
    pub fn new(queries: usize) -> Self {
        Self { queries: queries.max(1), asked: 0 }
    }

    /// The side of the next window in a field of this size.
    fn side(&self, norm: Norm, [height, width]: [usize; 2]) -> usize {
        let at = self.asked * SCHEDULE / self.queries;
        let halvings = HALVINGS.iter().filter(|&&halving| at > halving).count() as i32;
        let first = if norm == Norm::Linf { SHARES.0 } else { SHARES.1 };
        let pixels = first * 0.5_f64.powi(halvings) * (height * width) as f64;
        let least = if norm == Norm::Linf { 1 } else { 3 };
        (pixels.sqrt().round() as usize).max(least).min(height.min(width))
    }
}

impl Search for Square {
    fn propose(
        &mut self,
        best: Option<(f64, &Array4<f32>)>,
        _: usize,
        ball: &Ball,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Array4<f32>> {
        let [rows, columns] = ball.window();
        let field = Field { ball, top: rows.start, left: columns.start, size: [rows.len(), columns.len()] };
        let point = match (best, ball.norm()) {
            (None, Norm::Linf) => field.stripes(rng),
            (None, Norm::L2) => field.grid(rng),
            (Some((_, best)), Norm::Linf) => field.signs(best, self.side(Norm::Linf, field.size), rng),
            (Some((_, best)), Norm::L2) => field.moved(best, self.side(Norm::L2, field.size), rng),
        };
        self.asked += 1;
        vec![point]
    }
}

/// The part of an image where windows lie.
struct Field<'a> {
    ball: &'a Ball,
    top: usize,
    left: usize,
    size: [usize; 2],
}

impl Field<'_> {
    fn channels(&self) -> usize {
        self.ball.centre().shape()[1]
    }

    /// The first row and column of a random window.
    fn corner(&self, side: usize, rng: &mut ChaCha8Rng) -> [usize; 2] {
        let [height, width] = self.size;
        let row = self.top + rng.random_range(0..=height - side);
        [row, self.left + rng.random_range(0..=width - side)]
    }

    /// x0 with one random sign per channel and column.
    fn stripes(&self, rng: &mut ChaCha8Rng) -> Array4<f32> {
        let level = self.ball.level() as f32;
        let mut x = self.ball.centre().to_owned();
        for mut column in x.lanes_mut(ndarray::Axis(2)) {
            let moved = if rng.random() { level } else { -level };
            column.mapv_inplace(|x0| x0 + moved);
        }
        x
    }

    /// The best point with a window at one border of the ball, channel by channel.
    fn signs(&self, best: &Array4<f32>, side: usize, rng: &mut ChaCha8Rng) -> Array4<f32> {
        let level = self.ball.level() as f32;
        let [row, column] = self.corner(side, rng);
        let mut x = best.clone();
        for channel in 0..self.channels() {
            let moved = if rng.random() { level } else { -level };
            let window = s![0, channel, row..row + side, column..column + side];
            x.slice_mut(window).assign(&self.ball.centre().slice(window).mapv(|x0| x0 + moved));
        }
        x
    }

    /// x0 with shapes side by side, which fill the radius.
    fn grid(&self, rng: &mut ChaCha8Rng) -> Array4<f32> {
        let side = (self.size[0].min(self.size[1]) / GRID).max(1);
        let mut moved = Array4::<f32>::zeros(self.ball.centre().raw_dim());
        for channel in 0..self.channels() {
            for row in (0..=self.size[0] - side).step_by(side) {
                for column in (0..=self.size[1] - side).step_by(side) {
                    let (row, column) = (self.top + row, self.left + column);
                    let shape = shape(side, rng) * if rng.random() { 1.0 } else { -1.0 };
                    moved.slice_mut(s![0, channel, row..row + side, column..column + side]).assign(&shape);
                }
            }
        }
        let factor = self.ball.radius() / length(moved.iter()).max(f64::MIN_POSITIVE);
        moved.mapv_inplace(|value| (f64::from(value) * factor) as f32);
        moved + self.ball.centre()
    }

    /// The best point with the perturbation of one window moved into another.
    fn moved(&self, best: &Array4<f32>, side: usize, rng: &mut ChaCha8Rng) -> Array4<f32> {
        let mut moved = best - &self.ball.centre();
        let unspent = (self.ball.radius().powi(2) - length(moved.iter()).powi(2)).max(0.0);
        let (to, from) = (self.corner(side, rng), self.corner(side, rng));
        let shape = shape(side, rng);
        let share = unspent / self.channels() as f64;
        for channel in 0..self.channels() {
            let window = |[row, column]: [usize; 2]| s![0, channel, row..row + side, column..column + side];
            let before = moved.slice(window(to)).to_owned();
            moved.slice_mut(window(to)).fill(0.0);
            let spent = length(before.iter()).powi(2) + length(moved.slice(window(from)).iter()).powi(2);
            moved.slice_mut(window(from)).fill(0.0);
            let sign = if rng.random() { 1.0 } else { -1.0 };
            let norm = length(before.iter()).max(f64::MIN_POSITIVE);
            let mut fresh = before.mapv(|value| (f64::from(value) / norm) as f32) + &shape * sign;
            let factor = (spent + share).sqrt() / length(fresh.iter()).max(f64::MIN_POSITIVE);
            fresh.mapv_inplace(|value| (f64::from(value) * factor) as f32);
            moved.slice_mut(window(to)).assign(&fresh);
        }
        moved + self.ball.centre()
    }
}

/// Two bumps of opposite sign, above one another or side by side, of length 1.
fn shape(side: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    let half = side / 2;
    let upright = rng.random::<bool>();
    let at = |(row, column): (usize, usize)| {
        let (row, column) = if upright { (row, column) } else { (column, row) };
        if row < half {
            bump([half, side], [row, column])
        } else {
            -bump([side - half, side], [row - half, column])
        }
    };
    let shape = Array2::from_shape_fn((side, side), at);
    let length = length(shape.iter()).max(f64::MIN_POSITIVE);
    shape.mapv(|value| (f64::from(value) / length) as f32)
}

/// What falls off from the middle of a rectangle: the sum of 1 / k^2 over the frames that hold a place.
fn bump(size: [usize; 2], at: [usize; 2]) -> f32 {
    let middle = size.map(|side| side / 2);
    let away = at[0].abs_diff(middle[0]).max(at[1].abs_diff(middle[1]));
    let frames = middle[0].max(middle[1]) + 1;
    (away + 1..=frames.max(away + 1)).map(|frame| 1.0 / (frame * frame) as f32).sum()
}

fn length<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    values.map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn windows_shrink_as_queries_go_by() {
        let side = |asked| Square { queries: 10_000, asked }.side(Norm::Linf, [100, 100]);
        assert_eq!([side(0), side(11), side(51), side(9_999)], [22, 16, 11, 1]);
    }

    #[test]
    fn points_keep_to_the_radius() {
        let x0 = Array4::from_elem((1, 3, 12, 15), 0.5_f32);
        let ball = Ball::of(Norm::L2, x0.view(), 0.02);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut square = Square::new(100);
        let mut best = square.propose(None, 100, &ball, &mut rng).remove(0);
        for _ in 0..50 {
            let moved = length((&best - &x0).iter());
            assert!((moved - ball.radius()).abs() < 1e-4 * ball.radius(), "{moved}, not {}", ball.radius());
            best = square.propose(Some((0.0, &best)), 50, &ball, &mut rng).remove(0);
        }
    }
}
