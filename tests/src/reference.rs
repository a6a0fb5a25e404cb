//! `docs/api`: a page for each package of the contract, made from its comments, and an OpenAPI document of all.
//!
//! `REMIT_BLESS=1` writes the pages.

use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, MethodDescriptor, Value,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The comments of a file by the path of what they stand before.
pub(crate) struct Comments(BTreeMap<Vec<i32>, String>);

impl Comments {
    pub(crate) fn of(file: &FileDescriptorProto) -> Self {
        let places = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = places.filter_map(|place| Some((place.path.clone(), place.leading_comments.clone()?)));
        Self(comments.collect())
    }

    /// The paragraphs of a comment, as Markdown has them.
    pub(crate) fn text(&self, path: &[i32]) -> String {
        let lines = self.0.get(path).map(String::as_str).unwrap_or_default();
        lines.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
    }

    /// The same in a cell of a table.
    fn cell(&self, path: &[i32]) -> String {
        self.text(path).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
    }
}

/// A package of the contract with its files, by name.
fn packages(pool: &DescriptorPool) -> BTreeMap<String, Vec<FileDescriptor>> {
    let mut packages: BTreeMap<String, Vec<FileDescriptor>> = BTreeMap::new();
    for file in pool.files().filter(|file| file.package_name().starts_with("remit.")) {
        packages.entry(file.package_name().to_owned()).or_default().push(file);
    }
    packages.values_mut().for_each(|files| files.sort_by(|a, b| a.name().cmp(b.name())));
    packages
}

/// `remit.kpi.v1` as `kpi`, the name of its page.
fn page_of(package: &str) -> &str {
    package.split('.').nth(1).unwrap_or(package)
}

/// The anchor that Markdown gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn link(full_name: &str, name: &str, package: &str, from: &str) -> String {
    let page = if package == from { String::new() } else { format!("{}.md", page_of(package)) };
    // The name that Markdown heads it with: nested ones with their parents.
    let heading = full_name.strip_prefix(&format!("{package}.")).unwrap_or(name);
    if package.starts_with("remit.") {
        format!("[{heading}]({page}#{})", anchor(heading))
    } else {
        format!("`{full_name}`")
    }
}

fn message_link(message: &MessageDescriptor, from: &str) -> String {
    link(message.full_name(), message.name(), message.package_name(), from)
}

fn kind(field: &FieldDescriptor, from: &str) -> String {
    let one = |kind: &Kind| match kind {
        Kind::Message(message) => message_link(message, from),
        Kind::Enum(found) => link(found.full_name(), found.name(), found.package_name(), from),
        scalar => format!("`{scalar:?}`").to_lowercase(),
    };
    if let Kind::Message(entry) = field.kind()
        && field.is_map()
    {
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        return format!("map of {} to {}", one(&key.kind()), one(&value.kind()));
    }
    match field.cardinality() {
        Cardinality::Repeated => format!("repeated {}", one(&field.kind())),
        _ if field.containing_oneof().is_some_and(|group| !group.is_synthetic()) => {
            let group = field.containing_oneof().map(|group| group.name().to_owned()).unwrap_or_default();
            format!("{}, one of `{group}`", one(&field.kind()))
        }
        _ if field.supports_presence() && !matches!(field.kind(), Kind::Message(_)) => {
            format!("optional {}", one(&field.kind()))
        }
        _ => one(&field.kind()),
    }
}

/// An extension option as compact JSON, without its braces.
pub(crate) fn option(options: &DynamicMessage, pool: &DescriptorPool, name: &str) -> Option<serde_json::Value> {
    let extension = pool.get_extension_by_name(name)?;
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).as_ref() {
        Value::Message(message) => serde_json::to_value(message).ok(),
        _ => None,
    }
}

/// What AIP-203 says of a field, in words.
pub(crate) fn behaviours(field: &FieldDescriptor, pool: &DescriptorPool) -> String {
    let Some(extension) = pool.get_extension_by_name("google.api.field_behavior") else { return String::new() };
    let (options, Kind::Enum(words)) = (field.options(), extension.kind()) else { return String::new() };
    let said = options.get_extension(&extension).into_owned();
    let word = |value: &Value| Some(words.get_value(value.as_enum_number()?)?.name().to_lowercase().replace('_', " "));
    said.as_list().unwrap_or_default().iter().filter_map(word).collect::<Vec<_>>().join(", ")
}

/// How a method is called over HTTP: `GET /v1/{name=tasks/*}`.
fn http(method: &MethodDescriptor, pool: &DescriptorPool) -> String {
    let Some(rule) = option(&method.options(), pool, "google.api.http") else { return String::new() };
    let path = |rule: &serde_json::Value| {
        let verb = ["get", "post", "patch", "delete", "put"].into_iter().find(|verb| rule.get(verb).is_some())?;
        Some(format!("`{} {}`", verb.to_uppercase(), rule.get(verb)?.as_str()?))
    };
    let more = rule.get("additionalBindings").and_then(serde_json::Value::as_array).into_iter().flatten();
    let paths: Vec<String> = std::iter::once(&rule).chain(more).filter_map(path).collect();
    format!("{}\n\n", paths.join(" or "))
}

fn bounds(field: &FieldDescriptor, pool: &DescriptorPool) -> String {
    let Some(rules) = option(&field.options(), pool, "buf.validate.field") else { return String::new() };
    let text = rules.to_string().replace('"', "").replace('|', "\\|");
    format!("`{}`", text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(&text))
}

fn method(page: &mut String, method: &MethodDescriptor, comments: &Comments, pool: &DescriptorPool) {
    let from = method.parent_service().package_name().to_owned();
    let stream = |streams: bool| if streams { "stream of " } else { "" };
    let policy = option(&method.options(), pool, "remit.options.v1.method_policy").unwrap_or_default();
    let word = |key: &str| policy.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let actors = policy.get("actorKinds").and_then(serde_json::Value::as_array).into_iter().flatten();
    let actors: Vec<String> =
        actors.filter_map(|actor| Some(actor.as_str()?.trim_start_matches("ACTOR_KIND_").to_lowercase())).collect();
    let actors = if actors.is_empty() { "any actor".to_owned() } else { actors.join(", ") };
    let changes = if crate::support::is_read(method) { "reads" } else { "changes state" };
    let _ = write!(
        page,
        "\n#### {}\n\n{}{} → {}{}\n\n{}Needs `{}`; by {actors}; {changes}.\n\n{}\n",
        method.name(),
        stream(method.is_client_streaming()),
        message_link(&method.input(), &from),
        stream(method.is_server_streaming()),
        message_link(&method.output(), &from),
        http(method, pool),
        word("permission"),
        comments.text(method.path()),
    );
}

fn message(page: &mut String, found: &MessageDescriptor, comments: &Comments, pool: &DescriptorPool) {
    if found.is_map_entry() {
        return;
    }
    let package = found.package_name();
    let heading = found.full_name().trim_start_matches(package).trim_start_matches('.');
    let _ = write!(page, "\n### {heading}\n\n{}\n", comments.text(found.path()));
    let mut fields: Vec<FieldDescriptor> = found.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    if !fields.is_empty() {
        page.push_str("\n| field | type | | bounds |\n|---|---|---|---|\n");
    }
    for field in fields {
        let about = comments.cell(field.path());
        let limits = [behaviours(&field, pool), bounds(&field, pool)];
        let limits: Vec<_> = limits.into_iter().filter(|limit| !limit.is_empty()).collect();
        let _ = writeln!(page, "| `{}` | {} | {about} | {} |", field.name(), kind(&field, package), limits.join("; "));
    }
    found.child_messages().for_each(|child| message(page, &child, comments, pool));
    found.child_enums().for_each(|child| enumeration(page, &child, comments));
}

fn enumeration(page: &mut String, found: &EnumDescriptor, comments: &Comments) {
    let heading = found.full_name().trim_start_matches(found.package_name()).trim_start_matches('.');
    let _ = write!(page, "\n### {heading}\n\n{}\n\n| value | |\n|---|---|\n", comments.text(found.path()));
    for value in found.values() {
        let _ = writeln!(page, "| `{}` | {} |", value.name(), comments.cell(value.path()));
    }
}

fn render(package: &str, files: &[FileDescriptor], pool: &DescriptorPool) -> String {
    let mut page = format!("# {package}\n\nMade from the contract in `proto`; do not edit.\n");
    for file in files {
        let proto = file.file_descriptor_proto();
        let comments = Comments::of(proto);
        for service in file.services() {
            let _ = write!(page, "\n## {}\n\n{}\n", service.name(), comments.text(service.path()));
            service.methods().for_each(|found| method(&mut page, &found, &comments, pool));
        }
    }
    page.push_str("\n## Messages\n");
    for file in files {
        let comments = Comments::of(file.file_descriptor_proto());
        file.messages().for_each(|found| message(&mut page, &found, &comments, pool));
        file.enums().for_each(|found| enumeration(&mut page, &found, &comments));
    }
    page
}

fn pages() -> BTreeMap<PathBuf, String> {
    let pool = DescriptorPool::decode(remit_api::COMMENTED_DESCRIPTOR_SET).expect("the descriptor set is valid");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api");
    let mut index = "# API reference\n\nOne page a package, made from the contract in `proto`; do not edit. Errors by their reasons: \
                     [errors.md](../errors.md).\n\n| package | services |\n|---|---|\n"
        .to_owned();
    let mut pages = BTreeMap::new();
    for (package, files) in packages(&pool) {
        let services: Vec<String> = files
            .iter()
            .flat_map(|file| file.services().map(|service| service.name().to_owned()).collect::<Vec<_>>())
            .collect();
        let name = page_of(&package).to_owned();
        let _ = writeln!(index, "| [{package}]({name}.md) | {} |", services.join(", "));
        pages.insert(folder.join(format!("{name}.md")), render(&package, &files, &pool));
    }
    let openapi = serde_json::to_string_pretty(&crate::openapi::Document::of(&pool)).expect("a document is JSON");
    pages.insert(folder.join("openapi.json"), openapi + "\n");
    index += "\nOver HTTP with JSON, as the gateway of `deploy/envoy` serves it: [openapi.json](openapi.json).\n";
    pages.insert(folder.join("README.md"), index);
    pages
}

#[test]
fn the_pages_are_made_from_the_contract() {
    let made = pages();
    if std::env::var("REMIT_BLESS").is_ok_and(|value| value == "1") {
        let folder = made.keys().next().and_then(|path| path.parent()).expect("there are pages");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        made.iter().for_each(|(path, page)| std::fs::write(path, page).expect("a page can be written"));
    }
    for (path, page) in &made {
        let stands = std::fs::read_to_string(path).unwrap_or_default();
        assert!(stands == *page, "{} is not current: make docs", path.display());
    }
}

#[test]
fn a_page_says_of_every_method_what_it_is_and_links_lead_somewhere() {
    let made = pages();
    let by_name = |name: &str| made.iter().find(|(path, _)| path.ends_with(name)).map(|(_, page)| page.as_str());
    let scoring = by_name("scoring.md").expect("scoring has a page");
    for told in [
        "#### ImportTasks",
        "`POST /v1/{name=tasks/*}:rate`",
        "| required; `string:{maxLen:100,minLen:1}` |",
        "Needs `scoring.tasks.import`; by human, service; changes state.",
        "| `decimal_mark` | `string` | What stands before decimals",
    ] {
        assert!(scoring.contains(told), "{told}");
    }
    for (path, page) in &made {
        for (_, rest) in page.match_indices("](").map(|(at, _)| page.split_at(at + 2)) {
            let target = rest.split(')').next().unwrap_or_default();
            let Some((file, anchor_of)) = target.split_once('#') else { continue };
            if file.contains('/') {
                continue;
            }
            let there = if file.is_empty() { Some(page.as_str()) } else { by_name(file) };
            let heads = there.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("### "));
            assert!(heads.map(anchor).any(|head| head == anchor_of), "{}: {target} leads nowhere", path.display());
        }
    }
}
