//! The cases of the service `council`.

use super::cases;

cases![];
