//! A decoded message against the rules of its proto file.
//!
//! # Source
//! The semantics are those of protovalidate 1.x: rules of a field with presence apply only if it is set,
//! rules of a field without presence always, `required` means set and, without presence, not zero.

use super::path::Path;
use super::rules::{broken, fits_the_calendar, miscounted};
use super::table::{Field, Plan, Rule, Sort};
use super::view::{List, Seen, View};
use super::{MAX_VIOLATIONS, Violation};
use crate::wire::mask::Asked;
use std::collections::HashSet;

/// What was found so far.
#[derive(Default)]
pub(super) struct Walk {
    /// The first of the violations.
    pub found: Vec<Violation>,
    /// How many there are in all.
    pub count: usize,
}

impl Walk {
    fn add(&mut self, path: &Path<'_>, description: String) {
        self.count += 1;
        if self.found.len() < MAX_VIOLATIONS {
            self.found.push(Violation { field: path.to_string(), description });
        }
    }

    /// Checks a request; what an update leaves as it is need not be right (AIP-134).
    pub fn request(&mut self, view: &dyn View, plan: &'static Plan, asked: Option<&Asked<'_>>) {
        self.message(view, plan, &Path::Root, asked, false);
    }

    /// Checks a message. `asked` counts in what an update asks for; `partly` says that this is its resource.
    fn message(
        &mut self,
        view: &dyn View,
        plan: &'static Plan,
        path: &Path<'_>,
        asked: Option<&Asked<'_>>,
        partly: bool,
    ) {
        let leaves = |name: &str| partly && asked.is_some_and(|asked| asked.leaves(name));
        for oneof in plan.oneofs.iter().filter(|oneof| oneof.required && !leaves(oneof.name)) {
            if oneof.fields.iter().all(|(number, _)| matches!(view.at(*number), Seen::Absent)) {
                let choices: Vec<_> = oneof.fields.iter().map(|(_, name)| *name).collect();
                let description = format!("exactly one of {} is required", choices.join(", "));
                self.add(&Path::Field(path, oneof.name), description);
            }
        }
        for (at, field) in plan.fields.iter().enumerate().filter(|(_, field)| field.checked && !leaves(field.name)) {
            let resource = asked.filter(|_| at == 0 && !partly);
            self.field(view.at(field.number), field, &Path::Field(path, field.name), resource);
        }
    }

    fn field(&mut self, value: Seen<'_>, field: &'static Field, path: &Path<'_>, asked: Option<&Asked<'_>>) {
        let set = if field.presence { !matches!(value, Seen::Absent) } else { !value.is_zero() };
        if !set {
            if field.required {
                self.add(path, "is required".into());
            }
            if field.required || field.presence || field.ignore_zero {
                return;
            }
        }
        match value {
            Seen::List(list) => self.list(list, field, path),
            Seen::Map(map) => {
                self.count(map.count(), field.rules, "entries", path);
                map.each(&mut |key, value| {
                    let path = Path::Key(path, key);
                    self.value(key, field.keys, field, &path);
                    self.item(value, field.values, field, &path, None);
                });
            }
            value => self.item(value, field.rules, field, path, asked),
        }
    }

    fn count(&mut self, count: usize, rules: &[Rule], what: &str, path: &Path<'_>) {
        for description in rules.iter().filter_map(|rule| miscounted(count, rule, what)) {
            self.add(path, description);
        }
    }

    fn list(&mut self, list: &dyn List, field: &'static Field, path: &Path<'_>) {
        self.count(list.count(), field.rules, "items", path);
        if field.unique
            && let Some(at) = repeated(list)
        {
            self.add(&Path::Item(path, at), "must not repeat an earlier item".into());
        }
        for at in 0..list.count() {
            self.item(list.item(at), field.items, field, &Path::Item(path, at), None);
        }
    }

    fn value(&mut self, value: Seen<'_>, rules: &[Rule], field: &Field, path: &Path<'_>) {
        for description in rules.iter().filter_map(|rule| broken(value, rule, field.words)) {
            self.add(path, description);
        }
    }

    fn item(
        &mut self,
        value: Seen<'_>,
        rules: &[Rule],
        field: &'static Field,
        path: &Path<'_>,
        asked: Option<&Asked<'_>>,
    ) {
        self.value(value, rules, field, path);
        let (Seen::Message(inner), Some(plan)) = (value, field.inner) else { return };
        match plan.sort {
            Sort::Ours => self.message(inner, plan, path, asked, asked.is_some()),
            // Times are checked wherever they stand: one outside the calendar would be stored and then break every
            // answer that shows it as JSON.
            Sort::Time if !fits_the_calendar(inner) => {
                self.add(path, "must be a time in the years 1 to 9999".to_owned());
            }
            Sort::Time | Sort::Known => {}
        }
    }

    /// Finds every text with the character U+0000, which PostgreSQL cannot store.
    pub fn nuls(&mut self, view: &dyn View, plan: &'static Plan, asked: Option<&Asked<'_>>) {
        self.nuls_in(view, plan, &Path::Root, asked, false);
    }

    fn nuls_in(
        &mut self,
        view: &dyn View,
        plan: &'static Plan,
        path: &Path<'_>,
        asked: Option<&Asked<'_>>,
        partly: bool,
    ) {
        for (at, field) in plan.fields.iter().enumerate() {
            if partly && asked.is_some_and(|asked| asked.leaves(field.name)) {
                continue;
            }
            let path = Path::Field(path, field.name);
            match view.at(field.number) {
                Seen::List(list) => {
                    for at in 0..list.count() {
                        self.nul(list.item(at), field, &Path::Item(&path, at), None);
                    }
                }
                Seen::Map(map) => map.each(&mut |key, value| {
                    let path = Path::Key(&path, key);
                    self.nul(key, field, &path, None);
                    self.nul(value, field, &path, None);
                }),
                value => self.nul(value, field, &path, asked.filter(|_| at == 0 && !partly)),
            }
        }
    }

    fn nul(&mut self, value: Seen<'_>, field: &'static Field, path: &Path<'_>, asked: Option<&Asked<'_>>) {
        match (value, field.inner) {
            (Seen::Text(text), _) if text.contains('\0') => self.add(path, "must not contain U+0000".to_owned()),
            (Seen::Message(inner), Some(plan)) => self.nuls_in(inner, plan, path, asked, asked.is_some()),
            _ => {}
        }
    }
}

/// The place of the first item that stands earlier in the list too. The build script lets no other kind of item be
/// unique.
fn repeated(list: &dyn List) -> Option<usize> {
    let mut seen = HashSet::new();
    (0..list.count()).find(|at| match list.item(*at) {
        Seen::Text(text) => !seen.insert((text.as_bytes(), 0)),
        Seen::Bytes(bytes) => !seen.insert((bytes, 0)),
        Seen::Int(number) => !seen.insert((&[][..], number)),
        _ => false,
    })
}
