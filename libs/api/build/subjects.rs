//! Writes down which fields of a message name somebody, by the option `remit.fields.v1.subject`.

use super::{rust_name, snake};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use std::collections::BTreeSet;
use std::error::Error;

/// Implements `Subjects` for every message: with a body for those that have a marked field, themselves or inside.
pub fn code(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let marked = pool.get_extension_by_name("remit.fields.v1.subject").ok_or("no option marks subjects")?;
    let is_subject = |field: &FieldDescriptor| field.options().get_extension(&marked).as_bool().unwrap_or_default();
    let ours = |message: &MessageDescriptor| message.full_name().starts_with("remit.") && !message.is_map_entry();
    let messages: Vec<MessageDescriptor> = pool.all_messages().filter(ours).collect();
    let inner = |field: &FieldDescriptor| field.kind().as_message().map(|message| message.full_name().to_owned());
    // Those that hold a subject, found from the inside out.
    let mut holders = BTreeSet::new();
    loop {
        let holds =
            |field: FieldDescriptor| is_subject(&field) || inner(&field).is_some_and(|name| holders.contains(&name));
        let more: Vec<String> = messages
            .iter()
            .filter(|message| !holders.contains(message.full_name()) && message.fields().any(holds))
            .map(|message| message.full_name().to_owned())
            .collect();
        if more.is_empty() {
            break;
        }
        holders.extend(more);
    }
    let mut code = String::new();
    for message in &messages {
        let path = rust_path(message);
        let counts =
            |field: &FieldDescriptor| is_subject(field) || inner(field).is_some_and(|name| holders.contains(&name));
        let lines: String = message.fields().filter(counts).map(|field| settle(&path, &field)).collect();
        if lines.is_empty() {
            code += &format!("impl crate::wire::Subjects for {path} {{}}\n");
            continue;
        }
        code += &format!(
            "impl crate::wire::Subjects for {path} {{\n    \
             fn settle(&mut self, at: crate::wire::At<'_>, found: &mut Vec<remit_core::FieldViolation>) {{\n{lines}    }}\n}}\n"
        );
    }
    Ok(code)
}

/// The statement that settles one field.
fn settle(message: &str, field: &FieldDescriptor) -> String {
    let (name, own) = (field.name(), rust_field(field.name()));
    assert!(!field.is_map(), "{}: subjects in maps are not supported", field.full_name());
    let is_text = matches!(field.kind(), Kind::String);
    let one = |value: &str, at: &str| {
        if is_text {
            format!("crate::wire::subject({value}, {at}, found);")
        } else {
            format!("{value}.settle({at}, found);")
        }
    };
    let at = format!("at.field({name:?})");
    if field.is_list() && is_text {
        return format!("        crate::wire::subjects(&mut self.{own}, {at}, found);\n");
    }
    if field.is_list() {
        let inner = one("value", &format!("{at}.item(item)"));
        return format!("        for (item, value) in self.{own}.iter_mut().enumerate() {{ {inner} }}\n");
    }
    if let Some(choice) = field.containing_oneof().filter(|choice| !choice.is_synthetic()) {
        let (module, kind) = message.rsplit_once("::").unwrap_or_default();
        let kind = format!("{module}::{}::{}", snake(kind), camel(choice.name()));
        return format!(
            "        if let Some({kind}::{}(value)) = &mut self.{} {{ {} }}\n",
            camel(name),
            rust_field(choice.name()),
            one("value", &at)
        );
    }
    if is_text && !field.supports_presence() {
        return format!("        {}\n", one(&format!("&mut self.{own}"), &at));
    }
    format!("        if let Some(value) = &mut self.{own} {{ {} }}\n", one("value", &at))
}

/// The type that prost makes of a message.
fn rust_path(message: &MessageDescriptor) -> String {
    let module = match message.parent_message() {
        Some(outer) => {
            let outer = rust_path(&outer);
            let (module, name) = outer.rsplit_once("::").unwrap_or_default();
            format!("{module}::{}", snake(name))
        }
        None => message.package_name().split('.').map(rust_name).collect::<Vec<_>>().join("::"),
    };
    format!("{module}::{}", message.name())
}

/// A field as prost names it.
fn rust_field(name: &str) -> String {
    if ["type", "match", "ref", "use", "where", "move", "loop"].contains(&name) {
        format!("r#{name}")
    } else {
        name.to_owned()
    }
}

/// `grant_waiver` as `GrantWaiver`.
fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').filter(|part| !part.is_empty()).map(word).collect()
}
