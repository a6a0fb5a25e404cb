//! `docs/policies.md` against the rules: who writes a policy reads one page.

use std::path::Path;

#[test]
fn the_page_on_policies_names_every_variable_and_its_values() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies.md");
    let page = std::fs::read_to_string(page).expect("the page exists");
    for (variable, values) in remit_policy::variables() {
        let name = format!("`{variable}`");
        let row = page.lines().find(|line| line.starts_with("| `") && line.contains(&name));
        let row = row.unwrap_or_else(|| panic!("{name} is missing"));
        for value in values {
            assert!(row.contains(&format!("`{value}`")), "{name} lacks {value}");
        }
    }
}
