//! The house is in order: what people are told is there, and modules import each other in one direction.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support {
    pub(crate) mod cycles;
    pub(crate) mod files;
    pub(crate) mod imports;
    pub(crate) mod markdown;
}

use std::path::Path;

use kv_core::error::ErrorKind;
use kv_core::mutants::Mutant;
use support::files::{crates, relative, root, sources, texts};
use support::{cycles, markdown};

/// Longest source file, in lines; tests may be longer.
const LINES_MAX: usize = 500;

/// Circles that are known, each with what it would take to break it. Nothing is added here without a reason.
const KNOWN_CIRCLES: &[&str] = &[
    // A strategy is asked about members and answers with a placement, both of `layout`; `layout` makes its first version with a
    // strategy. Members, partitions and placement would have to be a module of their own below both.
    "kv-core/src: layout <-> replication",
];

/// Fails with the list of what is wrong.
fn none(what: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

#[test]
fn every_library_begins_with_its_documentation() {
    let libraries = crates().into_iter().map(|root| root.join("lib.rs")).filter(|path| path.exists());
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in libraries {
        count += 1;
        if !std::fs::read_to_string(&path).unwrap().starts_with("//! ") {
            wrong.push(relative(&path));
        }
    }
    assert!(count >= 4, "only {count} libraries were found");
    none("libraries whose first line is no documentation", wrong);
}

#[test]
fn every_code_block_is_run_or_is_no_rust() {
    let fence = concat!("``", "`");
    let mut wrong = Vec::new();
    for path in sources().into_iter().chain(texts()) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start_matches([' ', '/', '!']);
            let Some(language) = line.strip_prefix(fence) else { continue };
            if language.split([',', ' ']).any(|word| word == "ignore") {
                wrong.push(format!("{}:{}", relative(&path), index + 1));
            }
        }
    }
    none("code blocks that are ignored, and rot", wrong);
}

#[test]
fn no_source_file_has_to_be_scrolled_for_long() {
    let mut wrong = Vec::new();
    let is_test = |path: &Path| path.components().any(|part| part.as_os_str() == "tests");
    for path in sources().into_iter().filter(|path| !is_test(path.strip_prefix(root()).unwrap())) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{} has {lines} lines", relative(&path)));
        }
    }
    none(&format!("files of more than {LINES_MAX} lines"), wrong);
}

#[test]
fn modules_import_each_other_in_one_direction() {
    let circles: Vec<String> = crates().iter().flat_map(|root| cycles::of_crate(root)).collect();
    let is_known = |circle: &str| KNOWN_CIRCLES.contains(&circle);
    let gone = KNOWN_CIRCLES.iter().filter(|known| !circles.iter().any(|circle| circle == *known));
    none(
        "known circles that are gone: take them off the list",
        gone.map(|circle| circle.to_string()).collect(),
    );
    let new = circles.into_iter().filter(|circle| !is_known(circle)).collect();
    none("modules that import each other in a circle", new);
}

#[test]
fn links_between_files_lead_somewhere() {
    let mut wrong = Vec::new();
    for path in texts() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in markdown::links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let found = match std::fs::read_to_string(&target) {
                Ok(text) => heading.is_empty() || markdown::anchors(&text).iter().any(|one| one == heading),
                Err(_) => target.is_dir(),
            };
            if !found {
                wrong.push(format!("{}: {link}", relative(&path)));
            }
        }
    }
    none("links that lead nowhere", wrong);
}

/// The rows of the table in `file` whose first heading is `first`, as cells without marks.
fn table(file: &str, first: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let rows = markdown::table(&text, first);
    assert!(!rows.is_empty(), "{file} has no table that begins with {first}");
    rows
}

#[test]
fn the_table_of_errors_is_that_of_the_code() {
    let written: Vec<Vec<String>> =
        table("docs/operations.md", "number").into_iter().map(|row| row[..3].to_vec()).collect();
    let retry = |kind: &ErrorKind| if kind.is_retryable() { "yes" } else { "no" };
    let kinds = ErrorKind::ALL.iter();
    let known: Vec<Vec<String>> = kinds
        .map(|kind| vec![(*kind as u16).to_string(), kind.name().to_string(), retry(kind).to_string()])
        .collect();
    assert_eq!(written, known);
}

#[test]
fn every_setting_of_the_server_is_explained() {
    let settings = std::fs::read_to_string(root().join("kv-server/src/config/settings.rs")).unwrap();
    let known: Vec<&str> = settings
        .lines()
        .filter(|line| line.contains(" => "))
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next())
        .collect();
    let written: Vec<String> =
        table("docs/operations.md", "key").into_iter().map(|row| row[0].clone()).collect();
    assert!(known.len() > 20, "the settings were not found: {known:?}");
    assert_eq!(written, known);
}

#[test]
fn every_mutant_and_every_check_of_the_simulator_is_explained() {
    let written: Vec<String> =
        table("docs/simulation.md", "mutant").into_iter().map(|row| row[0].clone()).collect();
    let known: Vec<String> = Mutant::ALL.iter().map(|mutant| format!("{mutant:?}")).collect();
    assert_eq!(written, known);

    let report = std::fs::read_to_string(root().join("kv-core/src/testing/simulation/report.rs")).unwrap();
    let known: Vec<&str> =
        report.lines().filter_map(|line| line.trim().strip_prefix("Check::")?.split(" =>").next()).collect();
    let checks = table("docs/simulation.md", "check");
    let written: Vec<&str> = checks.iter().map(|row| row[0].as_str()).collect();
    assert!(known.len() > 8, "the checks were not found: {known:?}");
    assert_eq!(written, known);

    // What a check decides is a promise that is written down.
    let promises = std::fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let cited = checks.iter().flat_map(|row| row[2].split(", "));
    let wrong = cited.filter(|id| !promises.contains(&format!("| {id} |"))).map(String::from).collect();
    none("rows of docs/promises.md that the simulator cites and that are not there", wrong);
}

#[test]
fn every_check_against_a_pitfall_is_there() {
    let rows = table("docs/pitfalls.md", "number");
    let numbers: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(numbers, (1..=38).map(|number| number.to_string()).collect::<Vec<_>>());

    let text = std::fs::read_to_string(root().join("docs/pitfalls.md")).unwrap();
    let mut wrong = Vec::new();
    for piece in text.split("[`").skip(1) {
        let (test, rest) = piece.split_once("`](").unwrap();
        let file = root().join("docs").join(rest.split(')').next().unwrap());
        let source = std::fs::read_to_string(&file).unwrap_or_default();
        if !source.contains(&format!("fn {test}(")) {
            wrong.push(format!("{test} in {}", file.display()));
        }
    }
    none("tests that docs/pitfalls.md names and that are not there", wrong);

    let simulated = ["mutant", "check"].map(|first| table("docs/simulation.md", first)).concat();
    let known: Vec<&str> = simulated.iter().map(|row| row[0].as_str()).collect();
    let checks =
        text.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.rsplit(" | ").next());
    let names = checks.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let named = names.filter(|name| name.starts_with(char::is_uppercase) && !known.contains(name));
    none("names in docs/pitfalls.md that the simulator does not know", named.map(String::from).collect());
}
