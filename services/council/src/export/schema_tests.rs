#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The published schema against what is written: the words of JSON Schema that it uses, and no others.

use super::tests::{rendered, review, story};
use remit_api::council::v1::ExportFormat;
use serde_json::Value;

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema has the type {other}"),
    }
}

/// Where a value does not match its schema.
fn flaws(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                found.extend(flaws(root, root.pointer(pointer).expect(pointer), value, at));
            }
            "anyOf" => {
                let tried: Vec<_> = rule.as_array().unwrap().iter().map(|one| flaws(root, one, value, at)).collect();
                if tried.iter().all(|flaws| !flaws.is_empty()) {
                    found.push(format!("{at} is none of its forms: {tried:?}"));
                }
            }
            "type" if !is(value, rule.as_str().unwrap()) => found.push(format!("{at} is no {rule}: {value}")),
            "const" if value != rule => found.push(format!("{at} is {value}, not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => found.push(format!("{at} is {value}: {rule}")),
            "pattern" if !remit_core::digest::is_digest(value.as_str().unwrap()) => {
                found.push(format!("{at}: {value}"))
            }
            "required" => {
                let missing =
                    rule.as_array().unwrap().iter().filter(|name| value.get(name.as_str().unwrap()).is_none());
                found.extend(missing.map(|name| format!("{at} lacks {name}")));
            }
            "properties" => {
                let given =
                    rule.as_object().unwrap().iter().filter_map(|(name, rule)| Some((name, rule, value.get(name)?)));
                found.extend(given.flat_map(|(name, rule, value)| flaws(root, rule, value, &format!("{at}.{name}"))));
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                found.extend(items.flat_map(|(n, value)| flaws(root, rule, value, &format!("{at}[{n}]"))));
            }
            "type" | "const" | "enum" | "pattern" | "$schema" | "title" | "description" | "$defs" => {}
            other => panic!("{at}: the schema uses {other}, which is not looked at here"),
        }
    }
    found
}

#[test]
fn what_is_written_is_what_the_published_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../../../docs/review-pack.schema.json")).unwrap();
    let story = story();
    let review = review(&story);
    let written: Value = serde_json::from_str(&rendered(&story, &review, ExportFormat::Json)).unwrap();
    assert_eq!(flaws(&schema, &schema, &written, "pack"), Vec::<String>::new());
    for (path, wrong) in [("/pack_digest", "sha256:0"), ("/schema", "other"), ("/pack/evidence/header/complete", "yes")]
    {
        let mut other = written.clone();
        *other.pointer_mut(path).unwrap() = wrong.into();
        assert!(!flaws(&schema, &schema, &other, "pack").is_empty(), "{path}");
    }
}
