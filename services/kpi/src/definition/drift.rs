//! How the drift of a KPI is judged: what its definition says, and what stands for what it does not say.

use crate::conditions::or;
use remit_api::kpi::v1::DriftSettings;
use remit_api::kpi::v1::drift_settings::{Statistic as Named, Worse as Way};
use remit_drift::{Statistic, Thresholds, Worse};

/// The limits of a definition.
pub(crate) fn thresholds(settings: Option<&DriftSettings>) -> Thresholds {
    let given = settings.copied().unwrap_or_default();
    let default = Thresholds::default();
    let statistic = match given.statistic() {
        Named::Psi | Named::Unspecified => Statistic::Psi,
        Named::KolmogorovSmirnov => Statistic::KolmogorovSmirnov,
        Named::JensenShannon => Statistic::JensenShannon,
        Named::WassersteinNormed => Statistic::WassersteinNormed,
        Named::Hellinger => Statistic::Hellinger,
        Named::TotalVariation => Statistic::TotalVariation,
    };
    let (moderate, significant) = statistic.usual();
    Thresholds {
        statistic,
        moderate: or(given.moderate, moderate),
        significant: or(given.significant, significant),
        min_n: u64::try_from(given.min_n).ok().filter(|n| *n > 0).unwrap_or(default.min_n),
        level: or(given.level, default.level),
        worse: match given.worse() {
            Way::Either | Way::Unspecified => Worse::Either,
            Way::Up => Worse::Up,
            Way::Down => Worse::Down,
        },
    }
}

/// Limits as settings, with nothing left to a default.
pub(crate) fn settings(limits: &Thresholds) -> DriftSettings {
    let statistic = match limits.statistic {
        Statistic::Psi => Named::Psi,
        Statistic::KolmogorovSmirnov => Named::KolmogorovSmirnov,
        Statistic::JensenShannon => Named::JensenShannon,
        Statistic::WassersteinNormed => Named::WassersteinNormed,
        Statistic::Hellinger => Named::Hellinger,
        Statistic::TotalVariation => Named::TotalVariation,
    };
    let worse = match limits.worse {
        Worse::Either => Way::Either,
        Worse::Up => Way::Up,
        Worse::Down => Way::Down,
    };
    DriftSettings {
        statistic: statistic.into(),
        moderate: limits.moderate,
        significant: limits.significant,
        level: limits.level,
        min_n: i64::try_from(limits.min_n).unwrap_or(i64::MAX),
        worse: worse.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_usual_value_and_reads_back() {
        assert_eq!(thresholds(None), Thresholds::default());
        for statistic in 0..=6 {
            let known = settings(&thresholds(Some(&DriftSettings { statistic, ..Default::default() })));
            assert!(known.moderate > 0.0 && known.significant > known.moderate && known.min_n == 100, "{statistic}");
            assert_eq!(settings(&thresholds(Some(&known))), known);
        }
    }
}
