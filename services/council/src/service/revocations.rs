//! Revocations of tokens.

use super::{Service, insert};
use crate::access::{self, end_text};
use crate::store::{Members, Revocations, keep_from, revocations};
use crate::time::text;
use remit_api::council::v1::{
    CreateRevocationRequest, DeleteRevocationRequest, DeleteRevocationResponse, GetRevocationRequest,
    ListRevocationsRequest, ListRevocationsResponse, Revocation,
};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, required};
use remit_core::details::{Details as _, TokensRevoked};
use remit_core::name::RevocationName;
use remit_core::{Result, name};
use remit_runtime::Cx;
use remit_runtime::auth::{token_id, token_time};
use remit_store::{Mutation, Records as _};

fn details(revocation: &Revocation) -> TokensRevoked {
    TokensRevoked {
        token_id: revocation.token_id.clone(),
        subject: revocation.subject.clone(),
        issuer: revocation.issuer.clone(),
        block: revocation.block,
        revoke_time: text(&revocation.revoke_time),
        expire_time: end_text(&revocation.expire_time),
    }
}

impl Service {
    pub(crate) async fn create_revocation(&self, cx: &Cx, request: CreateRevocationRequest) -> Result<Revocation> {
        let name = RevocationName::new(name::id(&request.revocation_id, "revocation_id")?).to_string();
        let given = required(request.revocation.clone(), "revocation")?;
        let create = async |m: &mut Mutation| {
            let now = token_time();
            let (all, own) = revocations(m, &cx.actor.subject, now).await?;
            access::room(all, own)?;
            let mut revocation = self.tokens.revocation(given, &cx.actor, now)?;
            self.tokens.speaks_for(&cx.tenant, &revocation.issuer, "revocation.issuer")?;
            revocation.token_id = token_id(&revocation.token_id);
            revocation.token_subject = self.tokens.holder(&revocation)?;
            if revocation.block {
                let members = Members::all(m.tx(), &cx.tenant, &[("active", true.into())]).await?;
                let seated = members.iter().find(|member| member.subject == revocation.subject);
                self.tokens.check_block(seated.map(|member| member.name.as_str()), &cx.actor)?;
            }
            let mut revocation = Revocation { name, create_time: Some(stamp(m.now())), ..revocation };
            let (reason, details) = (revocation.reason.clone(), details(&revocation).json());
            insert::<Revocations>(m, &mut revocation, |event| (event.reason, event.details) = (reason, details))
                .await?;
            keep_from(m, &revocation.subject, now).await?;
            Ok(revocation)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn get_revocation(&self, cx: &Cx, request: GetRevocationRequest) -> Result<Revocation> {
        RevocationName::parse(&request.name, "name")?;
        self.get::<Revocations>(cx, &request.name).await
    }

    pub(crate) async fn list_revocations(
        &self,
        cx: &Cx,
        request: ListRevocationsRequest,
    ) -> Result<ListRevocationsResponse> {
        let (revocations, next_page_token) = self.list::<Revocations>(cx, cx.page(&request)).await?;
        Ok(ListRevocationsResponse { revocations, next_page_token })
    }

    /// Lets the tokens count again.
    pub(crate) async fn delete_revocation(
        &self,
        cx: &Cx,
        request: DeleteRevocationRequest,
    ) -> Result<DeleteRevocationResponse> {
        RevocationName::parse(&request.name, "name")?;
        let lift = async |m: &mut Mutation| {
            let revocation = Revocations::claim(m, &request.name).await?;
            access::liftable(&revocation, &cx.actor)?;
            Revocations::delete(m, &request.name).await?;
            keep_from(m, &revocation.subject, token_time()).await?;
            m.record(&revocation.name, |event| {
                event.before_digest = wire::digest(&revocation);
                event.reason.clone_from(&request.reason);
                event.details = details(&revocation).json();
            });
            Ok(DeleteRevocationResponse {})
        };
        self.mutate(cx, &request, lift).await
    }
}
