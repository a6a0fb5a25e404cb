//! The cases of the service `kpi`.

use super::cases;

cases![];
