//! Compiles every proto file under `proto/remit` with protox, so that no system `protoc` is needed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto").canonicalize()?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut files = Vec::new();
    walk(&root.join("remit"), &mut files)?;
    files.sort();
    println!("cargo:rerun-if-changed={}", root.display());

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // prost_types drops extension options on decoding, and the rules and permissions are extensions:
    // the bytes that protox encodes are the only complete form.
    fs::write(out.join("remit.fds"), {
        let mut lean = protox::Compiler::new([&root])?;
        lean.include_imports(true).include_source_info(false).open_files(&files)?;
        lean.encode_file_descriptor_set()
    })?;

    let mut set = compiler.file_descriptor_set();
    set.file.retain(|file| file.package() != "buf.validate");
    let mut prost = tonic_prost_build::Config::new();
    prost.enable_type_names();
    // Equal messages must encode to equal bytes: request and content digests are taken over them.
    prost.btree_map(["."]);
    tonic_prost_build::configure()
        .codec_path("crate::codec::ProstCodec")
        .include_file("tree.rs")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(set, prost)?;
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
