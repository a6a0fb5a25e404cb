//! How suitable a function is for AI: the union of four signals, the first of which is a gate (A22, S117).

/// Whether a signal holds; `None` is not known and counts as not held.
pub type Signal = Option<bool>;

/// The verdict on a function, as conditions name it: `LOW` if the gate does not hold, `HIGH` if it holds and at
/// least two of the other three signals do, else `MEDIUM`.
pub fn verdict(compressible: Signal, others: [Signal; 3]) -> &'static str {
    match (compressible == Some(true), others.iter().filter(|signal| **signal == Some(true)).count()) {
        (false, _) => "LOW",
        (true, 2..) => "HIGH",
        (true, _) => "MEDIUM",
    }
}

/// A function that every tenant starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// The id.
    pub id: &'static str,
    /// The title.
    pub title: &'static str,
    /// Signal 1, the gate: execution is high-volume, structured, compressible.
    pub compressible: Signal,
    /// Signals 2 to 4: tooling adopted, senior strategy role, market premium.
    pub others: [Signal; 3],
    /// How far tools have come.
    pub maturity: &'static str,
    /// What kind of execution it mostly is.
    pub execution_kind: &'static str,
    /// How well the verdict is supported.
    pub status: &'static str,
    /// `NONE`, `REASONED`, `REPORTED`.
    pub evidence: &'static str,
    /// The source and what the verdict leaves out.
    pub notes: &'static str,
}

const YES: Signal = Some(true);
const NO: Signal = Some(false);

/// The eight functions of the seed's table (S113) and two that nobody has tested (S119). The table gives verdict and
/// status; the single signals are our reading of the text around it, and each tenant can change them.
pub const SEEDS: [Seed; 10] = [
    Seed {
        id: "paid_media",
        title: "Paid media",
        compressible: YES,
        others: [YES, YES, YES],
        maturity: "REAL",
        execution_kind: "STRUCTURED",
        status: "CONFIRMED",
        evidence: "REPORTED",
        notes: "S85, S90, S100, S113",
    },
    Seed {
        id: "influencer_marketing",
        title: "Influencer marketing",
        compressible: YES,
        others: [YES, YES, YES],
        maturity: "PARTIAL",
        execution_kind: "STRUCTURED",
        status: "CONFIRMED",
        evidence: "REPORTED",
        notes: "S85, S89, S100, S113",
    },
    Seed {
        id: "software",
        title: "Software",
        compressible: YES,
        others: [YES, YES, YES],
        maturity: "REAL",
        execution_kind: "STRUCTURED",
        status: "CONFIRMED",
        evidence: "REPORTED",
        notes: "S85, S91, S113",
    },
    Seed {
        id: "analytics",
        title: "Analytics",
        compressible: YES,
        others: [YES, YES, None],
        maturity: "SUBSTANTIAL",
        execution_kind: "STRUCTURED",
        status: "LIKELY",
        evidence: "REASONED",
        notes: "S111, S113: channel choice, allocation and trust in attribution stay human",
    },
    Seed {
        id: "email_crm_lifecycle",
        title: "Email, CRM and lifecycle",
        compressible: YES,
        others: [YES, YES, None],
        maturity: "SUBSTANTIAL",
        execution_kind: "STRUCTURED",
        status: "LIKELY",
        evidence: "REASONED",
        notes: "S100, S113",
    },
    Seed {
        id: "organic_seo",
        title: "Organic search",
        compressible: YES,
        others: [YES, YES, None],
        maturity: "PARTIAL",
        execution_kind: "STRUCTURED",
        status: "MOVING",
        evidence: "REASONED",
        notes: "S100, S113: high for ranking, mixed for citation by AI",
    },
    Seed {
        id: "b2b_sales",
        title: "B2B sales",
        compressible: YES,
        others: [YES, NO, None],
        maturity: "PARTIAL",
        execution_kind: "STRUCTURED",
        status: "WEAKLY",
        evidence: "REASONED",
        notes: "S113, S116: prospecting is augmented; the relationship-carrying role is not, mark its tasks RELATIONAL",
    },
    Seed {
        id: "brand_building",
        title: "Brand building",
        compressible: NO,
        others: [NO, YES, None],
        maturity: "ANNOUNCED",
        execution_kind: "CUMULATIVE",
        status: "NOT_ON_CURVE",
        evidence: "REASONED",
        notes: "S106, S113, S115: AI may draft assets",
    },
    Seed {
        id: "customer_success",
        title: "Customer success",
        compressible: YES,
        others: [None, None, None],
        maturity: "UNKNOWN",
        execution_kind: "STRUCTURED",
        status: "UNTESTED",
        evidence: "NONE",
        notes: "S119: which accounts to save is RELATIONAL",
    },
    Seed {
        id: "revenue_operations",
        title: "Revenue operations",
        compressible: YES,
        others: [None, None, None],
        maturity: "UNKNOWN",
        execution_kind: "STRUCTURED",
        status: "UNTESTED",
        evidence: "NONE",
        notes: "S119",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of S113, row by row.
    #[test]
    fn the_seeded_functions_come_out_as_the_seed_says() {
        let table = [
            ("paid_media", "HIGH", "CONFIRMED"),
            ("influencer_marketing", "HIGH", "CONFIRMED"),
            ("software", "HIGH", "CONFIRMED"),
            ("analytics", "HIGH", "LIKELY"),
            ("email_crm_lifecycle", "HIGH", "LIKELY"),
            ("organic_seo", "HIGH", "MOVING"),
            ("b2b_sales", "MEDIUM", "WEAKLY"),
            ("brand_building", "LOW", "NOT_ON_CURVE"),
            ("customer_success", "MEDIUM", "UNTESTED"),
            ("revenue_operations", "MEDIUM", "UNTESTED"),
        ];
        assert_eq!(SEEDS.map(|seed| (seed.id, verdict(seed.compressible, seed.others), seed.status)), table);
    }

    #[test]
    fn the_first_signal_is_a_gate() {
        assert_eq!(verdict(NO, [YES; 3]), "LOW");
        assert_eq!(verdict(None, [YES; 3]), "LOW");
    }
}
