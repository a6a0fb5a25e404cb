//! Mandates signed by a suite's own council key, for cases about what the services do with them. How a mandate comes
//! about is what the council's cases are for.

use super::{Site, Suite};
use remit_api::wire::Mandated;
use remit_core::mandate::{ISSUER, Mandate, TYP};
use remit_core::{Tenant, Timestamp};
use remit_runtime::auth::Signer;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

static NONCES: AtomicU64 = AtomicU64::new(0);

/// A mandate that passes, for exactly `request`; valid whatever the clock of the suite says.
fn sample<Q: Mandated>(tenant: &Tenant, kind: &str, permission: &str, request: &Q) -> Mandate {
    let sample = Mandate::sample(tenant, kind, permission, request.bare_digest(), Timestamp(0));
    let nonce = format!("{}-{}", std::process::id(), NONCES.fetch_add(1, Ordering::Relaxed));
    Mandate { jti: nonce, exp: i64::from(u32::MAX), decided: Timestamp(i64::MAX), ..sample }
}

/// Signs a mandate with the council's key in the directory of the issuer.
fn signed(issuer_dir: &Path, mandate: &Mandate) -> String {
    let (key, jwks) = (issuer_dir.join("council.key"), issuer_dir.join("council-jwks.json"));
    let signer = Signer::kept(&key, &jwks, ISSUER, "mandates", "created").expect("the council has a key");
    signer.sign_as(TYP, mandate).expect("a mandate can be signed")
}

impl Suite {
    /// The request with a mandate for exactly itself, of the kind `kind` and for the method with this permission.
    pub fn mandated<Q: Mandated>(&self, kind: &str, permission: &str, request: Q) -> Q {
        self.mandated_but(kind, permission, request, |_| {})
    }

    /// The same with a mandate that is spoilt before it is signed.
    pub fn mandated_but<Q: Mandated>(
        &self,
        kind: &str,
        permission: &str,
        mut request: Q,
        spoil: impl FnOnce(&mut Mandate),
    ) -> Q {
        let tenant = Tenant::new(self.tenant_id()).expect("a valid tenant");
        let mut mandate = sample(&tenant, kind, permission, &request);
        spoil(&mut mandate);
        request.set_mandate(signed(&self.issuer_dir(), &mandate));
        request
    }
}

impl Site {
    /// The request with a mandate for exactly itself.
    pub fn mandated<Q: Mandated>(&self, kind: &str, permission: &str, mut request: Q) -> Q {
        let mandate = sample(&self.tenant(), kind, permission, &request);
        request.set_mandate(signed(&self.issuer_dir(), &mandate));
        request
    }
}
