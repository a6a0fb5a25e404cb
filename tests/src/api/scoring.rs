//! The cases of the service `scoring`.

use super::cases;

cases![];
