//! Roles that people have inside Remit.

use super::{Service, insert, save};
use crate::access::{self, end_text};
use crate::store::{RoleAssignments, keep_until_now, role_assignments};
use remit_api::council::v1::{
    CreateRoleAssignmentRequest, DeleteRoleAssignmentRequest, DeleteRoleAssignmentResponse, GetRoleAssignmentRequest,
    ListRoleAssignmentsRequest, ListRoleAssignmentsResponse, RoleAssignment, UpdateRoleAssignmentRequest,
};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, mask, required};
use remit_core::details::{Details as _, RolesAssigned};
use remit_core::name::RoleAssignmentName;
use remit_core::{Error, Result, digest, email, etag, name};
use remit_runtime::Cx;
use remit_runtime::auth::token_time;
use remit_store::{Mutation, Records as _};

fn details(assignment: &RoleAssignment) -> RolesAssigned {
    let email = assignment.email.as_bytes();
    RolesAssigned {
        subject: assignment.subject.clone(),
        email_digest: if email.is_empty() { String::new() } else { digest::sha256(email) },
        issuer: assignment.issuer.clone(),
        roles: assignment.roles.clone(),
        role_groups: assignment.role_groups.clone(),
        expire_time: end_text(&assignment.expire_time),
    }
}

impl Service {
    pub(crate) async fn create_role_assignment(
        &self,
        cx: &Cx,
        request: CreateRoleAssignmentRequest,
    ) -> Result<RoleAssignment> {
        let name = RoleAssignmentName::new(name::id(&request.role_assignment_id, "role_assignment_id")?).to_string();
        let mut given = required(request.role_assignment.clone(), "role_assignment")?;
        if !given.email.is_empty() {
            given.email = email::canonical(&given.email)
                .map_err(|rule| Error::invalid("FIELD_INVALID", "role_assignment.email", rule))?;
        }
        let create = async |m: &mut Mutation| {
            let now = token_time();
            access::room(role_assignments(m, now).await?, 0)?;
            self.tokens.assignment(&given, &cx.actor, now)?;
            self.tokens.speaks_for(&cx.tenant, &given.issuer, "role_assignment.issuer")?;
            let at = Some(stamp(m.now()));
            let mut assignment = RoleAssignment {
                name,
                assigner: Some(wire::actor(&cx.actor)),
                create_time: at,
                update_time: at,
                ..given
            };
            let (reason, details) = (assignment.reason.clone(), details(&assignment).json());
            insert::<RoleAssignments>(m, &mut assignment, |event| (event.reason, event.details) = (reason, details))
                .await?;
            Ok(assignment)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn get_role_assignment(
        &self,
        cx: &Cx,
        request: GetRoleAssignmentRequest,
    ) -> Result<RoleAssignment> {
        RoleAssignmentName::parse(&request.name, "name")?;
        self.get::<RoleAssignments>(cx, &request.name).await
    }

    pub(crate) async fn list_role_assignments(
        &self,
        cx: &Cx,
        request: ListRoleAssignmentsRequest,
    ) -> Result<ListRoleAssignmentsResponse> {
        let (role_assignments, next_page_token) = self.list::<RoleAssignments>(cx, cx.page(&request)).await?;
        Ok(ListRoleAssignmentsResponse { role_assignments, next_page_token })
    }

    pub(crate) async fn update_role_assignment(
        &self,
        cx: &Cx,
        request: UpdateRoleAssignmentRequest,
    ) -> Result<RoleAssignment> {
        let given = required(request.role_assignment.as_ref(), "role_assignment")?;
        RoleAssignmentName::parse(&given.name, "role_assignment.name")?;
        let update = async |m: &mut Mutation| {
            let before = RoleAssignments::claim(m, &given.name).await?;
            etag::check(&given.etag, &before.etag, &before.name)?;
            let Some(mut assignment) = mask::update(&before, given, request.update_mask.as_ref())? else {
                return Ok(before);
            };
            self.tokens.assignment(&assignment, &cx.actor, token_time())?;
            assignment.assigner = Some(wire::actor(&cx.actor));
            assignment.update_time = Some(stamp(m.now()));
            let (reason, details) = (assignment.reason.clone(), details(&assignment).json());
            let fill = |event: &mut remit_core::AuditEvent| (event.reason, event.details) = (reason, details);
            save::<RoleAssignments>(m, &before, &mut assignment, fill).await?;
            keep_until_now(m, &before.subject).await?;
            Ok(assignment)
        };
        self.mutate(cx, &request, update).await
    }

    pub(crate) async fn delete_role_assignment(
        &self,
        cx: &Cx,
        request: DeleteRoleAssignmentRequest,
    ) -> Result<DeleteRoleAssignmentResponse> {
        RoleAssignmentName::parse(&request.name, "name")?;
        let delete = async |m: &mut Mutation| {
            let assignment = RoleAssignments::claim(m, &request.name).await?;
            etag::check(&request.etag, &assignment.etag, &assignment.name)?;
            RoleAssignments::delete(m, &request.name).await?;
            keep_until_now(m, &assignment.subject).await?;
            m.record(&assignment.name, |event| {
                event.before_digest = wire::digest(&assignment);
                event.reason.clone_from(&request.reason);
                event.details = details(&assignment).json();
            });
            Ok(DeleteRoleAssignmentResponse {})
        };
        self.mutate(cx, &request, delete).await
    }
}
