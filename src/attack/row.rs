//! What an attack is: a row of the table in `methods`, and how such a row is carried out.
//!
//! Whoever asks what may be concluded from an attack's numbers, how many calls it makes or what a flag's help
//! says of it asks its row. Deliberately absent: names of attacks.

use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};

use super::ball::Ball;
use super::goal::Goal;
use super::kind::AttackKind;
use super::landscape::Landscape;
use super::search::{Search, search};
use super::settings::Settings;
use super::template::{AttackError, Attacked, OnStep, Steps, climb};

/// One of the attacks there are; [`Attack::all`] lists them.
#[derive(Clone, Copy)]
pub struct Attack(pub(super) &'static Row);

/// What there is to know of an attack.
pub struct Row {
    /// The name on the command line and in reports.
    pub name: &'static str,
    /// The name that its random numbers are seeded with: its own, but for an ensemble that of its first member.
    pub stream: &'static str,
    /// What evidence its numbers are.
    pub kind: AttackKind,
    /// Whether starts or draws are random, so that more of them may find more.
    pub restarts: bool,
    /// Whether its steps add up to several budgets, so that what the last ones win says whether more would win
    /// more. Steps that just reach the border with the last one win as much with each.
    pub converges: bool,
    /// What it maximises.
    pub maximises: Maximises,
    /// Calls of a model per start.
    pub calls: Calls,
    /// What it does, in half a line.
    pub help: &'static str,
    /// How it goes about it.
    pub method: Method,
}

/// What an attack maximises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maximises {
    /// The objective that was asked for.
    Chosen,
    /// Eq. (13) on feature maps, whatever was asked for.
    Features,
    /// The L2 distance to S(x0), whatever was asked for.
    Distance,
}

/// How often one start asks for a gradient, or for a forward pass where the attack needs no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Once.
    Once,
    /// So many times for each of [`Settings::iterations`].
    Iterations(usize),
    /// [`Settings::queries`] times.
    Queries,
    /// So many times for each of [`Settings::iterations`], and [`Settings::queries`] forward passes; each of the
    /// members that may be left out takes one of these times.
    Ensemble {
        /// Gradients for each iteration of the members that stay.
        times: usize,
        /// Members that can be left out, those first that cost the least strength. Each takes half of the iterations.
        dispensable: &'static [&'static str],
    },
}

/// The loop that an attack runs in.
pub enum Method {
    /// [`climb`], with these steps.
    Climb(fn(&Ball, &Settings) -> Box<dyn Steps>),
    /// [`search`], with these proposals.
    Search(fn(&Ball, &Settings) -> Box<dyn Search>),
    /// A loop of its own.
    Own(Own),
}

/// Attacks one image.
pub type Own = fn(
    &mut dyn Landscape,
    &Goal,
    &Settings,
    &mut ChaCha8Rng,
    &mut OnStep<'_>,
) -> Result<Attacked, AttackError>;

impl Attack {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whose random numbers it draws: its own, or those of an ensemble's first member.
    pub fn stream(self) -> &'static str {
        self.0.stream
    }

    /// What evidence its numbers are.
    pub fn kind(self) -> AttackKind {
        self.0.kind
    }

    /// What it does, in half a line.
    pub fn help(self) -> &'static str {
        self.0.help
    }

    /// What it maximises.
    pub fn maximises(self) -> Maximises {
        self.0.maximises
    }

    /// Whether it follows gradients, which must be trusted then.
    pub fn needs_gradient(self) -> bool {
        self.kind().needs_gradient()
    }

    /// Whether its objective is that of features, whatever else is asked for.
    pub fn needs_tap(self) -> bool {
        self.maximises() == Maximises::Features
    }

    /// Whether it looks for the smallest perturbation, whatever the budget, and only away from S(x0).
    pub fn is_minimal(self) -> bool {
        self.kind() == AttackKind::Minimal
    }

    /// Whether its starts or draws are random, so that more of them may find more.
    pub fn restarts(self) -> bool {
        self.0.restarts
    }

    /// Whether its last steps say if more of them would win more.
    pub fn converges(self) -> bool {
        self.0.converges
    }

    /// Whether its number of calls is that of [`Settings::queries`].
    pub fn is_counted_in_queries(self) -> bool {
        matches!(self.0.calls, Calls::Queries | Calls::Ensemble { .. })
    }

    /// The members of an ensemble that can be left out, those first that cost the least strength.
    pub fn dispensable(self) -> &'static [&'static str] {
        match self.0.calls {
            Calls::Ensemble { dispensable, .. } => dispensable,
            _ => &[],
        }
    }

    /// The members that are left out by these settings.
    pub fn left_out(self, settings: &Settings) -> &'static [&'static str] {
        let members = self.dispensable();
        &members[..settings.left_out.min(members.len())]
    }

    /// How often `on_step` is called for one image at most: gradients, or points tried.
    pub fn steps(self, settings: &Settings) -> u64 {
        (self.starts(settings) * self.calls(settings)) as u64
    }

    fn starts(self, settings: &Settings) -> usize {
        if self.restarts() { settings.restarts.max(1) } else { 1 }
    }

    fn calls(self, settings: &Settings) -> usize {
        match self.0.calls {
            Calls::Once => 1,
            Calls::Iterations(times) => times * settings.iterations,
            Calls::Queries => settings.queries,
            Calls::Ensemble { times, .. } => {
                let halves = self.dispensable().len() - self.left_out(settings).len();
                times * settings.iterations + halves * settings.iterations.div_ceil(2) + settings.queries
            }
        }
    }

    /// The settings that matter to it, the others at their defaults: two that are equal give equal results.
    pub fn settings(self, all: &Settings) -> Settings {
        let default = Settings::default();
        let iterates = matches!(self.0.calls, Calls::Iterations(_) | Calls::Ensemble { .. });
        Settings {
            iterations: if iterates { all.iterations } else { default.iterations },
            restarts: if self.restarts() { all.restarts } else { default.restarts },
            queries: if self.is_counted_in_queries() { all.queries } else { default.queries },
            left_out: self.left_out(all).len(),
            ..all.clone()
        }
    }

    /// Attacks images of one shape, each as if it were alone, with random numbers of its own.
    ///
    /// `landscape` answers for the objective that the attack maximises. The results lie in their balls as far
    /// as the attack knows; who ordered it checks.
    ///
    /// # Errors
    /// What the landscape refuses, and an interruption.
    pub fn run(
        self,
        landscape: &mut dyn Landscape,
        goals: &[&Goal],
        settings: &Settings,
        rngs: &mut [ChaCha8Rng],
        on_step: &mut OnStep<'_>,
    ) -> Result<Vec<Attacked>, AttackError> {
        match self.0.method {
            Method::Climb(steps) => {
                let each = Settings {
                    iterations: self.calls(settings),
                    restarts: self.starts(settings),
                    ..settings.clone()
                };
                climb(&|goal| steps(&goal.ball, settings), landscape, goals, &each, rngs, on_step)
            }
            Method::Search(proposals) => {
                let points = self.steps(settings) as usize;
                let make = |goal: &Goal| proposals(&goal.ball, settings);
                search(&make, landscape, goals, settings, points, rngs, on_step)
            }
            Method::Own(attack) => {
                let each = goals.iter().zip(rngs);
                each.map(|(goal, rng)| attack(landscape, goal, settings, rng, on_step)).collect()
            }
        }
    }

    /// Attacks one image.
    ///
    /// # Errors
    /// As for [`Self::run`].
    pub fn run_one(
        self,
        landscape: &mut dyn Landscape,
        goal: &Goal,
        settings: &Settings,
        rng: &mut ChaCha8Rng,
        on_step: &mut OnStep<'_>,
    ) -> Result<Attacked, AttackError> {
        let found = self.run(landscape, &[goal], settings, std::slice::from_mut(rng), on_step)?;
        Ok(found.into_iter().next().expect("an attack gives one result per goal"))
    }
}

impl PartialEq for Attack {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Attack {}

impl std::fmt::Debug for Attack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Attack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_matter_to_an_attack_do_not_count() {
        let plain = Settings::default();
        let other = Settings { iterations: 7, restarts: 3, queries: 9, ..plain.clone() };
        assert_eq!(Attack::FGSM.settings(&other), plain);
        assert_eq!(Attack::IFGSM.settings(&other), Settings { iterations: 7, ..plain.clone() });
        assert_eq!(Attack::SQUARE.settings(&other), Settings { queries: 9, ..plain.clone() });
        assert_eq!(Attack::RANDOM.settings(&other), Settings { restarts: 3, ..plain.clone() });
        let apgd = Settings { iterations: 7, restarts: 3, ..plain };
        assert_eq!(Attack::APGD.settings(&other), apgd);
    }

    #[test]
    fn settings_and_attacks_have_stable_names_in_files() {
        let json =
            serde_json::to_value((Attack::IFGSM, super::super::Norm::L2, Settings::default())).unwrap();
        let settings = r#"{"iterations":50,"restarts":1,"queries":500,"target_psnr":null,"batch":1}"#;
        let expected: serde_json::Value =
            serde_json::from_str(&format!(r#"["ifgsm","l2",{settings}]"#)).unwrap();
        assert_eq!(json, expected);
    }
}
