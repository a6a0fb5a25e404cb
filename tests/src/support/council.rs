//! A constitution for the tests: who sits where, and how a body decides.

use super::{Caller, Suite};
use remit_api::council::v1::constitution_service_client::ConstitutionServiceClient;
use remit_api::council::v1::{BootstrapRequest, Constitution, FoundingBody, NewSeat};
use tonic::{Response, Status};

/// The steering group and the automation council.
pub const BODIES: [&str; 2] = ["bodies/steering-group", "bodies/automation-council"];

/// The body, the person, and the role group that the seat counts for. The walk through the contract has a seat too.
pub const SEATS: [(&str, &str, &str); 7] = [
    (BODIES[0], "mia", "marketing_lead"),
    (BODIES[0], "lea", "legal"),
    (BODIES[0], "dan", "data"),
    (BODIES[1], "sol", "sales_ops"),
    (BODIES[1], "lex", "legal"),
    (BODIES[1], "pru", "product"),
    (BODIES[1], "contract", "legal"),
];

/// A seat under the person's own name.
pub fn new_seat(subject: &str, role_group: &str) -> NewSeat {
    NewSeat { member_id: subject.into(), subject: subject.into(), role_group: role_group.into() }
}

/// The request that makes this constitution.
pub fn founding() -> BootstrapRequest {
    let body = |body: &str| FoundingBody {
        body: body.into(),
        seats: SEATS.iter().filter(|seat| seat.0 == body).map(|seat| new_seat(seat.1, seat.2)).collect(),
        ..Default::default()
    };
    BootstrapRequest { bodies: BODIES.map(body).into(), ..Default::default() }
}

impl Suite {
    /// Asks for a constitution as the administrator.
    pub async fn ask_bootstrap(&self, request: BootstrapRequest) -> Result<Response<Constitution>, Status> {
        ConstitutionServiceClient::new(self.admin().to("council")).bootstrap(request).await
    }

    /// Seats the usual people in both bodies.
    pub async fn bootstrap(&self) -> Constitution {
        self.ask_bootstrap(founding()).await.expect("the constitution is made once").into_inner()
    }

    /// A person who sits there, with a token of the seat's role group.
    pub fn member(&self, subject: &str) -> Caller {
        let group = SEATS.iter().find(|seat| seat.1 == subject).expect("somebody with a seat").2;
        self.human(subject, &["admin"], &[group])
    }
}
