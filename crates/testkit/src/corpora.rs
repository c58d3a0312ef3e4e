//! Published inputs of other projects, read in place: they are not part of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder `name` of the corpora: below the environment variable `ANTIPHON_CORPORA`, or below `shared/corpora`
/// beside the repository. Where it is absent, says so and gives `None`.
pub fn corpus_folder(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let folder = std::env::var_os("ANTIPHON_CORPORA").map_or_else(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("corpora absent: {name} is not replayed");
    None
}

/// Every file below the folder `name` of the corpora with its content, in the order of their paths; `None` where the
/// folder is absent, which is said.
///
/// # Panics
///
/// Where a file can't be read.
pub fn corpus(name: &str) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let mut folders = vec![corpus_folder(name)?];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.push((path, content));
        }
    }
    files.sort();
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_none() {
        assert_eq!(corpus("no such folder"), None);
    }
}
