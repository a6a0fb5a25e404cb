//! Writes down what there is to check in every message that a request can hold: tables for `src/validate/table.rs`,
//! and how each message shows its fields. Tables, and not code for each rule, because this crate is compiled before
//! everything else.

use super::rules::{Rule, of_field, required_oneof};
use super::{rust_name, snake};
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, OneofDescriptor, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// As in `src/validate/table.rs`.
const MOST_FIELDS: usize = 64;
/// The most bytes of a request whose method says nothing, as the proto file of the options says.
const MOST_BYTES: u32 = 262_144;
const MOST_BYTES_EVER: u32 = 8_388_608;

/// The tables of every message that a request can hold.
///
/// # Errors
/// What the tables cannot say: a rule that is not known, or a message with too many fields.
pub fn code(pool: &DescriptorPool) -> Result<String, String> {
    let ours = pool.services().filter(|service| service.full_name().starts_with("remit."));
    let methods: Vec<MethodDescriptor> = ours.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let mut requests: BTreeMap<String, (MessageDescriptor, u32)> = BTreeMap::new();
    let mut answers = BTreeSet::new();
    for method in &methods {
        let most = most_bytes(pool, method)?;
        let input = method.input();
        let known = requests.entry(input.full_name().to_owned()).or_insert((input, most));
        known.1 = known.1.max(most);
        if method.output().full_name() != "google.protobuf.Empty" {
            answers.insert(path_of(&method.output()));
        }
    }
    let mut writer = Writer::default();
    for (request, _) in requests.values() {
        writer.reach(request);
    }
    for message in writer.reached.clone().into_values() {
        writer.message(pool, &message)?;
    }
    for (request, most) in requests.values() {
        answers.remove(&path_of(request));
        writer.request(pool, request, *most);
    }
    for answer in answers {
        writer.code += &format!("impl crate::codec::Received for {answer} {{}}\n");
    }
    let listed = |names: Vec<&String>, prefix: &str| {
        let entries = names.into_iter().map(|name| format!("    ({name:?}, &{prefix}{}),\n", constant(name)));
        entries.collect::<String>()
    };
    let plans = listed(writer.reached.keys().collect(), "");
    writer.code += &format!("pub(crate) static PLANS: &[(&str, &table::Plan)] = &[\n{plans}];\n");
    let all = listed(requests.keys().collect(), "READ_");
    writer.code += &format!("pub(crate) static REQUESTS: &[(&str, &table::Request)] = &[\n{all}];\n");
    let ruled = requests.values().map(|(request, _)| {
        let (name, path) = (request.full_name(), path_of(request));
        format!("    ({name:?}, crate::validate::ruled_only::<{path}>),\n")
    });
    writer.code += &format!(
        "#[cfg(test)]\npub(crate) static RULED: &[(&str, crate::validate::RuledOnly)] = &[\n{}];\n",
        ruled.collect::<String>()
    );
    Ok(format!(
        "use crate::validate::{{table, view}};\nuse self::table::{{Many, Rule, Scalar, Wire}};\n{}",
        writer.code
    ))
}

#[derive(Default)]
struct Writer {
    code: String,
    reached: BTreeMap<String, MessageDescriptor>,
    enums: BTreeSet<String>,
    /// Patterns and the numbers of their statics.
    patterns: BTreeMap<String, usize>,
}

impl Writer {
    fn reach(&mut self, message: &MessageDescriptor) {
        if self.reached.insert(message.full_name().to_owned(), message.clone()).is_none() {
            for inner in message.fields().filter_map(|field| message_in(&field)) {
                self.reach(&inner);
            }
        }
    }

    fn message(&mut self, pool: &DescriptorPool, message: &MessageDescriptor) -> Result<(), String> {
        let name = message.full_name();
        if message.fields().len() > MOST_FIELDS {
            return Err(format!("{name} has more than {MOST_FIELDS} fields"));
        }
        let sort = match name {
            "google.protobuf.Timestamp" => "Time",
            _ if is_ours(message) => "Ours",
            _ => "Known",
        };
        let mut fields = String::new();
        for field in message.fields() {
            fields += &self.field(pool, &field)?;
        }
        let oneofs: String = real_oneofs(message)
            .map(|oneof| {
                let choices: Vec<_> = oneof.fields().map(|field| (field.number(), field.name().to_owned())).collect();
                let required = required_oneof(pool, &oneof);
                format!("table::Oneof {{ name: {:?}, required: {required}, fields: &{choices:?} }}, ", oneof.name())
            })
            .collect();
        self.code += &format!(
            "static {}: table::Plan = table::Plan {{ name: {name:?}, sort: table::Sort::{sort}, oneofs: &[{oneofs}], \
             fields: &[\n{fields}] }};\n",
            constant(name)
        );
        if is_ours(message) {
            let path = path_of(message);
            let arms: String = message.fields().map(|field| shown(&field)).collect();
            self.code += &format!(
                "impl view::View for {path} {{\n    fn seen(&self) -> view::Seen<'_> {{ view::Seen::Message(self) }}\n    \
                 fn at(&self, number: u32) -> view::Seen<'_> {{\n        match number {{\n{arms}            \
                 _ => view::Seen::Absent,\n        }}\n    }}\n}}\n"
            );
        }
        Ok(())
    }

    /// One line of a plan: what differs from `table::FIELD`.
    fn field(&mut self, pool: &DescriptorPool, field: &FieldDescriptor) -> Result<String, String> {
        let rules = of_field(pool, field)?;
        let kind = kind_of(field);
        let inner = message_in(field);
        // A message is entered even if the field itself has no rule: there may be some inside.
        let enters =
            inner.as_ref().is_some_and(|inner| is_ours(inner) || inner.full_name() == "google.protobuf.Timestamp");
        let mut line = format!("    table::Field {{ number: {}, name: {:?}, ", field.number(), field.name());
        let many = if field.is_map() { "Map" } else { "List" };
        if field.is_list() || field.is_map() {
            let most = rules.most_items.map_or("table::MOST_ITEMS".to_owned(), |most| most.to_string());
            line += &format!("many: Many::{many}, most: {most}, ");
        } else if let Some(longest) = rules.longest {
            line += &format!("longest: {longest}, ");
        }
        if wire(&kind) != "Sized" {
            line += &format!("wire: Wire::{}, ", wire(&kind));
        }
        let flags = [
            ("presence", field.supports_presence()),
            ("checked", enters || !rules.is_empty()),
            ("required", rules.required),
            ("ignore_zero", rules.ignore_zero),
            ("unique", rules.unique),
        ];
        line.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| format!("{name}: true, ")));
        for (name, list) in
            [("rules", &rules.rules), ("items", &rules.items), ("keys", &rules.keys), ("values", &rules.values)]
        {
            let list: Vec<String> = list.iter().map(|rule| self.rule(rule)).collect();
            if !list.is_empty() {
                line += &format!("{name}: &[{}], ", list.join(", "));
            }
        }
        if let Kind::Enum(words) = &kind
            && !rules.is_empty()
        {
            line += &format!("words: {}, ", self.words(words));
        }
        if let Some(inner) = inner {
            line += &format!("inner: Some(&{}), ", constant(inner.full_name()));
        }
        Ok(line + "..table::FIELD },\n")
    }

    /// A rule as it stands in a table.
    fn rule(&mut self, rule: &Rule) -> String {
        let pattern = match rule {
            Rule::Other(written) => return format!("Rule::{written}"),
            Rule::Pattern(pattern) => pattern,
        };
        let next = self.patterns.len();
        let at = *self.patterns.entry(pattern.clone()).or_insert(next);
        if at == next {
            self.code += &format!(
                "static PATTERN_{at}: table::Pattern = ::std::sync::LazyLock::new(|| ::regex::Regex::new({pattern:?}).ok());\n"
            );
        }
        format!("Rule::Pattern({pattern:?}, &PATTERN_{at})")
    }

    /// The static that holds the numbers and names of an enum.
    fn words(&mut self, words: &EnumDescriptor) -> String {
        let name = format!("WORDS_{}", constant(words.full_name()));
        if self.enums.insert(name.clone()) {
            let values: Vec<_> = words.values().map(|value| (value.number(), value.name().to_owned())).collect();
            self.code += &format!("static {name}: table::Words = &{values:?};\n");
        }
        name
    }

    fn request(&mut self, pool: &DescriptorPool, request: &MessageDescriptor, most: u32) {
        let (name, path) = (constant(request.full_name()), path_of(request));
        let mask = updatable(pool, request).map_or("None".to_owned(), |(number, fields)| {
            format!("Some(table::Mask {{ number: {number}, allowed: &{fields:?} }})")
        });
        self.code += &format!(
            "static READ_{name}: table::Request = table::Request {{ plan: &{name}, most: {most}, mask: {mask} }};\n\
             impl crate::codec::Received for {path} {{\n    \
             fn receive(bytes: ::prost::bytes::Bytes) -> Result<Self, ::tonic::Status> {{\n        \
             crate::validate::receive(bytes, &READ_{name})\n    }}\n}}\n"
        );
    }
}

/// The most bytes that a message of the method's request may have.
fn most_bytes(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<u32, String> {
    let asked = pool.get_extension_by_name("remit.options.v1.method_policy").and_then(|extension| {
        let options = method.options();
        let policy = options.get_extension(&extension).into_owned();
        policy.as_message()?.get_field_by_name("max_request_bytes")?.as_u32()
    });
    match asked {
        None | Some(0) => Ok(MOST_BYTES),
        Some(most) if most <= MOST_BYTES_EVER => Ok(most),
        Some(most) => Err(format!("{}: max_request_bytes is {most}, above {MOST_BYTES_EVER}", method.full_name())),
    }
}

/// The number of the mask of an update, and what it may name.
pub fn updatable(pool: &DescriptorPool, request: &MessageDescriptor) -> Option<(u32, Vec<String>)> {
    let mask = request.get_field_by_name("update_mask")?;
    let options = mask.options();
    let policy = options.get_extension(&pool.get_extension_by_name("remit.options.v1.updatable")?).into_owned();
    let fields = policy.as_message()?.get_field_by_name("fields")?.into_owned();
    let fields = fields.as_list()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Some((mask.number(), fields))
}

fn is_ours(message: &MessageDescriptor) -> bool {
    !message.full_name().starts_with("google.protobuf.")
}

/// The kind of a value, of the items, or of the values of a map.
fn kind_of(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

fn message_in(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    kind_of(field).as_message().cloned()
}

/// Oneofs, without those that stand for `optional`.
fn real_oneofs(message: &MessageDescriptor) -> impl Iterator<Item = OneofDescriptor> + '_ {
    message.oneofs().filter(|oneof| !oneof.is_synthetic())
}

fn wire(kind: &Kind) -> &'static str {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => "Fixed64",
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => "Fixed32",
        Kind::String | Kind::Bytes | Kind::Message(_) => "Sized",
        _ => "Varint",
    }
}

/// How a message shows one of its fields.
fn shown(field: &FieldDescriptor) -> String {
    let number = field.number();
    let own = |name: &str| {
        if matches!(name, "type" | "ref" | "match" | "in" | "use") { format!("r#{name}") } else { name.to_owned() }
    };
    match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
        Some(oneof) => {
            let variant =
                format!("{}::{}::{}", inside(field.parent_message()), camel(oneof.name()), camel(field.name()));
            format!(
                "            {number} => match &self.{} {{ Some({variant}(value)) => view::View::seen(value), \
                 _ => view::Seen::Absent }},\n",
                own(oneof.name())
            )
        }
        None => format!("            {number} => view::View::seen(&self.{}),\n", own(field.name())),
    }
}

/// The type of a message in the generated code.
fn path_of(message: &MessageDescriptor) -> String {
    let above = message.parent_message().map_or_else(|| module(message), |above| inside(&above));
    format!("{above}::{}", message.name())
}

/// The module of what is declared in a message.
fn inside(message: &MessageDescriptor) -> String {
    let above = message.parent_message().map_or_else(|| module(message), |above| inside(&above));
    format!("{above}::{}", snake(message.name()))
}

fn module(message: &MessageDescriptor) -> String {
    message.package_name().split('.').map(rust_name).collect::<Vec<_>>().join("::")
}

/// `next_step` as `NextStep`.
fn camel(name: &str) -> String {
    let parts = name.split('_').map(|part| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    });
    parts.collect()
}

/// `remit.scoring.v1.Task` as `REMIT_SCORING_V1_TASK`.
fn constant(name: &str) -> String {
    name.replace('.', "_").to_uppercase()
}
