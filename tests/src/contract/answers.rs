//! A suite with one of everything, asked by descriptor.

use super::paths::astray;
use super::requests::{MADE, VALID};
use super::wire::{methods, path, send, service_of};
use crate::api::furnish;
use crate::support::{Suite, Topology, reason};
use prost_reflect::prost::Message as _;
use prost_reflect::prost::bytes::Bytes;
use prost_reflect::{DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, Value};
use remit_core::ActorKind;
use remit_runtime::auth::Methods;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use tonic::{Code, Status};

/// A suite with one of everything that the rules are tried on.
pub(crate) struct Remit {
    suite: Suite,
    access: Methods,
    /// Every etag seen in an answer, with the message that had it.
    etags: Mutex<Vec<(String, String)>>,
    /// Every field in a refusal that the request does not have.
    strays: Mutex<Vec<String>>,
}

impl Remit {
    pub(crate) async fn start() -> Self {
        let suite = Suite::start(Topology::Sqlite).await.expect("SQLite needs no server");
        let config = remit_runtime::Config::from_toml("").expect("the defaults are valid");
        let access = Methods::new(remit_api::pool(), &config.roles).expect("every method has a rule");
        furnish(&suite).await;
        let remit = Self { suite, access, etags: Mutex::default(), strays: Mutex::default() };
        for (name, json) in MADE {
            let method = named(name);
            let made = remit.ask(&method, &message(&method, json)).await;
            made.unwrap_or_else(|status| panic!("{name} of {json}: {status:?}"));
        }
        remit
    }

    /// Asks as somebody who may.
    pub(crate) async fn ask(
        &self,
        method: &MethodDescriptor,
        request: &DynamicMessage,
    ) -> Result<DynamicMessage, Status> {
        let bytes = self.send(method, request.encode_to_vec().into()).await.inspect_err(|status| {
            self.strays.lock().expect("nobody panicked while holding it").extend(astray(method, status));
        })?;
        let answer = DynamicMessage::decode(method.output(), bytes).expect("an answer of the method's type");
        etags_in(&answer, &mut self.etags.lock().expect("nobody panicked while holding it"));
        Ok(answer)
    }

    /// Sends bytes as somebody who may, and waits at most so long for what a stream says first.
    pub(crate) async fn throw(&self, method: &MethodDescriptor, bytes: Bytes, most: Duration) -> Result<Bytes, Status> {
        let answer = self.send(method, bytes);
        if method.is_server_streaming() {
            // One that waits for what will happen has been answered.
            return tokio::time::timeout(most, answer).await.unwrap_or_else(|_| Ok(Bytes::new()));
        }
        answer.await
    }

    async fn send(&self, method: &MethodDescriptor, bytes: Bytes) -> Result<Bytes, Status> {
        let kinds = &self.access.get(&path(method)).expect("every method has a rule").kinds;
        let token = if kinds.is_empty() || kinds.contains(&ActorKind::Human) {
            let (roles, groups) = (["admin", "auditor"], ["legal", "marketing_lead"]);
            self.suite.token("contract", ActorKind::Human, &roles, &groups)
        } else {
            self.suite.service_token("council")
        };
        send(self.suite.bare(&service_of(method)), method, bytes, Some(&format!("Bearer {token}"))).await
    }

    /// Every etag that was seen so far: the message that had it, and the etag.
    pub(crate) fn etags(&self) -> Vec<(String, String)> {
        self.etags.lock().expect("nobody panicked while holding it").clone()
    }

    /// How many audit entries match a filter.
    pub(crate) async fn entries(&self, filter: &str) -> usize {
        self.suite.entries(filter).await.len()
    }

    /// The audit entries that match a filter, oldest first.
    pub(crate) async fn found(&self, filter: &str) -> Vec<remit_api::audit::v1::Entry> {
        self.suite.entries(filter).await
    }

    /// Asks as a program that may do everything that programs may.
    pub(crate) async fn ask_as_program(
        &self,
        subject: &str,
        method: &MethodDescriptor,
        request: &DynamicMessage,
    ) -> DynamicMessage {
        let token = format!("Bearer {}", self.suite.token(subject, ActorKind::Service, &["admin"], &[]));
        let bytes = send(self.suite.bare(&service_of(method)), method, request.encode_to_vec().into(), Some(&token));
        let bytes = bytes.await.unwrap_or_else(|status| panic!("{}: {status:?}", method.name()));
        DynamicMessage::decode(method.output(), bytes).expect("an answer of the method's type")
    }

    /// Who is named as actor in the audit log.
    pub(crate) async fn actors(&self) -> Vec<remit_api::types::Actor> {
        self.suite.entries("").await.into_iter().filter_map(|entry| entry.event?.actor).collect()
    }

    /// Ends the suite. Whatever was refused in it named fields of its request.
    pub(crate) async fn stop(self) {
        self.suite.stop().await;
        nothing(self.strays.into_inner().expect("nobody panicked while holding it"));
    }
}

/// The method with this name.
pub(crate) fn named(name: &str) -> MethodDescriptor {
    methods().into_iter().find(|method| method.name() == name).unwrap_or_else(|| panic!("there is no method {name}"))
}

fn message(method: &MethodDescriptor, json: &str) -> DynamicMessage {
    let mut json = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(method.input(), &mut json).unwrap_or_else(|e| panic!("{}: {e}", method.name()))
}

/// A request that the method answers: its own from the tables, or the empty one.
pub(crate) fn valid(method: &MethodDescriptor) -> DynamicMessage {
    let known: BTreeMap<_, _> = MADE.iter().chain(VALID).copied().collect();
    known.get(method.name()).map_or_else(|| DynamicMessage::new(method.input()), |json| message(method, json))
}

/// Whether a field holds one message of this type.
pub(crate) fn holds(field: &prost_reflect::FieldDescriptor, message: &str) -> bool {
    !field.is_list() && matches!(field.kind(), Kind::Message(kind) if kind.full_name() == message)
}

/// How an answer differs from a refusal, `None` if it is that.
pub(crate) fn unlike(answer: &Result<DynamicMessage, Status>, code: Code, reasons: &[&str]) -> Option<String> {
    match answer {
        Ok(_) => Some(format!("answered instead of {reasons:?}")),
        Err(status) => {
            let found = reason(status);
            let fits = |wanted: &&str| found == *wanted || (wanted.starts_with('_') && found.ends_with(*wanted));
            let same = status.code() == code && reasons.iter().any(fits);
            (!same)
                .then(|| format!("{:?} {found} ({}) instead of {code:?} {reasons:?}", status.code(), status.message()))
        }
    }
}

fn etags_in(message: &DynamicMessage, found: &mut Vec<(String, String)>) {
    for (field, value) in message.fields() {
        if field.name() == "etag" {
            let etag = value.as_str().unwrap_or_default().to_owned();
            found.push((message.descriptor().name().to_owned(), etag));
        }
        match value {
            Value::Message(inner) => etags_in(inner, found),
            Value::List(items) => items.iter().filter_map(Value::as_message).for_each(|inner| etags_in(inner, found)),
            _ => {}
        }
    }
}

/// Fails with a line for each method that breaks a rule.
pub(crate) fn nothing(broken: Vec<String>) {
    assert!(broken.is_empty(), "{} breaks:\n{}", broken.len(), broken.join("\n"));
}
