//! Files that are no SR network, or not always the same one.

use indexmap::IndexMap;

use super::{Finding, Level};
use crate::report::summary::finite_mean;
use crate::report::{Clean, NetworkCheck, Report};

/// Two runs on one image that differ by more than this, on [0, 1], are runs of a random network: threads that
/// add in another order were never more than 1e-4 apart.
const REPEATED: f64 = 1e-3;
/// The least response to the image's negative, over a bicubic upscale's, of an output that depends on the image.
/// Untrained networks, which nobody would serve, respond with a third.
const RESPONSE: f64 = 0.1;
/// The most that an SR network lies below bicubic, in dB. Perceptual networks do lie below: by 1 to 3 dB.
const BELOW: f64 = 6.0;

/// The most that the change by noise of a crop and of the whole image may be apart. Measured on eleven published networks:
/// 0.62 and less for crops of 16 x 16 pixels, 0.36 and less for 24 x 24; of a file that upscales crops bilinearly, 0.94 and
/// more.
const SIZES_APART: f64 = 0.8;

/// Where something was measured.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place<'a> {
    model: &'a str,
    runtime: &'a str,
}

/// What was measured of one model on one runtime.
#[derive(Default)]
struct Cell<'a> {
    checks: Vec<&'a NetworkCheck>,
    clean: Vec<&'a Clean>,
}

/// All that is found.
pub fn of(report: &Report) -> Vec<Finding> {
    let measured = &report.measured;
    let mut cells: IndexMap<Place<'_>, Cell<'_>> = IndexMap::new();
    for check in &measured.network_checks {
        cells.entry(Place { model: &check.model, runtime: &check.runtime }).or_default().checks.push(check);
    }
    for clean in &measured.clean {
        cells.entry(Place { model: &clean.model, runtime: &clean.runtime }).or_default().clean.push(clean);
    }
    let mut found = Vec::new();
    for (place, Cell { checks, clean }) in cells {
        found.extend(not_repeatable(place, &checks));
        found.extend(no_upscale(place, &checks));
        found.extend(size_dependent(place, &checks));
        found.extend(below_bicubic(place, &clean));
    }
    let branching = report.models.iter().filter(|model| model.branches_on_size && model.preprocess.is_none());
    for (model, runtime) in branching.flat_map(|model| report.runtimes.iter().map(move |it| (model, it))) {
        let sentence = "an `If` of its graph is settled by the image's size: what was audited is not what images of \
                        other sizes get";
        found.push(Finding {
            image: None,
            ..alarm(
                Place { model: &model.name, runtime: &runtime.name },
                "branches-on-size",
                sentence.to_owned(),
                IndexMap::new(),
                "",
            )
        });
    }
    found
}

fn alarm(
    Place { model, runtime }: Place<'_>,
    code: &'static str,
    sentence: String,
    numbers: IndexMap<&'static str, f64>,
    image: &str,
) -> Finding {
    let (model, runtime, image) = (model.to_owned(), runtime.to_owned(), Some(image.to_owned()));
    Finding { level: Level::Alarm, code, model, runtime, sentence, numbers, image }
}

fn not_repeatable(place: Place<'_>, checks: &[&NetworkCheck]) -> Option<Finding> {
    let differs =
        |check: &&&NetworkCheck| check.repeat_difference.is_nan() || check.repeat_difference > REPEATED;
    let count = checks.iter().filter(differs).count();
    let worst =
        checks.iter().filter(differs).max_by(|a, b| a.repeat_difference.total_cmp(&b.repeat_difference))?;
    let sentence = format!(
        "two runs on the same image differ by up to {:.3} on {count} of {} images: the network is random (Dropout \
         in training mode?), and nothing is proven of it",
        worst.repeat_difference,
        checks.len()
    );
    let numbers = [("repeat_difference", worst.repeat_difference)].into();
    Some(alarm(place, "not-repeatable", sentence, numbers, &worst.image))
}

fn no_upscale(place: Place<'_>, checks: &[&NetworkCheck]) -> Option<Finding> {
    let none = |check: &&&NetworkCheck| check.response < RESPONSE;
    let count = checks.iter().filter(none).count();
    let worst = checks.iter().filter(none).min_by(|a, b| a.response.total_cmp(&b.response))?;
    let sentence = format!(
        "on {count} of {} images its output hardly depends on the image: the image's negative moves it by {:.1}% of \
         what it moves a bicubic upscale; that it stays under attack proves nothing",
        checks.len(),
        100.0 * worst.response
    );
    let numbers = [("response", worst.response)].into();
    Some(alarm(place, "no-upscale", sentence, numbers, &worst.image))
}

fn size_dependent(place: Place<'_>, checks: &[&NetworkCheck]) -> Option<Finding> {
    let difference = |check: &NetworkCheck| check.size_difference.unwrap_or(0.0);
    let worst = checks.iter().max_by(|a, b| difference(a).total_cmp(&difference(b)))?;
    let apart = difference(worst);
    (apart > SIZES_APART).then(|| {
        let sentence = format!(
            "noise moves the middle of its crop and of the whole image by other amounts, {:.0}% apart: what was audited is \
             not what images of other sizes get; audit larger crops, or whole images",
            (100.0 * apart).min(999.0)
        );
        alarm(place, "size-dependent", sentence, [("size_difference", apart)].into(), &worst.image)
    })
}

fn below_bicubic(place: Place<'_>, clean: &[&Clean]) -> Option<Finding> {
    let gap = |clean: &Clean| clean.bicubic_psnr - clean.psnr;
    let mean = finite_mean(clean.iter().map(|clean| gap(clean)));
    let worst = clean.iter().max_by(|a, b| gap(a).total_cmp(&gap(b)))?;
    (mean.is_finite() && mean > BELOW).then(|| {
        let sentence = format!(
            "its clean output lies {mean:.1} dB below a bicubic upscale on {} images: what survives an attack is not \
             worth serving",
            clean.len()
        );
        alarm(place, "below-bicubic", sentence, [("below_bicubic", mean)].into(), &worst.image)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Measured;
    use crate::report::example::{model, report};

    fn check(repeat_difference: f64, response: f64, correlation: f64) -> NetworkCheck {
        let [model, image, runtime] = ["m.onnx", "a.png", "ort"].map(str::to_owned);
        NetworkCheck {
            model,
            image,
            runtime,
            repeat_difference,
            response,
            correlation,
            size_difference: None,
        }
    }

    fn codes(network_checks: Vec<NetworkCheck>, clean: Vec<Clean>) -> Vec<&'static str> {
        let measured = Measured { network_checks, clean, ..Measured::default() };
        of(&Report { measured, ..report() }).into_iter().map(|it| it.code).collect()
    }

    #[test]
    fn what_is_no_network_or_a_random_one_is_an_alarm() {
        assert_eq!(codes(vec![check(0.0, 1.0, 0.99), check(1e-6, 0.3, 0.0)], vec![]), [""; 0]);
        assert_eq!(codes(vec![check(0.0, 1.0, 0.99), check(0.0, 0.0, 0.0)], vec![]), ["no-upscale"]);
        assert_eq!(codes(vec![check(0.0, 0.01, 0.99)], vec![]), ["no-upscale"], "nearly constant");
        assert_eq!(codes(vec![check(0.1, 1.0, 0.99)], vec![]), ["not-repeatable"]);
        assert_eq!(codes(vec![check(f64::NAN, 1.0, 0.99)], vec![]), ["not-repeatable"]);
    }

    #[test]
    fn another_network_for_whole_images_is_an_alarm() {
        let sized = |size_difference| NetworkCheck { size_difference, ..check(0.0, 1.0, 0.99) };
        assert_eq!(codes(vec![sized(None), sized(Some(0.6))], vec![]), [""; 0]);
        assert_eq!(codes(vec![sized(None), sized(Some(0.94))], vec![]), ["size-dependent"]);
        assert_eq!(codes(vec![sized(Some(f64::MAX))], vec![]), ["size-dependent"], "not finite");
    }

    #[test]
    fn a_network_that_its_size_settles_is_an_alarm_on_every_runtime() {
        let branching = crate::report::ModelInfo { branches_on_size: true, ..model("m.onnx", &[]) };
        let report = Report { models: vec![branching], ..report() };
        let found = of(&report);
        assert_eq!(found.len(), report.runtimes.len());
        assert!(found.iter().all(|it| it.code == "branches-on-size" && it.level == Level::Alarm));
    }

    #[test]
    fn a_perceptual_network_passes_and_one_far_below_bicubic_does_not() {
        let clean = |psnr| Clean {
            model: "m.onnx".into(),
            image: "a.png".into(),
            runtime: "ort".into(),
            psnr,
            ssim: 0.8,
            bicubic_psnr: 28.42,
            bicubic_ssim: 0.81,
        };
        assert_eq!(codes(vec![], vec![clean(27.65)]), [""; 0]);
        assert_eq!(codes(vec![], vec![clean(20.0)]), ["below-bicubic"]);
    }
}
