//! The configuration reference as Markdown, made from the comments of the default file.

use super::DEFAULT;
use std::fmt::Write as _;

/// A Markdown page that lists every section, key, default and meaning.
pub fn reference_markdown() -> String {
    let mut page = String::from("# Configuration\n\n");
    let mut comment: Vec<&str> = Vec::new();
    let mut section = String::new();
    let mut in_table = false;
    for line in DEFAULT.lines().chain([""]) {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            flush(&mut page, &mut comment, in_table);
            section = name.to_owned();
            in_table = false;
            let _ = write!(page, "\n## `[{name}]`\n\n");
        } else if let Some((key, value)) = line.split_once(" = ") {
            if !in_table {
                page.push_str("| Setting | Default | Meaning |\n| --- | --- | --- |\n");
                in_table = true;
            }
            let section = if section.is_empty() { String::new() } else { format!("{}__", section.replace('.', "__")) };
            let variable = format!("REMIT_{section}{key}").to_ascii_uppercase();
            let meaning = comment.join(" ").replace('|', "\\|");
            let value = value.replace('|', "\\|");
            let _ = writeln!(page, "| `{key}` (`{variable}`) | `{value}` | {meaning} |");
            comment.clear();
        } else {
            flush(&mut page, &mut comment, in_table);
        }
    }
    page
}

fn flush(page: &mut String, comment: &mut Vec<&str>, in_table: bool) {
    if !comment.is_empty() {
        let text = comment.join(" ");
        let _ = write!(page, "{}{text}\n\n", if in_table { "\n" } else { "" });
        comment.clear();
    }
}
