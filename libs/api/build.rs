//! Compiles every proto file under `proto/remit` with protox, so that no system `protoc` is needed.

#[path = "build/checks.rs"]
mod checks;
#[path = "build/rules.rs"]
mod rules;
#[path = "build/subjects.rs"]
mod subjects;

use prost_reflect::DescriptorPool;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto").canonicalize()?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut files = Vec::new();
    walk(&root.join("remit"), &mut files)?;
    files.sort();
    println!("cargo:rerun-if-changed={}", root.display());

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // prost_types drops extension options on decoding, and the rules and permissions are extensions:
    // the bytes that protox encodes are the only complete form.
    let mut lean = protox::Compiler::new([&root])?;
    lean.include_imports(true).include_source_info(false).open_files(&files)?;
    let bytes = lean.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(bytes.as_slice())?;
    fs::write(out.join("remit.fds"), bytes)?;

    fs::write(out.join("remit-commented.fds"), compiler.encode_file_descriptor_set())?;

    let mut set = compiler.file_descriptor_set();
    set.file.retain(|file| !matches!(file.package(), "buf.validate" | "google.api"));
    fs::write(out.join("shared.rs"), shared(&set, &pool) + &subjects::code(&pool)?)?;
    fs::write(out.join("checks.rs"), checks::code(&pool)?)?;
    let mut prost = tonic_prost_build::Config::new();
    prost.enable_type_names();
    // Equal messages must encode to equal bytes: request and content digests are taken over them.
    prost.btree_map(["."]);
    tonic_prost_build::configure()
        .codec_path("crate::codec::ProstCodec")
        .include_file("tree.rs")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(set, prost)?;
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// Implements, for every type that has it, what messages of the contract have in common: see `src/wire`.
fn shared(set: &FileDescriptorSet, pool: &DescriptorPool) -> String {
    let mut code = String::new();
    let ours = || set.file.iter().filter(|file| file.package().starts_with("remit."));
    let named: BTreeSet<String> = ours().flat_map(resources).collect();
    for file in ours() {
        let module = file.package().split('.').map(rust_name).collect::<Vec<_>>().join("::");
        for enumeration in &file.enum_type {
            code += &words(&module, enumeration);
        }
        for message in &file.message_type {
            let inner = format!("{module}::{}", snake(message.name()));
            for enumeration in &message.enum_type {
                code += &words(&inner, enumeration);
            }
            code += &requests(&module, message, &named);
            code += &updatable(pool, &format!("{}.{}", file.package(), message.name())).unwrap_or_default();
        }
    }
    code
}

fn words(module: &str, enumeration: &EnumDescriptorProto) -> String {
    let prefix = format!("{}_", snake(enumeration.name()).to_uppercase());
    let values = enumeration.value.iter().filter(|value| value.number() != 0);
    let values: Vec<(&str, i32)> =
        values.map(|value| (value.name().strip_prefix(&prefix).unwrap_or(value.name()), value.number())).collect();
    let words: Vec<&str> = values.iter().map(|(word, _)| *word).collect();
    format!(
        "impl crate::wire::Word for {module}::{} {{\n    const VALUES: &'static [(&'static str, i32)] = &{values:?};\n    \
         const WORDS: &'static [&'static str] = &{words:?};\n}}\n",
        enumeration.name()
    )
}

/// The full names of the messages of a file that are resources: those that have a name.
fn resources(file: &FileDescriptorProto) -> impl Iterator<Item = String> {
    let named = |message: &&DescriptorProto| text_field(message, "name").is_some();
    file.message_type.iter().filter(named).map(|message| format!(".{}.{}", file.package(), message.name()))
}

/// The field of this name, if it is one text that is always there.
fn text_field<'a>(message: &'a DescriptorProto, name: &str) -> Option<&'a FieldDescriptorProto> {
    let one = |field: &&FieldDescriptorProto| field.label() != Label::Repeated && field.oneof_index.is_none();
    message.field.iter().filter(one).find(|field| field.name() == name && field.r#type() == Type::String)
}

/// Fields by which a request names a resource where it has neither `name` nor `parent`, nor the resource itself.
const NAMES: [&str; 8] = ["model", "artifact", "hold", "body", "task", "gate", "kpi", "subject"];

/// How to get at what names the resource of a request, the surest first.
fn names(message: &DescriptorProto, named: &BTreeSet<String>) -> Vec<String> {
    let text = |name: &str| text_field(message, name).map(|field| format!("self.{}.as_str()", field.name()));
    let inner = message.field.iter().filter(|field| field.label() != Label::Repeated && field.oneof_index.is_none());
    let inner = inner.filter(|field| named.contains(field.type_name()));
    let inner = inner.map(|field| format!("self.{}.as_ref().map_or(\"\", |inner| inner.name.as_str())", field.name()));
    ["name", "parent"].into_iter().filter_map(text).chain(inner).chain(NAMES.into_iter().filter_map(text)).collect()
}

fn requests(module: &str, message: &DescriptorProto, named: &BTreeSet<String>) -> String {
    let has = |field: &str| message.field.iter().any(|own| own.name() == field);
    let text = |field: &str| if has(field) { format!("&self.{field}") } else { "\"\"".to_owned() };
    let name = message.name();
    let mut code = String::new();
    if name.ends_with("Request") {
        code += &format!(
            "impl crate::wire::About for {module}::{name} {{\n    \
             fn about(&self) -> &str {{\n        let names: &[&str] = &[{}];\n        \
             names.iter().copied().find(|name| !name.is_empty()).unwrap_or_default()\n    }}\n    \
             fn shown(&self) -> serde_json::Value {{ crate::json(self).unwrap_or_default() }}\n}}\n",
            names(message, named).join(", ")
        );
    }
    if has("request_id") && name.ends_with("Request") {
        code += &format!(
            "impl crate::wire::Repeatable for {module}::{name} {{\n    \
             fn request_id(&self) -> &str {{ &self.request_id }}\n    \
             fn resource(&self) -> &str {{\n        let names: &[&str] = &[{}];\n        \
             names.iter().copied().find(|name| !name.is_empty()).unwrap_or_default()\n    }}\n}}\n",
            names(message, named).join(", ")
        );
    }
    if has("mandate") && name.ends_with("Request") {
        code += &format!(
            "impl crate::wire::Mandated for {module}::{name} {{\n    fn mandate(&self) -> &str {{ &self.mandate }}\n    \
             fn bare(&self) -> Self {{ Self {{ mandate: String::new(), request_id: String::new(), ..self.clone() }} }}\n    \
             fn set_mandate(&mut self, mandate: String) {{ self.mandate = mandate; }}\n}}\n"
        );
    }
    if has("page_size") && has("page_token") {
        code += &format!(
            "impl crate::wire::Paged for {module}::{name} {{\n    fn page_size(&self) -> i32 {{ self.page_size }}\n    \
             fn page_token(&self) -> &str {{ &self.page_token }}\n    fn parent(&self) -> &str {{ {} }}\n    \
             fn filter(&self) -> &str {{ {} }}\n}}\n",
            text("parent"),
            text("filter")
        );
    }
    code
}

/// What an update may change of the resource that it holds.
fn updatable(pool: &DescriptorPool, request: &str) -> Option<String> {
    let request = pool.get_message_by_name(request)?;
    let (_, fields) = checks::updatable(pool, &request)?;
    let resource = request.fields().next()?.kind().as_message()?.clone();
    let module = resource.package_name().split('.').map(rust_name).collect::<Vec<_>>().join("::");
    Some(format!(
        "impl crate::wire::Updatable for {module}::{} {{\n    const UPDATABLE: &'static [&'static str] = &{fields:?};\n}}\n",
        resource.name()
    ))
}

/// A segment of a package as prost names its module.
fn rust_name(segment: &str) -> String {
    if segment == "type" { "r#type".to_owned() } else { segment.to_owned() }
}

/// `HoldState` as `hold_state`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        before = letter;
    }
    text
}
