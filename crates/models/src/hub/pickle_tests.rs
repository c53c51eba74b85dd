//! Models whose weights are on the hub in torch's own format alone.

use super::tests::{ID, Server};
use super::*;
use crate::weights::Checkpoint;
use std::fs;

/// A file that torch wrote.
fn torch(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(name)).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    Checkpoint::open_with(folder, Pickles::Allow).unwrap().names().map(str::to_owned).collect()
}

#[test]
fn a_pickled_model_is_fetched_where_that_is_allowed() {
    let weights = torch("nested.pth");
    let server = Server::start(&[("config.json", b"{}"), (TORCH_SINGLE, &weights)]);
    let cache = tempfile::tempdir().unwrap();
    let refusing = server.options(cache.path());
    let message = resolve(ID, &refusing, &mut ()).unwrap_err().to_string();
    assert!(message.contains(TORCH_SINGLE) && message.contains("--allow-pickle"), "{message}");
    let blobs = cache.path().join("models--org--tiny/snapshots");
    assert!(!fs::read_dir(blobs).unwrap().any(|commit| commit.unwrap().path().join(TORCH_SINGLE).exists()));

    let allowing = HubOptions { pickles: Pickles::Allow, ..refusing.clone() };
    let folder = resolve(ID, &allowing, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(TORCH_SINGLE)).unwrap(), weights);
    assert_eq!(names(&folder), ["bias", "weight"]);
    server.seen();
    assert_eq!(resolve(ID, &allowing, &mut ()).unwrap(), folder);
    assert_eq!(server.seen(), [""; 0], "a complete model asks nothing");
    // What is in the cache needs the permission as well, and offline that is said.
    assert!(resolve(ID, &refusing, &mut ()).unwrap_err().to_string().contains("--allow-pickle"));
    let offline = HubOptions { offline: true, ..refusing };
    let message = resolve(ID, &offline, &mut ()).unwrap_err().to_string();
    assert!(message.contains("--allow-pickle") && message.contains("HF_HUB_OFFLINE"), "{message}");
    let offline = HubOptions { offline: true, ..allowing };
    assert_eq!(resolve(ID, &offline, &mut ()).unwrap(), folder);
}

#[test]
fn pickled_shards_are_fetched_by_their_index() {
    let (one, two) = (torch("nested.pth"), torch("types.bin"));
    let index =
        br#"{"metadata": {"total_size": 3}, "weight_map": {"weight": "p-1.bin", "whole": "p-2.bin"}}"#;
    let files: [(&str, &[u8]); 4] =
        [("config.json", b"{}"), (TORCH_INDEX, index), ("p-1.bin", &one), ("p-2.bin", &two)];
    let (server, cache) = (Server::start(&files), tempfile::tempdir().unwrap());
    let refusing = server.options(cache.path());
    let message = resolve(ID, &refusing, &mut ()).unwrap_err().to_string();
    assert!(message.contains(TORCH_INDEX) && message.contains("--allow-pickle"), "{message}");
    let allowing = HubOptions { pickles: Pickles::Allow, ..refusing };
    let names = names(&resolve(ID, &allowing, &mut ()).unwrap());
    assert!(names.contains(&"weight".to_owned()) && names.contains(&"whole".to_owned()), "{names:?}");

    server.set_file(TORCH_INDEX, br#"{"weight_map": {"weight": "../../../escaped.bin"}}"#);
    let cache = tempfile::tempdir().unwrap();
    let allowing = HubOptions { cache: cache.path().to_path_buf(), ..allowing };
    let message = resolve(ID, &allowing, &mut ()).unwrap_err().to_string();
    assert!(message.contains("escaped.bin") && message.contains("not a file beside it"), "{message}");
}

#[test]
fn safetensors_are_taken_before_pickles_and_a_model_with_neither_says_all_names() {
    let files: [(&str, &[u8]); 3] = [("config.json", b"{}"), (SINGLE, b"x"), (TORCH_SINGLE, b"y")];
    let (server, cache) = (Server::start(&files), tempfile::tempdir().unwrap());
    let options = HubOptions { pickles: Pickles::Allow, ..server.options(cache.path()) };
    let folder = resolve(ID, &options, &mut ()).unwrap();
    assert!(folder.join(SINGLE).exists() && !folder.join(TORCH_SINGLE).exists());

    let (server, cache) = (Server::start(&[("config.json", b"{}")]), tempfile::tempdir().unwrap());
    let options = HubOptions { pickles: Pickles::Allow, ..server.options(cache.path()) };
    let message = resolve(ID, &options, &mut ()).unwrap_err().to_string();
    for name in [SINGLE, INDEX, TORCH_SINGLE, TORCH_INDEX] {
        assert!(message.contains(name), "{message}");
    }
}
