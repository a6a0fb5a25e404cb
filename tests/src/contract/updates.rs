//! Updates: masks as AIP-134 has them, and etags.

use super::answers::{Remit, named, nothing, unlike, valid};
use super::wire::methods;
use crate::support::reason;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage as _, Value};
use std::collections::BTreeSet;
use tonic::{Code, Status};

/// Updates that take no mask, each with its reason.
const WHOLE: &[(&str, &str)] = &[];

/// Messages whose etag no answer of these tests shows, each with its reason.
const UNSEEN: &[(&str, &str)] = &[("ModelState", "a part of a watch stream; it is the etag of its version")];

/// Fields that a resource must have and an update cannot change.
const FIXED: &[(&str, &[&str])] = &[("UpdateIncident", &["system", "source"])];

/// One Update method with what it changes.
struct Update {
    method: MethodDescriptor,
    /// The field of the request that holds the resource.
    resource: FieldDescriptor,
    /// A request that changes every field it gives.
    request: DynamicMessage,
}

impl Update {
    fn all() -> Vec<Self> {
        let updates = methods().into_iter().filter(|method| method.name().starts_with("Update"));
        let one = |method: MethodDescriptor| {
            let is_message = |field: &FieldDescriptor| matches!(field.kind(), Kind::Message(_));
            let resource = method.input().fields().find(is_message).expect("an update has a resource");
            let request = valid(&method);
            assert!(request.has_field(&resource), "requests::VALID has no request for {}", method.name());
            Self { method, resource, request }
        };
        updates.map(one).collect()
    }

    fn has_mask(&self) -> bool {
        self.method.input().get_field_by_name("update_mask").is_some()
    }

    /// What the request gives.
    fn given(&self) -> DynamicMessage {
        self.request.get_field(&self.resource).as_message().expect("a resource").clone()
    }

    /// The fields that the request changes.
    fn changed(&self) -> Vec<FieldDescriptor> {
        let given = self.given();
        let fixed =
            FIXED.iter().find(|(method, _)| *method == self.method.name()).map_or(&[][..], |(_, fields)| *fields);
        let changes = |field: &FieldDescriptor| field.name() != "name" && !fixed.contains(&field.name());
        given.fields().map(|(field, _)| field).filter(changes).collect()
    }

    /// The resource as it is.
    async fn current(&self, remit: &Remit) -> DynamicMessage {
        let get = named(&self.method.name().replace("Update", "Get"));
        let mut request = DynamicMessage::new(get.input());
        if let Some(name) = get.input().get_field_by_name("name") {
            request
                .set_field(&name, self.given().get_field_by_name("name").expect("a resource has a name").into_owned());
        }
        remit.ask(&get, &request).await.unwrap_or_else(|status| panic!("{}: {status:?}", get.name()))
    }

    /// The same without an etag, which nothing is checked against.
    async fn unguarded(&self, remit: &Remit) -> DynamicMessage {
        let mut current = self.current(remit).await;
        current.clear_field_by_name("etag");
        current
    }

    async fn send(&self, remit: &Remit, resource: DynamicMessage, mask: &[&str]) -> Result<DynamicMessage, Status> {
        let mut request = DynamicMessage::new(self.method.input());
        request.set_field(&self.resource, Value::Message(resource));
        if let Some(field) = self.method.input().get_field_by_name("update_mask").filter(|_| !mask.is_empty()) {
            let Kind::Message(kind) = field.kind() else { panic!("{} is a mask", field.full_name()) };
            let mut paths = DynamicMessage::new(kind);
            let list = mask.iter().map(|path| Value::String((*path).to_owned())).collect();
            paths.set_field_by_name("paths", Value::List(list));
            request.set_field(&field, Value::Message(paths));
        }
        remit.ask(&self.method, &request).await
    }
}

/// Runs a rule on every Update and gives a line for each that breaks it.
async fn each(remit: &Remit, rule: impl AsyncFn(&Remit, &Update) -> Option<String>) -> Vec<String> {
    let mut broken = Vec::new();
    for update in Update::all() {
        let excused = WHOLE.iter().any(|(known, _)| *known == update.method.name());
        match (update.has_mask(), excused) {
            (true, false) => {
                let found = rule(remit, &update).await;
                broken.extend(found.map(|what| format!("{}: {what}", update.method.name())));
            }
            (false, false) => broken.push(format!("{} takes no update_mask", update.method.name())),
            (true, true) => broken.push(format!("{} needs no exception", update.method.name())),
            (false, true) => {}
        }
    }
    broken
}

/// Whether `answer` has what `wanted` has in the fields that an update changes.
fn differs(update: &Update, answer: Result<DynamicMessage, Status>, wanted: &DynamicMessage) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(status) => return Some(format!("{:?} {}: {}", status.code(), reason(&status), status.message())),
    };
    // The parts of a message that the service works out are not asked for.
    let kept = |field: &&FieldDescriptor| !matches!(field.kind(), Kind::Message(_)) || field.is_list();
    let changed = update.changed();
    let unlike = changed.iter().filter(kept).find(|field| answer.get_field(field) != wanted.get_field(field));
    unlike.map(|field| format!("{} is {} after it", field.name(), answer.get_field(field)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_mask_and_a_star_mean_all_that_may_change() {
    let remit = Remit::start().await;
    let broken = each(&remit, async |remit, update| {
        let before = update.unguarded(remit).await;
        let given = update.given();
        let empty = differs(update, update.send(remit, given.clone(), &[]).await, &given);
        let back = differs(update, update.send(remit, before.clone(), &["*"]).await, &before);
        empty.map(|what| format!("empty: {what}")).or(back.map(|what| format!("*: {what}")))
    });
    nothing(broken.await);
    remit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_with_an_unknown_field_is_refused() {
    let remit = Remit::start().await;
    let broken = each(&remit, async |remit, update| {
        let answer = update.send(remit, update.given(), &["no_such_field"]).await;
        unlike(&answer, Code::InvalidArgument, &["UPDATE_MASK_INVALID"])
    });
    nothing(broken.await);
    remit.stop().await;
}

/// A value of a field that breaks its rule, where it has one.
fn breaking(message: &DynamicMessage, field: &FieldDescriptor) -> Option<DynamicMessage> {
    let value = match field.kind() {
        _ if field.is_list() || field.is_map() => return None,
        Kind::String => Value::String("x".repeat(10_000)),
        Kind::Int32 => Value::I32(-1_000_000),
        Kind::Double => Value::F64(f64::NAN),
        Kind::Enum(_) => Value::EnumNumber(999),
        _ => return None,
    };
    let mut broken = message.clone();
    broken.set_field(field, value);
    let found = remit_api::validate::violations(&broken).expect("the rules can be applied");
    found.iter().any(|violation| violation.field.starts_with(field.name())).then_some(broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_mask_does_not_name_is_not_looked_at() {
    let remit = Remit::start().await;
    let broken = each(&remit, async |remit, update| {
        let current = update.unguarded(remit).await;
        let changed = update.changed().first().expect("an update changes something").clone();
        let kind = current.descriptor();
        let others = kind.fields().filter(|other| !["name", "etag", changed.name()].contains(&other.name()));
        let broken: Vec<_> = others.filter_map(|other| Some((breaking(&current, &other)?, other))).collect();
        // Only the name and what the mask names.
        let mut bare = DynamicMessage::new(kind.clone());
        let named = |field: &FieldDescriptor| field.name() == "name" || *field == changed;
        for field in kind.fields().filter(|field| named(field) && current.has_field(field)) {
            bare.set_field(&field, current.get_field(&field).into_owned());
        }
        for (resource, what) in broken.into_iter().map(|(resource, other)| (resource, other.name().to_owned())) {
            if let Err(status) = update.send(remit, resource, &[changed.name()]).await {
                let found = format!("{:?} {}: {}", status.code(), reason(&status), status.message());
                return Some(format!("`{}` with a bad {what}: {found}", changed.name()));
            }
        }
        let answer = update.send(remit, bare, &[changed.name()]).await;
        answer.err().map(|status| format!("`{}` alone: {}: {}", changed.name(), reason(&status), status.message()))
    });
    nothing(broken.await);
    remit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_that_is_not_current_is_refused() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    for update in Update::all() {
        let mut given = update.given();
        given.set_field_by_name("etag", Value::String("r999999".to_owned()));
        let answer = update.send(&remit, given, &[]).await;
        let found = unlike(&answer, Code::Aborted, &["ETAG_MISMATCH"]);
        broken.extend(found.map(|what| format!("{}: {what}", update.method.name())));
        let current = update.current(&remit).await;
        let fresh = update.send(&remit, current, &[update.changed()[0].name()]).await;
        broken.extend(fresh.err().map(|status| format!("{} with its own etag: {status:?}", update.method.name())));
    }
    nothing(broken);
    remit.stop().await;
}

/// Reads all that was made, so that every etag is seen.
async fn read_all(remit: &Remit) {
    for method in methods() {
        let paged = method.input().get_field_by_name("page_size").is_some();
        if paged && !method.is_server_streaming() {
            let _ = remit.ask(&method, &valid(&method)).await;
        }
    }
    for update in Update::all() {
        update.current(remit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etags_are_revisions() {
    let remit = Remit::start().await;
    read_all(&remit).await;
    let seen: BTreeSet<_> = remit.etags().into_iter().collect();
    let revision =
        |etag: &str| etag.strip_prefix('r').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let odd = seen.iter().filter(|(_, etag)| !revision(etag)).map(|(kind, etag)| format!("{kind}: {etag:?}"));
    let with_etag = remit_api::pool().all_messages().filter(|message| {
        let own = message.full_name().starts_with("remit.") && !message.name().ends_with("Request");
        own && message.get_field_by_name("etag").is_some()
    });
    let shown: BTreeSet<_> = seen.iter().map(|(kind, _)| kind.as_str()).collect();
    let excused = |name: &str| UNSEEN.iter().any(|(known, _)| *known == name);
    let hidden = with_etag.filter(|message| shown.contains(message.name()) == excused(message.name()));
    let hidden =
        hidden.map(|message| format!("{}: its etag is seen by no answer, or needs no exception", message.name()));
    nothing(odd.chain(hidden).collect());
    remit.stop().await;
}
