//! Where the hub and its cache are.

use std::path::{Path, PathBuf};

use crate::weights::Pickles;

/// How to reach the hub. The library reads no environment: [`HubOptions::from_vars`] is given a way to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubOptions {
    /// URL without a slash at its end. Default `https://huggingface.co`.
    pub endpoint: String,
    /// Sent with every request to the endpoint, if there is one.
    pub token: Option<String>,
    /// Never touch the network.
    pub offline: bool,
    /// The folder with `models--org--name`.
    pub cache: PathBuf,
    /// Whether weights in torch's own format are downloaded where there are no safetensors. Default: they are not.
    pub pickles: Pickles,
}

impl HubOptions {
    /// The official hub with this cache folder and no token.
    pub fn new(cache: PathBuf) -> Self {
        let endpoint = "https://huggingface.co".to_owned();
        Self { endpoint, token: None, offline: false, cache, pickles: Pickles::default() }
    }

    /// The settings of Hugging Face's own tools: `HF_ENDPOINT`, `HF_TOKEN` (else the file `HF_TOKEN_PATH`,
    /// else `HF_HOME/token`), `HF_HUB_OFFLINE`, `HF_HUB_CACHE` (else `HF_HOME/hub`), `HF_HOME` (else
    /// `huggingface` in `XDG_CACHE_HOME` or `~/.cache`). An empty variable counts as absent. `var` is `|name|
    /// std::env::var(name).ok()`.
    pub fn from_vars(var: &dyn Fn(&str) -> Option<String>) -> Self {
        let text =
            |name: &str| var(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let user =
            text("HOME").or_else(|| text("USERPROFILE")).map_or_else(|| PathBuf::from("."), PathBuf::from);
        let path = |name: &str| text(name).map(|value| from_home(&value, &user));
        let caches = path("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache"));
        let home = path("HF_HOME").unwrap_or_else(|| caches.join("huggingface"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let mut options = Self::new(path("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")));
        options.token = text("HF_TOKEN").or_else(|| saved_token(&token_file));
        options.offline = text("HF_HUB_OFFLINE").is_some_and(|value| is_on(&value));
        if let Some(endpoint) = text("HF_ENDPOINT") {
            options.endpoint = endpoint.trim_end_matches('/').to_owned();
        }
        options
    }
}

/// A path that may begin with `~/`.
fn from_home(value: &str, home: &Path) -> PathBuf {
    value.strip_prefix("~/").map_or_else(|| PathBuf::from(value), |rest| home.join(rest))
}

/// The token that a login has left; an unreadable file is no token.
fn saved_token(path: &Path) -> Option<String> {
    let text = crate::files::read_text(path).ok()?;
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

/// The spellings that Hugging Face's tools take for true.
fn is_on(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|on| value.eq_ignore_ascii_case(on))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(vars: &[(&str, &str)]) -> HubOptions {
        let find = |name: &str| vars.iter().find(|var| var.0 == name).map(|var| var.1.to_owned());
        HubOptions::from_vars(&find)
    }

    #[test]
    fn the_cache_is_where_other_tools_look() {
        for (vars, cache) in [
            (&[("HOME", "/u")][..], "/u/.cache/huggingface/hub"),
            (&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")], "/u/h/hub"),
            (&[("HOME", "/u"), ("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[("HOME", "/u"), ("HF_HUB_CACHE", "")], "/u/.cache/huggingface/hub"),
        ] {
            assert_eq!(options(vars).cache, PathBuf::from(cache), "{vars:?}");
        }
    }

    #[test]
    fn endpoint_token_and_offline_are_read() {
        let plain = options(&[("HF_HUB_OFFLINE", "0")]);
        assert_eq!((plain.endpoint.as_str(), plain.offline), ("https://huggingface.co", false));
        let set =
            options(&[("HF_ENDPOINT", "http://mirror/"), ("HF_TOKEN", " t\n"), ("HF_HUB_OFFLINE", "true")]);
        assert_eq!(
            (set.endpoint.as_str(), set.token.as_deref(), set.offline),
            ("http://mirror", Some("t"), true)
        );
    }

    #[test]
    fn the_token_file_is_the_second_choice() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "saved\n").unwrap();
        let folder = home.path().to_str().unwrap();
        assert_eq!(options(&[("HF_HOME", folder)]).token.as_deref(), Some("saved"));
        assert_eq!(options(&[("HF_HOME", folder), ("HF_TOKEN", "set")]).token.as_deref(), Some("set"));
    }
}
