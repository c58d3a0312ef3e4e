//! Holds the documents true: what they name exists, and what the code cites stands in `docs/rfc.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of a table, by cell.
type Row = Vec<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rust files below `folder` of the repository.
fn sources(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Every `RFC n §s` of `text`. Further sections of the same RFC may follow: `RFC n §s, §t to §u`.
fn citations(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in text.split("RFC ").skip(1) {
        let Some((number, mut rest)) = part.split_once(" §") else { continue };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        loop {
            let is_of_section = |letter: char| !letter.is_ascii_alphanumeric() && letter != '.';
            let end = rest.find(is_of_section).unwrap_or(rest.len());
            found.insert(format!("RFC {number} §{}", rest[..end].trim_end_matches('.')));
            let Some((_, next)) =
                rest[end..].split_once('§').filter(|(gap, _)| [", ", " to ", " and "].contains(gap))
            else {
                break;
            };
            rest = next;
        }
    }
    found
}

/// The rows of all tables of a document, each with the heading that it stands under; heads of tables left out.
fn rows(document: &str) -> Vec<(String, Row)> {
    let (mut heading, mut rows) = (String::new(), Vec::new());
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_owned();
        }
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix('|')) else { continue };
        let row: Row = cells.split(" | ").map(|cell| cell.trim().to_owned()).collect();
        if !cells.starts_with("--") {
            rows.push((heading.clone(), row));
        }
    }
    rows
}

/// What stands between backticks.
fn spans(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The sections that a row of `docs/rfc.md` is about; the heading tells the RFC where the row does not.
fn sections(heading: &str, cell: &str) -> BTreeSet<String> {
    let named = if cell.contains("RFC ") {
        cell.to_owned()
    } else {
        format!("{} {cell}", heading.split([':', ',']).next().unwrap_or_default())
    };
    citations(&named)
}

fn is_identifier(span: &str) -> bool {
    span.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The names of all test functions.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in ["crates", "examples", "interop"].into_iter().flat_map(sources) {
        let text = read(&path);
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                let function = lines.find(|line| line.contains("fn ")).unwrap_or_default();
                let name = function.split_once("fn ").and_then(|(_, name)| name.split_once('('));
                names.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
    names
}

#[test]
fn every_section_cited_in_the_code_has_its_row() {
    let table = rows(&read(&root().join("docs/rfc.md")));
    let known: BTreeSet<String> =
        table.iter().flat_map(|(heading, row)| sections(heading, &row[0])).collect();
    let mut missing = BTreeSet::new();
    let this = Path::new("xtask/src/documents.rs");
    let in_src = |path: &PathBuf| path.iter().any(|part| part == "src") && !path.ends_with(this);
    for path in sources("crates").into_iter().filter(in_src) {
        missing.extend(citations(&read(&path)).difference(&known).cloned());
    }
    assert!(missing.is_empty(), "cited in the code, without a row in docs/rfc.md: {missing:#?}");
}

#[test]
fn what_the_tables_name_exists() {
    let tests = tests();
    let mut wrong = Vec::new();
    for document in ["docs/rfc.md", "docs/security.md"] {
        for (heading, row) in rows(&read(&root().join(document))) {
            let [.., code, named_tests] = &row[..] else { continue };
            let mut text = String::new();
            for span in spans(code) {
                if span.contains('/') {
                    let path = root().join("crates").join(span);
                    text = fs::read_to_string(&path).unwrap_or_default();
                    if text.is_empty() {
                        wrong.push(format!("{document}, {heading}: no file {span}"));
                    }
                } else if is_identifier(span) && !text.is_empty() && !text.contains(span) {
                    wrong.push(format!("{document}, {heading}: {span} is not in its file"));
                }
            }
            let unknown = spans(named_tests).into_iter().filter(|name| is_identifier(name));
            let unknown = unknown.filter(|name| !tests.contains(*name));
            wrong.extend(unknown.map(|name| format!("{document}, {heading}: no test {name}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_limit_stands_in_the_security_document() {
    let document = read(&root().join("docs/security.md"));
    for path in sources("crates") {
        let text = read(&path);
        let Some((_, limits)) = text.split_once("pub struct Limits {") else { continue };
        let fields = limits.lines().take_while(|line| *line != "}");
        for field in fields.filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':')) {
            let (name, kind) = field;
            let named = kind.contains("::Limits") || document.contains(&format!("| `{name}` |"));
            assert!(named, "{} of {} has no row in docs/security.md", name, path.display());
        }
    }
}

#[test]
fn links_lead_to_files() {
    let mut documents = vec![root().join("README.md")];
    documents.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut broken = Vec::new();
    for document in documents.into_iter().filter(|path| path.exists()) {
        let folder = document.parent().unwrap();
        let text = read(&document);
        for link in text.split("](").skip(1).filter_map(|part| part.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_local = !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:");
            if is_local && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn citations_are_found_with_their_followers() {
    let found = citations("RFC 1 §2.3. RFC 4 §5, §A.6 to §7 (§8) and RFC 9. RFC 10, §11");
    let expected = ["RFC 1 §2.3", "RFC 4 §5", "RFC 4 §7", "RFC 4 §A.6"];
    assert_eq!(found, expected.map(String::from).into());
}
