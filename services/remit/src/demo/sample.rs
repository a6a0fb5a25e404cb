//! The bundled sample, for when no real data is there: made by a seeded generator, the same on every machine.
//!
//! Leads: twelve months of 2024 with the columns of the real file. The market turns twice: scores of
//! version 1 hold until April and then drift, version 2 (baseline June and July) holds until August,
//! version 3 (baseline September and October) holds to the end. April has 40 leads, too few to judge.
//!
//! Inventory: 320 tasks after S64–S66: 134 of them (42%) routine content and tagging, 115 (36%) fit to
//! be automated, with about 1,200 hours a year in those.

use super::data::{Baseline, Data, InventoryTask, Lead, spread_over_months};
use jiff::civil::date;
use remit_core::Timestamp;

const SEED: u64 = 0x5eed_0004;
const LEADS_PER_MONTH: [usize; 12] = [520, 480, 610, 40, 450, 560, 530, 470, 600, 510, 490, 440];
/// The exponent that bends a uniform draw in each month: 1 is the baseline, below 1 scores pile up high.
const BEND: [[f64; 12]; 3] = [
    [1.0, 1.0, 1.0, 1.0, 0.75, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4],
    [1.6, 1.6, 1.6, 1.6, 1.3, 1.0, 1.0, 0.75, 0.4, 0.4, 0.4, 0.4],
    [2.2, 2.2, 2.2, 2.2, 2.0, 1.8, 1.8, 1.4, 1.0, 1.0, 1.0, 1.0],
];

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same bits on every platform and version.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A draw from the open interval (0, 1).
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[(self.next() % from.len() as u64) as usize]
    }
}

/// The sample.
pub(super) fn data() -> Data {
    let leads = leads();
    let tasks = tasks();
    Data {
        source: format!("{} leads and {} tasks of the bundled sample", leads.len(), tasks.len()),
        leads,
        tasks,
        baselines: [
            Baseline { first: date(2024, 1, 1), last: date(2024, 3, 1) },
            Baseline { first: date(2024, 6, 1), last: date(2024, 7, 1) },
            Baseline { first: date(2024, 9, 1), last: date(2024, 10, 1) },
        ],
    }
}

fn leads() -> Vec<Lead> {
    let mut random = SplitMix64(SEED);
    let mut leads = Vec::new();
    for (month_index, count) in LEADS_PER_MONTH.into_iter().enumerate() {
        for _ in 0..count {
            // Rounded as the real file is, so that the text of a number is the number.
            let scores = BEND.map(|bend| (random.unit().powf(bend[month_index]) * 1e6).round() / 1e6);
            let unknown = [0.0, 0.0, 1.0][(random.next() % 3) as usize];
            // The version that fits the month is the one whose scores predict the outcome.
            let fitting = scores[match month_index {
                0..=4 => 0,
                5..=7 => 1,
                _ => 2,
            }];
            leads.push(Lead {
                id: format!("lead-{:05}", leads.len() + 1),
                month: date(2024, 1 + month_index as i8, 1),
                contacted_at: Timestamp::default(),
                call_seconds: 30 + (random.unit() * 600.0) as u32,
                converted: random.unit() < 0.04 + 0.3 * fitting * fitting,
                scores,
                enrichment_confidence: 1.0 - 0.15 * unknown,
                personal: vec![
                    ("age", (20 + random.next() % 45).to_string()),
                    ("job", random.pick(&["admin.", "technician", "services", "management", "retired"]).to_owned()),
                    ("marital", random.pick(&["single", "married", "divorced"]).to_owned()),
                    ("education", random.pick(&["basic", "high.school", "university.degree"]).to_owned()),
                ],
            });
        }
    }
    spread_over_months(&mut leads);
    leads
}

/// One kind of task in the sample inventory.
struct Kind {
    count: usize,
    title: &'static str,
    function: &'static str,
    ratings: [u8; 3],
    per_week: f64,
    minutes: f64,
    complexity: u8,
    reserved_category: &'static str,
    execution_kind: &'static str,
}

/// A row of the table below: count, title, function, ratings, frequency, minutes and complexity.
const fn routine(
    count: usize,
    title: &'static str,
    function: &'static str,
    ratings: [u8; 3],
    per_week: f64,
    minutes: f64,
) -> Kind {
    Kind {
        count,
        title,
        function,
        ratings,
        per_week,
        minutes,
        complexity: 1,
        reserved_category: "",
        execution_kind: "STRUCTURED",
    }
}

/// Work of three hours every other week that stays with people.
const fn human(
    count: usize,
    title: &'static str,
    function: &'static str,
    ratings: [u8; 3],
    reserved_category: &'static str,
    execution_kind: &'static str,
) -> Kind {
    Kind { complexity: 5, reserved_category, execution_kind, ..routine(count, title, function, ratings, 0.5, 180.0) }
}

const KINDS: &[Kind] = &[
    // Routine content and tagging, 134 in all (S65): 45 + 25 are fit to be automated.
    routine(45, "Ad creative variant", "paid_media", [5, 1, 1], 6.0, 2.0),
    routine(25, "Campaign tagging and naming", "analytics", [5, 2, 1], 12.0, 1.0),
    routine(64, "Landing page and post copy", "organic_seo", [4, 2, 2], 2.0, 20.0),
    // Enrichment and reporting, with the two above 115 automated (S66).
    routine(20, "Lead enrichment", "email_crm_lifecycle", [4, 1, 1], 4.0, 3.0),
    routine(25, "Operational report", "analytics", [4, 2, 1], 3.0, 4.0),
    // Work with a person in the loop.
    routine(36, "Nurture sequence", "email_crm_lifecycle", [4, 2, 2], 1.0, 45.0),
    routine(24, "Creator outreach list", "influencer_marketing", [4, 1, 4], 1.0, 60.0),
    // Work that stays with people.
    human(20, "Positioning and value proposition", "brand_building", [2, 4, 5], "POSITIONING", "CUMULATIVE"),
    human(16, "White paper or analyst brief", "brand_building", [2, 4, 4], "HIGH_STAKES_CONTENT", "CUMULATIVE"),
    human(12, "Campaign narrative and hero visual", "paid_media", [2, 3, 5], "CREATIVE_DIRECTION", "STRUCTURED"),
    human(15, "Pricing and roadmap discussion", "b2b_sales", [1, 5, 5], "STAKEHOLDER_MANAGEMENT", "RELATIONAL"),
    human(18, "Competitive reaction or crisis", "brand_building", [1, 5, 5], "UNSTRUCTURED_PROBLEM", "STRUCTURED"),
];

fn tasks() -> Vec<InventoryTask> {
    let mut tasks = Vec::new();
    for kind in KINDS {
        for number in 1..=kind.count {
            tasks.push(InventoryTask {
                id: format!("task-{:03}", tasks.len() + 1),
                title: format!("{} {number}", kind.title),
                function: kind.function.to_owned(),
                frequency_per_week: kind.per_week,
                minutes_per_instance: kind.minutes,
                complexity: kind.complexity,
                ratings: Some(kind.ratings),
                brand_impacting: kind.function == "brand_building",
                reserved_category: kind.reserved_category,
                execution_kind: kind.execution_kind,
                pilot_evidence: kind.reserved_category.is_empty(),
            });
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_has_the_numbers_of_the_case_study() {
        let tasks = tasks();
        assert_eq!(tasks.len(), 320);
        assert_eq!(KINDS[..3].iter().map(|kind| kind.count).sum::<usize>(), 134);
        let automated: Vec<_> =
            tasks.iter().filter(|task| task.ratings.is_some_and(|[p, r, h]| p + (6 - r) + (6 - h) > 12)).collect();
        assert_eq!(automated.len(), 115);
        let hours: f64 = automated.iter().map(|t| t.frequency_per_week * t.minutes_per_instance * 52.0 / 60.0).sum();
        assert!((1_150.0..1_250.0).contains(&hours), "{hours}");
    }

    #[test]
    fn the_generator_makes_the_same_leads_every_time() {
        let (a, b) = (leads(), leads());
        assert_eq!(a.len(), LEADS_PER_MONTH.iter().sum::<usize>());
        assert!(a.iter().zip(&b).all(|(a, b)| a.scores == b.scores && a.converted == b.converted));
    }
}
