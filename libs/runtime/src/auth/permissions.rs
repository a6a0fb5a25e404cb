//! The access rule of every method, read from the descriptor set at start.

use prost_reflect::{DescriptorPool, ReflectMessage as _, Value};
use remit_core::{Actor, ActorKind, Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Which calls get through when much is asked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// One of many.
    Ordinary,
    /// Asks whether AI may act, or what is stopped.
    Check,
    /// Stops AI.
    Stop,
    /// Reads much; few at once.
    Search,
}

/// The most bytes of a request whose method says nothing of it.
const MOST_BYTES: usize = 262_144;

/// One method and who may call it.
#[derive(Debug)]
pub struct Method {
    /// The full name, such as `remit.audit.v1.AuditService/Append`.
    pub name: &'static str,
    /// The permission, such as `audit.entries.append`.
    pub permission: &'static str,
    /// The kinds of actor that may call; empty means any, and only a method that reads may leave it so.
    pub kinds: Vec<ActorKind>,
    /// Whether requests or responses are streamed.
    pub streaming: bool,
    /// Whether requests are streamed.
    pub client_streaming: bool,
    /// What is refused first, and what last, when much is asked at once.
    pub priority: Priority,
    /// The most bytes of one request message.
    pub most_bytes: usize,
    /// Whether it only reads.
    pub read: bool,
    /// Whether it is on record although it only reads.
    pub recorded: bool,
    roles: HashSet<String>,
}

/// The methods by request path.
#[derive(Debug, Default)]
pub struct Methods {
    by_path: HashMap<String, Method>,
}

impl Methods {
    /// Reads every method of the `remit.` packages, and which roles grant its permission.
    ///
    /// # Errors
    /// `FailedPrecondition` (`METHOD_WITHOUT_POLICY`) naming the method without an access rule, or the one that changes
    /// state and does not list the kinds of actor that may; `InvalidArgument` (`CONFIG_INVALID`) naming a role whose
    /// pattern is malformed.
    pub fn new(pool: &DescriptorPool, roles: &BTreeMap<String, Vec<String>>) -> Result<Self> {
        for (role, patterns) in roles {
            if let Some(bad) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
                let what = format!("{bad:?} is not a pattern such as scoring.tasks.get, scoring.* or *");
                return Err(Error::invalid("CONFIG_INVALID", format!("roles.{role}"), what));
            }
        }
        let mut by_path = HashMap::new();
        for service in pool.services().filter(|service| service.full_name().starts_with("remit.")) {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let name = leak(&path[1..]);
                let policy = policy(pool, &method).ok_or_else(|| {
                    Error::precondition(
                        "METHOD_WITHOUT_POLICY",
                        format!("{name} has no method_policy with a permission"),
                    )
                })?;
                let options = method.options();
                let level = options.get_field_by_name("idempotency_level").and_then(|level| level.as_enum_number());
                let read = level == Some(1);
                if !read && policy.recorded {
                    let what = format!("{name} changes state and leaves an entry anyway: recorded is for reads");
                    return Err(Error::precondition("METHOD_WITHOUT_POLICY", what));
                }
                if !read && policy.kinds.is_empty() {
                    let what = format!("{name} changes state and its method_policy lists no actor_kinds");
                    return Err(Error::precondition("METHOD_WITHOUT_POLICY", what));
                }
                let granted = roles.iter().filter(|(_, patterns)| grants(patterns, &policy.permission));
                let entry = Method {
                    permission: leak(&policy.permission),
                    kinds: policy.kinds,
                    streaming: method.is_client_streaming() || method.is_server_streaming(),
                    client_streaming: method.is_client_streaming(),
                    priority: policy.priority,
                    most_bytes: remit_api::validate::most_bytes(method.input().full_name()).unwrap_or(MOST_BYTES),
                    read,
                    recorded: policy.recorded,
                    roles: granted.map(|(role, _)| role.clone()).collect(),
                    name,
                };
                by_path.insert(path, entry);
            }
        }
        Ok(Self { by_path })
    }

    /// The method that a request path names.
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.by_path.get(path)
    }

    /// Whether `actor` may do what `permission` names, by the rule of the method that has it.
    ///
    /// # Errors
    /// As [`Method::authorize`]; `PERMISSION_MISSING` too if no method has that permission.
    pub fn authorize(&self, permission: &str, actor: &Actor) -> Result<()> {
        match self.of(permission) {
            Some(method) => method.authorize(actor),
            None => Err(Error::denied("PERMISSION_MISSING", format!("nobody is granted {permission}"))),
        }
    }

    /// A method that has this permission, if there is one.
    pub fn of(&self, permission: &str) -> Option<&Method> {
        self.by_path.values().find(|method| method.permission == permission)
    }

    /// All methods, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.by_path.values()
    }
}

impl Method {
    /// Whether `actor` may call.
    ///
    /// # Errors
    /// `PermissionDenied`: `PERMISSION_MISSING` if none of the roles grants the permission,
    /// `ACTOR_KIND_NOT_ALLOWED` if the method is not for this kind of actor.
    pub fn authorize(&self, actor: &Actor) -> Result<()> {
        // First, because no role would help an actor of the wrong kind.
        if !self.kinds.is_empty() && !self.kinds.contains(&actor.kind) {
            let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.as_str()).collect();
            let what =
                format!("{} is for actors of kind {}, not {}", self.name, kinds.join(" or "), actor.kind.as_str());
            return Err(Error::denied("ACTOR_KIND_NOT_ALLOWED", what));
        }
        if !actor.roles.iter().any(|role| self.roles.contains(role)) {
            let what = format!(
                "{} needs the permission {}, which no role of {} grants",
                self.name, self.permission, actor.subject
            );
            return Err(Error::denied("PERMISSION_MISSING", what));
        }
        Ok(())
    }
}

/// Names and permissions are as many as methods and live as long as the process.
fn leak(name: &str) -> &'static str {
    use std::sync::{Mutex, PoisonError};
    static KEPT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = kept.iter().find(|found| **found == name) {
        return found;
    }
    let new: &'static str = Box::leak(name.to_owned().into_boxed_str());
    kept.push(new);
    new
}

/// What the annotation of a method says.
struct Policy {
    permission: String,
    kinds: Vec<ActorKind>,
    priority: Priority,
    recorded: bool,
}

fn policy(pool: &DescriptorPool, method: &prost_reflect::MethodDescriptor) -> Option<Policy> {
    let extension = pool.get_extension_by_name("remit.options.v1.method_policy")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let value = options.get_extension(&extension);
    let policy = value.as_message()?;
    debug_assert_eq!(policy.descriptor().name(), "MethodPolicy");
    let permission = policy.get_field_by_name("permission")?.as_str()?.to_owned();
    let kinds = policy.get_field_by_name("actor_kinds")?.as_list().map(|kinds| {
        kinds
            .iter()
            .filter_map(|kind| match Value::as_enum_number(kind) {
                Some(1) => Some(ActorKind::Human),
                Some(2) => Some(ActorKind::Ai),
                Some(3) => Some(ActorKind::Service),
                _ => None,
            })
            .collect()
    })?;
    let priority = match policy.get_field_by_name("priority")?.as_enum_number() {
        Some(1) => Priority::Check,
        Some(2) => Priority::Stop,
        Some(3) => Priority::Search,
        _ => Priority::Ordinary,
    };
    let recorded = policy.get_field_by_name("recorded")?.as_bool()?;
    (permission.split('.').count() == 3).then_some(Policy { permission, kinds, priority, recorded })
}

fn is_pattern(pattern: &str) -> bool {
    let part =
        |part: &str| part == "*" || !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (1..=3).contains(&pattern.split('.').count()) && pattern.split('.').all(part)
}

/// Whether a role with these patterns grants `permission`.
pub fn grants(patterns: &[String], permission: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, permission))
}

/// `*` stands for one part, and as the last part for all the rest.
fn matches(pattern: &str, permission: &str) -> bool {
    let (mut wanted, mut parts) = (pattern.split('.').peekable(), permission.split('.'));
    while let Some(want) = wanted.next() {
        let part = parts.next();
        match part {
            None => return false,
            Some(_) if want == "*" && wanted.peek().is_none() => return true,
            Some(part) if want != "*" && want != part => return false,
            Some(_) => {}
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Methods, Priority, matches};
    use crate::config::Config;

    #[test]
    fn what_stops_and_what_checks_is_marked() {
        let methods = Methods::new(remit_api::pool(), &Config::from_toml("").unwrap().roles).unwrap();
        let of = |path: &str| methods.get(path).unwrap().priority;
        assert_eq!(of("/remit.council.v1.HoldService/EngageHold"), Priority::Stop);
        assert_eq!(of("/remit.council.v1.HoldService/ListHolds"), Priority::Check);
        assert_eq!(of("/remit.scoring.v1.DecisionService/CheckTask"), Priority::Check);
        assert_eq!(of("/remit.audit.v1.AuditService/Search"), Priority::Search);
        assert_eq!(of("/remit.scoring.v1.TaskService/ListTasks"), Priority::Ordinary);
        // A reserve for everything is none, and one for readers is taken by them.
        let stops: Vec<_> = methods.iter().filter(|method| method.priority == Priority::Stop).collect();
        assert!(stops.len() < 10 && stops.iter().all(|method| !method.read));
    }

    #[test]
    fn a_star_stands_for_one_part_and_at_the_end_for_the_rest() {
        for (pattern, permission, granted) in [
            ("*", "scoring.tasks.get", true),
            ("scoring.*", "scoring.tasks.get", true),
            ("scoring.*", "registry.models.get", false),
            ("*.*.get", "scoring.tasks.get", true),
            ("*.*.get", "scoring.tasks.list", false),
            ("scoring.tasks.get", "scoring.tasks.get", true),
            ("scoring.tasks", "scoring.tasks.get", false),
            ("scoring.*.get", "scoring.tasks.delete", false),
        ] {
            assert_eq!(matches(pattern, permission), granted, "{pattern} on {permission}");
        }
    }
}
