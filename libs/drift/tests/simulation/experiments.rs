//! Made-up experiments.

use super::Chance;
use remit_drift::{Covaried, Sample, Units, adjusted, proportions, ratios};

/// The level of every experiment here.
const ALPHA: f64 = 0.05;
const ONE: i128 = 1_000_000;

/// One look at two shares.
pub fn fixed(chance: &mut Chance, n: u32, control: f64, treatment: f64) -> bool {
    let mut arm =
        |share| Sample { successes: (0..n).filter(|_| chance.uniform() < share).count() as f64, trials: f64::from(n) };
    let (a, b) = (arm(treatment), arm(control));
    proportions(a, b, ALPHA).is_some_and(|found| found.test.p_value < ALPHA)
}

/// Looks at two shares again and again: whether any of them finds a difference.
pub fn anytime(chance: &mut Chance, control: f64, treatment: f64) -> bool {
    let (mut a, mut b) = (Units::default(), Units::default());
    (1..=1_000).any(|n| {
        a.add(if chance.uniform() < treatment { ONE } else { 0 }, ONE);
        b.add(if chance.uniform() < control { ONE } else { 0 }, ONE);
        n % 50 == 0 && remit_drift::anytime(&a, &b, 1_000.0, ALPHA).is_some_and(|found| found.test.p_value < ALPHA)
    })
}

/// Users who differ in how often they click: twenty views of one are one unit.
pub fn clicks(chance: &mut Chance) -> bool {
    let mut arm = || {
        let mut units = Units::default();
        for _ in 0..100 {
            // Beta(1, 4), by its inverse.
            let share = 1.0 - chance.uniform().powf(0.25);
            let clicks = (0..20).filter(|_| chance.uniform() < share).count();
            units.add(clicks as i128 * ONE, 20 * ONE);
        }
        units
    };
    let (a, b) = (arm(), arm());
    ratios(&a, &b, ALPHA).is_some_and(|found| found.test.p_value < ALPHA)
}

/// Units whose value follows what they brought before, with a correlation of the root of 0.8.
pub fn covaried(chance: &mut Chance, n: u32, effect: f64) -> bool {
    let mut arm = |effect: f64| {
        let mut arm = Covaried::default();
        for _ in 0..n {
            let before = chance.normal();
            let value = before.mul_add(0.8f64.sqrt(), chance.normal() * 0.2f64.sqrt()) + effect;
            let fixed = |x: f64| (x * 1e6).round() as i128;
            arm.add(fixed(value), ONE, fixed(before));
        }
        arm
    };
    let (a, b) = (arm(effect), arm(0.0));
    adjusted(&a, &b, ALPHA).is_some_and(|found| found.test.p_value < ALPHA)
}
