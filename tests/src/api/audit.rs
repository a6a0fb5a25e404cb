//! The cases of the service `audit`.

use super::cases;

cases![];
