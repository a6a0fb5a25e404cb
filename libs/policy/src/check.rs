//! The rules of a policy file that its types alone cannot say; conditions are checked as they are compiled.

use super::evaluate::{CLAIMED_CAP, CLAIMED_TAGS_CAP};
use super::model::{Otherwise, PolicyFile, invalid};
use remit_core::{Result, name};
use std::collections::BTreeSet;

pub(crate) fn check(file: &PolicyFile) -> Result<()> {
    let id = |field: &str, text: &str| {
        if name::is_id(text) {
            Ok(())
        } else {
            Err(invalid(field, "must be 1 to 100 of letters, digits, '.', '_', '-'"))
        }
    };
    let bound = |field: &str, n: usize, from: usize, to: usize| {
        if (from..=to).contains(&n) {
            Ok(())
        } else {
            Err(invalid(field, format!("must be from {from} to {to}, not {n}")))
        }
    };
    id("policy", &file.policy)?;
    id("version", &file.version)?;
    bound("title (length)", file.title.chars().count(), 1, 200)?;
    bound("reading (length)", file.reading.chars().count(), 0, 2000)?;
    if file.review_by.parse::<jiff::civil::Date>().is_err() {
        return Err(invalid("review_by", "must be a day such as 2027-06-30"));
    }
    bound("backtest_max_age_days", file.backtest_max_age_days as usize, 1, 365)?;
    bound("axes (count)", file.axes.len(), 1, 6)?;
    bound("bands (count)", file.bands.len(), 0, 20)?;
    bound("caps (count)", file.caps.len(), 0, 100)?;
    bound("notes (count)", file.notes.len(), 0, 50)?;
    bound("cases (count)", file.cases.len(), 0, 1000)?;
    axes(file)?;
    bands(file)?;
    let mut seen = BTreeSet::new();
    let mut unique = |field: String, text: &str| {
        id(&field, text)?;
        if [CLAIMED_CAP, CLAIMED_TAGS_CAP].contains(&text) {
            return Err(invalid(field, format!("{text} is the cap that every policy has: choose another id")));
        }
        if seen.insert(text.to_owned()) { Ok(()) } else { Err(invalid(field, format!("{text} is used twice"))) }
    };
    if let Some(table) = &file.table {
        bound("table.rules (count)", table.rules.len(), 1, 200)?;
        for (i, rule) in table.rules.iter().enumerate() {
            unique(format!("table.rules[{i}].id"), &rule.id)?;
            requires(&format!("table.rules[{i}].requires"), &rule.requires)?;
        }
    }
    for (i, cap) in file.caps.iter().enumerate() {
        unique(format!("caps[{i}].id"), &cap.id)?;
        requires(&format!("caps[{i}].requires"), &cap.requires)?;
        bound(&format!("caps[{i}].reason (length)"), cap.reason.chars().count(), 1, 500)?;
    }
    if let Some(sampling) = &file.sampling {
        let Some(axis) = file.axes.iter().find(|axis| axis.name == sampling.axis) else {
            return Err(invalid("sampling.axis", "must be one of the axes"));
        };
        for rating in axis.lowest..=axis.highest {
            if !sampling.ratios.get(&rating).is_some_and(|ratio| (0..=1000).contains(&ratio.0)) {
                return Err(invalid(format!("sampling.ratios.{rating}"), "must be given, from 0 to 1"));
            }
        }
    }
    for (i, case) in file.cases.iter().enumerate() {
        case.given.validate().map_err(|error| invalid(format!("cases[{i}].given"), error.message()))?;
    }
    Ok(())
}

fn axes(file: &PolicyFile) -> Result<()> {
    let mut names = BTreeSet::new();
    for (i, axis) in file.axes.iter().enumerate() {
        let well_formed = axis.name.len() <= 40
            && axis.name.starts_with(|c: char| c.is_ascii_lowercase())
            && axis.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let reserved = super::input::VARIABLES.iter().any(|variable| variable.name == axis.name)
            || ["true", "false", "null", "in"].contains(&axis.name.as_str());
        if !well_formed || reserved {
            let why = "must be a lower-case name of at most 40 letters, digits and '_' that no other variable has";
            return Err(invalid(format!("axes[{i}].name"), why));
        }
        if !names.insert(&axis.name) {
            return Err(invalid(format!("axes[{i}].name"), format!("{} is used twice", axis.name)));
        }
        if !(1..=1_000_000).contains(&axis.weight.0) {
            return Err(invalid(format!("axes[{i}].weight"), "must be from 0.001 to 1000"));
        }
        if axis.lowest < 1 || axis.highest > 5 || axis.lowest >= axis.highest {
            return Err(invalid(format!("axes[{i}].lowest"), "the scale must lie within 1 and 5 and have two values"));
        }
    }
    Ok(())
}

fn bands(file: &PolicyFile) -> Result<()> {
    let needed = file.table.as_ref().is_none_or(|table| table.otherwise == Some(Otherwise::Bands));
    if needed && file.bands.is_empty() {
        return Err(invalid("bands", "are needed unless a table with another default decides"));
    }
    let mut names = BTreeSet::new();
    for (i, band) in file.bands.iter().enumerate() {
        if !name::is_id(&band.name) || !names.insert(&band.name) {
            return Err(invalid(format!("bands[{i}].name"), "must be a unique name"));
        }
        if (band.above.is_some() && band.at_least.is_some()) || (band.at_most.is_some() && band.below.is_some()) {
            return Err(invalid(format!("bands[{i}]"), "has two lower or two upper bounds"));
        }
    }
    Ok(())
}

fn requires(field: &str, items: &[String]) -> Result<()> {
    let well_formed = |text: &String| {
        (1..=60).contains(&text.len()) && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    if items.len() <= 20 && items.iter().all(well_formed) {
        Ok(())
    } else {
        Err(invalid(field, "must be at most 20 codes of A-Z, 0-9 and '_'"))
    }
}
