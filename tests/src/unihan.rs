//! The Unihan database of Unicode, as Debian's package `unicode-data` ships it: some 1.4 million facts about characters.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

/// Where the package puts its files.
const DIRECTORY: &str = "/usr/share/unicode";

/// One fact: `U+4E00/kDefinition`, and what it says.
pub type Fact = (String, String);

/// The files of the package; none if it is not installed.
pub fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("Unihan") && (name.ends_with(".txt") || name.ends_with(".txt.bz2"))
        })
        .collect();
    files.sort();
    files
}

/// Reads at most that many facts.
///
/// # Errors
///
/// If the package is not installed, or its files cannot be read.
pub fn facts(count_max: usize) -> anyhow::Result<Vec<Fact>> {
    let files = files();
    anyhow::ensure!(
        !files.is_empty(),
        "the Unihan database is not in {DIRECTORY}: apt-get install unicode-data"
    );
    let mut facts = Vec::new();
    for file in files {
        read(&file, count_max, &mut facts).with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(facts)
}

fn read(file: &Path, count_max: usize, facts: &mut Vec<Fact>) -> anyhow::Result<()> {
    let mut unpack = if file.extension().is_some_and(|extension| extension == "bz2") {
        Command::new("bzcat")
    } else {
        Command::new("cat")
    };
    let mut child =
        unpack.arg(file).stdout(Stdio::piped()).spawn().context("cannot run bzcat: apt-get install bzip2")?;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line?;
        let mut fields = line.splitn(3, '\t');
        if let (Some(character), Some(field), Some(text)) = (fields.next(), fields.next(), fields.next())
            && character.starts_with("U+")
            && facts.len() < count_max
        {
            facts.push((format!("{character}/{field}"), text.to_string()));
        }
    }
    anyhow::ensure!(child.wait()?.success() || facts.len() >= count_max, "it cannot be unpacked");
    Ok(())
}
