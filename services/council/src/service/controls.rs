//! The control library as the contract shows it, and attestations.

use super::{Service, insert, record, save};
use crate::store::{Attestations, ControlAssignments, Members};
use crate::time::{at, days};
use crate::{library, seat};
use remit_api::council::v1::{
    AssignControlRequest, Attestation, Control, CreateAttestationRequest, ListAttestationsRequest,
    ListAttestationsResponse, ListControlsRequest, ListControlsResponse,
};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, required};
use remit_core::details::{AttestationGiven, ControlAssigned, Details as _};
use remit_core::quorum::Seat;
use remit_core::{Error, Result, Timestamp, name};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Value};

/// How many days before its end the owner of an attestation is reminded.
const REMINDERS: [u64; 3] = [30, 7, 1];
const DAY_MICROS: u64 = 86_400_000_000;

/// Refuses whoever sits in no body: what counts as evidence is stated on a seat.
///
/// # Errors
/// `PermissionDenied` (`NOT_ELIGIBLE`).
pub(super) async fn check_seated(m: &mut Mutation, cx: &Cx) -> Result<()> {
    let members = Members::all(m.tx(), &cx.tenant, &[("active", true.into())]).await?;
    let own = members.into_iter().filter(|member| member.subject == cx.actor.subject);
    let seats: Vec<Seat> = own.map(|own| Seat { subject: own.subject, role_group: own.role_group }).collect();
    // In any of them: a token may name the role group of one body and not that of another.
    let mut answers = seats.chunks(1).map(|seat| seat::acting(&cx.actor, "its body", seat, &[], m.now()).map(drop));
    let last = answers.find(Result::is_ok).or_else(|| answers.next_back());
    last.unwrap_or_else(|| seat::acting(&cx.actor, "any body", &seats, &[], m.now()).map(drop))
}

/// A control with who sees to it.
fn assigned_to(control: &library::Control, one: &Control) -> Control {
    let (owner, due_time, assign_time) = (one.owner.clone(), one.due_time, one.assign_time);
    Control { owner, due_time, assign_time, times_put_off: one.times_put_off, ..control.to_api() }
}

impl Service {
    /// Lists the library, with who sees to each control.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`); else as the store says.
    pub(crate) async fn list_controls(&self, cx: &Cx, request: ListControlsRequest) -> Result<ListControlsResponse> {
        let library = library::controls()?;
        let size = remit_store::page::size(request.page_size);
        let keyset = self.db.keyset(&cx.tenant, cx.method, &[library::VERSION]);
        let from = match keyset.after(&request.page_token)?.as_deref() {
            Some([Value::Int(Some(at))]) => usize::try_from(*at).unwrap_or(usize::MAX),
            _ => 0,
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        self.seed(&cx.tenant).await?;
        let assigned = ControlAssignments::all(&mut self.db.read().await?, &cx.tenant, &[]).await?;
        let with_owner = |control: &library::Control| {
            let of_it = assigned.iter().find(|one| one.name == control.name());
            of_it.map_or_else(|| control.to_api(), |one| assigned_to(control, one))
        };
        let controls: Vec<_> = library.iter().skip(from).take(size).map(with_owner).collect();
        let next = from.saturating_add(controls.len());
        let more = next < library.len();
        let next_page_token =
            if more { keyset.token(&[i64::try_from(next).unwrap_or(i64::MAX).into()]) } else { String::new() };
        Ok(ListControlsResponse { controls, next_page_token, library_version: library::VERSION.to_owned() })
    }

    /// Names who sees to a control, and by when. How often that was put off is counted: an end that always moves is none.
    ///
    /// # Errors
    /// `NotFound` (`CONTROL_NOT_FOUND`); `InvalidArgument` (`NAME_INVALID`; `TIME_OUT_OF_RANGE` for an end that is over);
    /// `PermissionDenied` (`NOT_ELIGIBLE`) for whoever sits in no body.
    pub(crate) async fn assign_control(&self, cx: &Cx, request: AssignControlRequest) -> Result<Control> {
        library::check(&request.name, "name")?;
        let known = library::controls()?.iter().find(|control| control.name() == request.name);
        let known = known.ok_or_else(|| Error::not_found("CONTROL_NOT_FOUND", &request.name))?;
        let assign = async |m: &mut Mutation| {
            check_seated(m, cx).await?;
            if request.due_time.is_some() && at(&request.due_time) <= m.now() {
                return Err(Error::invalid("TIME_OUT_OF_RANGE", "due_time", "must be in the future"));
            }
            let mut now = Control {
                name: request.name.clone(),
                owner: request.owner.clone(),
                due_time: request.due_time,
                assign_time: Some(stamp(m.now())),
                ..Control::default()
            };
            let due_time = request.due_time.map(|_| at(&request.due_time).to_string()).unwrap_or_default();
            let details = |now: &Control| ControlAssigned {
                owner: now.owner.clone(),
                due_time: due_time.clone(),
                times_put_off: now.times_put_off,
            };
            if ControlAssignments::try_insert(m, &mut now).await? {
                let details = details(&now).json();
                record::<ControlAssignments>(m, None, &now, |event| event.details = details);
            } else {
                let before = ControlAssignments::claim(m, &request.name).await?;
                let put_off =
                    before.due_time.is_some() && (now.due_time.is_none() || at(&before.due_time) < at(&now.due_time));
                now.times_put_off = before.times_put_off.saturating_add(i32::from(put_off));
                let details = details(&now).json();
                save::<ControlAssignments>(m, &before, &mut now, |event| event.details = details).await?;
            }
            Ok(assigned_to(known, &now))
        };
        self.mutate(cx, &request, assign).await
    }

    pub(crate) async fn create_attestation(&self, cx: &Cx, request: CreateAttestationRequest) -> Result<Attestation> {
        let freshness = library::check(&request.parent, "parent")?;
        library::check_attestable(&request.parent)?;
        let id = name::id(&request.attestation_id, "attestation_id")?;
        let name = format!("{}/attestations/{id}", request.parent);
        let given = required(request.attestation.clone(), "attestation")?;
        if !given.document_digest.is_empty() && !remit_core::digest::is_digest(&given.document_digest) {
            let rule = "must be empty or sha256: and 64 lowercase hexadecimal digits";
            return Err(Error::invalid("DIGEST_INVALID", "attestation.document_digest", rule));
        }
        let create = async |m: &mut Mutation| {
            check_seated(m, cx).await?;
            let now = m.now();
            if given.expire_time.is_some() && at(&given.expire_time) <= now {
                return Err(Error::invalid("ATTESTATION_INVALID", "attestation.expire_time", "must be in the future"));
            }
            let (attester, create_time) = (Some(wire::actor(&cx.actor)), Some(stamp(now)));
            let expire_time = given.expire_time.or_else(|| Some(stamp(now.plus(days(freshness)))));
            let before_end = |n: u64| Timestamp(at(&expire_time).0.saturating_sub_unsigned(n * DAY_MICROS));
            let remind_times = REMINDERS.map(before_end).into_iter().filter(|time| *time > now).map(stamp).collect();
            let owner = if given.owner.is_empty() { cx.actor.subject.clone() } else { given.owner.clone() };
            let mut attestation =
                Attestation { name, attester, create_time, expire_time, remind_times, owner, ..given };
            let (owner, end) = (attestation.owner.clone(), at(&attestation.expire_time).to_string());
            let details = AttestationGiven { owner, expire_time: end };
            insert::<Attestations>(m, &mut attestation, |event| event.details = details.json()).await?;
            Ok(attestation)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn list_attestations(
        &self,
        cx: &Cx,
        request: ListAttestationsRequest,
    ) -> Result<ListAttestationsResponse> {
        let mut page = cx.page(&request);
        if page.parent == "controls/-" {
            page.parent = "";
        } else {
            library::check(page.parent, "parent").map(drop)?;
        }
        let (attestations, next_page_token) = self.list::<Attestations>(cx, page).await?;
        Ok(ListAttestationsResponse { attestations, next_page_token })
    }
}
