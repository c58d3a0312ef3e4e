//! Published test data, read in place.

use std::path::PathBuf;

/// The folder `name` of the corpora: below `ANTIPHON_CORPORA`, or beside the repository. Says so where it is absent.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ANTIPHON_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        PathBuf::from,
    );
    let folder = Some(root.join(name)).filter(|folder| folder.is_dir());
    if folder.is_none() {
        println!("corpora absent: {name} not replayed");
    }
    folder
}
