//! Reads the rules of `buf.validate`. A rule that the tables cannot say ends the build.

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, OneofDescriptor, Value};

/// A rule, as it is written into a table.
pub enum Rule {
    /// A pattern, which has a static of its own.
    Pattern(String),
    /// Any other: the variant of `table::Rule` with what it holds.
    Other(String),
}

/// The rules of a field, its items, keys and values.
#[derive(Default)]
pub struct Rules {
    pub required: bool,
    pub ignore_zero: bool,
    pub unique: bool,
    pub rules: Vec<Rule>,
    pub items: Vec<Rule>,
    pub keys: Vec<Rule>,
    pub values: Vec<Rule>,
    /// The most items or pairs.
    pub most_items: Option<u64>,
    /// The most bytes that a text or byte string can have without breaking a rule.
    pub longest: Option<u64>,
}

impl Rules {
    /// Whether nothing is asked of the field.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.rules, &self.items, &self.keys, &self.values];
        !self.required && !self.unique && lists.into_iter().all(Vec::is_empty)
    }
}

/// The rules of a field.
///
/// # Errors
/// The rule that is not known.
pub fn of_field(pool: &DescriptorPool, field: &FieldDescriptor) -> Result<Rules, String> {
    let mut found = Rules::default();
    let Some(rules) = extension(pool, &field.options(), "buf.validate.field") else { return Ok(found) };
    let name = field.full_name();
    found.required = flag(&rules, "required");
    match rules.get_field_by_name("ignore").and_then(|ignore| ignore.as_enum_number()) {
        None | Some(0) => {}
        Some(1) => found.ignore_zero = true,
        Some(other) => return Err(format!("{name}: ignore = {other} is not supported")),
    }
    for (part, value) in rules.fields() {
        if matches!(part.name(), "cel" | "cel_expression") {
            return Err(format!("{name}: cel rules are not supported"));
        }
        let Value::Message(typed) = value else { continue };
        for (rule, value) in typed.fields() {
            match (part.name(), rule.name(), value) {
                ("repeated", "unique", Value::Bool(unique)) => found.unique = *unique,
                ("repeated", "items", Value::Message(items)) => found.items = nested(items, name)?,
                ("map", "keys", Value::Message(keys)) => found.keys = nested(keys, name)?,
                ("map", "values", Value::Message(values)) => found.values = nested(values, name)?,
                (part, rule, value) => {
                    match (part, rule) {
                        ("repeated", "max_items") | ("map", "max_pairs") => found.most_items = value.as_u64(),
                        // A character has at most four bytes.
                        ("string", "max_len" | "len") => found.longest = value.as_u64().map(|chars| 4 * chars),
                        ("bytes", "max_len") | ("string", "max_bytes") => found.longest = value.as_u64(),
                        _ => {}
                    }
                    found.rules.push(compile(part, rule, value, name)?);
                }
            }
        }
    }
    if found.unique && matches!(field.kind(), Kind::Message(_) | Kind::Double | Kind::Float | Kind::Bool) {
        return Err(format!("{name}: only text, bytes and whole numbers can be unique"));
    }
    Ok(found)
}

/// Whether one of the fields of a oneof must be set.
pub fn required_oneof(pool: &DescriptorPool, oneof: &OneofDescriptor) -> bool {
    extension(pool, &oneof.options(), "buf.validate.oneof").is_some_and(|rules| flag(&rules, "required"))
}

fn nested(rules: &DynamicMessage, field: &str) -> Result<Vec<Rule>, String> {
    let mut found = Vec::new();
    for (part, value) in rules.fields() {
        let Value::Message(typed) = value else {
            return Err(format!("{field}: {} is not supported inside items", part.name()));
        };
        for (rule, value) in typed.fields() {
            found.push(compile(part.name(), rule.name(), value, field)?);
        }
    }
    Ok(found)
}

/// One of the standard rules, `part` being the type such as `string`.
fn compile(part: &str, rule: &str, value: &Value, field: &str) -> Result<Rule, String> {
    let unsupported = || format!("{field}: the rule {part}.{rule} is not supported");
    let count = |variant: &str| value.as_u64().map(|count| format!("{variant}({count})")).ok_or_else(unsupported);
    let text = |variant: &str| value.as_str().map(|text| format!("{variant}({text:?})")).ok_or_else(unsupported);
    let scalar = |variant: &str| Ok::<_, String>(format!("{variant}({})", scalar(value).ok_or_else(unsupported)?));
    let scalars = |variant: &str| {
        let list = value.as_list().ok_or_else(unsupported)?;
        let list: Option<Vec<String>> = list.iter().map(self::scalar).collect();
        Ok::<_, String>(format!("{variant}(&[{}])", list.ok_or_else(unsupported)?.join(", ")))
    };
    Ok(Rule::Other(match (part, rule) {
        ("string", "pattern") => {
            return value.as_str().map(|text| Rule::Pattern(text.to_owned())).ok_or_else(unsupported);
        }
        ("string", "min_len") => count("MinLen")?,
        ("string", "max_len") => count("MaxLen")?,
        ("string", "len") => count("Len")?,
        ("string", "prefix") => text("Prefix")?,
        ("string", "suffix") => text("Suffix")?,
        ("string", "contains") => text("Contains")?,
        ("string", "uuid") => "Uuid".to_owned(),
        ("string", "max_bytes") | ("bytes", "max_len") => count("MaxBytes")?,
        ("string", "min_bytes") | ("bytes", "min_len") => count("MinBytes")?,
        ("repeated", "min_items") | ("map", "min_pairs") => count("MinItems")?,
        ("repeated", "max_items") | ("map", "max_pairs") => count("MaxItems")?,
        ("enum", "defined_only") if value.as_bool() == Some(true) => "DefinedOnly".to_owned(),
        ("double" | "float", "finite") if value.as_bool() == Some(true) => "Finite".to_owned(),
        ("bytes" | "any", _) => return Err(unsupported()),
        (_, "const") => scalar("Const")?,
        (_, "in") => scalars("In")?,
        (_, "not_in") => scalars("NotIn")?,
        (_, "gt") => scalar("Gt")?,
        (_, "gte") => scalar("Gte")?,
        (_, "lt") => scalar("Lt")?,
        (_, "lte") => scalar("Lte")?,
        _ => return Err(unsupported()),
    }))
}

/// A value as `table::Scalar` in Rust; durations and timestamps in nanoseconds.
fn scalar(value: &Value) -> Option<String> {
    let whole = |number: i128| format!("Scalar::Int({number})");
    Some(match value {
        Value::Bool(value) => format!("Scalar::Bool({value})"),
        Value::I32(number) | Value::EnumNumber(number) => whole(i128::from(*number)),
        Value::I64(number) => whole(i128::from(*number)),
        Value::U32(number) => whole(i128::from(*number)),
        Value::U64(number) => whole(i128::from(*number)),
        Value::F32(number) if number.is_finite() => format!("Scalar::Float({:?})", f64::from(*number)),
        Value::F64(number) if number.is_finite() => format!("Scalar::Float({number:?})"),
        Value::String(text) => format!("Scalar::Text({text:?})"),
        Value::Message(time) => {
            let seconds = time.get_field_by_name("seconds")?.as_i64()?;
            let nanos = time.get_field_by_name("nanos")?.as_i32()?;
            whole(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
        }
        _ => return None,
    })
}

fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = pool.get_extension_by_name(name)?;
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}

fn flag(message: &DynamicMessage, name: &str) -> bool {
    message.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or(false)
}
