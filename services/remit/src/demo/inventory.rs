//! Turns O*NET task statements into a task inventory by a rule that anyone can check.
//!
//! O*NET rates the *context* of an occupation, not single tasks, on `[0, 1]`. The rule:
//!
//! 1. Each context column is rescaled over the occupations of the file, so that the lowest is 0 and
//!    the highest is 1 (the file holds office work only; unscaled, every occupation looks alike).
//! 2. `predictability = 1 + round(4 × mean(degree_of_automation, repetition))`,
//!    `risk = 1 + round(4 × exactness)` (where exactness matters most, an error costs most),
//!    `human_judgment = 1 + round(4 × freedom_to_structure_work)`.
//! 3. The first verb of the statement tells routine work (`Compile`, `Record`, …) from judgment
//!    (`Direct`, `Negotiate`, …): routine raises predictability and lowers risk and judgment by one;
//!    judgment does the reverse for predictability and judgment. All stay within 1 to 5.
//! 4. An occupation without context columns gives no ratings: such a task stays unrated, and unrated
//!    means human.

use super::data::{InventoryTask, Row, open};
use remit_core::{Error, Result};
use std::path::Path;

const CONTEXT: [&str; 4] =
    ["occ_degree_of_automation", "occ_repetition", "occ_exactness", "occ_freedom_to_structure_work"];

const ROUTINE: &[&str] = &[
    "Adjust",
    "Analyze",
    "Arrange",
    "Calculate",
    "Check",
    "Collect",
    "Compile",
    "Compute",
    "Contact",
    "Deliver",
    "Edit",
    "Enter",
    "Execute",
    "Gather",
    "Inspect",
    "Keep",
    "Maintain",
    "Mark",
    "Measure",
    "Monitor",
    "Observe",
    "Obtain",
    "Optimize",
    "Order",
    "Prepare",
    "Process",
    "Record",
    "Review",
    "Schedule",
    "Track",
    "Update",
    "Verify",
];
const JUDGMENT: &[&str] = &[
    "Advise",
    "Collaborate",
    "Conceptualize",
    "Confer",
    "Consult",
    "Coordinate",
    "Determine",
    "Develop",
    "Devise",
    "Direct",
    "Establish",
    "Evaluate",
    "Explain",
    "Formulate",
    "Initiate",
    "Manage",
    "Negotiate",
    "Plan",
    "Recommend",
    "Represent",
    "Resolve",
    "Solicit",
    "Supervise",
];

struct Statement {
    task: InventoryTask,
    context: Option<[f64; 4]>,
    verb: String,
}

/// Reads the O*NET extract at `path`.
///
/// # Errors
/// `NotFound` if the file is missing; `InvalidArgument` naming line and column if a row cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<InventoryTask>> {
    let mut reader = csv::Reader::from_reader(open(path)?);
    let unreadable = |e: csv::Error| Error::invalid("DATA_FILE_UNREADABLE", path.display().to_string(), e.to_string());
    let headers = reader.headers().map_err(unreadable)?.clone();
    let mut statements = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        statements.push(read_statement(&Row { path, headers: &headers, record: &record })?);
    }
    let ranges = ranges(&statements);
    Ok(statements.into_iter().map(|statement| rate(statement, &ranges)).collect())
}

fn read_statement(row: &Row<'_>) -> Result<Statement> {
    let mut context = [0.0; 4];
    let mut complete = true;
    for (value, column) in context.iter_mut().zip(CONTEXT) {
        if row.text(column)?.is_empty() {
            complete = false;
        } else {
            *value = row.parse(column)?;
        }
    }
    let statement = row.text("statement")?;
    let occupation = row.text("occupation")?;
    let core = row.text("task_type")? == "Core";
    let function = function_of(occupation, statement);
    let verb: String = statement.chars().take_while(|c| c.is_alphabetic()).collect();
    Ok(Statement {
        task: InventoryTask {
            id: format!("onet-{}", row.text("task_id")?),
            title: statement.chars().take(200).collect(),
            function: function.to_owned(),
            // O*NET names no frequency in this extract: core tasks are taken as daily work of half an
            // hour, the others as weekly work of an hour.
            frequency_per_week: if core { 5.0 } else { 1.0 },
            minutes_per_instance: if core { 30.0 } else { 60.0 },
            complexity: if JUDGMENT.contains(&verb.as_str()) { 4 } else { 3 },
            ratings: None,
            brand_impacting: function == "brand_building",
            reserved_category: reserved(statement),
            execution_kind: match occupation {
                "Advertising Sales Agents" | "Sales Managers" | "Fundraisers" | "Fundraising Managers" => "RELATIONAL",
                "Public Relations Managers" | "Poets, Lyricists and Creative Writers" => "CUMULATIVE",
                _ => "STRUCTURED",
            },
            // The functions that the sources call confirmed (S113) count as piloted, the others do not.
            pilot_evidence: matches!(function, "paid_media" | "software"),
        },
        context: complete.then_some(context),
        verb,
    })
}

/// The function of S113 that an occupation works in, refined where the statement says more.
fn function_of(occupation: &str, statement: &str) -> &'static str {
    let text = statement.to_lowercase();
    if text.contains("e-mail") || text.contains("email") || text.contains("newsletter") {
        return "email_crm_lifecycle";
    }
    match occupation {
        "Search Marketing Strategists" => "organic_seo",
        "Market Research Analysts and Marketing Specialists" => "analytics",
        "Advertising and Promotions Managers" | "Graphic Designers" => "paid_media",
        "Advertising Sales Agents" | "Sales Managers" | "Telemarketers" | "Fundraisers" | "Fundraising Managers" => {
            "b2b_sales"
        }
        "Customer Service Representatives" => "customer_success",
        "Technical Writers" => "software",
        _ => "brand_building",
    }
}

/// The reserved category (S18–S22) that a statement falls into, empty for none.
fn reserved(statement: &str) -> &'static str {
    let text = statement.to_lowercase();
    if text.contains("crisis") || text.contains("emergenc") || text.contains("complaint") {
        "UNSTRUCTURED_PROBLEM"
    } else if text.contains("negotiat") || text.contains("executive") || text.contains("pricing strateg") {
        "STAKEHOLDER_MANAGEMENT"
    } else if text.contains("strateg") && (text.contains("brand") || text.contains("market")) {
        "POSITIONING"
    } else {
        ""
    }
}

fn ranges(statements: &[Statement]) -> [(f64, f64); 4] {
    let mut ranges = [(f64::INFINITY, f64::NEG_INFINITY); 4];
    for context in statements.iter().filter_map(|statement| statement.context) {
        for (range, value) in ranges.iter_mut().zip(context) {
            *range = (range.0.min(value), range.1.max(value));
        }
    }
    ranges
}

fn rate(statement: Statement, ranges: &[(f64, f64); 4]) -> InventoryTask {
    let Statement { mut task, context, verb } = statement;
    task.ratings = context.map(|context| {
        let mut scaled = [0.0; 4];
        for ((out, value), (low, high)) in scaled.iter_mut().zip(context).zip(ranges) {
            *out = if high > low { (value - low) / (high - low) } else { 0.5 };
        }
        let [automation, repetition, exactness, freedom] = scaled;
        let (routine, judgment) = (ROUTINE.contains(&verb.as_str()), JUDGMENT.contains(&verb.as_str()));
        let shift = f64::from(i8::from(routine) - i8::from(judgment));
        let rating = |scaled: f64, shift: f64| (1.0 + (4.0 * scaled).round() + shift).clamp(1.0, 5.0) as u8;
        [
            rating((automation + repetition) / 2.0, shift),
            rating(exactness, if routine { -1.0 } else { 0.0 }),
            rating(freedom, -shift),
        ]
    });
    task
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn ratings_follow_the_rule_and_missing_context_gives_none() {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        writeln!(file, "task_id,occupation_code,occupation,task_type,statement,{}", CONTEXT.join(",")).unwrap();
        writeln!(file, "1,x,Telemarketers,Core,Record names.,0.52,0.88,0.65,0.61").unwrap();
        writeln!(file, "2,x,Writers and Authors,Core,Plan a story.,0.12,0.29,0.89,0.95").unwrap();
        writeln!(file, "3,x,Fundraising Managers,,Plan events.,,,,").unwrap();
        let tasks = read(file.path()).unwrap();
        assert_eq!(tasks[0].ratings, Some([5, 1, 1]));
        assert_eq!(tasks[1].ratings, Some([1, 5, 5]));
        assert_eq!(tasks[2].ratings, None);
    }
}
