//! `docs/api/openapi.json`: the contract over HTTP with JSON, as the gateway of `deploy/envoy` serves it, in OpenAPI 3.1.
//! Made of the descriptors beside the pages of [`crate::reference`].

use crate::reference::{Comments, behaviours, option};
use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A document in the making: the schemas that something refers to are written once.
pub(crate) struct Document<'a> {
    pool: &'a DescriptorPool,
    schemas: BTreeMap<String, Value>,
}

/// A path of the document with its variables: those of the request that it stands for, and its own.
struct Template {
    path: String,
    /// The field of the request, such as `task.name`.
    fields: Vec<String>,
    /// The variables of the path with the collections that they are in.
    variables: Vec<(String, String)>,
}

/// `policies` as `policy`.
fn singular(collection: &str) -> String {
    match collection.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None if collection == "aliases" => "alias".to_owned(),
        None => collection.strip_suffix('s').unwrap_or(collection).to_owned(),
    }
}

/// `/v1/{name=tasks/*}:rate` as `/v1/tasks/{task}:rate`.
fn template(rule: &str) -> Template {
    let mut made = Template { path: String::new(), fields: Vec::new(), variables: Vec::new() };
    let mut rest = rule;
    while let Some((before, after)) = rest.split_once('{') {
        let (variable, after) = after.split_once('}').unwrap_or((after, ""));
        let (field, pattern) = variable.split_once('=').unwrap_or((variable, ""));
        made.fields.push(field.to_owned());
        made.path += before;
        if pattern.is_empty() {
            // One name for the id of one collection, whichever field it comes from: paths that differ by it are the same.
            let collection = before.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let name = singular(collection);
            made.path += &format!("{{{name}}}");
            made.variables.push((name, collection.to_owned()));
        }
        let mut collection = "";
        for (at, segment) in pattern.split('/').filter(|segment| !segment.is_empty()).enumerate() {
            made.path += if at > 0 { "/" } else { "" };
            if segment == "*" {
                let name = singular(collection);
                made.path += &format!("{{{name}}}");
                made.variables.push((name, collection.to_owned()));
            } else {
                made.path += segment;
                collection = segment;
            }
        }
        rest = after;
    }
    made.path += rest;
    made
}

fn schema_name(full_name: &str) -> String {
    full_name.trim_start_matches("remit.").to_owned()
}

/// A number of a rule, wherever it stands in it.
fn bound<'v>(rules: &'v Value, kind: &str, name: &str) -> Option<&'v Value> {
    rules.get(kind)?.get(name)
}

/// A bound that proto JSON writes as text where it has 64 bits.
fn number(value: &Value) -> Value {
    value.as_str().and_then(|text| text.parse::<i64>().ok()).map_or_else(|| value.clone(), Value::from)
}

impl<'a> Document<'a> {
    /// The document of every method that has a place in HTTP.
    pub(crate) fn of(pool: &'a DescriptorPool) -> Value {
        let mut document = Self { pool, schemas: BTreeMap::new() };
        let (mut paths, mut tags) = (BTreeMap::<String, Map<String, Value>>::new(), Vec::new());
        let files = pool.files().filter(|file| file.package_name().starts_with("remit."));
        let mut files: Vec<_> = files.collect();
        files.sort_by(|a, b| a.name().cmp(b.name()));
        for file in &files {
            let comments = Comments::of(file.file_descriptor_proto());
            for service in file.services() {
                tags.push(json!({"name": service.name(), "description": comments.text(service.path())}));
                for method in service.methods() {
                    document.method(&method, &comments, &mut paths);
                }
            }
        }
        let status = json!({
            "type": "object",
            "description": "A google.rpc.Status: the code of gRPC, a message, and details, of which a google.rpc.ErrorInfo \
                            carries the stable reason of docs/errors.md.",
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "details": {"type": "array", "items": {"type": "object"}}},
        });
        document.schemas.insert("Status".to_owned(), status);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Remit",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Remit over HTTP with JSON, as a gateway that transcodes by google.api.http serves it \
                                (deploy/envoy). Made from the contract in proto; calls that go both ways are gRPC alone.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "security": [{"token": []}],
            "tags": tags,
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
                "schemas": document.schemas,
            },
        })
    }

    fn method(
        &mut self,
        method: &MethodDescriptor,
        comments: &Comments,
        paths: &mut BTreeMap<String, Map<String, Value>>,
    ) {
        let Some(rule) = option(&method.options(), self.pool, "google.api.http") else { return };
        let more = rule.get("additionalBindings").and_then(Value::as_array).cloned().unwrap_or_default();
        for (number, rule) in std::iter::once(&rule).chain(&more).enumerate() {
            let verbs = ["get", "post", "patch", "delete", "put"];
            let Some((verb, path)) = verbs.iter().find_map(|verb| Some((*verb, rule.get(*verb)?.as_str()?))) else {
                continue;
            };
            let template = template(path);
            let mut operation = self.operation(method, &template, rule.get("body").and_then(Value::as_str));
            let name = format!("{}.{}", method.parent_service().name(), method.name());
            let name = if number == 0 { name } else { format!("{name}.{number}") };
            operation["operationId"] = json!(name);
            operation["description"] = json!(comments.text(method.path()));
            paths.entry(template.path).or_default().insert(verb.to_owned(), operation);
        }
    }

    fn operation(&mut self, method: &MethodDescriptor, template: &Template, body: Option<&str>) -> Value {
        let input = method.input();
        let mut parameters: Vec<Value> = Vec::new();
        for (variable, collection) in &template.variables {
            let what = format!("The id in `{collection}`.");
            let schema = json!({"type": "string"});
            parameters
                .push(json!({"name": variable, "in": "path", "required": true, "description": what, "schema": schema}));
        }
        let carried = |field: &FieldDescriptor| {
            body == Some("*") || body == Some(field.name()) || template.fields.iter().any(|name| name == field.name())
        };
        for field in input.fields().filter(|field| !carried(field)) {
            self.query(&field, "", &mut parameters);
        }
        let answer = self.reference(&method.output());
        let streams = if method.is_server_streaming() { "One JSON object a line." } else { "The answer." };
        let mut operation = json!({
            "tags": [method.parent_service().name()],
            "parameters": parameters,
            "responses": {
                "200": {"description": streams, "content": {"application/json": {"schema": answer}}},
                "default": {
                    "description": "A refusal.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}},
                },
            },
        });
        let schema = match body {
            None => return operation,
            Some("*") => self.body(&input, &template.fields),
            // An update says by its mask what it gives.
            Some(field) => match input.get_field_by_name(field).map(|field| field.kind()) {
                Some(Kind::Message(resource)) if method.name().starts_with("Update") => {
                    let mut schema = self.message(&resource);
                    if let Some(fields) = schema.as_object_mut() {
                        fields.remove("required");
                    }
                    schema
                }
                Some(kind) => self.value(&kind, &Value::Null),
                None => json!({}),
            },
        };
        let schema = if method.is_client_streaming() { json!({"type": "array", "items": schema}) } else { schema };
        operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        operation
    }

    /// The parameters for a field: of a message those of its fields, by their paths.
    fn query(&mut self, field: &FieldDescriptor, before: &str, parameters: &mut Vec<Value>) {
        let name = format!("{before}{}", field.json_name());
        if let Kind::Message(inner) = field.kind()
            && !inner.full_name().starts_with("google.protobuf.")
        {
            for field in inner.fields() {
                self.query(&field, &format!("{name}."), parameters);
            }
            return;
        }
        let comments = Comments::of(field.parent_message().parent_file_descriptor_proto());
        let required = before.is_empty() && behaviours(field, self.pool).contains("required");
        parameters.push(json!({
            "name": name, "in": "query", "required": required,
            "description": comments.text(field.path()), "schema": self.field(field),
        }));
    }

    /// A request without what its path says.
    fn body(&mut self, input: &MessageDescriptor, said: &[String]) -> Value {
        if said.is_empty() {
            return self.reference(input);
        }
        let is_said = |name: &str| {
            input.fields().any(|field| field.json_name() == name && said.iter().any(|said| said == field.name()))
        };
        let mut schema = self.message(input);
        if let Some(properties) = schema["properties"].as_object_mut() {
            properties.retain(|name, _| !is_said(name));
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| !name.as_str().is_some_and(is_said));
        }
        schema
    }

    /// What JSON has for a message: its own form for those of Google, else a reference to its schema.
    fn reference(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Timestamp" => return json!({"type": "string", "format": "date-time"}),
            "google.protobuf.Duration" => return json!({"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"}),
            "google.protobuf.FieldMask" => return json!({"type": "string"}),
            "google.protobuf.Empty" | "google.protobuf.Struct" => return json!({"type": "object"}),
            name if name.starts_with("google.protobuf.") => return json!({}),
            _ => {}
        }
        let name = schema_name(message.full_name());
        if !self.schemas.contains_key(&name) {
            // Taken before it is known, since messages hold each other.
            self.schemas.insert(name.clone(), Value::Null);
            let schema = self.message(message);
            self.schemas.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    fn message(&mut self, message: &MessageDescriptor) -> Value {
        let comments = Comments::of(message.parent_file_descriptor_proto());
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in message.fields() {
            let mut schema = self.field(&field);
            schema["description"] = json!(comments.text(field.path()));
            let said = behaviours(&field, self.pool);
            if said.contains("output only") {
                schema["readOnly"] = json!(true);
            }
            if said.contains("required") {
                required.push(field.json_name().to_owned());
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut schema =
            json!({"type": "object", "description": comments.text(message.path()), "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn words(&mut self, words: &EnumDescriptor) -> Value {
        let name = schema_name(words.full_name());
        if !self.schemas.contains_key(&name) {
            let comments = Comments::of(words.parent_file_descriptor_proto());
            let values: Vec<_> = words.values().map(|value| value.name().to_owned()).collect();
            let about = comments.text(words.path());
            self.schemas.insert(name.clone(), json!({"type": "string", "description": about, "enum": values}));
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let rules = option(&field.options(), self.pool, "buf.validate.field").unwrap_or_default();
        if let Kind::Message(entry) = field.kind()
            && field.is_map()
        {
            let values = self.value(&entry.map_entry_value_field().kind(), &Value::Null);
            return json!({"type": "object", "additionalProperties": values});
        }
        if field.cardinality() != Cardinality::Repeated {
            return self.value(&field.kind(), &rules);
        }
        let items = bound(&rules, "repeated", "items").cloned().unwrap_or_default();
        let mut list = json!({"type": "array", "items": self.value(&field.kind(), &items)});
        for (ours, theirs) in [("minItems", "minItems"), ("maxItems", "maxItems"), ("unique", "uniqueItems")] {
            if let Some(value) = bound(&rules, "repeated", ours) {
                list[theirs] = number(value);
            }
        }
        list
    }

    /// One value with its bounds, as proto JSON writes it: 64 bits as text, bytes in Base64.
    fn value(&mut self, kind: &Kind, rules: &Value) -> Value {
        let (mut schema, bounds) = match kind {
            Kind::Message(message) => return self.reference(message),
            Kind::Enum(words) => return self.words(words),
            Kind::String => (json!({"type": "string"}), "string"),
            Kind::Bytes => return json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Bool => return json!({"type": "boolean"}),
            Kind::Double => (json!({"type": "number", "format": "double"}), "double"),
            Kind::Float => (json!({"type": "number", "format": "float"}), "float"),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (json!({"type": "integer", "format": "int32"}), "int32"),
            Kind::Uint32 | Kind::Fixed32 => (json!({"type": "integer", "minimum": 0}), "uint32"),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                return json!({"type": "string", "pattern": r"^-?\d+$"});
            }
        };
        let known = [
            ("minLen", "minLength"),
            ("maxLen", "maxLength"),
            ("pattern", "pattern"),
            ("gte", "minimum"),
            ("lte", "maximum"),
            ("gt", "exclusiveMinimum"),
            ("lt", "exclusiveMaximum"),
        ];
        for (ours, theirs) in known {
            if let Some(value) = bound(rules, bounds, ours) {
                schema[theirs] = if ours == "pattern" { value.clone() } else { number(value) };
            }
        }
        schema
    }
}

#[test]
fn paths_are_those_of_the_rules() {
    let of = |rule: &str| template(rule).path;
    assert_eq!(of("/v1/{name=tasks/*}:rate"), "/v1/tasks/{task}:rate");
    assert_eq!(of("/v1/{model_version.name=models/*/versions/*}"), "/v1/models/{model}/versions/{version}");
    assert_eq!(of("/v1/{parent=policies/*}/versions"), "/v1/policies/{policy}/versions");
    assert_eq!(of("/v1/{kpi=kpis/*}/events/{event_id}"), "/v1/kpis/{kpi}/events/{event}");
    assert_eq!(template("/v1/{task.name=tasks/*}").fields, ["task.name"]);
}

#[test]
fn the_document_says_what_the_contract_says() {
    let pool = DescriptorPool::decode(remit_api::COMMENTED_DESCRIPTOR_SET).expect("the descriptor set is valid");
    let document = Document::of(&pool);
    let rate = &document["paths"]["/v1/tasks/{task}:rate"]["post"];
    assert_eq!(rate["operationId"], "TaskService.RateTask");
    let asked = &rate["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(asked["properties"]["rating"]["$ref"], "#/components/schemas/scoring.v1.Rating");
    assert!(asked["properties"].get("name").is_none(), "the path says it: {asked}");
    assert_eq!(asked["required"], json!(["rating"]));
    let made = &document["paths"]["/v1/tasks"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(made["$ref"], "#/components/schemas/scoring.v1.Task");
    let changed =
        &document["paths"]["/v1/tasks/{task}"]["patch"]["requestBody"]["content"]["application/json"]["schema"];
    assert!(changed.get("required").is_none() && changed["properties"].get("title").is_some(), "{changed}");
    let list = document["paths"]["/v1/tasks"]["get"]["parameters"].as_array().expect("parameters");
    assert!(list.iter().any(|parameter| parameter["name"] == "pageSize" && parameter["schema"]["minimum"] == 0));
    let task = &document["components"]["schemas"]["scoring.v1.Task"];
    assert_eq!(task["properties"]["title"]["minLength"], 1);
    assert_eq!(task["properties"]["createTime"]["readOnly"], true);
    assert!(task["required"].as_array().is_some_and(|required| required.contains(&json!("title"))));
    // Whatever is referred to is there.
    let (text, schemas) = (document.to_string(), document["components"]["schemas"].as_object().expect("schemas"));
    let referred = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
    let missing: Vec<_> = referred.filter(|name| !schemas.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(schemas.values().all(|schema| !schema.is_null()));
}
