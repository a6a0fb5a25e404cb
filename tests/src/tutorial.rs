//! `docs/tutorial.md`: every command of it, in its order, by the shell that a reader has.

use crate::support::{binary, free_port};
use std::path::Path;
use std::process::Command;

/// The commands of a page: what stands in its blocks of shell.
fn commands(page: &str) -> String {
    let mut commands = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            command if inside => {
                commands.push_str(command);
                commands.push('\n');
            }
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_of_the_tutorial_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial.md");
    let script = commands(&std::fs::read_to_string(page).expect("the tutorial is there"));
    assert!(script.contains("review sign") && script.contains("remit serve"), "{script}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    let port = free_port();
    let config = dir.join("remit.toml");
    std::fs::write(&config, format!("[server]\nlisten = \"127.0.0.1:{port}\"\n")).expect("a file can be written");
    let binary = binary();
    let folder = binary.parent().expect("the binary lies in a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    // Whatever happens, the suite of the tutorial does not outlive it.
    let script = format!("trap '[ -z \"${{server:-}}\" ] || kill \"$server\" 2>/dev/null || true' EXIT\n{script}");
    let done = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &script])
        .current_dir(dir)
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("REMIT_CONFIG", &config)
        .env("REMIT_SERVER", format!("http://127.0.0.1:{port}"))
        .env_remove("REMIT_TOKEN")
        .output()
        .expect("there is a shell");
    let told = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(done.status.success(), "{told}\n{}", std::fs::read_to_string(dir.join("serve.log")).unwrap_or_default());
    for shown in ["3 created", "HUMAN_ON_THE_LOOP", "MODEL_VERSION_UNKNOWN", "read as UTF-8 with ';'", "SEALED"] {
        assert!(told.contains(shown), "{shown} is missing in {told}");
    }
    for file in ["plan.csv", "plan.svg", "review.html", "review.json"] {
        assert!(dir.join(file).is_file(), "{file} is missing");
    }
}
