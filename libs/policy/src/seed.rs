//! The policies that every tenant starts with, from `libs/policy/policies`.

/// The default: the only reading of the seed that keeps its number, its scale and its principles together (A1).
pub const INVERTED_SUM: &str = include_str!("../policies/seed-004-inverted-sum.yaml");
/// The literal reading, kept as the fixture that lint must refuse (A1).
pub const LITERAL_SUM: &str = include_str!("../policies/seed-004-literal-sum.yaml");
