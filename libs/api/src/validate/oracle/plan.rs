//! What to check in a message, worked out once from its descriptor.

use super::rules::{Rule, compile};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value};
use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

/// The rules of one message type. Plans live as long as the process.
#[derive(Debug, Default)]
pub(super) struct MessagePlan {
    pub fields: Vec<FieldPlan>,
    pub required_oneofs: Vec<OneofDescriptor>,
}

impl MessagePlan {
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.required_oneofs.is_empty()
    }
}

/// The rules of one field, its items, keys and values.
#[derive(Debug)]
pub(super) struct FieldPlan {
    pub field: FieldDescriptor,
    pub required: bool,
    pub ignore_zero: bool,
    pub unique: bool,
    pub rules: Vec<Rule>,
    pub items: Vec<Rule>,
    pub keys: Vec<Rule>,
    pub values: Vec<Rule>,
}

impl FieldPlan {
    /// The kind of a map's values.
    pub fn value_kind(&self) -> Kind {
        match self.field.kind() {
            Kind::Message(entry) if entry.is_map_entry() => entry.map_entry_value_field().kind(),
            kind => kind,
        }
    }
}

static PLANS: LazyLock<RwLock<HashMap<String, &'static MessagePlan>>> = LazyLock::new(RwLock::default);

/// The plan of a message type, made at its first use.
///
/// # Errors
/// The text of a rule that the interpreter does not know.
pub(super) fn plan_of(descriptor: &MessageDescriptor) -> Result<&'static MessagePlan, String> {
    let name = descriptor.full_name();
    if let Some(plan) = PLANS.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(name) {
        return Ok(plan);
    }
    let plan = make(descriptor)?;
    let mut plans = PLANS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    // One plan per message type is kept for good: the number of types is fixed.
    Ok(plans.entry(name.to_owned()).or_insert_with(|| Box::leak(Box::new(plan))))
}

fn make(descriptor: &MessageDescriptor) -> Result<MessagePlan, String> {
    let mut plan = MessagePlan::default();
    for oneof in descriptor.oneofs() {
        let rules = extension(&oneof.options(), "buf.validate.oneof");
        if rules.is_some_and(|rules| flag(&rules, "required")) {
            plan.required_oneofs.push(oneof);
        }
    }
    for field in descriptor.fields() {
        if let Some(field) = make_field(field)? {
            plan.fields.push(field);
        }
    }
    Ok(plan)
}

fn make_field(field: FieldDescriptor) -> Result<Option<FieldPlan>, String> {
    let mut plan = FieldPlan {
        required: false,
        ignore_zero: false,
        unique: false,
        rules: Vec::new(),
        items: Vec::new(),
        keys: Vec::new(),
        values: Vec::new(),
        field,
    };
    if let Some(rules) = extension(&plan.field.options(), "buf.validate.field") {
        plan.required = flag(&rules, "required");
        match rules.get_field_by_name("ignore").and_then(|ignore| ignore.as_enum_number()) {
            None | Some(0) => {}
            Some(1) => plan.ignore_zero = true,
            Some(other) => return Err(format!("{}: ignore = {other} is not supported", plan.field.full_name())),
        }
        read_typed(&rules, &mut plan)?;
    }
    let has_rules = plan.required
        || plan.unique
        || [&plan.rules, &plan.items, &plan.keys, &plan.values].into_iter().any(|rules| !rules.is_empty());
    // A message is entered even if the field itself has no rule: there may be some inside.
    let enters = matches!(plan.value_kind(), Kind::Message(inner) if super::descends(&inner) || super::is_time(&inner));
    Ok((has_rules || enters).then_some(plan))
}

/// Reads the part of the rules that depends on the type, such as `string` or `repeated`.
fn read_typed(rules: &DynamicMessage, plan: &mut FieldPlan) -> Result<(), String> {
    let name = plan.field.full_name().to_owned();
    for (part, value) in rules.fields() {
        let Value::Message(typed) = value else { continue };
        match part.name() {
            "repeated" | "map" => {
                for (rule, value) in typed.fields() {
                    match (rule.name(), value) {
                        ("unique", Value::Bool(unique)) => plan.unique = *unique,
                        ("items", Value::Message(items)) => plan.items = nested(items, &name)?,
                        ("keys", Value::Message(keys)) => plan.keys = nested(keys, &name)?,
                        ("values", Value::Message(values)) => plan.values = nested(values, &name)?,
                        (rule, value) => plan.rules.push(compile(part.name(), rule, value, &name)?),
                    }
                }
            }
            _ => plan.rules.extend(compile_all(part.name(), typed, &name)?),
        }
    }
    if rules.fields().any(|(part, _)| matches!(part.name(), "cel" | "cel_expression")) {
        return Err(format!("{name}: cel rules are not supported"));
    }
    Ok(())
}

fn nested(rules: &DynamicMessage, field: &str) -> Result<Vec<Rule>, String> {
    let mut compiled = Vec::new();
    for (part, value) in rules.fields() {
        match value {
            Value::Message(typed) => compiled.extend(compile_all(part.name(), typed, field)?),
            _ => return Err(format!("{field}: {} is not supported inside items", part.name())),
        }
    }
    Ok(compiled)
}

fn compile_all(part: &str, typed: &DynamicMessage, field: &str) -> Result<Vec<Rule>, String> {
    typed.fields().map(|(rule, value)| compile(part, rule.name(), value, field)).collect()
}

fn extension(options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = crate::pool().get_extension_by_name(name)?;
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).into_owned() {
        Value::Message(message) => Some(message),
        _ => None,
    }
}

fn flag(message: &DynamicMessage, name: &str) -> bool {
    message.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or(false)
}
