//! What holds the book in `docs/` together.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display())).unwrap()
}

/// Every page below a folder, the table of contents apart.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|end| end == "md") && !path.ends_with("SUMMARY.md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Where a page's links and images lead, and what it includes, fenced code apart.
fn targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (part, prose) in text.split("\n```").enumerate() {
        if part % 2 == 0 {
            let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let includes = prose.split("{{#include ").skip(1).filter_map(|rest| rest.split("}}").next());
            found.extend(links.chain(includes));
        }
    }
    found
}

/// The file that a link leads to; none where it leads out of the book, or to a place on its own page.
fn file(page: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split('#').next().unwrap_or_default();
    let elsewhere = path.is_empty() || path.contains("://");
    (!elsewhere).then(|| page.parent().unwrap().join(path))
}

/// What the table of contents leads to.
fn contents() -> Vec<PathBuf> {
    let summary = book().join("SUMMARY.md");
    let text = read(&summary);
    targets(&text).into_iter().filter_map(|target| file(&summary, target)).collect()
}

#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let mut listed = contents();
    listed.sort();
    assert_eq!(listed, pages(&book()));
}

#[test]
fn every_link_image_and_include_leads_to_a_file() {
    let all = pages(&book());
    let mut links = 0;
    for page in &all {
        let text = read(page);
        for path in targets(&text).into_iter().filter_map(|target| file(page, target)) {
            assert!(path.is_file(), "{}: {} is not there", page.display(), path.display());
            links += 1;
        }
    }
    assert!(links > all.len(), "{links} links in {} pages: are they found at all?", all.len());
}

/// A method's settings with their defaults, as its page has them.
fn settings(method: &str) -> String {
    let config = offshoot_methods::MethodConfig::named(method).unwrap();
    // Through text: an f32 of 0.1 is 0.1 there, and not the f64 next to it.
    let settings: Value = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    let rows: Vec<String> = settings
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| *key != "method")
        .map(|(key, value)| match value {
            Value::Null => format!("| `{key}` | unset |\n"),
            value => format!("| `{key}` | `{value}` |\n"),
        })
        .collect();
    match rows.is_empty() {
        true => "It has no settings.\n".to_owned(),
        false => format!("\n| setting | default |\n| --- | --- |\n{}\n", rows.concat()),
    }
}

/// With OFFSHOOT_WRITE_DOCS set, the tables in the pages are written anew before they are checked.
fn write_settings() {
    for info in offshoot_methods::MethodConfig::ALL {
        let path = book().join("methods").join(format!("{}.md", info.name));
        let text = read(&path);
        let mark = format!("<!-- settings: {} -->\n", info.name);
        let (before, rest) = text.split_once(&mark).unwrap();
        let (_, after) = rest.split_once("<!-- /settings -->").unwrap();
        let table = settings(info.name);
        fs::write(path, format!("{before}{mark}{table}<!-- /settings -->{after}")).unwrap();
    }
}

#[test]
fn every_method_has_a_page_with_its_settings_and_its_drawing() {
    if std::env::var_os("OFFSHOOT_WRITE_DOCS").is_some() {
        write_settings();
    }
    let listed = contents();
    for info in offshoot_methods::MethodConfig::ALL {
        let path = book().join("methods").join(format!("{}.md", info.name));
        assert!(listed.contains(&path), "SUMMARY.md does not lead to {}", path.display());
        let text = read(&path);
        for wanted in [
            format!("# {}\n", info.name),
            format!("\n<!-- settings: {} -->\n{}<!-- /settings -->\n", info.name, settings(info.name)),
            "](../drawings/".to_owned(),
        ] {
            assert!(text.contains(&wanted), "{} lacks {wanted:?}", path.display());
        }
    }
}
