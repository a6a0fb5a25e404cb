//! What the mask of an update request asks for, read through descriptors.

use crate::wire::mask::FIELD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

/// What the mask of an update request asks for.
pub(super) struct Asked {
    /// The field of the request that holds the resource, and its type.
    resource: FieldDescriptor,
    kind: MessageDescriptor,
    named: Vec<String>,
    allowed: Vec<String>,
}

impl Asked {
    /// Of a request that has a mask.
    pub(super) fn of(request: &DynamicMessage) -> Option<Self> {
        let mask = request.descriptor().get_field_by_name(FIELD)?;
        let texts = |value: &Value| -> Vec<String> {
            value.as_list().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let allowed = texts(&updatable(&mask)?);
        let value = request.get_field(&mask);
        let named = texts(value.as_message()?.get_field_by_name("paths")?.as_ref());
        let resource = request.descriptor().fields().next()?;
        let kind = resource.kind().as_message()?.clone();
        Some(Self { resource, kind, named, allowed })
    }

    /// What is wrong with the mask, if anything is. It comes before the rules of the fields, which are about what
    /// the mask names.
    pub(super) fn refused(&self) -> Option<String> {
        let named: Vec<&str> = self.named.iter().map(String::as_str).collect();
        let allowed: Vec<&str> = self.allowed.iter().map(String::as_str).collect();
        check(&self.kind, &named, &allowed).err()
    }

    /// Whether `path` leads into a part of the resource that the update leaves as it is: that need not be right.
    pub(super) fn leaves(&self, path: &str) -> bool {
        let inside = path.strip_prefix(self.resource.name()).and_then(|rest| rest.strip_prefix('.'));
        let Some(first) = inside.and_then(|inside| inside.split(['.', '[']).next()) else { return false };
        let named: Vec<&str> = self.named.iter().map(String::as_str).collect();
        let counts = if is_all(&named) { &self.allowed } else { &self.named };
        // A path may name a oneof, which stands for its fields.
        let oneof = self.kind.get_field_by_name(first).and_then(|field| field.containing_oneof());
        let means = |path: &str| path == first || oneof.as_ref().is_some_and(|oneof| oneof.name() == path);
        !["name", "etag"].contains(&first) && !counts.iter().any(|path| path.split('.').next().is_some_and(means))
    }
}

/// The fields that the option of an `update_mask` lists.
fn updatable(mask: &FieldDescriptor) -> Option<Value> {
    let extension = crate::pool().get_extension_by_name("remit.options.v1.updatable")?;
    let options = mask.options();
    let policy = options.get_extension(&extension);
    Some(policy.as_message()?.get_field_by_name("fields")?.into_owned())
}

/// Whether these paths mean all that may change.
fn is_all(paths: &[&str]) -> bool {
    paths.is_empty() || paths.contains(&"*")
}

fn check(resource: &MessageDescriptor, paths: &[&str], allowed: &[&str]) -> Result<(), String> {
    for path in paths.iter().filter(|path| **path != "*") {
        let first = path.split('.').next().unwrap_or_default();
        if !allowed.contains(&first) || !leads(resource, path) {
            return Err(format!("{path} cannot be updated; use {}", allowed.join(", ")));
        }
    }
    Ok(())
}

/// Whether a path leads through messages to a field, or to a oneof.
fn leads(message: &MessageDescriptor, path: &str) -> bool {
    let Some((first, rest)) = path.split_once('.') else {
        return message.get_field_by_name(path).is_some() || message.oneofs().any(|oneof| oneof.name() == path);
    };
    let field = message.get_field_by_name(first).filter(|field| !field.is_list() && !field.is_map());
    field.is_some_and(|field| matches!(field.kind(), Kind::Message(inner) if leads(&inner, rest)))
}
