//! Signs that a model's own gradient is masked: something that does not follow it does as much as what does.
//!
//! Images are compared one by one: a mask that lies on one image of twelve must not drown in a mean. An output that
//! attacks could not change at all counts as masked where anything else changes it.

use std::collections::BTreeMap;

use super::case::{ByImage, Case, Least, is_white_box, note};
use super::{Finding, Level, decibels};
use crate::attack::{AttackKind, Member};
use crate::report::{Measured, Row, Transfer};

/// Where white-box attacks leave more than this above another one, in dB, they were led astray on that image.
const BEATEN_BY: f64 = 0.5;
/// Raised is the alarm where this mean over all images says so, or one image is so far off, in dB: a start that was
/// unlucky on one image of an honest network costs less.
const FAR: f64 = 1.0;
/// White-box attacks that leave less than this below noise of the same budget, in dB, are hardly better than it: on
/// honest networks strong ones leave 2 dB less and more.
const NEAR_NOISE: f64 = 1.0;
/// A larger share of the output's squared change than this outside its range is no honest network's.
const OVERSHOOT: f64 = 0.9;

/// Every sign of masking in a case.
pub fn of(case: &Case<'_>, measured: &Measured) -> Vec<Finding> {
    let found = [
        beaten(case),
        rugged(case),
        overshoots(case),
        no_better_than_noise(case, measured),
        better_within_less(case, measured),
        better_on_the_grid(case),
        better_from_elsewhere(case),
        better_from_a_sibling(case, measured),
    ];
    found.into_iter().flatten().collect()
}

/// Images on which something does more than what follows the model's own gradient.
struct Beaten<'a> {
    /// The image that shows it most, with what was left of it.
    image: &'a str,
    own: &'a str,
    other: &'a str,
    images: usize,
    of: usize,
    /// Means over the images that are beaten, in dB.
    left: f64,
    less: f64,
}

impl<'a> Beaten<'a> {
    /// Compares image by image.
    fn find(own: &ByImage<'a>, others: &ByImage<'a>) -> Option<Self> {
        let pairs = own.iter().filter_map(|(image, own)| Some((*image, *own, *others.get(image)?)));
        let pairs: Vec<(&str, Least<'_>, Least<'_>)> = pairs.collect();
        let beaten = pairs.iter().filter(|(_, own, other)| gap(*own, *other) > BEATEN_BY);
        let beaten: Vec<_> = beaten.collect();
        let (image, worst, other) =
            beaten.iter().copied().max_by(|a, b| gap(a.1, a.2).total_cmp(&gap(b.1, b.2)))?;
        let all = pairs.iter().map(|(_, own, other)| gap(*own, *other)).sum::<f64>() / pairs.len() as f64;
        let mean = |of: fn(&(&str, Least<'_>, Least<'_>)) -> f64| {
            beaten.iter().map(|it| of(it)).sum::<f64>() / beaten.len() as f64
        };
        (gap(*worst, *other) > FAR || all > BEATEN_BY).then(|| Self {
            image,
            own: worst.by,
            other: other.by,
            images: beaten.len(),
            of: pairs.len(),
            left: mean(|it| it.1.sr_psnr),
            less: mean(|it| it.2.sr_psnr),
        })
    }

    /// The alarm; `what` says of the other attack what makes it one that should not win, `so` what follows.
    fn alarm(&self, case: &Case<'_>, code: &'static str, what: &str, so: &str) -> Finding {
        let Self { own, other, images, of, left, less, .. } = *self;
        let sentence = format!(
            "on {images} of {of} images {other}{what} leaves {} at {}/255 and {own} leaves {}: {so}",
            decibels(less),
            case.budget,
            decibels(left)
        );
        let numbers = [
            ("images", images as f64),
            ("of", of as f64),
            ("other_sr_psnr", less),
            ("white_box_sr_psnr", left),
        ];
        let image = Some(self.image.to_owned());
        Finding { image, ..case.finding(Level::Alarm, code, sentence, numbers) }
    }
}

/// How much more one leaves than the other, in dB; 0 where neither changed the output.
fn gap(own: Least<'_>, other: Least<'_>) -> f64 {
    if own.sr_psnr == other.sr_psnr { 0.0 } else { own.sr_psnr - other.sr_psnr }
}

/// A gradient-free attack, or a member of an ensemble that does not follow the model's gradient, beats those that
/// climb.
fn beaten(case: &Case<'_>) -> Option<Finding> {
    let beaten = Beaten::find(&case.least(AttackKind::WhiteBox), &case.least(AttackKind::GradientFree))?;
    let what = ", which does not follow its gradient,";
    Some(beaten.alarm(case, "gradient-free-wins", what, "gradients are masked"))
}

/// Images at which the plain gradient promises a rise that does not come, is another one a part of a level aside, or leads
/// less far than its mean over the images around.
fn rugged(case: &Case<'_>) -> Option<Finding> {
    let told: Vec<bool> =
        case.rows.iter().filter(|row| case.at_home(row)).filter_map(|row| row.rugged).collect();
    let count = told.iter().filter(|rugged| **rugged).count();
    if count == 0 {
        return None;
    }
    let sentence = format!(
        "on {count} of {} images the gradient promises a rise at {}/255 that does not come, changes within the rounding \
         of 8 bits, or leads less far than its mean over noise: the landscape is rugged, and gradients are masked",
        told.len(),
        case.budget
    );
    let numbers = [("images", count as f64), ("of", told.len() as f64)];
    Some(case.finding(Level::Alarm, "rugged", sentence, numbers))
}

/// Most of what an attack does to the output lies outside the output's range, where nobody sees it.
fn overshoots(case: &Case<'_>) -> Option<Finding> {
    let told: Vec<f64> =
        case.rows.iter().filter(|row| case.at_home(row)).filter_map(|row| row.overshoot).collect();
    let count = told.iter().filter(|share| **share > OVERSHOOT).count();
    let share = told.iter().copied().filter(|share| *share > OVERSHOOT).max_by(f64::total_cmp)?;
    let sentence = format!(
        "on {count} of {} images up to {:.1}% of the output's squared change at {}/255 lies outside its range, where \
         clipping removes it: only attacks on the clipped output count",
        told.len(),
        100.0 * share,
        case.budget
    );
    let numbers = [("images", count as f64), ("of", told.len() as f64), ("share", share)];
    Some(case.finding(Level::Warning, "overshoot", sentence, numbers))
}

/// Noise of the same budget does as much, or nearly as much: the gradient leads nowhere, or not far.
fn no_better_than_noise(case: &Case<'_>, measured: &Measured) -> Option<Finding> {
    let ours = measured.noise.iter().filter(|noise| {
        noise.model == case.model && noise.runtime == case.runtime && noise.budget == case.budget
    });
    let noise: BTreeMap<&str, f64> = ours.map(|noise| (&*noise.image, noise.sr_psnr)).collect();
    let own = case.least(AttackKind::WhiteBox);
    let pairs = own.iter().filter_map(|(image, own)| Some((*image, *own, *noise.get(image)?)));
    let pairs: Vec<(&str, Least<'_>, f64)> = pairs.filter(|(_, _, noise)| noise.is_finite()).collect();
    let below = |margin: f64| {
        let near = pairs.iter().filter(move |(_, own, noise)| noise - own.sr_psnr < margin);
        near.collect::<Vec<_>>()
    };
    let worse = pairs.iter().filter(|(_, own, noise)| own.sr_psnr >= *noise).collect::<Vec<_>>();
    let (level, code, so, held) = match worse.is_empty() {
        true => {
            (Level::Warning, "near-noise", "it may be masked, or the attacks are weak", below(NEAR_NOISE))
        }
        false => (Level::Alarm, "noise-wins", "its gradient leads nowhere", worse),
    };
    let (image, strongest, _) =
        held.iter().min_by(|a, b| (a.2 - a.1.sr_psnr).total_cmp(&(b.2 - b.1.sr_psnr)))?;
    let mean = |of: fn(&(&str, Least<'_>, f64)) -> f64| {
        held.iter().map(|it| of(it)).sum::<f64>() / held.len() as f64
    };
    let (left, noise) = (mean(|it| it.1.sr_psnr), mean(|it| it.2));
    let sentence = format!(
        "on {} of {} images noise leaves {} at {}/255, and {} leaves {}: {so}",
        held.len(),
        pairs.len(),
        decibels(noise),
        case.budget,
        strongest.by,
        decibels(left)
    );
    let numbers = [
        ("images", held.len() as f64),
        ("of", pairs.len() as f64),
        ("noise_sr_psnr", noise),
        ("white_box_sr_psnr", left),
    ];
    let image = Some((*image).to_owned());
    Some(Finding { image, ..case.finding(level, code, sentence, numbers) })
}

/// What the white-box attacks and members crafted here left, apart: those that some rule picks, and the others.
fn parted<'a>(case: &Case<'a>, picks: fn(&Member) -> bool) -> [ByImage<'a>; 2] {
    let (mut picked, mut others) = (ByImage::new(), ByImage::new());
    for row in case.rows.iter().copied().filter(|row| case.at_home(row)) {
        if is_white_box(row) {
            note(&mut others, &row.image, Least { sr_psnr: row.sr_psnr, by: &row.attack });
        }
        for member in row.members.iter().filter(|member| member.kind == AttackKind::WhiteBox) {
            let left = Least { sr_psnr: member.sr_psnr.unwrap_or(f64::INFINITY), by: &member.name };
            note(if picks(member) { &mut picked } else { &mut others }, &row.image, left);
        }
    }
    [picked, others]
}

/// What stayed within a part of the budget, or within a smaller budget of the same audit, does more than what had all
/// of it: something hides once an image is noisy.
fn better_within_less(case: &Case<'_>, measured: &Measured) -> Option<Finding> {
    let [mut less, all] = parted(case, |member| member.part.is_some());
    let smaller = |row: &&Row| {
        let here = row.model == case.model && row.judged_on == case.runtime && case.at_home(row);
        here && row.budget < case.budget && row.drives_away()
    };
    for row in measured.rows.iter().filter(smaller) {
        note(&mut less, &row.image, Least { sr_psnr: row.sr_psnr, by: &row.attack });
    }
    let beaten = Beaten::find(&all, &less)?;
    Some(beaten.alarm(
        case,
        "smaller-budget-wins",
        " within less of the budget",
        "something hides from noise",
    ))
}

/// What kept to images that a file can carry does more than what need not: other images get another network.
fn better_on_the_grid(case: &Case<'_>) -> Option<Finding> {
    let [rounded, others] = parted(case, |member| member.rounded);
    let beaten = Beaten::find(&others, &rounded)?;
    let so = "what is served depends on whether pixels are multiples of 1/255";
    Some(beaten.alarm(case, "rounded-wins", " on 8-bit images alone", so))
}

/// An attack crafted on another runtime does more here than one crafted here.
fn better_from_elsewhere(case: &Case<'_>) -> Option<Finding> {
    let mut others = ByImage::new();
    let climbs = |row: &Row| is_white_box(row) || row.kind == AttackKind::Ensemble;
    for row in case.rows.iter().copied().filter(|row| !case.at_home(row) && climbs(row)) {
        note(&mut others, &row.image, Least { sr_psnr: row.sr_psnr, by: &row.attack });
    }
    let beaten = Beaten::find(&case.least(AttackKind::WhiteBox), &others)?;
    Some(beaten.alarm(case, "transfer-wins", " crafted on another runtime", "gradients are masked here"))
}

/// An attack crafted for another model does more here than one crafted for this one.
fn better_from_a_sibling(case: &Case<'_>, measured: &Measured) -> Option<Finding> {
    let here = |transfer: &&Transfer| {
        let follows_gradients = matches!(transfer.kind, AttackKind::WhiteBox | AttackKind::Ensemble);
        let placed = transfer.model == case.model && transfer.judged_on == case.runtime;
        follows_gradients && placed && transfer.budget == case.budget
    };
    let (mut others, mut siblings) = (ByImage::new(), BTreeMap::new());
    for transfer in measured.transfers.iter().filter(here) {
        let left = Least { sr_psnr: transfer.sr_psnr, by: &transfer.attack };
        note(&mut others, &transfer.image, left);
        if others[&*transfer.image].sr_psnr == left.sr_psnr {
            siblings.insert(&*transfer.image, &*transfer.crafted_for);
        }
    }
    let beaten = Beaten::find(&case.least(AttackKind::WhiteBox), &others)?;
    let what = format!(" crafted for `{}`", siblings[beaten.image]);
    Some(beaten.alarm(case, "sibling-wins", &what, "its own gradients are masked"))
}
