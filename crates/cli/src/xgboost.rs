//! Where on this machine the XGBoost library may be.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The library in a Python environment's packages.
const INSIDE: &str = if cfg!(windows) {
    "xgboost/lib/xgboost.dll"
} else if cfg!(target_os = "macos") {
    "xgboost/lib/libxgboost.dylib"
} else {
    "xgboost/lib/libxgboost.so"
};

/// Where it may be: what `OFFSHOOT_XGBOOST` names, else the packages of the Python environment that is active, the
/// user's own and the system's, in this order.
pub(crate) fn places() -> Vec<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = var("OFFSHOOT_XGBOOST") {
        return vec![named];
    }
    let home = var("HOME").map(|home| home.join(".local"));
    let roots =
        [var("VIRTUAL_ENV"), var("CONDA_PREFIX"), home, Some("/usr/local".into()), Some("/usr".into())];
    roots.into_iter().flatten().flat_map(|root| packages(&root)).map(|folder| folder.join(INSIDE)).collect()
}

/// The package folders of a Python environment, those of the newest Python first.
fn packages(root: &Path) -> Vec<PathBuf> {
    let python = |name: &OsStr| name.to_string_lossy().starts_with("python");
    let library = root.join("lib");
    let entries = fs::read_dir(&library).into_iter().flatten().flatten();
    let mut pythons: Vec<PathBuf> =
        entries.filter(|entry| python(&entry.file_name())).map(|entry| entry.path()).collect();
    pythons.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    pythons.push(root.join("Lib"));
    pythons
        .iter()
        .flat_map(|folder| ["site-packages", "dist-packages"].map(|name| folder.join(name)))
        .collect()
}

/// The number behind the point of `python3.11`.
fn version(folder: &Path) -> u32 {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('.').and_then(|(_, minor)| minor.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_of_the_newest_python_come_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["python3", "python3.9", "python3.12", "perl5"] {
            fs::create_dir_all(root.path().join("lib").join(name)).unwrap();
        }
        let found = packages(root.path());
        assert_eq!(found[0], root.path().join("lib/python3.12/site-packages"));
        assert_eq!(found[2], root.path().join("lib/python3.9/site-packages"));
        assert_eq!(found.len(), 8, "and none of perl: {found:?}");
    }
}
