//! Updates: masks as AIP-134 has them, and etags.

use super::answers::{Remit, named, nothing, unlike, valid};
use super::wire::methods;
use crate::support::{permission, reason};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage as _, Value};
use std::collections::BTreeSet;
use tonic::{Code, Status};

/// Updates that take no mask, each with its reason.
const WHOLE: &[(&str, &str)] = &[];

/// Messages whose etag no answer of these tests shows, each with its reason.
const UNSEEN: &[(&str, &str)] = &[
    ("LoosenRules", "what a proposal does; it is the etag of the alert rule that it deletes"),
    ("ModelState", "a part of a watch stream; it is the etag of its version"),
];

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
        self.given().fields().map(|(field, _)| field).filter(|field| self.may_change(field)).collect()
    }

    /// What an update may change, as the option of its mask says.
    fn updatable(&self) -> Vec<String> {
        let option = remit_api::pool().get_extension_by_name("remit.options.v1.updatable").expect("the option exists");
        let mask = self.method.input().get_field_by_name("update_mask").map(|mask| mask.options());
        let policy = mask.map(|options| options.get_extension(&option).into_owned());
        let fields = policy.as_ref().and_then(Value::as_message).and_then(|policy| policy.get_field_by_name("fields"));
        let fields = fields.as_deref().and_then(Value::as_list).unwrap_or_default();
        fields.iter().filter_map(|field| field.as_str().map(str::to_owned)).collect()
    }

    fn may_change(&self, field: &FieldDescriptor) -> bool {
        let oneof = field.containing_oneof();
        let means = |name: &String| *name == field.name() || oneof.as_ref().is_some_and(|oneof| oneof.name() == name);
        self.updatable().iter().any(means)
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

    async fn send(&self, remit: &Remit, resource: DynamicMessage, mask: &[&str]) -> Answer {
        self.send_as(remit, resource, mask, "").await
    }

    /// The same under a request id.
    async fn send_as(&self, remit: &Remit, resource: DynamicMessage, mask: &[&str], request_id: &str) -> Answer {
        let mut request = DynamicMessage::new(self.method.input());
        request.set_field(&self.resource, Value::Message(resource));
        if let Some(field) = self.method.input().get_field_by_name("update_mask").filter(|_| !mask.is_empty()) {
            let Kind::Message(kind) = field.kind() else { panic!("{} is a mask", field.full_name()) };
            let mut paths = DynamicMessage::new(kind);
            let list = mask.iter().map(|path| Value::String((*path).to_owned())).collect();
            paths.set_field_by_name("paths", Value::List(list));
            request.set_field(&field, Value::Message(paths));
        }
        if !request_id.is_empty() {
            request.set_field_by_name("request_id", Value::String(request_id.to_owned()));
        }
        remit.ask(&self.method, &request).await
    }
}

type Answer = Result<DynamicMessage, Status>;

/// What is wrong with the answer to a mask that names what cannot be updated.
pub(super) fn not_refused(answer: &Answer) -> Option<String> {
    unlike(answer, Code::InvalidArgument, &["UPDATE_MASK_INVALID"])
}

/// What is wrong with the answer to an etag that is not current.
pub(super) fn not_stale(answer: &Answer) -> Option<String> {
    unlike(answer, Code::Aborted, &["ETAG_MISMATCH"])
}

/// How an update that should have been made was refused.
pub(super) fn not_made(answer: &Answer) -> Option<String> {
    answer.as_ref().err().map(|status| format!("{:?} {}: {}", status.code(), reason(status), status.message()))
}

/// What is wrong with the answer to an update that changes nothing of `before`, after which there are so many more
/// audit entries.
pub(super) fn not_the_same(before: &DynamicMessage, answer: &Answer, entries: usize) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) => return not_made(answer),
    };
    let other = before.descriptor().fields().find(|field| before.get_field(field) != answer.get_field(field));
    let other = other.map(|field| {
        let name = field.name().to_owned();
        format!("{name} was {} and is {}", before.get_field(&field), answer.get_field(&field))
    });
    other.or_else(|| (entries > 0).then(|| format!("{entries} audit entries for nothing")))
}

/// Whether an etag is a revision, `r3`.
pub(super) fn is_revision(etag: &str) -> bool {
    etag.strip_prefix('r').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
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
fn differs(update: &Update, answer: Answer, wanted: &DynamicMessage) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) => return not_made(&answer),
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
        not_refused(&answer)
    });
    nothing(broken.await);
    remit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_change_is_refused_by_name_and_else_not_looked_at() {
    let remit = Remit::start().await;
    let broken = each(&remit, async |remit, update| {
        let current = update.unguarded(remit).await;
        let kind = current.descriptor();
        let fixed = kind.fields().filter(|field| !update.may_change(field));
        for field in fixed.filter(|field| !["name", "etag"].contains(&field.name())) {
            let bad = breaking(&current, &field);
            // The mask comes first, whether the field is right or not.
            let given = bad.clone().unwrap_or_else(|| current.clone());
            let named = not_refused(&update.send(remit, given, &[field.name()]).await);
            let ignored = match bad {
                Some(bad) => not_made(&update.send(remit, bad, &[]).await),
                None => None,
            };
            let found = named.map(|what| format!("{} named: {what}", field.name()));
            let found = found.or_else(|| ignored.map(|what| format!("{} not named: {what}", field.name())));
            if found.is_some() {
                return found;
            }
        }
        None
    });
    nothing(broken.await);
    remit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_changes_nothing_leaves_no_trace() {
    let remit = Remit::start().await;
    let broken = each(&remit, async |remit, update| {
        let made = update.send(remit, update.given(), &[]).await;
        let Ok(first) = &made else { return not_made(&made) };
        let action = format!("action = \"{}\"", permission(&update.method));
        let before = remit.entries(&action).await;
        let mut again = update.given();
        if let Some(etag) = first.get_field_by_name("etag") {
            again.set_field_by_name("etag", etag.into_owned());
        }
        let changed = update.changed();
        for mask in [&[][..], &["*"], &[changed[0].name()]] {
            let answer = update.send(remit, again.clone(), mask).await;
            let found = not_the_same(first, &answer, remit.entries(&action).await - before);
            if found.is_some() {
                return found.map(|what| format!("{mask:?}: {what}"));
            }
        }
        // Its request id is kept like any other.
        let id = format!("nothing-{}", update.method.name());
        let kept = update.send_as(remit, again.clone(), &[], &id).await;
        let other = update.send_as(remit, again, &["*"], &id).await;
        not_made(&kept).or_else(|| unlike(&other, Code::AlreadyExists, &["REQUEST_ID_REUSED"]))
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
        let found = not_stale(&answer);
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
    let odd = seen.iter().filter(|(_, etag)| !is_revision(etag)).map(|(kind, etag)| format!("{kind}: {etag:?}"));
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
