//! The name of a model on the hub.

use std::fmt;

/// `org/name` or `name`, optionally `@revision` (a branch, tag or commit; `main` unless told).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId {
    /// `org/name` or `name`.
    pub repo: String,
    /// Branch, tag or commit.
    pub revision: String,
}

impl ModelId {
    /// Reads an id; anything that could lead out of the cache folder or out of the URL is refused.
    ///
    /// # Errors
    /// A sentence that says what an id looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        let parts = repo.split('/').collect::<Vec<_>>();
        if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
            return Err("an id is org/name, of letters, digits, `-`, `_` and `.`".into());
        }
        if !revision.split('/').all(is_name) {
            return Err(format!("`{revision}` is no revision; name a branch, a tag or a commit after the @"));
        }
        Ok(Self { repo: repo.to_owned(), revision: revision.to_owned() })
    }
}

/// The hub's rule for one part of a name; it excludes `..`, hidden names and the cache's own separator `--`.
fn is_name(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edge = |c: char| c == '-' || c == '.';
    (1..=96).contains(&part.len())
        && part.chars().all(plain)
        && !part.starts_with(edge)
        && !part.ends_with(edge)
        && !part.contains("--")
        && !part.contains("..")
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            "main" => f.write_str(&self.repo),
            revision => write!(f, "{}@{revision}", self.repo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_shown() {
        for id in ["org/name", "bert-base-uncased", "a.b/c_d-1.5@refs/pr/3", "org/name@v1.0"] {
            assert_eq!(ModelId::parse(id).unwrap().to_string(), id);
        }
        assert_eq!(ModelId::parse("org/name").unwrap().revision, "main");
    }

    #[test]
    fn tricks_are_refused() {
        let long = "a".repeat(97);
        for id in [
            "",
            "../x",
            "a/..",
            "a/../b",
            "/etc",
            "a/b/c",
            "~/x",
            "./x",
            "a\\b",
            "org/na me",
            "a/b@",
            "a/b@../../x",
            "a/b@/x",
            "a--b/c",
            "org/.hidden",
            "org/name?x=1",
            "org/name#x",
            "org/%2e%2e",
            "a/b@c@d",
            "é/x",
            &long,
        ] {
            assert!(ModelId::parse(id).is_err(), "{id}");
        }
    }
}
