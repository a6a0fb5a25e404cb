//! The golden cases of a policy file.

use super::model::{GoldenCase, Policy};

/// How one golden case came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// What differs from the file; empty if nothing does.
    pub difference: String,
}

impl CaseResult {
    /// Whether everything came out as the file says.
    pub fn passed(&self) -> bool {
        self.difference.is_empty()
    }
}

impl Policy {
    /// Runs the golden cases of the file, in order.
    pub fn run_cases(&self) -> Vec<CaseResult> {
        self.file.cases.iter().map(|case| CaseResult { name: case.name.clone(), difference: self.run(case) }).collect()
    }

    fn run(&self, case: &GoldenCase) -> String {
        let found = match self.evaluate(&case.given) {
            Ok(found) => found,
            Err(error) => return format!("not evaluated: {error}"),
        };
        let mut differences = Vec::new();
        let mut expect = |what: &str, wanted: Option<String>, found: String| {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
                differences.push(format!("{what} is {found}, expected {wanted}"));
            }
        };
        let list = |ids: Vec<&str>| format!("[{}]", ids.join(", "));
        let texts = |ids: &Vec<String>| list(ids.iter().map(String::as_str).collect());
        expect("pattern", case.pattern.map(|p| p.as_str().into()), found.pattern.as_str().into());
        expect("base_pattern", case.base_pattern.map(|p| p.as_str().into()), found.base_pattern.as_str().into());
        expect("band", case.band.clone(), found.band.clone());
        expect("score", case.score.map(|s| s.to_string()), found.score.to_string());
        expect("notes", case.notes.as_ref().map(texts), texts(&found.notes));
        expect("caps", case.caps.as_ref().map(texts), list(found.caps.iter().map(|cap| cap.id.as_str()).collect()));
        expect(
            "rules",
            case.rules.as_ref().map(texts),
            list(found.rules.iter().map(|rule| rule.id.as_str()).collect()),
        );
        differences.join("; ")
    }
}
