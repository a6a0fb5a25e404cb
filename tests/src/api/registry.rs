//! The cases of the service `registry`.

use super::cases;

cases![];
