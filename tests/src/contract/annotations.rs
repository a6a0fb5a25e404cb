//! What the contract says to programs that read it alone: where each method is over HTTP (AIP-127), and what becomes of
//! each field (AIP-203).

use super::answers::{Remit, named, nothing, valid};
use super::requests::{MADE, UNKNOWN};
use super::wire::methods;
use crate::support::{is_read, reason};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage as _,
    Value,
};
use remit_api::validate::violations;
use std::collections::{BTreeMap, BTreeSet};

/// A method over HTTP.
struct Http {
    verb: String,
    template: String,
    body: String,
    /// Further templates of the same method.
    more: Vec<String>,
}

const VERBS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn text(rule: &DynamicMessage, field: &str) -> String {
    rule.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn http(method: &MethodDescriptor) -> Option<Http> {
    let option = remit_api::pool().get_extension_by_name("google.api.http").expect("the option exists");
    let options = method.options();
    let rule = options.has_extension(&option).then(|| options.get_extension(&option).into_owned())?;
    let rule = rule.as_message()?;
    let verb = VERBS.into_iter().find(|verb| rule.has_field_by_name(verb))?;
    let more = rule.get_field_by_name("additional_bindings")?.as_list().unwrap_or_default().to_vec();
    let more = more.iter().filter_map(Value::as_message).map(|rule| text(rule, verb)).collect();
    Some(Http { verb: verb.to_owned(), template: text(rule, verb), body: text(rule, "body"), more })
}

/// The variables of a template with the patterns of their values: `{name=tasks/*}` as `name` and `tasks/*`.
fn variables(template: &str) -> Vec<(&str, &str)> {
    let inner = template.split('{').skip(1).filter_map(|part| part.split_once('}'));
    inner.map(|(variable, _)| variable.split_once('=').unwrap_or((variable, "*"))).collect()
}

/// What a template says without the names of its variables: two methods that share it cannot be told apart.
fn shape(template: &str) -> String {
    let known = variables(template);
    known.iter().fold(template.to_owned(), |shape, (name, pattern)| {
        shape.replacen(&format!("{{{name}={pattern}}}"), pattern, 1).replacen(&format!("{{{name}}}"), pattern, 1)
    })
}

/// Whether a name is of a pattern such as `models/*/versions/*`.
fn fits(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<_>, Vec<_>) = (name.split('/').collect(), pattern.split('/').collect());
    name.len() == pattern.len() && name.iter().zip(&pattern).all(|(part, wanted)| *wanted == "*" || part == wanted)
}

/// The text at a path such as `task.name`.
fn at(message: &DynamicMessage, path: &str) -> Option<String> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = message.get_field_by_name(first)?.into_owned();
    match rest {
        None => value.as_str().map(str::to_owned),
        Some(rest) => at(value.as_message()?, rest),
    }
}

/// Whether a query can carry the field: values, or the fields of one message by their paths (`range.startTime`).
fn fits_in_a_query(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(_) if field.is_list() || field.is_map() => false,
        Kind::Message(kind) => {
            kind.full_name().starts_with("google.protobuf.") || kind.fields().all(|inner| fits_in_a_query(&inner))
        }
        _ => true,
    }
}

fn misdescribed(method: &MethodDescriptor, rule: &Http) -> Option<String> {
    let input = method.input();
    let wanted: &[&str] = match method.name() {
        name if name.starts_with("Get") || name.starts_with("List") => &["get"],
        name if name.starts_with("Update") => &["patch"],
        name if name.starts_with("Delete") => &["delete"],
        _ if is_read(method) => &["get", "post"],
        _ => &["post"],
    };
    if !wanted.contains(&rule.verb.as_str()) || !rule.template.starts_with("/v1/") {
        return Some(format!("{} {}", rule.verb, rule.template));
    }
    let mut carried: BTreeSet<String> = BTreeSet::new();
    for (variable, _) in [&rule.template].into_iter().chain(&rule.more).flat_map(|template| variables(template)) {
        if at(&DynamicMessage::new(input.clone()), variable.split('.').next().unwrap_or_default()).is_none()
            && !variable.contains('.')
        {
            return Some(format!("{variable} is no text of the request"));
        }
        carried.insert(variable.to_owned());
    }
    match rule.body.as_str() {
        "*" => return None,
        "" => {}
        body => {
            if input.get_field_by_name(body).is_none_or(|field| !matches!(field.kind(), Kind::Message(_))) {
                return Some(format!("the body {body} is no message of the request"));
            }
            carried.insert(body.to_owned());
        }
    }
    let mut left = input.fields().filter(|field| !carried.contains(field.name()));
    left.find(|field| !fits_in_a_query(field)).map(|field| format!("nothing carries {}", field.name()))
}

#[test]
fn every_method_has_an_http_rule_of_its_own() {
    let (mut broken, mut taken) = (Vec::new(), BTreeMap::new());
    for method in methods() {
        // Calls that go both ways have no place in HTTP (AIP-127).
        let both_ways = method.is_client_streaming() && method.is_server_streaming();
        let Some(rule) = http(&method) else {
            if !both_ways {
                broken.push(format!("{} has no google.api.http", method.full_name()));
            }
            continue;
        };
        broken.extend(misdescribed(&method, &rule).map(|what| format!("{}: {what}", method.name())));
        for template in [&rule.template].into_iter().chain(&rule.more) {
            if let Some(other) = taken.insert((rule.verb.clone(), shape(template)), method.full_name().to_owned()) {
                broken.push(format!("{} and {other} share {template}", method.full_name()));
            }
        }
    }
    nothing(broken);
    assert!(taken.len() > 200, "{} rules", taken.len());
}

#[test]
fn names_fit_the_paths_that_carry_them() {
    let (mut broken, mut tried) = (Vec::new(), 0);
    let unknown: BTreeMap<_, _> = UNKNOWN.iter().copied().collect();
    for method in methods() {
        let Some(rule) = http(&method) else { continue };
        let request = valid(&method);
        let templates: Vec<_> = [&rule.template].into_iter().chain(&rule.more).collect();
        for variable in variables(&rule.template).into_iter().map(|(variable, _)| variable) {
            let asked = at(&request, variable).filter(|name| !name.is_empty());
            let asked = asked.or_else(|| {
                (variable == "name").then(|| unknown.get(method.name()).copied()).flatten().map(str::to_owned)
            });
            let Some(name) = asked else { continue };
            tried += 1;
            let pattern =
                |template: &&String| variables(template).into_iter().any(|(v, p)| v == variable && fits(&name, p));
            if !templates.iter().any(pattern) {
                broken.push(format!("{}: {name} has no way through {}", method.name(), rule.template));
            }
        }
    }
    nothing(broken);
    assert!(tried > 60, "{tried} names");
}

/// What AIP-203 says of a field.
fn behaviours(field: &FieldDescriptor) -> BTreeSet<String> {
    let option = remit_api::pool().get_extension_by_name("google.api.field_behavior").expect("the option exists");
    let options = field.options();
    let said = options.get_extension(&option).into_owned();
    let Kind::Enum(words) = option.kind() else { panic!("the option is a list of words") };
    let word = |value: &Value| word_of(&words, value.as_enum_number()?);
    said.as_list().unwrap_or_default().iter().filter_map(word).collect()
}

fn word_of(words: &EnumDescriptor, number: i32) -> Option<String> {
    words.get_value(number).map(|value| value.name().to_owned())
}

fn is(field: &FieldDescriptor, word: &str) -> bool {
    behaviours(field).contains(word)
}

/// Every message that a request can hold, and those themselves.
fn asked() -> Vec<MessageDescriptor> {
    let mut found: BTreeMap<String, MessageDescriptor> = BTreeMap::new();
    let mut left: Vec<MessageDescriptor> = methods().iter().map(MethodDescriptor::input).collect();
    while let Some(message) = left.pop() {
        if !message.full_name().starts_with("remit.") || found.contains_key(message.full_name()) {
            continue;
        }
        left.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
        found.insert(message.full_name().to_owned(), message);
    }
    found.into_values().filter(|message| !message.is_map_entry()).collect()
}

/// The fields of a message whose absence is refused.
fn missed(message: &MessageDescriptor) -> BTreeSet<String> {
    let found = violations(&DynamicMessage::new(message.clone())).expect("a message of requests");
    found.into_iter().map(|violation| violation.field).collect()
}

#[test]
fn what_is_required_is_what_is_refused_without() {
    let mut broken = Vec::new();
    for message in asked() {
        let missed = missed(&message);
        for field in message.fields() {
            // What the server sets is not looked at where it comes in.
            let refused = missed.contains(field.name());
            if is(&field, "REQUIRED") != refused {
                let says = if refused {
                    "is refused without, and not REQUIRED"
                } else {
                    "is REQUIRED, and nothing asks for it"
                };
                broken.push(format!("{} {says}", field.full_name()));
            }
        }
    }
    nothing(broken);
}

/// Every update with its resource and what it may change.
fn updates() -> Vec<(MessageDescriptor, BTreeSet<String>)> {
    let option = remit_api::pool().get_extension_by_name("remit.options.v1.updatable").expect("the option exists");
    let updates = methods().into_iter().filter(|method| method.name().starts_with("Update"));
    let one = |method: MethodDescriptor| {
        let input = method.input();
        let resource = input.fields().find_map(|field| field.kind().as_message().cloned())?;
        let policy = input.get_field_by_name("update_mask")?.options().get_extension(&option).into_owned();
        let fields = policy.as_message()?.get_field_by_name("fields")?.into_owned();
        let fields = fields.as_list()?.iter().filter_map(|field| field.as_str().map(str::to_owned)).collect();
        Some((resource, fields))
    };
    updates.filter_map(one).collect()
}

#[test]
fn of_each_field_of_a_resource_it_is_said_who_sets_it_and_when() {
    let mut broken = Vec::new();
    let updates = updates();
    for (resource, updatable) in &updates {
        for field in resource.fields() {
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            let may_change =
                updatable.contains(field.name()) || oneof.is_some_and(|oneof| updatable.contains(oneof.name()));
            let fixed = is(&field, "OUTPUT_ONLY") || is(&field, "IMMUTABLE") || is(&field, "IDENTIFIER");
            // An etag goes both ways (AIP-154).
            let fits = field.name() == "etag" || may_change != fixed;
            let once = !(is(&field, "OUTPUT_ONLY") && behaviours(&field).len() > 1);
            if !fits || !once || (field.name() == "name") != is(&field, "IDENTIFIER") {
                broken.push(format!("{}: {:?}, may change: {may_change}", field.full_name(), behaviours(&field)));
            }
        }
    }
    nothing(broken);
    assert!(updates.len() >= 17, "{} updates", updates.len());
}

/// A value that nobody but a forger gives.
fn forged(field: &FieldDescriptor) -> Option<Value> {
    let one = match field.kind() {
        Kind::String => Value::String("forged".to_owned()),
        Kind::Int32 => Value::I32(77),
        Kind::Int64 => Value::I64(77),
        Kind::Bool => Value::Bool(true),
        Kind::Enum(words) => Value::EnumNumber(words.values().map(|value| value.number()).max()?),
        Kind::Message(kind) if kind.full_name() == "google.protobuf.Timestamp" => {
            let mut time = DynamicMessage::new(kind);
            time.set_field_by_name("seconds", Value::I64(77));
            Value::Message(time)
        }
        _ => return None,
    };
    (!field.is_map()).then(|| if field.is_list() { Value::List(vec![one]) } else { one })
}

#[tokio::test]
async fn what_the_server_sets_is_not_taken_from_callers() {
    let remit = Remit::start().await;
    let (mut broken, mut tried) = (Vec::new(), 0);
    for (name, _) in MADE {
        let method = named(name);
        let mut request = valid(&method);
        let id = method.input().fields().find(|field| field.name().ends_with("_id") && field.name() != "request_id");
        let resource = method.input().fields().find(|field| {
            field.kind().as_message().is_some_and(|kind| kind.fields().any(|inner| is(&inner, "OUTPUT_ONLY")))
        });
        let (Some(id), Some(resource)) = (id, resource) else { continue };
        request.set_field(&id, Value::String("forged-one".to_owned()));
        let mut inner = request.get_field(&resource).as_message().expect("a resource").clone();
        let fields: Vec<_> = inner.descriptor().fields().filter(|field| is(field, "OUTPUT_ONLY")).collect();
        for field in &fields {
            if let Some(value) = forged(field) {
                inner.set_field(field, value);
            }
        }
        let claimed = inner.clone();
        request.set_field(&resource, Value::Message(inner));
        // To refuse it is as good as to pass over it.
        let answer = match remit.ask(&method, &request).await {
            Ok(answer) => answer,
            Err(status) if status.code() != tonic::Code::Internal => continue,
            Err(status) => {
                broken.push(format!("{name}: {:?} {}", status.code(), reason(&status)));
                continue;
            }
        };
        for field in
            fields.iter().filter(|field| claimed.has_field(field) && answer.descriptor() == *field.parent_message())
        {
            tried += 1;
            if answer.get_field(field) == claimed.get_field(field)
                && !matches!(field.kind(), Kind::Bool | Kind::Enum(_))
            {
                broken.push(format!("{} is taken from the caller", field.full_name()));
            }
        }
    }
    remit.stop().await;
    nothing(broken);
    assert!(tried > 40, "{tried} fields");
}
