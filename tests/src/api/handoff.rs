//! The cases of the service `handoff`.

use super::cases;

cases![];
