//! Whether the settings of a recipe are in range, each by itself.
//!
//! Deliberately absent: whether there is such a network ([`Recipe::network`] tells), and its memory (`memory`).

use super::Recipe;
use crate::density::DensityShape;
use crate::harden::HardenError;

/// More pixels in a batch than any device holds.
const MAX_BATCH_PIXELS: usize = 1 << 28;

impl Recipe {
    /// Checks every setting by itself; whether there is such a network, [`Self::network`] tells.
    ///
    /// # Errors
    /// [`HardenError::Setting`] naming the first that does not hold.
    pub fn check(&self) -> Result<(), HardenError> {
        self.check_numbers()?;
        self.check_adversarial()?;
        self.check_vgg()?;
        self.check_start()?;
        let side = self.patch.checked_mul(self.scale);
        let pixels = side.and_then(|side| side.checked_mul(side)?.checked_mul(self.batch));
        if pixels.is_none_or(|pixels| pixels > MAX_BATCH_PIXELS) {
            let given = format!("{} crops of {}x{} LR pixels", self.batch, self.patch, self.patch);
            return Err(setting("batch", given, "of at most 2^28 HR pixels; use a smaller batch or patch"));
        }
        Ok(())
    }

    fn check_adversarial(&self) -> Result<(), HardenError> {
        if !(0.0..=255.0).contains(&self.adversarial) {
            let must = "from 0 (none) to 255, in 1/255; the paper's is 8";
            return Err(setting("adversarial budget", self.adversarial, must));
        }
        if self.adversarial_steps == 0 {
            return Err(setting("adversarial steps", 0, "at least 1; the paper's is 1"));
        }
        if !(self.adversarial_weight.is_finite() && self.adversarial_weight > 0.0) {
            let must = "a positive number; the paper's is 1, as much as the crops themselves";
            return Err(setting("adversarial weight", self.adversarial_weight, must));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), HardenError> {
        let at_least_1 = [
            ("steps", self.steps),
            ("batch", self.batch as u64),
            ("patch", self.patch as u64),
            ("halve_every", self.halve_every),
        ];
        if let Some((what, given)) = at_least_1.into_iter().find(|(_, value)| *value == 0) {
            return Err(setting(what, given, "at least 1"));
        }
        let zero_is_fine = self.lambda == 0.0;
        if !(self.lambda.is_finite() && (self.lambda > 0.0 || zero_is_fine)) {
            let must = "0 or a positive number; the paper's is 1, and 0.1 for srresnet and srgan";
            return Err(setting("lambda", self.lambda, must));
        }
        let positive = [
            ("delta", self.delta, "a positive number; the paper's is 1"),
            ("noise width", self.noise_width(), "a positive number; without it, it is delta"),
            ("learning rate", self.learning_rate, "a positive number; the paper's is 1e-4"),
            ("init_scale", self.init_scale, "a positive number"),
        ];
        if let Some((what, given, must)) =
            positive.into_iter().find(|(_, value, _)| !(value.is_finite() && *value > 0.0))
        {
            return Err(setting(what, given, must));
        }
        if self.widths.contains(&0) {
            return Err(setting("widths", format!("{:?}", self.widths), "numbers of at least 1"));
        }
        let parameters = self.density().parameters();
        if parameters > DensityShape::MAX_PARAMETERS {
            let given = format!("{:?}, which is {parameters} parameters for every channel", self.widths);
            return Err(setting(
                "widths",
                given,
                "smaller: at most 65536 parameters a channel; the paper's have 43",
            ));
        }
        if !(0.0..1.0).contains(&self.ema) {
            return Err(setting("ema", self.ema, "from 0 (none) up to below 1, such as 0.999"));
        }
        if !(self.clip.is_finite() && self.clip >= 0.0) {
            return Err(setting("clip", self.clip, "0 (none) or a positive number"));
        }
        Ok(())
    }

    /// What is stated of a file to start from goes with such a file.
    fn check_start(&self) -> Result<(), HardenError> {
        match (&self.from, &self.weights) {
            (Some(_), Some(file)) => {
                Err(setting("weights", file.display(), "left out with --from, whose file has weights"))
            }
            (None, _) if !self.interface.is_empty() => {
                let given = toml::to_string(&self.interface).unwrap_or_default().trim().replace('\n', ", ");
                Err(setting("interface", given, "left out: only a file given by --from has one to state"))
            }
            _ => Ok(()),
        }
    }

    fn check_vgg(&self) -> Result<(), HardenError> {
        match (&self.vgg, &self.vgg_tap) {
            (None, None) => Ok(()),
            (Some(_), Some(_)) if self.arch.adversarial() => Ok(()),
            (Some(file), Some(_)) => {
                Err(setting("vgg", file.display(), "left out: only srgan has a content loss on features"))
            }
            (Some(file), None) => Err(setting("vgg", file.display(), "given together with --vgg-tap")),
            (None, Some(tap)) => Err(setting("vgg-tap", tap, "given together with --vgg")),
        }
    }
}

/// A setting outside its range.
pub(super) fn setting(what: &'static str, given: impl ToString, must: &'static str) -> HardenError {
    HardenError::Setting { what, given: given.to_string(), must }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::Arch;

    #[test]
    fn impossible_settings_are_named() {
        let with = |change: fn(&mut Recipe)| {
            let mut recipe = Recipe::default();
            change(&mut recipe);
            recipe.check().and_then(|()| recipe.network().map(drop)).unwrap_err().to_string()
        };
        assert_eq!(
            with(|recipe| recipe.lambda = -1.0),
            "lambda is -1; it must be 0 or a positive number; the paper's is 1, and 0.1 for srresnet and srgan"
        );
        assert!(with(|recipe| recipe.lambda = f64::NAN).starts_with("lambda is NaN"));
        assert!(with(|recipe| recipe.delta = 0.0).starts_with("delta is 0"));
        assert!(with(|recipe| recipe.learning_rate = f64::INFINITY).starts_with("learning rate is inf"));
        assert!(with(|recipe| recipe.ema = 1.0).starts_with("ema is 1"));
        assert!(with(|recipe| recipe.clip = f64::NAN).starts_with("clip is NaN"));
        assert!(with(|recipe| recipe.adversarial = -1.0).starts_with("adversarial budget is -1"));
        assert!(with(|recipe| recipe.adversarial_steps = 0).starts_with("adversarial steps is 0"));
        assert!(with(|recipe| recipe.adversarial_weight = 0.0).starts_with("adversarial weight is 0"));
        assert!(with(|recipe| recipe.batch = 0).starts_with("batch is 0"));
        assert!(with(|recipe| recipe.patch = usize::MAX).starts_with("batch is 16 crops"));
        assert!(with(|recipe| recipe.steps = 0).starts_with("steps is 0"));
        assert!(
            with(|recipe| recipe.interface.layout = Some(crate::interface::Layout::Nhwc))
                .contains("layout = \"nhwc\"")
        );
        let both = |recipe: &mut Recipe| {
            (recipe.from, recipe.weights) = (Some("a.onnx".into()), Some("b.onnx".into()));
        };
        assert!(with(both).starts_with("weights is b.onnx"));
        assert!(with(|recipe| recipe.vgg = Some("a.onnx".into())).ends_with("together with --vgg-tap"));
        assert!(with(|recipe| recipe.vgg_tap = Some("a".into())).starts_with("vgg-tap is a"));
        let (vgg, vgg_tap) = (Some("a.onnx".into()), Some("a".into()));
        let edsr = Recipe { vgg, vgg_tap, ..Recipe::default() };
        assert!(edsr.check().unwrap_err().to_string().contains("only srgan"));
        assert!(Recipe { arch: Arch::Srgan, ..edsr }.check().is_ok());
        assert!(with(|recipe| recipe.widths = vec![3, 0]).starts_with("widths is [3, 0]"));
        assert!(with(|recipe| recipe.noise_width = Some(0.0)).starts_with("noise width is 0"));
        assert!(with(|recipe| recipe.widths = vec![30_000, 30_000]).contains("parameters for every channel"));
        assert!(with(|recipe| recipe.scale = 5).contains("scales 2, 3 and 4"));
    }
}
